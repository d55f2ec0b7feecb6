// What a number or a row is made of: rows of other tables that belong to it, one level after the other.

import { ask, h, instant, text, words } from "./dom.js";
import { grouped } from "./exact.js";
import { isNumber } from "./rows.js";

/** Rows of a page. */
const ROWS_MAX = 500;
/** So often a level is asked for to have all its parts of one cut. */
const TRIES_MAX = 5;

/** The panel that opens over the page. */
export class Drill {
  constructor(views) {
    this.drills = new Map(views.filter((view) => view.kind === "grid").map((view) => [view.table, view.drill]));
    this.path = [];
    this.trail = h("nav", { class: "trail", "aria-label": "Opened" });
    this.asOf = h("span", { class: "count" });
    this.body = h("div", { class: "opened" });
    const close = h("button", { type: "button", on: { click: () => this.element.close() } }, "Close");
    const head = h("header", { class: "tools" }, this.trail, this.asOf, close);
    this.element = h("dialog", { class: "drill", "aria-label": "What it is made of" }, head, this.body);
    this.element.addEventListener("close", () => this.element.open || this.show([]));
  }

  /** Opens what belongs to a row: its name, what a view opens from it, and its cells by column. */
  open(name, drills, cells) {
    if (!drills.some((drill) => belongs(drill, cells))) return;
    this.show([{ name, drills, cells }]);
    if (!this.element.open) this.element.showModal();
  }

  show(path) {
    this.path = path;
    const steps = path.map((step, at) => {
      const isLast = at === path.length - 1;
      return h("button", { type: "button", "aria-current": isLast ? "page" : null, on: { click: () => this.show(path.slice(0, at + 1)) } }, step.name);
    });
    this.trail.replaceChildren(...steps);
    text(this.asOf, "");
    this.body.replaceChildren(h("p", { class: "plain" }, "…"));
    if (path.length > 0) this.load(path.at(-1));
  }

  /** Shows a step; `offsets` are the rows left out, by part. */
  async load(step, offsets = []) {
    const wanted = (this.wanted = { step, offsets });
    const isWanted = () => this.wanted === wanted && this.path.at(-1) === step;
    try {
      const parts = await ofOneCut(step, offsets, isWanted);
      if (!isWanted()) return;
      const isOne = areOfOneCut(parts);
      text(this.asOf, isOne ? momentOf(parts.find((part) => part.answer)) : "The parts are of different moments: the pipeline goes on while they are read.");
      this.body.replaceChildren(...parts.map((part, at) => this.section(part, isOne, (offset) => this.load(step, Object.assign([...offsets], { [at]: offset })))));
    } catch (error) {
      if (!isWanted()) return;
      const again = h("button", { type: "button", on: { click: () => this.load(step, offsets) } }, "Try again");
      this.body.replaceChildren(h("div", { class: "tools" }, h("span", { class: "trouble", role: "alert" }, error.message), again));
    }
  }

  section(part, isOne, page) {
    const { drill, answer, error } = part;
    const heading = h("h3", {}, drill.title);
    if (!isOne && answer) heading.append(" ", h("span", { class: "count" }, momentOf(part)));
    const content = error ? [h("p", { class: "plain" }, error.message)] : [...pager(part, page), this.table(part)];
    return h("section", { "aria-label": drill.title }, heading, ...content);
  }

  /** The rows without the columns that are the same in all of them because they were asked for. */
  table({ drill, columns, key, answer: { rows, total } }) {
    if (total === 0) return h("p", { class: "plain" }, "No rows.");
    const shown = columns.map((column, at) => ({ ...column, at })).filter(({ name }) => !drill.by.includes(name));
    const cell = (tag, { type, at }, content) => h(tag, { class: isNumber(type) ? "number" : null, scope: tag === "th" ? "col" : null, "data-at": at }, content);
    const head = h("tr", {}, ...shown.map((column) => cell("th", column, words(column.name))));
    const further = this.drills.get(drill.table) ?? [];
    const line = (row) => {
      const cells = shown.map((column) => cell("td", column, display(column, row[column.at])));
      const element = h("tr", {}, ...cells);
      const named = new Map(columns.map(({ name }, at) => [name, row[at]]));
      if (further.some((drill) => belongs(drill, named))) this.opens(element, nameOf(columns, key, row, drill.by), further, named);
      return element;
    };
    const table = h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows.map(line)));
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": drill.title }, table);
  }

  opens(element, name, drills, cells) {
    const open = () => this.show([...this.path, { name, drills, cells }]);
    element.tabIndex = 0;
    element.classList.add("opens");
    element.addEventListener("click", open);
    element.addEventListener("keydown", (event) => event.key === "Enter" && open());
  }
}

/** The parts of a step: asked for until all are of one cut, or as they are when the pipeline is faster than that. */
async function ofOneCut(step, offsets, isWanted) {
  const drills = step.drills.filter((drill) => belongs(drill, step.cells));
  const { tables } = await ask("/api/v1/tables");
  for (let tries = 1; ; tries += 1) {
    const parts = await Promise.all(drills.map((drill, at) => partOf(drill, tables, step.cells, offsets[at] ?? 0)));
    if (areOfOneCut(parts) || tries === TRIES_MAX || !isWanted()) return parts;
  }
}

/** The rows of one drill, and from which on; what the server refuses is told in their place. */
async function partOf(drill, tables, cells, offset) {
  const { columns, key, asked_by } = tables.find((table) => table.name === drill.table);
  const parameters = new URLSearchParams({ cells: "text", limit: ROWS_MAX, offset, where: condition(drill.by, columns, cells) });
  // Of what is worked out for the number, the rows that make the most of it come first, those without an amount last.
  const amount = asked_by && columns.findLast(({ type }) => type.startsWith("decimal"))?.name;
  if (amount) parameters.set("sort", cells.get(amount)?.startsWith("-") ? amount : `-${amount}`);
  try {
    const answer = await ask(`/api/v1/tables/${encodeURIComponent(drill.table)}/rows?${parameters}`);
    if (answer.rows.length === 0 && offset > 0) return partOf(drill, tables, cells, 0); // fewer than there were
    return { drill, columns, key, offset, answer };
  } catch (error) {
    if (!error.status) throw error;
    return { drill, error };
  }
}

function areOfOneCut(parts) {
  return new Set(parts.filter((part) => part.answer).map(({ answer }) => `${answer.run} ${answer.epoch}`)).size <= 1;
}

function momentOf(part) {
  return part ? `as of ${instant(part.answer.as_of)}, epoch ${grouped(String(part.answer.epoch))}` : "";
}

/** Which rows are shown, how many there are, and the ways to the others; nothing when all are shown. */
function pager({ offset, answer: { rows, total } }, page) {
  if (rows.length === total) return [];
  const count = (n) => grouped(String(n));
  const last = offset + rows.length;
  const rest = last < total ? `, ${count(total - last)} more` : "";
  const told = h("span", { class: "count" }, `${count(offset + 1)}–${count(last)} of ${count(total)} rows${rest}`);
  const button = (name, to, isOpen) => h("button", { type: "button", disabled: isOpen ? null : "", on: { click: () => page(to) } }, name);
  const previous = button("Previous", Math.max(0, offset - ROWS_MAX), offset > 0);
  return [h("div", { class: "tools" }, told, previous, button("Next", last, last < total))];
}

/** What tells a row apart: the cells of its key but the `known` columns, numbers with their column's name. */
export function nameOf(columns, key, row, known = []) {
  const part = ({ name, type }, at) => (row[at] && key.includes(name) ? [isNumber(type) ? `${words(name)} ${row[at]}` : row[at]] : []);
  const parts = (left) => columns.flatMap((column, at) => (left.includes(column.name) ? [] : part(column, at)));
  return (parts(known).length > 0 ? parts(known) : parts([])).join(" · ");
}

/** Whether a row names anything to look for. */
function belongs(drill, cells) {
  return drill.by.some((name) => cells.get(name) !== null && cells.get(name) !== undefined);
}

function condition(by, columns, cells) {
  return by.map((name) => {
    const cell = cells.get(name);
    if (cell === null || cell === undefined) return `${name} IS NULL`;
    const { type } = columns.find((column) => column.name === name);
    return `${name} = ${isNumber(type) ? cell : `'${cell.replaceAll("'", "''")}'`}`;
  }).join(" AND ");
}

function display({ type }, cell) {
  if (cell === null) return "";
  return isNumber(type) ? grouped(cell) : cell;
}
