// The live stream: connects, checks that every frame follows the last, and begins anew whenever it does not.

/** The server says something every second; silence of this length means that the connection is lost. */
const SILENCE_MS = 6_000;
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 10_000;

/** Calls `on.status`, `on.cut`, `on.lost(retryAt)`, `on.found`, `on.restarted(run)`. */
export class Live {
  constructor(names, tables, on) {
    this.names = names;
    this.tables = tables;
    this.on = on;
    this.run = null;
    this.failures = 0;
    this.heardAt = performance.now();
    this.connect();
    setInterval(() => this.listen(), 1_000);
    addEventListener("online", () => this.retryNow());
  }

  connect() {
    clearTimeout(this.timer);
    this.retryAt = null;
    this.epoch = null;
    this.tables.drop();
    this.heardAt = performance.now();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const names = this.names.map(encodeURIComponent).join(",");
    const socket = new WebSocket(`${scheme}//${location.host}/api/v1/live?tables=${names}`);
    this.socket = socket;
    socket.onmessage = (event) => socket === this.socket && this.take(JSON.parse(event.data));
    socket.onclose = () => socket === this.socket && this.lose();
  }

  take(frame) {
    this.heardAt = performance.now();
    if (this.failures > 0) {
      this.failures = 0;
      this.on.found();
    }
    if (frame.type === "error") return this.lose();
    this.meet(frame.run);
    if (frame.type === "status") return this.on.status(frame);
    if (frame.base_epoch !== null && frame.base_epoch !== this.epoch) return this.lose();
    if (frame.type !== "cut") return this.tables.stage(frame);
    this.epoch = frame.epoch;
    this.on.cut(frame, this.tables.commit());
  }

  /** A new run of the pipeline counts its epochs anew. */
  meet(run) {
    if (this.run !== null && this.run !== run) this.on.restarted(run);
    this.run = run;
  }

  /** A connection can be dead without saying so. */
  listen() {
    if (this.retryAt === null && performance.now() - this.heardAt > SILENCE_MS) this.lose();
  }

  lose() {
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
    const wait = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** this.failures) * (0.8 + 0.4 * Math.random());
    this.failures += 1;
    this.retryAt = performance.now() + wait;
    this.timer = setTimeout(() => this.connect(), wait);
    this.on.lost(this.retryAt);
  }

  retryNow() {
    if (this.retryAt !== null) this.connect();
  }
}
