// A line over the day: steps at the instants of change, a band where a bucket holds several values, a mark.

import { h, svg, text, timeOfDay } from "./dom.js";
import { compare, height, parse } from "./exact.js";

const WIDTH = 600;
const HEIGHT = 96;
const MARGIN = 5;

let charts = 0;

/** Points are `[at_ms, low, high, last]` with values as exact text or null. */
export class Chart {
  constructor({ mark, show }) {
    this.mark = mark;
    this.show = show;
    this.id = `chart${(charts += 1)}`;
    this.points = [];
    this.beside = [];
    this.svg = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    this.from = h("span");
    this.to = h("span");
    this.read = h("span", { class: "read" });
    this.element = h("figure", { class: "chart" }, this.svg, h("figcaption", {}, this.from, this.read, this.to));
    this.markName = mark === null ? "" : `┄ ${show(mark)}`;
    text(this.read, this.markName);
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.unpoint());
  }

  /** Adds a value at an instant; the same value again is no point. */
  push(series, atMs, value) {
    const last = series.at(-1);
    if (last && (last[3] === value || atMs < last[0])) return;
    series.push([atMs, value, value, value]);
  }

  draw(nowMs) {
    if (this.points.length === 0) return;
    this.scale(nowMs);
    const top = this.mark === null ? HEIGHT : this.y(this.mark);
    const line = this.path(this.points) + this.bands();
    this.svg.replaceChildren(
      svg("clipPath", { id: `${this.id}a` }, svg("rect", { x: 0, y: 0, width: WIDTH, height: Math.max(0, top) })),
      svg("clipPath", { id: `${this.id}b` }, svg("rect", { x: 0, y: top, width: WIDTH, height: HEIGHT })),
      ...(this.mark === null ? [] : [svg("line", { class: "level", x1: 0, x2: WIDTH, y1: top, y2: top })]),
      svg("path", { class: "other", d: this.path(this.beside) }),
      svg("path", { class: "line", d: line, "clip-path": `url(#${this.id}a)` }),
      svg("path", { class: "line under", d: line, "clip-path": `url(#${this.id}b)` }),
      (this.rule = svg("line", { class: "rule", x1: -9, x2: -9, y1: 0, y2: HEIGHT })),
    );
    text(this.from, timeOfDay(this.start));
    text(this.to, timeOfDay(this.end));
  }

  scale(nowMs) {
    this.start = this.points[0][0];
    this.end = Math.max(nowMs, this.points.at(-1)[0], this.start + 1);
    const texts = [...this.points.flatMap((p) => [p[1], p[2]]), ...this.beside.flatMap((p) => [p[1], p[2]]), this.mark];
    let low = null;
    let high = null;
    for (const value of texts) {
      if (value === null || !parse(value)) continue;
      if (low === null || compare(value, low) < 0) low = value;
      if (high === null || compare(value, high) > 0) high = value;
    }
    this.low = height(low) ?? 0;
    this.span = (height(high) ?? 1) - this.low || 1;
  }

  x(atMs) {
    return (WIDTH * (Math.max(atMs, this.start) - this.start)) / (this.end - this.start);
  }

  y(value) {
    const part = (height(value) - this.low) / this.span;
    return HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * part;
  }

  /** Steps; a null breaks the line. */
  path(points) {
    let path = "";
    let drawing = false;
    for (const [atMs, , , last] of points) {
      const x = this.x(atMs).toFixed(1);
      if (drawing) path += `H${x}`;
      if (last !== null) path += `${drawing ? "V" : `M${x} `}${this.y(last).toFixed(1)}`;
      drawing = last !== null;
    }
    return drawing ? `${path}H${WIDTH}` : path;
  }

  bands() {
    const wide = this.points.filter(([, low, high]) => low !== high && low !== null && high !== null);
    return wide.map(([at, low, high]) => `M${this.x(at).toFixed(1)} ${this.y(low).toFixed(1)}V${this.y(high).toFixed(1)}`).join("");
  }

  point(event) {
    if (!this.rule) return;
    const box = this.svg.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const atMs = this.start + part * (this.end - this.start);
    const found = this.points.findLast(([from]) => from <= atMs) ?? this.points[0];
    this.rule.setAttribute("x1", part * WIDTH);
    this.rule.setAttribute("x2", part * WIDTH);
    this.read.classList.add("pointed");
    text(this.read, `${timeOfDay(atMs, true)}  ${found[3] === null ? "–" : this.show(found[3])}`);
  }

  unpoint() {
    text(this.read, this.markName);
    this.read.classList.remove("pointed");
    this.rule?.setAttribute("x1", -9);
    this.rule?.setAttribute("x2", -9);
  }
}
