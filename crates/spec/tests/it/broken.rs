//! Broken files and what is said about them.

use crate::world::{check, with_sources};
use expect_test::{Expect, expect};
use std::fmt::Write;

/// All findings about a whole file.
#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "`expect!` is written in the call"
)]
fn finds(text: &str, expected: Expect) {
    let (plan, found) = check(text);
    assert_eq!(
        plan.is_none(),
        found.iter().any(weir_spec::Diagnostic::is_error),
        "a plan, or an error"
    );
    let text: Vec<String> = found.iter().map(ToString::to_string).collect();
    expected.assert_eq(&text.join("\n"));
}

/// All findings about stages, tables and views; they begin in line 13.
#[track_caller]
fn finds_in(rest: &str, expected: Expect) {
    finds(&with_sources(rest), expected);
}

#[test]
fn text_that_is_no_yaml() {
    finds(
        "weir: 1\nname: [a\nsources: {}\n",
        expect!["p.yaml:3:8: yaml: illegal placement of ':' indicator"],
    );
    finds(
        "weir: 1\n---\nweir: 1\n",
        expect![[r#"
        p.yaml:2:1: several_documents: a second YAML document begins here
          hint: one pipeline is one document: remove the `---`"#]],
    );
    finds(
        "a: *nowhere\n",
        expect![[r#"
            p.yaml:1:4: yaml: while parsing node, found unknown anchor
              hint: `*name` repeats what an earlier `&name` marks"#]],
    );
    finds(
        "a: &a [*a]\n",
        expect!["p.yaml:1:8: yaml: an alias inside of its own anchor"],
    );
    finds(
        "a: \"\\q\"\n",
        expect!["p.yaml:1:4: yaml: while parsing a quoted scalar, found unknown escape character"],
    );
    finds(
        "weir: !money 1\nname: x\nsources: {}\n",
        expect![[r#"
            p.yaml:1:14: bad_type: expected an integer, found text
              hint: write the number alone: no quotes, no unit
            p.yaml:1:14: unknown_tag: the tag `!money` has no meaning here"#]],
    );
}

#[test]
fn a_file_that_is_no_pipeline() {
    finds(
        "",
        expect!["p.yaml:1:1: bad_type: expected a mapping, found nothing"],
    );
    finds(
        "- a\n- b\n",
        expect!["p.yaml:1:1: bad_type: expected a mapping, found a list"],
    );
    finds(
        "weir: 2\nname: x\nsources:\n",
        expect![[r#"
        p.yaml:1:7: unknown_version: this Weir knows version 1 of the grammar, not 2
        p.yaml:3:1: bad_type: expected a mapping, found nothing"#]],
    );
}

#[test]
fn unknown_keys_name_the_nearest() {
    finds(
        "weir: 1\nname: x\nsources: {}\nstage: {}\n",
        expect![[r#"
        p.yaml:4:1: unknown_key: unknown key `stage`
          hint: did you mean `stages`?"#]],
    );
    finds_in(
        "stages:\n  a: { form: trades, wher: 'true' }\n",
        expect![[r#"
        p.yaml:14:8: unknown_key: unknown key `form`
          hint: did you mean `from`?
        p.yaml:14:22: unknown_key: unknown key `wher`
          hint: did you mean `where`?"#]],
    );
    finds_in(
        "stages:\n  a: { from: trades, latest: { key: [trade_id], versoin: version } }\n",
        expect![[r#"
        p.yaml:14:49: unknown_key: unknown key `versoin`
          hint: did you mean `version`?"#]],
    );
    finds_in(
        "stages:\n  a: { from: trades, aggregate: { by: [entity], values: { n: { summ: quantity } } } }\n",
        expect![[r#"
        p.yaml:14:64: unknown_key: unknown key `summ`
          hint: did you mean `sum`?"#]],
    );
    finds_in(
        "views:\n  - { grid: x, colums: [a] }\n  - { headlin: x.y }\n",
        expect![[r#"
            p.yaml:14:16: unknown_key: unknown key `colums`
              hint: did you mean `columns`?
            p.yaml:15:7: unknown_key: unknown key `headlin`
              hint: did you mean `headline`?"#]],
    );
    finds(
        "weir: 1\nname: x\nsources:\n  a: { kafka: { cluster: main, topic: t }, decode: { jsn: { schema: s } } }\n",
        expect![[r#"
            p.yaml:4:54: unknown_key: unknown key `jsn`
              hint: did you mean `json`?"#]],
    );
}

#[test]
fn keys_twice() {
    finds_in(
        "tables:\n  a: { from: trades, key: [trade_id] }\n  a: { from: trades, key: [trade_id] }\n",
        expect!["p.yaml:15:3: duplicate_key: `a` stands here twice, first in line 14"],
    );
}

#[test]
fn values_of_the_wrong_kind() {
    finds(
        "weir: one\nname: [x]\nengine: { workers: 0, clock: event_time, cycle_min_ms: 1.5 }\nsources: {}\nviews: {}\n",
        expect![[r#"
            p.yaml:1:7: bad_type: expected an integer, found text
            p.yaml:2:1: bad_type: expected text, found a list
            p.yaml:3:20: bad_value: the value is less than the minimum of 1
            p.yaml:3:30: bad_value: `event_time` is not one of event, tick
            p.yaml:3:56: bad_type: expected an integer, found a number
            p.yaml:5:1: bad_type: expected a list, found a mapping"#]],
    );
    finds_in(
        "stages:\n  a: { from: 3 }\n  b: { from: trades, where: true }\n  c:\n",
        expect![[r#"
        p.yaml:14:14: bad_type: expected text or a list or a mapping, found an integer
        p.yaml:15:29: bad_type: expected text, found true or false
        p.yaml:16:3: bad_type: expected a mapping, found nothing"#]],
    );
    finds_in(
        "stages:\n  a: { from: trades, latest: { key: [], version: version } }\n",
        expect!["p.yaml:14:32: bad_value: the list is empty"],
    );
    finds_in(
        "stages:\n  a: { from: trades, aggregate: { by: [entity], values: { n: { sum: quantity, min: quantity } } } }\n",
        expect!["p.yaml:14:59: bad_value: takes only one of sum, count, min, max, avg"],
    );
    finds_in(
        "stages:\n  a: { from: trades, join: { with: more, on: trade_id, kind: outer } }\n",
        expect![[r#"
            p.yaml:14:46: bad_type: expected a list or a mapping, found text
              hint: write `[trade_id]`
            p.yaml:14:62: bad_value: `outer` is not one of inner, left"#]],
    );
    finds(
        "weir: 1\nname: x\nsources: {}\nengine: { cycle_min_ms: 300 }\n",
        expect![
            "p.yaml:4:25: bad_value: the shortest cycle, 300 ms, is longer than the longest, 250 ms"
        ],
    );
    finds(
        "weir: 1\nname: x\nsources: {}\nengine: { cycle_max_ms: .inf }\n",
        expect!["p.yaml:4:25: bad_type: expected an integer, found text"],
    );
}

/// What is wrong at the top hides nothing below.
#[test]
fn findings_at_the_top_and_below() {
    finds(
        "weir: one\nplugins: 1\nstages:\n  a: { from: b }\ntables:\n  t: { from: a, key: 1 }\n",
        expect![[r#"
            p.yaml:1:1: missing_key: the key `name` is missing
            p.yaml:1:1: missing_key: the key `sources` is missing
            p.yaml:1:7: bad_type: expected an integer, found text
            p.yaml:2:10: bad_type: expected text, found an integer
            p.yaml:4:14: unknown_reference: there is no source or stage `b`
              hint: did you mean `a`?
            p.yaml:6:22: bad_type: expected a list, found an integer"#]],
    );
}

#[test]
fn references_that_lead_nowhere() {
    finds(
        "weir: 1\nname: x\nclusters: { main: { bootstrap.servers: x } }\nsources:\n  a: { kafka: { cluster: mian, topic: t }, decode: { avro: { registry: r, schema: trade.avsc } } }\n",
        expect![[r#"
            p.yaml:5:26: unknown_cluster: there is no cluster `mian`
              hint: did you mean `main`?
            p.yaml:5:72: unknown_registry: there is no schema registry `r`"#]],
    );
    finds_in(
        "stages:\n  a: { from: trade }\n  b: { from: [trades, mroe] }\n  c: { from: trades.out }\n",
        expect![[r#"
        p.yaml:14:14: unknown_reference: there is no source or stage `trade`
          hint: did you mean `trades`?
        p.yaml:15:23: unknown_reference: there is no source or stage `mroe`
          hint: did you mean `more`?
        p.yaml:16:14: unknown_port: `trades` has one output only, so there is no `trades.out`
          hint: write `trades`"#]],
    );
    finds_in(
        "stages:\n  a: { from: trades, join: { with: instrument, on: { entity: issuer }, take: [rate] } }\n",
        expect![[r#"
            p.yaml:14:36: unknown_reference: there is no source or stage `instrument`
              hint: did you mean `instruments`?"#]],
    );
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id] }\n  u: { from: trads, key: [trade_id] }\nviews:\n  - { grid: tt }\n  - { grid: t, columns: [bok] }\n  - { grid: u, columns: [whatever] }\n",
        expect![[r#"
            p.yaml:15:14: unknown_reference: there is no source or stage `trads`
              hint: did you mean `trades`?
            p.yaml:17:13: unknown_table: there is no table `tt`
              hint: did you mean `t`?
            p.yaml:18:26: unknown_column: there is no column `bok`
              hint: did you mean `book`?"#]],
    );
}

#[test]
fn circles() {
    finds_in(
        "stages:\n  a: { from: b }\n  b: { from: trades, join: { with: c, on: [entity] } }\n  c: { from: [trades, a] }\n  d: { from: a, where: nonsense }\n  e: { from: e }\n",
        expect![[r#"
            p.yaml:14:14: cycle: stages read each other in a circle: a reads b reads c reads a
            p.yaml:18:14: cycle: stages read each other in a circle: e reads e"#]],
    );
}

#[test]
fn expressions_that_do_not_fit() {
    finds_in(
        "stages:\n  a:\n    from: trades\n    let: { half: \"quantiy / 2\", again: \"quantity +\" }\n  b: { from: trades, where: \"entity\", select: { x: \"bok\" } }\n  c: { from: a, where: \"half > 1\" }\n",
        expect![[r#"
            p.yaml:16:18: unknown_column: there is no column `quantiy`
              hint: did you mean `quantity`?
            p.yaml:16:40: invalid_expression: sql parser error: Expected: an expression, found: EOF
            p.yaml:17:29: wrong_type: the condition is Utf8, not true or false
            p.yaml:17:52: unknown_column: there is no column `bok`
              hint: did you mean `book`?"#]],
    );
}

#[test]
fn names_of_metadata_are_taken() {
    finds_in(
        "stages:\n  a: { from: trades, select: { _id: trade_id } }\n  b: { from: trades, let: { _x: '1' } }\n  c: { from: trades, aggregate: { by: [entity], values: { _n: { count: '*' } } } }\n  d: { from: trades, join: { with: instruments, on: { entity: instrument_id }, take: { _r: rate } } }\n  e: { from: trades, explode: { list: flows, index: _i } }\ntables:\n  t: { from: trades, key: [_offset] }\n  u: { from: lines, key: [text] }\n",
        expect![[r#"
            p.yaml:14:32: reserved_name: a column cannot be named `_id`
              hint: names that begin with `_` are those of record metadata
            p.yaml:15:29: reserved_name: a column cannot be named `_x`
              hint: names that begin with `_` are those of record metadata
            p.yaml:16:59: reserved_name: a column cannot be named `_n`
              hint: names that begin with `_` are those of record metadata
            p.yaml:17:88: reserved_name: a column cannot be named `_r`
              hint: names that begin with `_` are those of record metadata
            p.yaml:18:46: reserved_name: a column cannot be named `_i`
              hint: names that begin with `_` are those of record metadata
            p.yaml:20:28: reserved_name: `_offset` is record metadata, which tables do not have
              hint: give it a name of its own: `let: { offset: _offset }`"#]],
    );
    finds_in(
        "stages:\n  a: { from: lines, wasm: { plugin: reserved } }\n",
        expect![[r#"
        p.yaml:14:37: reserved_name: the plugin `made` writes the column `_offset`
          hint: names that begin with `_` are those of record metadata"#]],
    );
}

#[test]
fn columns_that_are_not_there() {
    finds_in(
        r#"stages:
  a: { from: trades, latest: { key: [trade_idd, book], version: versio, tombstone: delet } }
  b: { from: a, valid: { from: start_at, until: until } }
  c: { from: trades, join: { with: instruments, on: { entty: issuer, book: isuer }, take: [rat] } }
  d: { from: trades, aggregate: { by: [entiy], values: { n: { sum: quantty }, entiy: { count: "*" } } } }
  e: { from: trades, explode: { list: flow } }
  f: { from: trades, dedupe: { key: [id] } }
  g:
    from: trades
    override: { with: instruments, scope: scop, key: issuer, match: { position: boook }, latest: [rte], set: { entity: isser }, take: { x: y } }
"#,
        expect![[r#"
            p.yaml:14:38: unknown_column: there is no column `trade_idd`
              hint: did you mean `trade_id`?
            p.yaml:14:65: unknown_column: there is no column `versio`
              hint: did you mean `version`?
            p.yaml:14:84: unknown_column: there is no column `delet`
              hint: did you mean `deleted`?
            p.yaml:15:32: unknown_column: there is no column `start_at`
              hint: did you mean `starts_at`?
            p.yaml:15:49: unknown_column: there is no column `until`
              hint: there is: trade_id, version, deleted, entity, book, quantity, payment_date, starts_at, flows
            p.yaml:16:55: unknown_column: there is no column `entty`
              hint: did you mean `entity`?
            p.yaml:16:76: unknown_column: there is no column `isuer`
              hint: did you mean `issuer`?
            p.yaml:16:92: unknown_column: there is no column `rat`
              hint: did you mean `rate`?
            p.yaml:17:40: unknown_column: there is no column `entiy`
              hint: did you mean `entity`?
            p.yaml:17:68: unknown_column: there is no column `quantty`
              hint: did you mean `quantity`?
            p.yaml:17:79: duplicate_column: `entiy` is a key column too
            p.yaml:18:39: unknown_column: there is no column `flow`
              hint: did you mean `flows`?
            p.yaml:19:38: unknown_column: there is no column `id`
              hint: there is: trade_id, version, deleted, entity, book, quantity, payment_date, starts_at, flows
            p.yaml:22:43: unknown_column: there is no column `scop`
              hint: there is: instrument_id, issuer, rate, number
            p.yaml:22:81: unknown_column: there is no column `boook`
              hint: did you mean `book`?
            p.yaml:22:99: unknown_column: there is no column `rte`
              hint: did you mean `rate`?
            p.yaml:22:120: unknown_column: there is no column `isser`
              hint: did you mean `issuer`?
            p.yaml:22:140: unknown_column: there is no column `y`
              hint: there is: instrument_id, issuer, rate, number"#]],
    );
}

#[test]
fn columns_of_the_wrong_type() {
    finds_in(
        r#"stages:
  a: { from: trades, latest: { key: [trade_id], version: book } }
  b: { from: trades, join: { with: instruments, on: { entity: number }, take: [rate] } }
  c: { from: trades, aggregate: { by: [entity], values: { n: { sum: book } } } }
  d: { from: trades, valid: { from: book } }
  e: { from: [trades, instruments] }
  f: { from: trades, explode: { list: book } }
tables:
  t: { from: trades, key: [trade_id, trade_id] }
views:
  - { headline: t.book, by: [entity], beside: u.quantity }
  - { headline: t, mark: high }
  - { headline: t.quantity, beside: t.quantty }
"#,
        expect![[r#"
            p.yaml:14:58: wrong_type: column `book` is Utf8, not Int64
            p.yaml:15:63: wrong_type: `entity` is Utf8, `number` of the joined side is Int64
              hint: cast one of them with `let` before the join
            p.yaml:16:59: wrong_type: column `book` is Utf8, which has no exact sum
              hint: sum decimals or integers
            p.yaml:17:37: wrong_type: column `book` is Utf8, not an instant in microseconds or a date
            p.yaml:18:8: unequal_inputs: input 2 has no column `trade_id`, others have
              hint: the columns are instrument_id, issuer, rate, number
            p.yaml:19:39: wrong_type: column `book` is Utf8, not a list
            p.yaml:21:38: duplicate_column: `trade_id` is in the key twice
            p.yaml:23:17: wrong_type: `book` is Utf8, not a number
            p.yaml:23:47: bad_value: `u.quantity` is no column of the table `t`
              hint: write `t.column`
            p.yaml:24:26: bad_value: the value is not a plain number such as 1.05
            p.yaml:25:37: unknown_column: there is no column `quantty`
              hint: did you mean `quantity`?"#]],
    );
}

#[test]
fn keys_to_forget() {
    finds_in(
        r#"stages:
  a: { from: trades, latest: { key: [trade_id], version: version, forget: nothing } }
  b: { from: trades, latest: { key: [trade_id], version: version, forget: instruments } }
  c: { from: trades, dedupe: { key: [version], forget: named } }
  named: { from: instruments, select: { version: rate } }
"#,
        expect![[r#"
            p.yaml:14:75: unknown_reference: there is no source or stage `nothing`
              hint: there is: trades, more, instruments, lines, a, b, c, named
            p.yaml:15:75: unknown_column: there is no column `trade_id`
              hint: there is: instrument_id, issuer, rate, number
            p.yaml:16:56: wrong_type: `version` of `named` is Decimal128(38, 12), the key is Int64"#]],
    );
}

#[test]
fn latest_needs_a_log() {
    finds_in(
        r#"stages:
  once: { from: trades, latest: { key: [trade_id], version: version } }
  joined: { from: trades, join: { with: instruments, on: { entity: issuer }, take: [rate] } }
  a: { from: once, latest: { key: [trade_id], version: version } }
  b: { from: joined, where: "rate > 0", latest: { key: [trade_id], version: version } }
  c: { from: [trades, once], dedupe: { key: [trade_id] } }
  good: { from: [a_select, trades], latest: { key: [trade_id], version: version } }
  a_select: { from: trades, where: "version > 1" }
"#,
        expect![[r#"
            p.yaml:16:20: not_a_log: the rows that come in are no longer records in offset order
              hint: it goes in front of `latest`, `dedupe`, `valid`, `join`, `aggregate`, `override` and group plugins
            p.yaml:17:41: not_a_log: the rows that come in are no longer records in offset order
              hint: it goes in front of `latest`, `dedupe`, `valid`, `join`, `aggregate`, `override` and group plugins
            p.yaml:18:30: not_a_log: the rows that come in are no longer records in offset order
              hint: it goes in front of `latest`, `dedupe`, `valid`, `join`, `aggregate`, `override` and group plugins"#]],
    );
}

#[test]
fn plugins_that_do_not_fit() {
    finds_in(
        r#"stages:
  a: { from: lines, wasm: { plugin: nowhere } }
  b: { from: lines, wasm: { plugin: ../x } }
  c: { from: lines, wasm: { plugin: normalize, group_by: [text], clock: date } }
  d: { from: trades, wasm: { plugin: normalize } }
  e: { from: trades, wasm: { plugin: strict } }
  f: { from: { in: lines }, wasm: { plugin: normalize } }
  g:
    from: lines
    wasm:
      plugin: normalize
      data: { rules: rules.csv, mapping: none.csv }
      config:
        curency: usd
        regimes: [north, est]
        limit: -1
  h: { from: a, latest: { key: [whatever], version: nothing } }
  i: { from: lines, wasm: { plugin: normalize, config: { currency: usd } } }
"#,
        expect![[r#"
            p.yaml:14:37: plugin_missing: there is no plugin `nowhere` in plugins
              hint: there is: normalize, strict, reserved, settle, total, closed
            p.yaml:15:37: bad_name: `../x` is no name of a plugin
              hint: the file's name without `.wasm`, in the folder that `plugins` names
            p.yaml:16:48: plugin_shape: the plugin `normalize` works row by row, so it takes no `group_by`
            p.yaml:16:66: plugin_shape: the plugin `normalize` works row by row, so it takes no `clock`
            p.yaml:18:14: nullable_column: `entity` may be null, the plugin `strict` takes no null there
              hint: give nulls a value: `let: { entity: "coalesce(entity, ...)" }`
            p.yaml:18:14: wrong_type: the plugin `strict` asks for `version` as Utf8, here it is Int64
            p.yaml:19:8: bad_type: inputs by name are for plugins that work group by group
              hint: write `from: stage` or `from: [stage, stage]`
            p.yaml:24:42: file_missing: there is no file none.csv
              hint: paths are relative to the pipeline file
            p.yaml:26:9: bad_config: unknown key `curency`
              hint: did you mean `currency`?
            p.yaml:27:26: bad_config: `est` is not one of north, south
            p.yaml:28:16: bad_config: the value is less than the minimum of 0
            p.yaml:30:68: bad_config: the value does not match "^[A-Z]{3}$"
              hint: Three capital letters."#]],
    );
}

#[test]
fn group_plugins_that_do_not_fit() {
    finds_in(
        r#"stages:
  a: { from: trades, wasm: { plugin: settle, group_by: [trade_id] } }
  b: { from: { trades: trades, confirmation: more }, wasm: { plugin: settle, group_by: [trade_id] } }
  c: { from: { trades: trades, confirmations: more }, wasm: { plugin: settle } }
  d: { from: { trades: trades, confirmations: instruments }, wasm: { plugin: settle, group_by: [trade_id, entity] } }
  e: { from: { trades: trades, confirmations: more }, wasm: { plugin: settle, group_by: [trade_id] } }
  f: { from: e }
  g: { from: e.leg }
  h: { from: e.legs, latest: { key: [trade_id], version: version } }
  i: { from: { trades: trades, confirmations: more }, wasm: { plugin: settle, group_by: [trade_id] }, where: "true" }
  j: { from: trades, wasm: { plugin: total, group_by: [entity] } }
"#,
        expect![[r#"
            p.yaml:14:14: missing_input: the plugin `settle` takes several inputs by name
              hint: write `from: { trades: stage, confirmations: stage }`
            p.yaml:15:8: missing_input: the plugin `settle` takes an input `confirmations`, which is not given
            p.yaml:15:32: unknown_port: the plugin `settle` has no input `confirmation`
              hint: did you mean `confirmations`?
            p.yaml:16:55: missing_key: the plugin `settle` works group by group: the key `group_by` is missing
            p.yaml:17:47: missing_column: the plugin `settle` asks for a column `trade_id` (Utf8)
              hint: there is: instrument_id, issuer, rate, number
            p.yaml:17:107: missing_column: the input `confirmations` has no column `entity`
              hint: there is: instrument_id, issuer, rate, number
            p.yaml:17:107: missing_column: the output `flags` has no column `entity`
              hint: there is: trade_id
            p.yaml:17:107: missing_column: the output `legs` has no column `entity`
              hint: there is: trade_id, quantity
            p.yaml:19:14: port_needed: `e` has several outputs
              hint: name one: e.legs, e.flags
            p.yaml:20:14: unknown_port: `e` has no output `leg`
              hint: did you mean `legs`?
            p.yaml:21:22: not_a_log: the rows that come in are no longer records in offset order
              hint: it goes in front of `latest`, `dedupe`, `valid`, `join`, `aggregate`, `override` and group plugins
            p.yaml:21:58: unknown_column: there is no column `version`
              hint: there is: trade_id, quantity
            p.yaml:22:103: port_needed: `where` on a stage with several outputs
              hint: put it in a stage of its own: `from: i.output`
            p.yaml:23:56: missing_column: the output `out` has no column `entity`
              hint: there is: trade_id, quantity"#]],
    );
}

#[test]
fn stages_of_a_wrong_form() {
    finds_in(
        "stages:\n  a: { from: trades, latest: { key: [trade_id], version: version }, dedupe: { key: [trade_id] } }\n  b-c: { from: trades }\n  trades: { from: more }\ntables:\n  'my table': { from: trades, key: [trade_id] }\n",
        expect![[r#"
            p.yaml:14:69: several_operations: the stage has the operations `latest` and `dedupe`
              hint: a stage has one operation: put the second in a stage of its own
            p.yaml:15:3: bad_name: `b-c` is no name for a stage
              hint: letters, digits and `_`, not beginning with a digit
            p.yaml:16:3: duplicate_name: there is a source `trades` too
              hint: sources and stages share their names: rename one
            p.yaml:18:3: bad_name: `my table` is no name for a table
              hint: letters, digits and `_`, not beginning with a digit"#]],
    );
}

#[test]
fn sources_that_do_not_fit() {
    finds(
        r#"weir: 1
name: x
clusters:
  main: { bootstrap.server: x, ssl.truststore.location: "${env:PASSWORD}" }
registries:
  reg: { usr: x }
sources:
  a: { kafka: { cluster: main, topic: t, start: yesterday }, decode: { json: { schema: nowhere.json } } }
  b: { kafka: { cluster: main, topic: t, start: 2026-03-02T00:00:00 }, decode: json }
  c: { kafka: { cluster: main, topic: "" }, decode: { key: text, value: { avro: { registry: reg, schema: trade.avsc } } } }
  d: { kafka: { cluster: main, topic: t }, decode: { json: { schema: trade.json }, avro: { registry: reg, schema: trade.avsc } } }
"#,
        expect![[r#"
            p.yaml:4:3: missing_key: the key `bootstrap.servers` is missing
              hint: is `bootstrap.server` meant for it?
            p.yaml:4:32: java_property: "ssl.truststore.location" is a property of the Java client (its value is "${env:PASSWORD}")
              hint: librdkafka calls it "ssl.ca.location"
            p.yaml:6:3: missing_key: the key `url` is missing
            p.yaml:8:49: bad_value: `yesterday` is neither earliest, latest nor an instant
              hint: an instant names its offset: 2026-03-02T00:00:00Z
            p.yaml:8:88: schema_unreadable: cannot read schema base/nowhere.json
              hint: paths are relative to the pipeline file
            p.yaml:9:80: bad_value: `json` is not one of text, nor a mapping
              hint: write `{ json: ... }`
            p.yaml:10:39: bad_value: the value is shorter than 1 character
            p.yaml:11:44: bad_value: takes only one of json, avro"#]],
    );
}

/// What comes from the environment or a file is never shown, wherever it ends up.
#[test]
fn interpolation_that_fails_and_secrets() {
    finds(
        r#"weir: 1
name: "${env:NOT_SET}"
plugins: "${file:nowhere}/x"
clusters:
  main: { bootstrap.servers: "${env:EMPTY:-localhost}", sasl.password: "${file:secret}", x: "${what}", y: "${env:" }
sources:
  a: { kafka: { cluster: "${env:PASSWORD}", topic: "${env:TOPIC}" }, decode: { json: { schema: "x/${file:secret}.json" } } }
stages:
  b: { from: "${file:secret}" }
  c: { from: a, where: "$${escaped}" }
"#,
        expect![[r#"
            p.yaml:2:7: unresolved: the environment variable NOT_SET is not set
              hint: set it, or write `${env:NOT_SET:-default}`
            p.yaml:3:10: unresolved: the file nowhere cannot be read: entity not found
            p.yaml:5:93: bad_interpolation: `${...}` takes `env:NAME`, `env:NAME:-default` or `file:path`
              hint: a plain `${` is written `$${`
            p.yaml:5:107: bad_interpolation: a `${` without its `}`
              hint: a plain `${` is written `$${`
            p.yaml:7:26: unknown_cluster: there is no cluster `${env:PASSWORD}`
              hint: there is: main
            p.yaml:7:96: schema_unreadable: cannot read schema base/x/${file:secret}.json
              hint: paths are relative to the pipeline file
            p.yaml:9:14: unknown_reference: there is no source or stage `${file:secret}`
              hint: there is: a, b, c"#]],
    );
}

#[test]
fn what_nothing_uses_is_a_warning() {
    finds_in(
        "engine: { clock: tick, max_ahead_ms: 1 }\nstages:\n  a: { from: [trades, trades] }\n  b: { from: trades }\ntables:\n  t: { from: a, key: [trade_id] }\n",
        expect![[r#"
            p.yaml:9:3: warning: unused: nothing uses the source `more`
            p.yaml:10:3: warning: unused: nothing uses the source `instruments`
            p.yaml:11:3: warning: unused: nothing uses the source `lines`
            p.yaml:13:24: warning: unused: `max_ahead_ms` means nothing with `clock: tick`
            p.yaml:15:23: warning: duplicate_input: `trades` is in the list twice, so its rows count twice
            p.yaml:16:3: warning: unused: nothing uses the stage `b`"#]],
    );
}

/// One unknown type is one finding, not one for each place that it reaches.
#[test]
fn findings_do_not_multiply() {
    finds_in(
        r#"stages:
  a: { from: trades, let: { x: "nothing" } }
  b: { from: a, latest: { key: [y], version: z } }
  c: { from: b, aggregate: { by: [y], values: { n: { sum: x } } }, where: "n > 1" }
  d: { from: { trades: c, confirmations: b }, wasm: { plugin: settle, group_by: [trade_id] } }
tables:
  t: { from: c, key: [y] }
views:
  - { headline: t.n, by: [y] }
"#,
        expect![[r#"
            p.yaml:14:32: unknown_column: there is no column `nothing`
              hint: text stands in single quotes, 'nothing'; the columns are trade_id, version, deleted, entity, book, quantity, payment_date, starts_at, flows"#]],
    );
}

/// The text is bounded, whatever it says.
#[test]
fn limits_are_reached() {
    let deep = format!("a: {}x{}\n", "[".repeat(100), "]".repeat(100));
    finds(
        &deep,
        expect!["p.yaml:1:67: too_large: nested more than 64 levels deep"],
    );
    let mut bomb = String::from("x0: &x0 text\n");
    for level in 1..30 {
        let below = level - 1;
        writeln!(
            bomb,
            "x{level}: &x{level} [*x{below}, *x{below}, *x{below}, *x{below}]"
        )
        .expect("text takes everything");
    }
    finds(
        &bomb,
        expect!["p.yaml:10:10: too_large: more than 16 MiB with aliases expanded"],
    );
}

/// The picture and the JSON of a finding.
#[test]
fn other_forms() {
    let text = with_sources("stages:\n  a: { from: trade }\n");
    let (_, found) = check(&text);
    expect![[r#"
        unknown_reference

          × there is no source or stage `trade`
            ╭─[p.yaml:14:14]
         13 │ stages:
         14 │   a: { from: trade }
            ·              ─────
            ╰────
          help: did you mean `trades`?
    "#]]
    .assert_eq(&found[0].fancy(&text));
    expect![[r#"
        {
          "severity": "error",
          "code": "unknown_reference",
          "message": "there is no source or stage `trade`",
          "hint": "did you mean `trades`?",
          "file": "p.yaml",
          "line": 14,
          "column": 14,
          "span": {
            "start": 581,
            "end": 586
          }
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&found[0]).unwrap());
}

#[test]
fn tables_that_are_worked_out_when_asked() {
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id] }\n  a: { from: trades, key: [trade_id], asked_by: trade_id }\n  b: { from: trades, key: [trade_id], asked_by: version }\n  c: { from: trades, key: [trade_id], asked_by: book_id }\nviews:\n  - { grid: a }\n  - { grid: t, drill: [{ table: a, by: [trade_id, entity] }, { table: x, by: [trade_id] }, { table: t, by: [rate] }] }\n",
        expect![[r#"
            p.yaml:16:49: wrong_type: `version` is Int64, not text
            p.yaml:17:49: unknown_column: there is no column `book_id`
              hint: there is: trade_id, version, deleted, entity, book, quantity, payment_date, starts_at, flows
            p.yaml:19:13: bad_value: `a` is worked out by `trade_id`, when a reader asks
              hint: show it by `drill`, from a view that has the column
            p.yaml:20:36: bad_value: `a` is worked out by `trade_id` alone
              hint: write `by: [trade_id]`
            p.yaml:20:71: unknown_table: there is no table `x`
              hint: did you mean `a`?
            p.yaml:20:109: unknown_column: there is no column `rate`
              hint: there is: trade_id, version, deleted, entity, book, quantity, payment_date, starts_at, flows"#]],
    );
}

#[test]
fn views_of_no_kind_and_of_two() {
    finds_in(
        "views:\n  - { table: x, title: y }\n  - {}\n  - { grid: x, headline: x.y }\n  - { grid: x, sort: [a], line: true }\n  - { headline: x.y, colums: [a] }\n  - x\n  -\n",
        expect![[r#"
            p.yaml:14:5: bad_value: takes one of headline, grid
            p.yaml:15:5: bad_value: takes one of headline, grid
            p.yaml:16:5: bad_value: takes only one of headline, grid
            p.yaml:17:16: unknown_key: unknown key `sort`
              hint: there is: grid, columns, title, drill
            p.yaml:17:27: unknown_key: unknown key `line`
              hint: there is: grid, columns, title, drill
            p.yaml:18:22: unknown_key: unknown key `colums`
              hint: there is: headline, by, beside, line, mark, percent, title, drill
            p.yaml:19:5: bad_type: expected a mapping, found text
            p.yaml:20:4: bad_type: expected a mapping, found nothing"#]],
    );
}

/// One finding for a folder without plugins, not one a stage.
#[test]
fn plugins_that_are_not_there() {
    let stages = "stages:\n  a: { from: lines, wasm: { plugin: normalise } }\n  b: { from: lines, wasm: { plugin: settle, group_by: [x] } }\n";
    finds_in(
        stages,
        expect![[r#"
        p.yaml:14:37: plugin_missing: there is no plugin `normalise` in plugins
          hint: did you mean `normalize`?
        p.yaml:15:14: missing_input: the plugin `settle` takes several inputs by name
          hint: write `from: { trades: stage, confirmations: stage }`
        p.yaml:15:56: missing_column: the output `flags` has no column `x`
          hint: there is: trade_id
        p.yaml:15:56: missing_column: the output `legs` has no column `x`
          hint: there is: trade_id, quantity"#]],
    );
    finds_in(
        &format!("plugins: nowhere\n{stages}"),
        expect![[r#"
        p.yaml:13:10: plugin_missing: there are no plugins in nowhere
          hint: build them, or let `plugins` name their folder, relative to this file"#]],
    );
    finds_in(
        "stages:\n  a: { from: trades, wasm: { plugin: closed, config: { four_eyes: true } } }\n",
        expect!["p.yaml:14:46: bad_config: takes no keys"],
    );
}

/// What operators name by another of its names.
#[test]
fn topics_and_tables_in_the_place_of_stages() {
    finds_in(
        "stages:\n  a: { from: ins }\n  b: { from: shown }\n  trades_fx: { from: lines.x }\ntables:\n  shown: { from: a, key: [entity] }\n",
        expect![[r#"
            p.yaml:14:14: unknown_reference: there is no source or stage `ins`
              hint: `ins` is the topic of the source `instruments`: write that
            p.yaml:15:14: unknown_reference: there is no source or stage `shown`
              hint: `shown` is a table: write what it is from, `a`
            p.yaml:16:22: unknown_port: `lines` has one output only, so there is no `lines.x`
              hint: write `lines`"#]],
    );
    finds(
        "weir: 1\nname: x\nclusters: { main: { bootstrap.servers: x } }\nsources:\n  fx: { kafka: { cluster: main, topic: trades.fx }, decode: text }\nstages:\n  legs: { from: trades.fx }\n  trades: { from: legs }\n",
        expect![[r#"
            p.yaml:7:17: cycle: stages read each other in a circle: legs reads trades reads legs
              hint: `trades.fx` is the topic of the source `fx`: write that"#]],
    );
    finds(
        "weir: 1\nname: x\nclusters: { main: { bootstrap.servers: x } }\nsource:\n  fx: { kafka: { cluster: main, topic: trades.fx }, decode: text }\nstages:\n  legs: { from: fx }\n",
        expect![[r#"
            p.yaml:4:1: unknown_key: unknown key `source`
              hint: did you mean `sources`?"#]],
    );
}

/// Text where something else is wanted tells how that would be written.
#[test]
fn text_in_the_place_of_a_list_a_mapping_or_a_number() {
    finds(
        "weir: \"1\"\nname: x\nengine: { cycle_min_ms: 20ms, workers: two }\nsources:\n  a: { kafka: { cluster: main, topic: t }, decode: json }\n  b: { kafka: { cluster: main, topic: t }, decode: { json: trade.json } }\n  c: { kafka: { cluster: main, topic: t }, decode: { json: {} } }\n  d: { kafka: { cluster: main, topic: t } }\n",
        expect![[r#"
            p.yaml:1:7: bad_type: expected an integer, found text
              hint: write the number alone: no quotes, no unit
            p.yaml:3:25: bad_type: expected an integer, found text
              hint: write the number alone: no quotes, no unit
            p.yaml:3:40: bad_type: expected an integer, found text
            p.yaml:5:52: bad_value: `json` is not one of text, nor a mapping
              hint: write `{ json: ... }`
            p.yaml:6:60: bad_type: expected a mapping, found text
              hint: write `{ schema: trade.json }`
            p.yaml:7:54: missing_key: the key `schema` is missing
            p.yaml:8:3: missing_key: the key `decode` is missing"#]],
    );
    finds_in(
        "stages:\n  a: { from: trades, latest: { key: trade_id, version: version } }\n  b: { from: trades, aggregate: { by: [entity], values: { n: sum(quantity), m: total(quantity) } } }\n  c: { from: trades, join: { with: instruments, on: issuer } }\n  d: { from: trades, filter: version > 1 }\n  e: { from: trades, where: entity = NORTH }\ntables:\n  t: { from: trades, key: \"trade_id, version\" }\nviews:\n  - { grid: t, title: Trades, by version }\n  - { headline: t.quantity, mark: 100% }\n",
        expect![[r#"
            p.yaml:14:37: bad_type: expected a list, found text
              hint: write `[trade_id]`
            p.yaml:15:62: bad_type: expected a mapping, found text
              hint: write `{ sum: ... }`
            p.yaml:15:80: bad_type: expected a mapping, found text
            p.yaml:16:53: bad_type: expected a list or a mapping, found text
              hint: write `[issuer]`
            p.yaml:17:22: unknown_key: unknown key `filter`
              hint: there is: from, latest, valid, join, aggregate, explode, dedupe, override, wasm, let, where, select
            p.yaml:18:29: unknown_column: there is no column `NORTH`
              hint: text stands in single quotes, 'NORTH'; the columns are trade_id, version, deleted, entity, book, quantity, payment_date, starts_at, flows
            p.yaml:20:27: bad_type: expected a list, found text
              hint: write `[trade_id, version]`
            p.yaml:22:31: unknown_key: unknown key `by version`
              hint: within `{ }`, text with `,` in it stands in quotes
            p.yaml:23:35: bad_value: the value is not a plain number such as 1.05"#]],
    );
}

#[test]
fn yaml_that_slipped() {
    for (text, expected) in [
        (
            "weir: 1\nname: x\n\tsources: {}\n",
            expect![[r#"
            p.yaml:2:7: yaml: while scanning a plain scalar, found a tab
              hint: indent with spaces"#]],
        ),
        (
            "weir: 1\nname: x\nsources:\n  a:\n    kafka: x\n   decode: text\n",
            expect![[r#"
                p.yaml:6:4: yaml: while parsing a block mapping, did not find expected key
                  hint: entries of one mapping are indented alike"#]],
        ),
        (
            "weir: 1\nname: x: y\n",
            expect![[r#"
            p.yaml:2:8: yaml: mapping values are not allowed in this context
              hint: text with `: ` in it stands in quotes"#]],
        ),
        (
            "weir: 1\nname: x\nengine: { clock: event\nsources: {}\n",
            expect![[r#"
                p.yaml:4:8: yaml: while parsing a flow mapping, did not find expected ',' or '}'
                  hint: a `{` without its `}`, or text with `,` or `: ` in it that needs quotes"#]],
        ),
        (
            "weir: 1\nname: *x\n",
            expect![[r#"
            p.yaml:2:7: yaml: while parsing node, found unknown anchor
              hint: `*name` repeats what an earlier `&name` marks"#]],
        ),
        (
            "weir: 1\nname: x\nclusters: { \"${env:TOPIC}\": { bootstrap.servers: x } }\nsources: {}\n",
            expect!["p.yaml:3:13: bad_interpolation: `${...}` stands in a value, not in a key"],
        ),
    ] {
        finds(text, expected);
    }
}

#[test]
fn sinks() {
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id] }\nsinks:\n  a: { from: tt, kafka: { cluster: mian, topic: x } }\n  \
         b: { from: trades, kafka: { cluster: main, topic: x } }\n  \
         c: { from: t, enabled: perhaps, kafka: { cluster: main, topic: x, encode: { avro: { registry: mani } } } }\n",
        expect![[r#"
            p.yaml:16:14: unknown_table: there is no table `tt`
              hint: did you mean `t`?
            p.yaml:16:36: unknown_cluster: there is no cluster `mian`
              hint: did you mean `main`?
            p.yaml:17:14: unknown_table: there is no table `trades`
              hint: `trades` is no table: with `key: [...]` its rows go there without being served
            p.yaml:18:26: bad_value: `perhaps` is neither true nor false
            p.yaml:18:97: unknown_registry: there is no schema registry `mani`
              hint: there is: reg"#]],
    );
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id] }\nsinks:\n  a: { from: t, kafka: { cluster: main, topic: x } }\n  \
         b: { from: t, kafka: { cluster: main, topic: x, delivery: once, encode: xml } }\n  \
         c: { from: t, kafka: { cluster: main, topic: x, propertys: {} } }\n  d: { from: t }\n",
        expect![[r#"
            p.yaml:17:61: bad_value: `once` is not one of at_least_once, exactly_once
            p.yaml:17:75: bad_value: `xml` is not one of json, nor a mapping
            p.yaml:18:51: unknown_key: unknown key `propertys`
              hint: did you mean `properties`?
            p.yaml:19:3: bad_value: takes one of kafka, parquet"#]],
    );
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id, book] }\nsinks:\n  a: { from: t, kafka: { cluster: main, topic: x }, parquet: { path: x } }\n  \
         b: { from: t, parqet: { path: x } }\n  c: { from: t, parquet: { path: '', every_s: 0, max_mib: 1.5, partition: book } }\n  \
         d: { from: t, parquet: x }\n",
        expect![[r#"
            p.yaml:16:3: bad_value: takes only one of kafka, parquet
            p.yaml:17:17: unknown_key: unknown key `parqet`
              hint: did you mean `parquet`?
            p.yaml:18:34: bad_value: the value is shorter than 1 character
            p.yaml:18:47: bad_value: the value is less than the minimum of 1
            p.yaml:18:59: bad_type: expected an integer, found a number
            p.yaml:18:64: unknown_key: unknown key `partition`
              hint: did you mean `partition_by`?
            p.yaml:19:26: bad_type: expected a mapping, found text"#]],
    );
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id, payment_date, starts_at] }\nsinks:\n  a: { from: t, parquet: { path: out/a, partition_by: payment_date } }\n  \
         b: { from: t, parquet: { path: ./out/b/../a/b, partition_by: book } }\n  \
         c: { from: t, parquet: { path: c, partition_by: starts_at } }\n  d: { from: t, parquet: { path: d, partition_by: boook } }\n  \
         e: { from: t, enabled: false, parquet: { path: c } }\n",
        expect![[r#"
            p.yaml:17:34: duplicate_name: the sink `a` writes this folder too
              hint: a folder and all in it hold the rows of one table: give each sink its own
            p.yaml:17:64: bad_value: `book` is not in the key
              hint: a row that moves between partitions would stay in both; the key is trade_id, payment_date, starts_at
            p.yaml:18:51: wrong_type: `starts_at` is Timestamp(µs, "UTC"), not text, a whole number, a date or true/false
            p.yaml:19:51: unknown_column: there is no column `boook`
              hint: did you mean `book`?"#]],
    );
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id] }\nsinks:\n  a: { from: t, kafka: { cluster: main, topic: x } }\n  \
         b: { from: t, kafka: { cluster: main, topic: x } }\n  \
         c: { from: trades, key: [trade, trade_id], kafka: { cluster: main, topic: y } }\n",
        expect![[r#"
            p.yaml:17:48: duplicate_name: the sink `a` writes this topic too
              hint: a topic holds the rows of one table: give each sink its own
            p.yaml:18:28: unknown_column: there is no column `trade`
              hint: there is: trade_id, version, deleted, entity, book, quantity, payment_date, starts_at, flows"#]],
    );
}

/// Keys by a schema, and headers as columns.
#[test]
fn keys_and_headers() {
    let source = |decode: &str| {
        format!(
            "  extra: {{ kafka: {{ cluster: main, topic: k }}, decode: {decode} }}\nstages:\n  s: {{ from: extra }}\n"
        )
    };
    finds_in(
        &source("{ key: { json: { schema: gone.json } }, value: text }"),
        expect![[r#"
            p.yaml:13:81: schema_unreadable: cannot read schema base/gone.json
              hint: paths are relative to the pipeline file"#]],
    );
    finds_in(
        &source(
            "{ key: { json: { schema: instrument.json } }, value: text, headers: { key_rate: r, _x: y } }",
        ),
        expect![[r#"
            p.yaml:13:48: duplicate_column: two columns would be named `key_rate`
              hint: a key's columns are named `key_<field>`, a header's as `headers` says
            p.yaml:13:139: reserved_name: a column cannot be named `_x`
              hint: names that begin with `_` are those of record metadata"#]],
    );
    finds_in(
        &source("{ key: texts, value: text, headers: [a] }"),
        expect![[r#"
            p.yaml:13:63: bad_value: `texts` is not one of text, nor a mapping
              hint: did you mean `text`?
            p.yaml:13:83: bad_type: expected a mapping, found a list"#]],
    );
}

/// The topic of the dead letters, and limits.
#[test]
fn dead_letters() {
    finds_in(
        "tables:\n  t: { from: trades, key: [trade_id] }\nsinks:\n  dead_letters: { from: t, kafka: { cluster: main, topic: x } }\n\
         dead_letters:\n  enabled: perhaps\n  kafka: { cluster: main, topic: x }\n  pipeline: { window_s: 60 }\n",
        expect![[r#"
            p.yaml:16:3: duplicate_name: the sink of the dead letters is called `dead_letters`, too
              hint: rename one of `sinks`
            p.yaml:18:12: bad_value: `perhaps` is neither true nor false
            p.yaml:19:34: duplicate_name: the sink `dead_letters` writes this topic, too
              hint: give the dead letters a topic of their own
            p.yaml:20:3: missing_key: a limit of the pipeline needs `percent_max` or `count_max`
              hint: such as `{ percent_max: 20, window_s: 600 }`"#]],
    );
    finds_in(
        "dead_letters:\n  kafka: { cluster: mian, topic: trades, encode: json }\n  each_source: { percent_max: 101, window: 5 }\n",
        expect![[r#"
            p.yaml:14:42: unknown_key: unknown key `encode`
              hint: there is: cluster, topic, delivery, properties
            p.yaml:15:31: bad_value: the value is greater than the maximum of 100
            p.yaml:15:36: unknown_key: unknown key `window`
              hint: did you mean `window_s`?"#]],
    );
    finds_in(
        "dead_letters:\n  kafka: { cluster: main, topic: trades }\n  pipeline: { count_max: many }\n",
        expect!["p.yaml:15:26: bad_type: expected an integer, found text"],
    );
    finds_in(
        "dead_letters: { kafka: { cluster: main, topic: trades } }\n",
        expect![[r#"
            p.yaml:13:48: duplicate_name: the source `trades` reads this topic
              hint: what is refused of it would be written to it again: give the dead letters a topic of their own"#]],
    );
    finds_in(
        "dead_letters: { kafka: { cluster: main, topic: d, properties: { ssl.truststore.location: x } } }\nstages:\n  \
         s: { from: trades }\n",
        expect![[r#"
            p.yaml:13:65: java_property: "ssl.truststore.location" is a property of the Java client (its value is "x")
              hint: librdkafka calls it "ssl.ca.location""#]],
    );
}
