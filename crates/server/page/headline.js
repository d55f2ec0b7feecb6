// Headlines: a card per key with one big number, what it would be otherwise, its state, and its line.

import { Chart } from "./chart.js";
import { ask, h, paced, text, words } from "./dom.js";
import { compare, grouped, minus, percent, points } from "./exact.js";

/** More points than this on one line, and the server's own bucketing is asked for again. */
const POINTS_MAX = 3_000;
const DRAW_MS = 400;
/** A table may say in this column that a number is not to be trusted; anything but `ok` is shown. */
const STATE = "state";

/** One headline view. */
export class Headline {
  constructor(view, index, table, announce, drill) {
    Object.assign(this, { view, index, table, announce, drill });
    this.cards = new Map();
    this.nowMs = 0;
    this.list = h("div", { class: view.by.length < 2 ? "cards" : "cards groups" });
    this.element = h("section", { class: "headline", "aria-label": view.title }, h("h2", {}, view.title), this.list);
    this.redraw = paced(DRAW_MS, () => this.draw());
  }

  show(value) {
    if (value === null) return "–";
    return this.view.percent ? `${percent(value) ?? value}\u00a0%` : grouped(value);
  }

  /** Takes a cut. */
  cut(asOf) {
    const nowMs = Date.parse(asOf);
    const isNewDay = Math.floor(nowMs / 86_400_000) !== Math.floor(this.nowMs / 86_400_000);
    this.nowMs = nowMs;
    const rows = [...this.table.rows.values()];
    const seen = new Set(rows.map((row) => this.update(row)));
    for (const [key, card] of this.cards) if (!seen.has(key)) this.remove(key, card);
    const full = [...this.cards.values()].some((card) => card.chart.points.length > POINTS_MAX);
    if (this.view.line && (isNewDay || full || this.cards.size > this.loadedFor)) this.load();
    this.redraw();
  }

  update(row) {
    const cell = (name) => row[this.table.column(name)] ?? null;
    const names = this.view.by.map(cell);
    const key = JSON.stringify(names);
    if (!this.cards.has(key)) this.add(key, names);
    const value = cell(this.view.column);
    const beside = this.view.beside ? cell(this.view.beside) : null;
    const card = this.cards.get(key);
    card.row = row;
    card.update(value, beside, cell(STATE), this.nowMs);
    return key;
  }

  add(key, names) {
    const card = new Card(this, names);
    this.cards.set(key, card);
    insertSorted(this.groupOf(names[0]), card.element, key);
  }

  remove(key, card) {
    const group = card.element.parentElement;
    card.element.remove();
    if (group !== this.list && group.childElementCount === 0) group.remove();
    this.cards.delete(key);
  }

  /** With several columns, the cards that have the first one's value in common stand beside each other. */
  groupOf(name) {
    if (this.view.by.length < 2) return this.list;
    const key = JSON.stringify(name);
    const known = [...this.list.children].find((group) => group.dataset.key === key);
    return known ?? insertSorted(this.list, h("div", { class: "group" }), key);
  }

  /** Asks for the day so far; what the stream told meanwhile is in it. */
  async load() {
    this.loadedFor = this.cards.size;
    try {
      const { columns, lines } = await ask(`/api/v1/history?view=${this.index}`);
      for (const line of lines) {
        const card = this.cards.get(JSON.stringify(line.key));
        if (!card) continue;
        card.chart.points = merged(line.columns[0], card.chart.points);
        if (columns.length > 1) card.chart.beside = merged(line.columns[1], card.chart.beside);
      }
      this.redraw();
    } catch {
      this.loadedFor = 0; // asked again with the next cut
    }
  }

  /** A new run: everything anew. */
  reset() {
    for (const [key, card] of this.cards) this.remove(key, card);
    this.nowMs = 0;
    this.loadedFor = 0;
  }

  draw() {
    if (this.view.line) for (const card of this.cards.values()) card.chart.draw(this.nowMs);
  }
}

/** Puts an element among its siblings, which are in the order of their keys. */
function insertSorted(parent, element, key) {
  element.dataset.key = key;
  const next = [...parent.children].find((other) => other.dataset.key > key);
  parent.insertBefore(element, next ?? null);
  return element;
}

/** The server's points, and those that the stream told after them. */
function merged(told, streamed) {
  const last = told.at(-1)?.[0] ?? -Infinity;
  return [...told, ...streamed.filter(([at]) => at > last)];
}

/** One key's card. */
class Card {
  constructor(headline, names) {
    Object.assign(this, { headline, names });
    const { view } = headline;
    this.name = names.map((name) => name ?? "–").join(" ");
    this.figure = h("data", { class: "figure" });
    this.badge = h("span", { class: "badge", hidden: "" });
    this.besideFigure = h("data");
    this.effect = h("span", { class: "effect", hidden: "" });
    this.chart = new Chart({ mark: view.mark, show: (value) => headline.show(value) });
    const title = h("h3", {}, h("b", {}, names[0] ?? "–"), ...names.slice(1).map((name) => h("span", {}, name ?? "–")), this.badge);
    const beside = h("p", { class: "beside" }, h("span", {}, words(view.beside ?? "")), " ", this.besideFigure, " ", this.effect);
    this.element = h("article", { class: "card", "aria-label": this.name }, title, this.figure);
    if (view.drill.length > 0) title.append(h("button", { type: "button", class: "opens", "aria-label": `Open ${this.name}`, on: { click: () => this.open() } }, "Open"));
    if (view.beside) this.element.append(beside);
    if (view.line) this.element.append(this.chart.element);
  }

  /** Opens what the number is made of. */
  open() {
    const { view, table, drill } = this.headline;
    drill.open(this.names.filter(Boolean).join(" · "), view.drill, new Map(table.columns.map(({ name }, at) => [name, this.row[at]])));
  }

  update(value, beside, state, nowMs) {
    const { view } = this.headline;
    this.write(this.figure, value);
    this.write(this.besideFigure, beside);
    this.tone(value);
    this.compareWith(value, beside);
    const isOdd = state !== null && state !== "ok";
    this.badge.hidden = !isOdd;
    if (isOdd) text(this.badge, words(state));
    if (!view.line) return;
    this.chart.push(this.chart.points, nowMs, value);
    if (view.beside) this.chart.push(this.chart.beside, nowMs, beside);
  }

  write(element, value) {
    if (element.dataset.shown === String(value)) return;
    element.dataset.shown = String(value);
    element.value = value ?? "";
    element.title = value ?? "";
    text(element, this.headline.show(value));
  }

  /** Under the mark or not; crossing it is said aloud. */
  tone(value) {
    const { view, announce } = this.headline;
    if (view.mark === null) return;
    const tone = value === null ? "none" : compare(value, view.mark) < 0 ? "under" : "over";
    const before = this.element.dataset.tone;
    if (tone === before) return;
    this.element.dataset.tone = tone;
    if (before) announce(`${view.title} ${this.name}: ${this.headline.show(value)}, ${tone} ${this.headline.show(view.mark)}`);
  }

  /** What the adjustments make of the number, when they make anything. */
  compareWith(value, beside) {
    const difference = value !== null && beside !== null ? minus(value, beside) : null;
    const shown = difference && (this.headline.view.percent ? points(difference) : grouped(difference));
    this.effect.hidden = !shown || /^[−+]?0(\.0*)?$/.test(shown);
    if (!this.effect.hidden) text(this.effect, this.headline.view.percent ? `${shown}\u00a0pp` : shown);
    this.element.dataset.differs = String(!this.effect.hidden);
  }
}
