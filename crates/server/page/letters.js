// Refused records: how many, why, and what they held.

import { ask, h, instant, paced, text } from "./dom.js";
import { grouped } from "./exact.js";

const PAGE = 100;
const COLUMNS = ["topic", "partition", "offset", "timestamp", "stage", "code", "field", "message"];

/** The panel of refused records. */
export class Letters {
  constructor() {
    this.offset = 0;
    this.total = null;
    this.range = h("span", { class: "count", role: "status" });
    this.body = h("tbody");
    this.previous = h("button", { type: "button", on: { click: () => this.page(-PAGE) } }, "Previous");
    this.next = h("button", { type: "button", on: { click: () => this.page(PAGE) } }, "Next");
    const head = h("tr", {}, ...COLUMNS.map((name) => h("th", { scope: "col" }, name)));
    const table = h("table", {}, h("thead", {}, head), this.body);
    this.element = h(
      "div",
      { class: "letters" },
      h("div", { class: "tools" }, this.range, this.previous, this.next),
      h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Refused records" }, table),
    );
    this.refresh = paced(1_000, () => this.load());
  }

  /** The count changed; read anew when the panel is open. */
  tell(total) {
    if (total === this.total) return;
    this.total = total;
    if (this.isOpen) this.refresh();
  }

  open(isOpen) {
    this.isOpen = isOpen;
    if (isOpen) this.load();
  }

  page(step) {
    this.offset = Math.max(0, this.offset + step);
    this.load();
  }

  async load() {
    try {
      this.draw(await ask(`/api/v1/dead-letters?limit=${PAGE}&offset=${this.offset}`));
    } catch (error) {
      text(this.range, error.message);
    }
  }

  draw({ total, rows }) {
    const last = this.offset + rows.length;
    const isEmpty = total === 0;
    text(this.range, isEmpty ? "No record is refused." : `${grouped(String(this.offset + 1))}–${grouped(String(last))} of ${grouped(String(total))}`);
    this.previous.disabled = this.offset === 0;
    this.next.disabled = last >= total;
    this.previous.hidden = this.next.hidden = total <= PAGE;
    const open = new Set([...this.body.querySelectorAll("tr.value")].map((row) => row.dataset.of));
    this.body.replaceChildren(...rows.flatMap((row) => letter(row, open)));
  }
}

function letter(row, open) {
  const of = [row.topic, row.partition, row.offset, row.stage, row.code].join(" ");
  const cells = COLUMNS.map((name) => h("td", { class: name }, shown(name, row[name])));
  const line = h("tr", { tabindex: "0", "aria-expanded": String(open.has(of)) }, ...cells);
  const toggle = () => {
    const isOpen = line.nextSibling?.classList?.contains("value");
    if (isOpen) line.nextSibling.remove();
    else line.after(value(row, of));
    line.setAttribute("aria-expanded", String(!isOpen));
  };
  line.addEventListener("click", toggle);
  line.addEventListener("keydown", (event) => event.key === "Enter" && toggle());
  return open.has(of) ? [line, value(row, of)] : [line];
}

function value(row, of) {
  const content = row.value ?? (row.value_base64 ? `base64 ${row.value_base64}` : "The record's value is not at hand.");
  const text = row.key === null ? content : `key   ${row.key}\nvalue ${content}`;
  return h("tr", { class: "value", "data-of": of }, h("td", { colspan: String(COLUMNS.length) }, h("pre", {}, text)));
}

function shown(name, value) {
  if (value === null || value === undefined) return "";
  return name === "timestamp" ? instant(value) : String(value);
}
