// The rows of a table as the grid shows them: those that pass the filter, in the order asked for.
// A cut that changes few rows costs a merge, not a sort.

import { compare } from "./exact.js";
import { isNumber } from "./rows.js";

/** A change of more than this part of the table is sorted anew. */
const MERGE_PART_MAX = 0.2;

/** All rows are here. */
export class Order {
  constructor(table) {
    this.table = table;
    this.keys = [];
    this.sort = [];
    this.filter = null;
  }

  get length() {
    return this.keys.length;
  }

  get total() {
    return this.table.rows.size;
  }

  row(index) {
    return this.table.rows.get(this.keys[index]);
  }

  key(index) {
    return this.keys[index];
  }

  /** Sort columns as `[index, falls]`; the key orders what they leave equal. */
  set(sort, filter) {
    this.sort = sort;
    this.filter = filter;
    this.rebuild();
  }

  rebuild() {
    const before = this.comparator();
    const { rows } = this.table;
    this.keys = [...rows.keys()].filter((key) => this.passes(rows.get(key))).sort(before);
  }

  update(change) {
    const touched = change.upserts.size + change.removed.size;
    if (change.reset || touched > MERGE_PART_MAX * this.table.rows.size) return this.rebuild();
    if (touched === 0) return;
    const { rows } = this.table;
    const kept = this.keys.filter((key) => !change.upserts.has(key) && !change.removed.has(key));
    const before = this.comparator();
    const added = [...change.upserts.keys()].filter((key) => rows.has(key) && this.passes(rows.get(key))).sort(before);
    this.keys = merge(kept, added, before);
  }

  passes(row) {
    return this.filter === null || this.filter(row);
  }

  comparator() {
    const { rows, columns, key } = this.table;
    const by = [...this.sort, ...key.map((index) => [index, false])];
    const tests = by.map(([index, falls]) => cellOrder(index, isNumber(columns[index].type), falls));
    return (a, b) => {
      const [x, y] = [rows.get(a), rows.get(b)];
      for (const test of tests) {
        const order = test(x, y);
        if (order !== 0) return order;
      }
      return 0;
    };
  }
}

/** Nothing comes last, whichever way the column is sorted. */
function cellOrder(index, number, falls) {
  const sign = falls ? -1 : 1;
  const order = number ? compare : (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  return (x, y) => {
    const [a, b] = [x[index], y[index]];
    if (a === b) return 0;
    if (a === null || b === null) return a === null ? 1 : -1;
    return sign * order(a, b);
  };
}

function merge(kept, added, before) {
  if (added.length === 0) return kept;
  const merged = [];
  let next = 0;
  for (const key of kept) {
    while (next < added.length && before(added[next], key) < 0) merged.push(added[next++]);
    merged.push(key);
  }
  while (next < added.length) merged.push(added[next++]);
  return merged;
}
