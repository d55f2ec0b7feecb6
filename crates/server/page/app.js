// The page: draws what the pipeline file's views declare and keeps it true, or says that it is not.

import { Banners } from "./banner.js";
import { ask, h, instant, text } from "./dom.js";
import { Drill } from "./drill.js";
import { grouped } from "./exact.js";
import { Grid } from "./grid.js";
import { Headline } from "./headline.js";
import { Letters } from "./letters.js";
import { Live } from "./live.js";
import { Tables } from "./rows.js";

const AGE_MS = 250;
/** From this age on the numbers are drawn as stale. */
const STALE_MS = 4_000;

const place = (id) => document.getElementById(id);
const banners = new Banners(place("banners"));
const tables = new Tables();
const headlines = [];
const grids = [];
const letters = new Letters();
let status = null;
let live = null;
let retryAt = null;

function announce(message) {
  text(place("announcer"), message);
}

// ---- building

async function begin() {
  try {
    const { pipeline, views } = await ask("/api/v1/views");
    text(place("pipeline"), pipeline);
    build(views);
    const names = new Set(views.map((view) => view.table));
    live = new Live([...names], tables, { status: onStatus, cut: onCut, lost: onLost, found: onFound, restarted: onRestarted });
  } catch (error) {
    banners.show("start", "bad", `The views cannot be read. ${error.message} Trying again.`);
    setTimeout(begin, 1_000);
    return;
  }
  banners.hide("start");
}

function build(views) {
  const drill = new Drill(views);
  document.body.append(drill.element);
  views.forEach((view, index) => {
    const table = tables.get(view.table);
    if (view.kind === "headline") headlines.push(new Headline(view, index, table, announce, drill));
    else grids.push(new Grid(view, table, drill));
  });
  place("headlines").replaceChildren(...headlines.map((headline) => headline.element));
  grids.forEach((grid, index) => addTab(`view${index}`, grid.view.title, grid));
  addTab("letters", "Refused records", letters);
  const wanted = location.hash.slice(1);
  select(document.getElementById(`tab-${wanted}`) ?? place("tabs").firstElementChild, false);
}

function addTab(name, title, content) {
  const count = h("span", { class: "count" });
  const tab = h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}` }, title, count);
  const panel = h("section", { class: "panel", role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}` }, content.element);
  Object.assign(tab, { panel, content, count });
  tab.addEventListener("click", () => select(tab));
  place("tabs").append(tab);
  place("panels").append(panel);
}

function select(tab, isAsked = true) {
  for (const other of place("tabs").children) {
    const isChosen = other === tab;
    other.setAttribute("aria-selected", String(isChosen));
    other.tabIndex = isChosen ? 0 : -1;
    other.panel.hidden = !isChosen;
    other.content.open(isChosen);
  }
  if (isAsked) history.replaceState(null, "", `#${tab.id.slice(4)}`);
}

place("tabs").addEventListener("keydown", (event) => {
  const tabs = [...place("tabs").children];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const ends = { Home: tabs[0], End: tabs.at(-1) }[event.key];
  const next = ends ?? (step && tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length]);
  if (!next) return;
  select(next);
  next.focus();
  event.preventDefault();
});
place("refused-fact").addEventListener("click", () => select(place("tab-letters")));

// ---- what the stream says

function onStatus(frame) {
  status = frame;
  const state = place("state");
  state.dataset.state = frame.state;
  text(state, frame.state.replace("_", " "));
  text(place("refused"), grouped(String(frame.dead_letters)));
  place("refused-fact").dataset.some = String(frame.dead_letters > 0);
  letters.tell(frame.dead_letters);
  text(place("tab-letters").count, frame.dead_letters > 0 ? grouped(String(frame.dead_letters)) : "");
  document.body.dataset.empty = String(frame.epoch === null);
  tellCatchingUp(frame);
  tellErrors(frame);
}

function tellCatchingUp({ state, sources, epoch }) {
  if (state !== "catching_up" && state !== "starting") return banners.hide("catching-up");
  const lagging = sources.filter((source) => !source.caught_up);
  const topics = lagging.map((source) => `${source.topic} ${grouped(String(source.lag))}`).join(", ");
  const shown = epoch === null ? "Nothing is shown until every topic is read to its end" : "What is shown is from before";
  const behind = topics ? `Records still to read: ${topics}` : "All are read; the first result is being made";
  banners.show("catching-up", "warn", `Catching up. ${shown}. ${behind}.`);
}

function tellErrors({ state, error, sources, sinks, tables, checkpoint, clock_error }) {
  if (state === "failed") banners.show("failed", "bad", `The pipeline has stopped: ${error ?? "no reason was given"}`);
  else banners.hide("failed");
  if (checkpoint?.error) banners.show("checkpoint", "warn", `No checkpoint can be written; a restart would read more again. ${checkpoint.error}`);
  else banners.hide("checkpoint");
  if (clock_error) banners.show("clock", "warn", `The clock: ${clock_error}`);
  else banners.hide("clock");
  tellTrouble("sources", "Trouble reading", sources);
  tellTrouble("sinks", "Trouble writing", sinks);
  tellTrouble("tables", "Rows are missing from a table", tables);
}

function tellTrouble(banner, what, all) {
  const broken = all.filter((one) => one.error);
  if (broken.length === 0) return banners.hide(banner);
  banners.show(banner, "warn", `${what}: ${broken.map((one) => `${one.name}: ${one.error}`).join("; ")}`);
}

function onCut(frame, changes) {
  document.body.dataset.empty = "false";
  text(place("as-of"), instant(frame.as_of));
  text(place("epoch"), grouped(String(frame.epoch)));
  for (const headline of headlines) headline.cut(frame.as_of);
  for (const grid of grids) {
    const change = changes.get(grid.table.name);
    if (change) grid.cut(change);
  }
  for (const tab of place("tabs").children) if (tab.content instanceof Grid) text(tab.count, grouped(String(tab.content.table.total)));
  tellTitle();
}

/** The first number also stands in the browser's tab. */
function tellTitle() {
  const first = headlines[0]?.cards.values().next().value;
  const name = place("pipeline").textContent;
  document.title = first ? `${first.figure.textContent} ${first.name} · ${name}` : name;
}

// ---- the connection

function onLost(at) {
  retryAt = at;
  document.body.dataset.connection = "lost";
  text(place("state"), "not connected");
  tellLost();
}

function tellLost() {
  if (retryAt === null) return;
  const seconds = Math.max(0, Math.ceil((retryAt - performance.now()) / 1_000));
  const since = status ? "The numbers below are no longer up to date." : "The server does not answer.";
  banners.show("lost", "bad", `Connection lost. ${since} Trying again${seconds > 0 ? ` in ${seconds} s` : " now"}.`, [
    "Try now",
    () => live.retryNow(),
  ]);
}

function onFound() {
  retryAt = null;
  document.body.dataset.connection = "open";
  banners.hide("lost");
  banners.flash("found", "info", "Connected again.");
}

function onRestarted(run) {
  for (const headline of headlines) headline.reset();
  banners.flash("restarted", "info", `The pipeline was started anew (run ${run}).`, 8_000);
}

setInterval(() => {
  if (!live) return;
  tellLost();
  if (status === null) return;
  const age = performance.now() - live.heardAt;
  if (retryAt === null) {
    document.body.dataset.connection = "open";
    lastHeard = live.heardAt;
  }
  const seconds = (performance.now() - lastHeard) / 1_000;
  text(place("age"), seconds < 1.5 ? "now" : `${seconds < 60 ? seconds.toFixed(0) : grouped(seconds.toFixed(0))} s ago`);
  document.body.dataset.stale = String(retryAt !== null || age > STALE_MS);
}, AGE_MS);
let lastHeard = performance.now();

begin();
