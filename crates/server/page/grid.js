// A grid: only the rows on the screen are elements. Amounts are grouped for the eye and copied exact.

import { h, isCalm, paced, text, words } from "./dom.js";
import { nameOf } from "./drill.js";
import { grouped, places } from "./exact.js";
import { filterOf } from "./filter.js";
import { Order } from "./order.js";
import { isNumber } from "./rows.js";
import { Windows } from "./windows.js";

const ROW_PX = 25;
const OVERSCAN = 6;
/** Browsers lose precision far beyond; taller tables scroll in proportion. */
const HEIGHT_PX_MAX = 8_000_000;
const CELL_PAD_PX = 22;
/** Text that is longer is cut; a number never is. */
const TEXT_PX_MAX = 480;
const ARROW_PX = 13;
/** The weight of headings and keys. */
const HEAVY = 600;
const FLASH_MS = 1_100;
/** A cell that changes all the time is not marked anew each time. */
const FLASH_AGAIN_MS = 700;
const DRAW_MS = 100;
const WINDOW_MS = 1_000;
/** Decimals are aligned up to this many. */
const PLACES_MAX = 18;
const COPY_ROWS_MAX = 100_000;
const WARNING_MS = 6_000;

let grids = 0;

/** One grid view over one table. */
export class Grid {
  constructor(view, table, drill) {
    Object.assign(this, { view, table, drill });
    this.id = `grid${(grids += 1)}`;
    this.columns = [];
    this.pool = [];
    this.sort = [];
    this.active = { row: 0, column: 0 };
    this.anchor = null;
    this.trouble = null;
    this.warning = null;
    this.flashes = new Map();
    this.widths = {};
    this.build();
    this.redraw = paced(DRAW_MS, () => this.draw());
    this.refetch = paced(WINDOW_MS, () => {
      this.source.update();
      this.draw();
    });
    this.source = new Order(table);
  }

  build() {
    this.input = h("input", {
      type: "search",
      spellcheck: "false",
      autocomplete: "off",
      on: { input: () => this.arrange(), keydown: (event) => this.leaveInput(event) },
    });
    this.count = h("span", { class: "count", role: "status" });
    this.head = h("div", { class: "head", role: "row", "aria-rowindex": "1" });
    this.body = h("div", { class: "body", role: "rowgroup" });
    this.empty = h("p", { class: "plain" }, "Nothing has been published yet.");
    this.grid = h(
      "div",
      { class: "grid", role: "grid", tabindex: "0", "aria-label": this.view.title, "aria-multiselectable": "true" },
      h("div", { class: "heads", role: "rowgroup" }, this.head),
      this.body,
    );
    const tools = h("div", { class: "tools" }, this.input, this.count);
    if (this.view.drill.length > 0) tools.append(h("span", { class: "count" }, "Enter or a double click opens a row."));
    this.element = h("div", { class: "sheet" }, tools, this.grid, this.empty);
    this.grid.addEventListener("dblclick", (event) => this.at(event) && this.openRow());
    this.grid.addEventListener("scroll", () => requestAnimationFrame(() => this.draw()), { passive: true });
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("pointerdown", (event) => this.press(event));
    this.grid.addEventListener("pointermove", (event) => event.buttons === 1 && this.drag(event));
    this.grid.addEventListener("copy", (event) => this.copy(event));
    new ResizeObserver(() => this.draw()).observe(this.grid);
  }

  /** Takes what a cut did to the table. */
  cut(change) {
    if (change.reset) this.shape();
    if (this.table.large) return this.refetch();
    for (const [key, changed] of change.upserts) {
      const row = this.table.rows.get(key);
      if (row) this.measure(row);
      if (!change.reset || changed?.length) this.flash(key, changed);
    }
    this.source.update(change);
    this.redraw();
  }

  flash(key, changed) {
    if (changed === null || changed.length > 0) this.flashes.set(key, { changed, until: performance.now() + FLASH_MS });
  }

  /** Columns as the view wants them, key columns first when it names none. */
  shape() {
    const { table, view } = this;
    const wanted = view.columns.length ? view.columns.map((name) => table.column(name)) : table.columns.map((_, i) => i);
    const before = this.columns.map((column) => column.name).join();
    const columns = wanted.filter((index) => index >= 0).map((index) => ({ index, ...table.columns[index] }));
    if (before === columns.map((column) => column.name).join() && this.source.constructor === this.sourceClass()) return;
    this.columns = columns.map((column) => ({ ...column, number: isNumber(column.type) }));
    this.source = table.large ? new Windows(table, () => this.redraw(), (error) => this.fail(error)) : new Order(table);
    this.input.placeholder = table.large
      ? "SQL condition, e.g. " + this.columns[0].name + " = '…'"
      : "Filter: text, heading:text, heading>1000";
    this.input.setAttribute("aria-label", `Filter ${view.title}`);
    this.sort = [];
    this.makeHead();
    this.pool = [];
    this.body.replaceChildren();
    this.source.set([], this.condition());
  }

  sourceClass() {
    return this.table.large ? Windows : Order;
  }

  makeHead() {
    this.head.replaceChildren(...this.columns.map((column, at) => {
      const arrow = h("span", { class: "arrow", "aria-hidden": "true" });
      const name = h("span", {}, words(column.name));
      const cell = h("div", { role: "columnheader", "aria-colindex": at + 1, class: this.kind(at), title: column.name, id: `${this.id}h${at}` }, name, arrow);
      cell.addEventListener("click", (event) => this.sortBy(at, event.shiftKey));
      column.head = cell;
      return cell;
    }));
    this.grid.setAttribute("aria-colcount", this.columns.length);
    for (const column of this.columns) Object.assign(column, { digits: 0, places: 0, textPx: 0, isBelow: false });
    for (const row of this.table.rows.values()) this.measure(row);
    this.layout();
  }

  kind(at) {
    const column = this.columns[at];
    const isKey = this.table.key.includes(column.index) && at < this.table.key.length;
    return `${column.number ? "number" : "text"}${isKey ? " key" : ""}`;
  }

  /** Sorts by a column: rising, falling, then by key again. */
  sortBy(at, isFurther) {
    const { index } = this.columns[at];
    const now = this.sort.find(([column]) => column === index);
    const others = isFurther ? this.sort.filter(([column]) => column !== index) : [];
    this.sort = !now ? [...others, [index, false]] : now[1] ? others : [...others, [index, true]];
    for (const column of this.columns) {
      const sorted = this.sort.find(([i]) => i === column.index);
      column.head.setAttribute("aria-sort", !sorted ? "none" : sorted[1] ? "descending" : "ascending");
    }
    this.arrange();
  }

  condition() {
    if (this.table.large) return this.input.value.trim();
    try {
      const filter = filterOf(this.input.value, this.table.columns, this.columns.map((column) => column.index));
      this.fail(null);
      return filter;
    } catch (error) {
      this.fail(error);
      return null; // all rows, and beside the box why
    }
  }

  arrange() {
    clearTimeout(this.settling);
    const settle = () => {
      this.source.set(this.sort, this.condition());
      this.grid.scrollTop = 0;
      this.draw();
    };
    // The server is asked when the typing pauses.
    if (this.table.large) this.settling = setTimeout(settle, 400);
    else settle();
  }

  fail(error) {
    this.input.setAttribute("aria-invalid", String(error !== null));
    this.input.title = error?.message ?? "";
    this.trouble = error?.message ?? null;
  }

  /** Says something for a while where the count stands. */
  warn(message) {
    this.warning = message;
    this.tell();
    clearTimeout(this.warned);
    this.warned = setTimeout(() => {
      this.warning = null;
      this.tell();
    }, WARNING_MS);
  }

  leaveInput(event) {
    if (event.key === "Escape" && this.input.value !== "") {
      this.input.value = "";
      this.arrange();
      event.preventDefault();
    } else if (event.key === "ArrowDown" || event.key === "Enter") {
      this.grid.focus();
    }
  }

  // ---- widths

  measure(row) {
    this.columns.forEach((column, at) => {
      const cell = row[column.index];
      if (cell === null) return;
      if (column.number) {
        const count = Math.min(PLACES_MAX, places(cell));
        const isBelow = cell.startsWith("-");
        const digits = cell.length - (places(cell) > 0 ? places(cell) + 1 : 0) - Number(isBelow);
        if (isBelow && !column.isBelow) Object.assign(column, { isBelow, stale: true });
        if (digits > column.digits) Object.assign(column, { digits, stale: true });
        if (count > column.places) Object.assign(column, { places: count, stale: true });
      } else {
        const textPx = this.pixels(this.weight(at), this.shown(column, cell));
        if (textPx > column.textPx) Object.assign(column, { textPx, stale: true });
      }
    });
  }

  layout() {
    let left = 0;
    for (const [at, column] of this.columns.entries()) {
      const head = this.pixels(HEAVY, words(column.name)) + ARROW_PX;
      const digits = (column.isBelow ? "−" : "") + grouped("8".repeat(column.digits));
      const number = digits + (column.places > 0 ? "." + "8".repeat(column.places) : "");
      const cell = column.number ? this.pixels(this.weight(at), number) : Math.min(TEXT_PX_MAX, column.textPx);
      column.width = Math.ceil(Math.max(head, cell) + CELL_PAD_PX);
      column.left = left;
      column.stale = false;
      if (this.kind(at).endsWith("key")) left += column.width;
    }
    this.keysWidth = left;
    this.grid.style.setProperty("--columns", this.columns.map((column) => `${column.width}px`).join(" "));
    this.grid.style.setProperty("--width", `${this.columns.reduce((sum, column) => sum + column.width, 0)}px`);
    for (const cells of [[...this.head.children], ...this.pool.map((line) => line.cells)]) this.pin(cells);
  }

  weight(at) {
    return this.kind(at) === "text key" ? HEAVY : 400;
  }

  /** How wide the text is drawn: the sum of its characters, each measured once. */
  pixels(weight, shown) {
    const context = (Grid.canvas ??= document.createElement("canvas").getContext("2d"));
    const known = (this.widths[weight] ??= new Map());
    let sum = 0;
    for (const character of shown) {
      if (!known.has(character)) {
        const style = getComputedStyle(this.grid);
        context.font = `${weight} ${style.fontSize} ${style.fontFamily}`;
        known.set(character, context.measureText(character).width);
      }
      sum += known.get(character);
    }
    return sum;
  }

  pin(cells) {
    cells.forEach((cell, at) => cell.classList.contains("key") && (cell.style.left = `${this.columns[at].left}px`));
  }

  /** What the eye gets: thousands apart, decimal points below each other. */
  shown(column, cell) {
    if (cell === null || cell === undefined) return "";
    if (!column.number) return column.type.startsWith("timestamp") ? cell.replace("T", " ") : cell;
    const missing = column.places - places(cell);
    if (missing <= 0) return grouped(cell);
    const point = cell.includes(".") ? "" : "\u2008";
    return grouped(cell) + point + "\u2007".repeat(missing);
  }

  // ---- drawing

  draw() {
    if (!this.isOpen || this.columns.length === 0) return;
    if (this.columns.some((column) => column.stale)) this.layout();
    const { length } = this.source;
    const view = Math.max(ROW_PX, this.grid.clientHeight - ROW_PX);
    const full = length * ROW_PX;
    const height = Math.min(full, HEIGHT_PX_MAX);
    this.body.style.height = `${height}px`;
    const top = Math.min(this.grid.scrollTop, Math.max(0, height - view));
    this.first = full <= height ? top / ROW_PX : (top / Math.max(1, height - view)) * (length - view / ROW_PX);
    const from = Math.max(0, Math.floor(this.first) - OVERSCAN);
    const to = Math.min(length, Math.ceil(this.first + view / ROW_PX) + OVERSCAN);
    this.grow(to - from);
    const used = new Set();
    for (let index = from; index < to; index += 1) {
      const line = this.pool[index % this.pool.length];
      used.add(line);
      this.place(line, index, full <= height ? index * ROW_PX : top + (index - this.first) * ROW_PX);
    }
    for (const line of this.pool) line.element.hidden = !used.has(line);
    this.mark();
    this.tell();
    if (this.columns.some((column) => column.stale)) this.redraw(); // rows that arrived are wider
  }

  grow(count) {
    while (this.pool.length < count) {
      const cells = this.columns.map((_, at) => h("div", { role: "gridcell", "aria-colindex": at + 1, class: this.kind(at) }));
      const element = h("div", { class: "row", role: "row" }, ...cells);
      this.body.append(element);
      this.pin(cells);
      this.pool.push({ element, cells, row: undefined, key: undefined });
      for (const line of this.pool) line.key = undefined; // every index has another place now
    }
  }

  place(line, index, y) {
    const key = this.source.key(index);
    const row = this.source.row(index);
    line.element.style.transform = `translateY(${y}px)`;
    line.element.setAttribute("aria-rowindex", index + 2);
    line.element.classList.toggle("odd", index % 2 === 1);
    line.index = index;
    if (line.key !== key || line.row !== row || line.layout !== this.columns.map((c) => c.places).join()) this.fill(line, key, row);
    this.blink(line);
  }

  fill(line, key, row) {
    if (line.key !== key) for (const cell of line.cells) calm(cell);
    line.layout = this.columns.map((column) => column.places).join();
    line.key = key;
    line.row = row;
    if (row && this.table.large) this.measure(row);
    this.columns.forEach((column, at) => {
      const cell = row ? row[column.index] : null;
      const shown = row ? this.shown(column, cell) : "…";
      text(line.cells[at], shown);
      line.cells[at].classList.toggle("below", column.number && cell !== null && cell.startsWith("-"));
      line.cells[at].title = cell !== null && cell.length > 24 ? cell : "";
    });
  }

  blink(line) {
    const flash = this.flashes.get(line.key);
    if (!flash) return;
    this.flashes.delete(line.key);
    if (flash.until < performance.now()) return;
    this.columns.forEach((column, at) => {
      if (flash.changed === null || flash.changed.includes(column.index)) blink(line.cells[at]);
    });
  }

  tell() {
    const now = performance.now();
    for (const [key, flash] of this.flashes) if (flash.until < now) this.flashes.delete(key);
    const { length, total } = this.source;
    this.grid.setAttribute("aria-rowcount", length + 1);
    const of = (n) => grouped(String(n));
    const trouble = this.warning ?? this.trouble;
    this.count.classList.toggle("trouble", trouble !== null);
    text(this.count, trouble ?? (length === total ? `${of(total)} rows` : `${of(length)} of ${of(total)} rows`));
    this.empty.hidden = length > 0;
    if (length === 0) text(this.empty, this.trouble !== null ? "" : total === 0 ? "No rows." : "No row matches the filter.");
  }

  // ---- the active cell and the range

  mark() {
    const range = this.range();
    let active = null;
    for (const line of this.pool) {
      const isIn = line.index >= range.top && line.index <= range.bottom;
      line.cells.forEach((cell, at) => {
        const isSelected = isIn && at >= range.left && at <= range.right;
        cell.classList.toggle("selected", isSelected && this.anchor !== null);
        const isActive = !line.element.hidden && line.index === this.active.row && at === this.active.column;
        cell.classList.toggle("active", isActive);
        if (isActive) active = cell;
        else cell.removeAttribute("id");
      });
    }
    for (const [at, column] of this.columns.entries()) {
      column.head.classList.toggle("active", this.active.row === -1 && this.active.column === at);
    }
    if (active) active.id = `${this.id}active`;
    const id = this.active.row === -1 ? `${this.id}h${this.active.column}` : active?.id;
    if (id) this.grid.setAttribute("aria-activedescendant", id);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  range() {
    const { row, column } = this.active;
    const from = this.anchor ?? this.active;
    return {
      top: Math.min(row, from.row),
      bottom: Math.max(row, from.row),
      left: Math.min(column, from.column),
      right: Math.max(column, from.column),
    };
  }

  move(row, column, extend) {
    if (extend) this.anchor ??= { ...this.active };
    else this.anchor = null;
    this.active.row = Math.max(extend ? 0 : -1, Math.min(this.source.length - 1, row));
    this.active.column = Math.max(0, Math.min(this.columns.length - 1, column));
    this.reveal();
    this.draw();
  }

  reveal() {
    const { row, column } = this.active;
    const view = this.grid.clientHeight - ROW_PX;
    const full = this.source.length * ROW_PX;
    const scale = full > HEIGHT_PX_MAX ? HEIGHT_PX_MAX / full : 1;
    const y = row * ROW_PX;
    const top = this.grid.scrollTop / scale;
    if (row >= 0 && y < top) this.grid.scrollTop = y * scale;
    else if (y + ROW_PX > top + view) this.grid.scrollTop = (y + ROW_PX - view) * scale;
    if (this.kind(column).endsWith("key")) return;
    const x = this.columns.slice(0, column).reduce((sum, c) => sum + c.width, 0);
    const right = x + this.columns[column].width;
    if (x < this.grid.scrollLeft + this.keysWidth) this.grid.scrollLeft = x - this.keysWidth;
    else if (right > this.grid.scrollLeft + this.grid.clientWidth) this.grid.scrollLeft = right - this.grid.clientWidth;
  }

  key(event) {
    const { row, column } = this.active;
    const page = Math.max(1, Math.floor(this.grid.clientHeight / ROW_PX) - 2);
    const jump = event.ctrlKey || event.metaKey;
    const last = this.source.length - 1;
    const moves = {
      ArrowUp: [jump ? 0 : row - 1, column],
      ArrowDown: [jump ? last : row + 1, column],
      ArrowLeft: [row, jump ? 0 : column - 1],
      ArrowRight: [row, jump ? this.columns.length : column + 1],
      PageUp: [Math.max(0, row - page), column],
      PageDown: [row + page, column],
      Home: [jump ? 0 : row, 0],
      End: [jump ? last : row, this.columns.length],
    };
    if (moves[event.key]) this.move(...moves[event.key], event.shiftKey);
    else if ((event.key === "Enter" || event.key === " ") && row === -1) this.sortBy(column, event.shiftKey);
    else if (event.key === "Enter") this.openRow();
    else if (event.key === "a" && jump) this.selectAll();
    else if (event.key === "/" || (event.key === "f" && jump)) this.input.focus();
    else return;
    event.preventDefault();
  }

  /** Opens what the active row is made of. */
  openRow() {
    const row = this.source.row(this.active.row);
    const { columns } = this.table;
    if (!row || this.view.drill.length === 0) return;
    const cells = new Map(columns.map(({ name }, at) => [name, row[at]]));
    this.drill.open(nameOf(columns, this.table.key.map((index) => columns[index].name), row), this.view.drill, cells);
  }

  selectAll() {
    this.anchor = { row: 0, column: 0 };
    this.active = { row: this.source.length - 1, column: this.columns.length - 1 };
    this.draw();
  }

  at(event) {
    const cell = event.target.closest("[role=gridcell]");
    const line = cell && this.pool.find((candidate) => candidate.element === cell.parentElement);
    return line && { row: line.index, column: line.cells.indexOf(cell) };
  }

  press(event) {
    const at = event.button === 0 && this.at(event);
    if (!at) return;
    if (event.shiftKey) this.anchor ??= { ...this.active };
    else this.anchor = null;
    this.active = at;
    this.draw();
  }

  drag(event) {
    const at = this.at(event);
    if (!at || (at.row === this.active.row && at.column === this.active.column)) return;
    this.anchor ??= { ...this.active };
    this.active = at;
    this.draw();
  }

  /** The selected cells, exact, as a spreadsheet takes them. */
  copy(event) {
    const range = this.range();
    const lines = [];
    for (let index = Math.max(0, range.top); index <= Math.min(range.bottom, range.top + COPY_ROWS_MAX); index += 1) {
      const row = this.source.row(index);
      if (row) lines.push(this.columns.slice(range.left, range.right + 1).map((column) => row[column.index] ?? "").join("\t"));
    }
    const missing = range.bottom - Math.max(0, range.top) + 1 - lines.length;
    if (missing > 0) this.warn(`Copied ${lines.length} rows; ${grouped(String(missing))} more are selected but not loaded here.`);
    event.clipboardData.setData("text/plain", lines.join("\n"));
    event.preventDefault();
    for (const cell of this.body.querySelectorAll(".selected, .active")) blink(cell);
  }

  open(isOpen) {
    this.isOpen = isOpen;
    if (isOpen) this.draw();
  }
}

/** Marks a changed cell for a moment: fading, or plainly where motion is not wanted. */
function blink(cell) {
  if (cell.flash?.currentTime < FLASH_AGAIN_MS) return;
  calm(cell);
  if (isCalm()) {
    cell.classList.add("changed");
    cell.flash = { cancel: () => cell.classList.remove("changed") };
    setTimeout(() => calm(cell), FLASH_MS);
    return;
  }
  const color = getComputedStyle(cell).getPropertyValue("--flash");
  cell.flash = cell.animate([{ boxShadow: `inset 0 0 0 99px ${color}` }, { boxShadow: "inset 0 0 0 99px transparent" }], {
    duration: FLASH_MS,
    easing: "ease-out",
  });
}

function calm(cell) {
  cell.flash?.cancel();
  cell.flash = null;
}
