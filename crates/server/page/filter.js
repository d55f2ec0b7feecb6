// The filter box: words that must all be somewhere in a row, `column:text`, and `column>1000` and its kin.

import { words } from "./dom.js";
import { compare, shifted } from "./exact.js";
import { isNumber } from "./rows.js";

/** What is in quotes; a time; a word. */
const WORD = /\s*(?:"([^"]*)"?|((?:\d{4}-\d\d-\d\d[T ])?\d\d?:\d\d(?::[\d.]+)?Z?|(?:(?!!=)[^\s"<>=:])+))/y;
const SIGN = /\s*(<=|>=|!=|[:=<>])/y;
/** Sign, digits (thousands apart or not), decimals, unit. */
const NUMBER = /\s*([+−-]?)(\d{1,3}(?:[\s,_'’]\d{3})+|\d+|(?=\.\d))(\.\d+)?\s*(%|k|mn?|bn)?(?=\s|$)/iy;
/** Powers of ten. */
const UNITS = { "%": -2, k: 3, m: 6, mn: 6, bn: 9 };
const INSTANT = /^\d{4}-\d\d(-\d\d(T[\d:.]*Z?)?)?$/;

/** A test of a row, or null when the box is empty. Throws what cannot be understood, with the cure. `columns` are the
    table's, `shown` the indexes to search in. */
export function filterOf(input, columns, shown) {
  const tests = [];
  let pending = [];
  let at = 0;
  const take = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(input);
    if (match) at = pattern.lastIndex;
    return match;
  };
  const search = (from) => {
    for (const { text } of from) tests.push((row) => shown.some((index) => row[index]?.toLowerCase().includes(text.toLowerCase())));
  };
  for (;;) {
    const sign = take(SIGN)?.[1];
    if (sign) {
      const { column, length } = named(pending, columns);
      const number = column && isNumber(column.type) ? take(NUMBER) : null;
      const typed = number ? number[0].trim() : textOf(take(WORD));
      const name = column ? words(column.name) : pending.at(-1)?.text ?? "";
      const term = `${name}${sign}${typed ?? ""}`;
      if (!column) throw new Error(`“${term}” names no column: write a heading before the sign, as in ${example(columns, shown)}, or put the words in quotes to search for them.`);
      if (typed === null) throw new Error(`“${term}” is not finished: write a value behind the sign.`);
      search(pending.slice(0, pending.length - length));
      pending = [];
      const holds = relationOf(column, sign, typed, number);
      const index = columns.indexOf(column);
      tests.push((row) => row[index] !== null && holds(row[index]));
    } else {
      const word = take(WORD);
      if (!word) break;
      pending.push({ text: textOf(word), isQuoted: word[2] === undefined });
    }
  }
  search(pending);
  return tests.length ? (row) => tests.every((holds) => holds(row)) : null;
}

/** What was typed, quotes taken away; between a day and a time as cells have it. */
function textOf(word) {
  return word && (word[1] ?? word[2].replace(" ", "T"));
}

/** The column whose heading the last words are, the longest that there is, and how many words it takes. */
function named(pending, columns) {
  const last = pending.slice(pending.findLastIndex((word) => word.isQuoted) + 1).map((word) => words(word.text.toLowerCase()));
  for (let length = last.length; length > 0; length -= 1) {
    const heading = last.slice(-length).join(" ");
    const column = columns.find(({ name }) => words(name.toLowerCase()) === heading);
    if (column) return { column, length };
  }
  return {};
}

function example(columns, shown) {
  const number = shown.find((index) => isNumber(columns[index].type));
  return number === undefined ? `${words(columns[shown[0]].name)}:text` : `${words(columns[number].name)}>1000`;
}

function relationOf(column, sign, typed, number) {
  const name = words(column.name);
  if (isNumber(column.type)) {
    if (!number) throw new Error(`“${typed}” is no number, which ${name} wants: write it as 1000, 1,000.50, 100%, 5k, 5m or 5bn.`);
    const [, minus, digits, decimals, unit] = number;
    const plain = (minus && minus !== "+" ? "-" : "") + (digits.replace(/\D/g, "") || "0") + (decimals ?? "");
    if (sign === ":" && !unit) return (cell) => cell.includes(plain);
    return ordered(sign, (cell) => compare(cell, shifted(plain, UNITS[unit?.toLowerCase()] ?? 0)));
  }
  const needle = typed.toLowerCase();
  if (sign === ":") return (cell) => cell.toLowerCase().includes(needle);
  if (/^(date|timestamp)/.test(column.type)) {
    if (!INSTANT.test(typed)) throw new Error(`“${typed}” is no day, which ${name} wants: write it as 2026-03-02 or 2026-03-02T09:30.`);
    // A day is all of it.
    return ordered(sign, (cell) => compare(cell.slice(0, typed.length), typed));
  }
  if (!/^!?=$/.test(sign)) throw new Error(`${name} holds text, which is not more or less than “${typed}”: write ${name}:${typed} for what contains it.`);
  return ordered(sign, (cell) => Number(cell.toLowerCase() !== needle));
}

/** A test by what stands on either side: below, at or above zero. */
function ordered(sign, order) {
  const tests = {
    ":": (side) => side === 0,
    "=": (side) => side === 0,
    "!=": (side) => side !== 0,
    "<": (side) => side < 0,
    ">": (side) => side > 0,
    "<=": (side) => side <= 0,
    ">=": (side) => side >= 0,
  };
  return (cell) => tests[sign](order(cell));
}
