// Messages across the page: one line each, by name, so that the same trouble is told once.

import { h, text } from "./dom.js";

const TONES = { info: "status", warn: "status", bad: "alert" };

/** The strip of banners. */
export class Banners {
  constructor(root) {
    this.root = root;
    this.shown = new Map();
  }

  /** Shows or rewrites the banner `name`. `action` is `[label, handler]`. */
  show(name, tone, message, action) {
    const banner = this.shown.get(name) ?? this.make(name, tone, action);
    banner.element.dataset.tone = tone;
    text(banner.message, message);
  }

  /** Shows it for a while. */
  flash(name, tone, message, ms = 4_000) {
    this.show(name, tone, message);
    setTimeout(() => this.hide(name), ms);
  }

  hide(name) {
    this.shown.get(name)?.element.remove();
    this.shown.delete(name);
  }

  make(name, tone, action) {
    const message = h("span");
    const element = h("div", { class: "banner", role: TONES[tone], "data-name": name }, message);
    if (action) element.append(h("button", { type: "button", on: { click: action[1] } }, action[0]));
    this.root.append(element);
    const banner = { element, message };
    this.shown.set(name, banner);
    return banner;
  }
}
