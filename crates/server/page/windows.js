// A table too large for a snapshot: the server filters and sorts, and the grid asks for the windows it shows.

import { ask } from "./dom.js";

const PAGE = 200;
/** Pages kept; the oldest go first. */
const PAGES_MAX = 50;

/** Rows are on the server; `arrived` is called whenever some came. */
export class Windows {
  constructor(table, arrived, failed) {
    Object.assign(this, { table, arrived, failed });
    this.pages = new Map();
    this.asked = new Set();
    this.sort = [];
    this.where = "";
    this.version = 0;
    this.length = table.total;
  }

  get total() {
    return this.table.total;
  }

  row(index) {
    const number = Math.floor(index / PAGE);
    const page = this.pages.get(number);
    if (page?.version !== this.version) this.load(number);
    return page?.rows[index % PAGE];
  }

  key(index) {
    const row = this.row(index);
    return row ? this.table.keyOf(row) : undefined;
  }

  /** `where` is an SQL condition. */
  set(sort, where) {
    this.sort = sort;
    this.where = where;
    this.isRefused = false;
    this.pages.clear();
    this.length = this.table.total;
    this.version += 1;
  }

  /** The table changed: what is shown stays until its new state is here. */
  update() {
    if (this.where === "") this.length = this.table.total;
    this.version += 1;
  }

  async load(number) {
    const version = this.version;
    if (this.asked.has(number) || this.failedAt === version || this.isRefused) return;
    this.asked.add(number);
    try {
      const answer = await ask(`/api/v1/tables/${encodeURIComponent(this.table.name)}/rows?${this.parameters(number)}`);
      this.keep(number, version, answer);
      this.failed(null);
    } catch (error) {
      this.failedAt = version;
      this.isRefused = error.status === 400 && this.version === version;
      if (this.isRefused) this.length = 0;
      this.failed(error);
    } finally {
      this.asked.delete(number);
    }
    this.arrived();
  }

  keep(number, version, { total, rows }) {
    if (version < this.version && !this.pages.has(number) && this.where !== "") return;
    this.length = total;
    this.pages.delete(number);
    this.pages.set(number, { version, rows });
    if (this.pages.size > PAGES_MAX) this.pages.delete(this.pages.keys().next().value);
  }

  parameters(number) {
    const sort = this.sort.map(([index, falls]) => (falls ? "-" : "") + this.table.columns[index].name).join(",");
    const parameters = new URLSearchParams({ limit: PAGE, offset: number * PAGE, cells: "text" });
    if (sort) parameters.set("sort", sort);
    if (this.where) parameters.set("where", this.where);
    return parameters;
  }
}
