// What a number or a row is made of: rows of other tables that belong to it, one level after the other.

import { ask, h, instant, text, words } from "./dom.js";
import { grouped } from "./exact.js";
import { isNumber } from "./rows.js";

const ROWS_MAX = 500;

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
    this.element.addEventListener("close", () => this.show([]));
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
    this.body.replaceChildren();
    if (path.length > 0) this.load(path.at(-1));
  }

  async load(step) {
    for (const drill of step.drills.filter((drill) => belongs(drill, step.cells))) {
      const section = h("section", { "aria-label": drill.title }, h("h3", {}, drill.title), h("p", { class: "plain" }, "…"));
      this.body.append(section);
      try {
        const { tables } = await ask("/api/v1/tables");
        const { columns } = tables.find((table) => table.name === drill.table);
        const where = encodeURIComponent(condition(drill.by, columns, step.cells));
        const answer = await ask(`/api/v1/tables/${drill.table}/rows?cells=text&limit=${ROWS_MAX}&where=${where}`);
        if (this.path.at(-1) !== step) return;
        text(this.asOf, `as of ${instant(answer.as_of)}`);
        section.lastChild.replaceWith(this.table(drill, columns, answer));
      } catch (error) {
        text(section.lastChild, error.message);
      }
    }
  }

  /** The rows without the columns that are the same in all of them because they were asked for. */
  table(drill, columns, { rows, total }) {
    if (total === 0) return h("p", { class: "plain" }, "No rows.");
    const shown = columns.map((column, at) => ({ ...column, at })).filter(({ name }) => !drill.by.includes(name));
    const cell = (tag, { type, at }, content) => h(tag, { class: isNumber(type) ? "number" : null, scope: tag === "th" ? "col" : null, "data-at": at }, content);
    const head = h("tr", {}, ...shown.map((column) => cell("th", column, words(column.name))));
    const further = this.drills.get(drill.table) ?? [];
    const line = (row) => {
      const cells = shown.map((column) => cell("td", column, display(column, row[column.at])));
      const element = h("tr", {}, ...cells);
      const named = new Map(columns.map(({ name }, at) => [name, row[at]]));
      if (further.some((drill) => belongs(drill, named))) this.opens(element, further, columns, row, named);
      return element;
    };
    const table = h("table", {}, h("thead", {}, head), h("tbody", {}, ...rows.map(line)));
    const more = total > rows.length ? [h("p", { class: "plain" }, `The first ${grouped(String(rows.length))} of ${grouped(String(total))} rows.`)] : [];
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": drill.title }, table, ...more);
  }

  opens(element, drills, columns, row, cells) {
    const open = () => this.show([...this.path, { name: nameOf(columns, row), drills, cells }]);
    element.tabIndex = 0;
    element.classList.add("opens");
    element.addEventListener("click", open);
    element.addEventListener("keydown", (event) => event.key === "Enter" && open());
  }
}

/** The first texts of a row. */
export function nameOf(columns, row) {
  const texts = row.filter((cell, at) => cell !== null && cell !== "" && columns[at] && !isNumber(columns[at].type));
  return texts.slice(0, 5).join(" ");
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
