// Small helpers around the DOM. No style attribute is ever written as text: the content policy forbids it.

/** Makes an element: properties by name, `data-`/`aria-`/`role`/`class` as attributes, `on` as listeners. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (value !== undefined && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Makes an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Writes text only when it changed, so that nothing is laid out anew for nothing. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

/** A column or table name as words. */
export function words(name) {
  return name.replaceAll("_", " ");
}

/** An instant without its date's `T`, to the second. */
export function instant(iso) {
  return iso ? iso.replace("T", " ").replace(/\.\d+/, "").replace("Z", " UTC") : "–";
}

/** The time of day of milliseconds since 1970, UTC. */
export function timeOfDay(ms, seconds = false) {
  return new Date(ms).toISOString().slice(11, seconds ? 19 : 16);
}

/** Runs `work` at most once per frame and not more often than every `ms`. */
export function paced(ms, work) {
  let last = 0;
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    const wait = Math.max(0, last + ms - performance.now());
    setTimeout(() => requestAnimationFrame(() => {
      waiting = false;
      last = performance.now();
      work();
    }), wait);
  };
}

/** Whether the reader asked for less motion. */
export function isCalm() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** An answer of the API as JSON; its error's message otherwise, with the `status`, which silence has not. */
export async function ask(path) {
  const lost = () => Promise.reject(new Error("Connection lost: the server does not answer."));
  const response = await fetch(path, { cache: "no-store" }).catch(lost);
  const body = await response.json().catch(lost);
  if (!response.ok) throw Object.assign(new Error(body.error?.message ?? response.statusText), { status: response.status });
  return body;
}
