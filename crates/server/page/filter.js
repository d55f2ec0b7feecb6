// The filter box: words that must all be somewhere in a row, `column:text`, and `column>1000` and its kin.

import { compare, parse } from "./exact.js";

const TERM = /"[^"]*"|\S+/g;
const RELATION = /^([A-Za-z_][\w]*)(<=|>=|!=|:|=|<|>)(.*)$/;

/** A test of a row, or null when the box is empty. `columns` are the table's, `shown` the indexes to search in. */
export function filterOf(input, columns, shown) {
  const terms = (input.match(TERM) ?? []).map((term) => termOf(term, columns, shown));
  return terms.length ? (row) => terms.every((holds) => holds(row)) : null;
}

function termOf(term, columns, shown) {
  const relation = RELATION.exec(term.replaceAll('"', ""));
  const column = relation ? columns.findIndex((c) => c.name.toLowerCase() === relation[1].toLowerCase()) : -1;
  if (column >= 0) return relationOf(column, relation[2], relation[3].replaceAll(",", ""), relation[3]);
  const needle = term.replaceAll('"', "").toLowerCase();
  return (row) => shown.some((index) => row[index] !== null && row[index].toLowerCase().includes(needle));
}

function relationOf(column, sign, number, typed) {
  const needle = typed.toLowerCase();
  const is = (cell) => (parse(number) ? compare(cell, number) === 0 : cell.toLowerCase() === needle);
  const order = (cell) => (parse(number) && parse(cell) ? compare(cell, number) : cell < typed ? -1 : Number(cell > typed));
  const tests = {
    ":": (cell) => cell.toLowerCase().includes(needle),
    "=": is,
    "!=": (cell) => !is(cell),
    "<": (cell) => order(cell) < 0,
    ">": (cell) => order(cell) > 0,
    "<=": (cell) => order(cell) <= 0,
    ">=": (cell) => order(cell) >= 0,
  };
  return (row) => row[column] !== null && tests[sign](row[column]);
}
