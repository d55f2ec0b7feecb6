// The tables as the live stream tells them: rows by key, brought forward one whole cut at a time.

/** Whether text of this type is ordered and aligned as a number. */
export function isNumber(type) {
  return /^(u?int\d+|decimal\d+\()/.test(type);
}

/** One table. */
export class Table {
  constructor(name) {
    this.name = name;
    this.columns = [];
    this.key = [];
    this.rows = new Map();
    this.total = 0;
    this.large = false;
  }

  describe(columns, key) {
    this.columns = columns;
    this.key = key.map((name) => columns.findIndex((column) => column.name === name));
  }

  column(name) {
    return this.columns.findIndex((column) => column.name === name);
  }

  keyOf(row) {
    return JSON.stringify(this.key.map((index) => row[index]));
  }
}

/** What one cut did to one table: per key the columns that changed (null: a new row), and the keys that went. */
class Change {
  constructor() {
    this.reset = false;
    this.upserts = new Map();
    this.removed = new Set();
  }
}

/** All tables, at one cut. */
export class Tables {
  constructor() {
    this.byName = new Map();
    this.pending = [];
  }

  get(name) {
    if (!this.byName.has(name)) this.byName.set(name, new Table(name));
    return this.byName.get(name);
  }

  /** Keeps a frame until its cut is whole. */
  stage(frame) {
    this.pending.push(frame);
  }

  /** Forgets frames of a cut that never became whole. */
  drop() {
    this.pending = [];
  }

  /** Applies all staged frames; answers the changes by table name. */
  commit() {
    const changes = new Map();
    for (const frame of this.pending) {
      if (!changes.has(frame.table)) changes.set(frame.table, new Change());
      apply(this.get(frame.table), frame, changes.get(frame.table));
    }
    this.pending = [];
    return changes;
  }
}

function apply(table, frame, change) {
  table.total = frame.total;
  if (frame.columns) begin(table, frame, change);
  if (frame.type === "large") return;
  for (const key of frame.removed) {
    const text = JSON.stringify(key);
    table.rows.delete(text);
    change.upserts.delete(text);
    change.removed.add(text);
  }
  for (const row of frame.upserts) {
    const key = table.keyOf(row);
    const before = table.rows.get(key) ?? change.before?.get(key);
    table.rows.set(key, row);
    change.removed.delete(key);
    change.upserts.set(key, before ? differing(before, row) : null);
  }
}

/** A snapshot: rows begin anew, but what stays the same did not change for the eye. */
function begin(table, frame, change) {
  table.describe(frame.columns, frame.key);
  table.large = frame.type === "large";
  change.reset = true;
  change.before = table.rows;
  table.rows = new Map();
}

function differing(before, after) {
  const columns = [];
  for (let index = 0; index < after.length; index += 1) if (before[index] !== after[index]) columns.push(index);
  return columns;
}
