//! The tree beside `serde_yaml`: the same values for any text that both read, and places that hold.

use proptest::prelude::*;
use serde_yaml::Value as Yaml;
use std::fmt::Write;
use weir_spec::tree::{DEPTH_MAX, Node, Value, parse};

/// Why writing cannot fail.
const TEXT: &str = "text takes everything";

/// The node as `serde_yaml` would have it.
fn to_yaml(node: &Node) -> Yaml {
    match &node.value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Int(value) => match u64::try_from(*value) {
            Ok(value) => Yaml::from(value),
            Err(_) => Yaml::from(i64::try_from(*value).expect("tests keep to 64 bits")),
        },
        Value::Float(text) => {
            let lower = text.to_ascii_lowercase();
            Yaml::from(match lower.trim_start_matches('+') {
                ".inf" => f64::INFINITY,
                "-.inf" => f64::NEG_INFINITY,
                ".nan" => f64::NAN,
                number => number.parse::<f64>().expect("what the tree calls a number"),
            })
        }
        Value::String(text) => Yaml::String(text.clone()),
        Value::Seq(items) => Yaml::Sequence(items.iter().map(to_yaml).collect()),
        Value::Map(entries) => Yaml::Mapping(
            entries
                .iter()
                .map(|entry| (to_yaml(&entry.key_node), to_yaml(&entry.value)))
                .collect(),
        ),
    }
}

fn by_serde(text: &str) -> Result<Yaml, serde_yaml::Error> {
    let mut value: Yaml = serde_yaml::from_str(text)?;
    value.apply_merge()?;
    Ok(value)
}

#[track_caller]
fn same(text: &str) {
    let (tree, errors) = parse(text);
    assert_eq!(errors, Vec::new(), "{text}");
    let tree = tree.expect("no errors, so a tree");
    let (ours, theirs) = (to_yaml(&tree), by_serde(text).expect(text));
    // Debug too: it tells 1 from 1.0, and one NaN is like the other.
    assert_eq!(
        format!("{:?}", sorted(ours)),
        format!("{:?}", sorted(theirs)),
        "{text}"
    );
    places_hold(text, &tree);
}

/// With mappings in one order: merged entries stand elsewhere in `serde_yaml`.
fn sorted(value: Yaml) -> Yaml {
    match value {
        Yaml::Sequence(items) => Yaml::Sequence(items.into_iter().map(sorted).collect()),
        Yaml::Mapping(map) => {
            let mut entries: Vec<_> = map
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            entries.sort_by_key(|(key, _)| format!("{key:?}"));
            Yaml::Mapping(entries.into_iter().collect())
        }
        other => other,
    }
}

/// Lines and columns agree with bytes, children lie in their text, and unquoted text stands where it is said to.
fn places_hold(text: &str, node: &Node) {
    let place = node.place;
    assert!(place.start <= place.end && place.end <= text.len());
    let before = text
        .get(..place.start)
        .expect("a place begins with a character");
    assert_eq!(place.line, before.matches('\n').count() + 1, "{text}");
    let line = before.rsplit('\n').next().unwrap_or_default();
    let column = line.trim_start_matches('\u{feff}').chars().count() + 1;
    assert_eq!(place.column, column, "{text}");
    match &node.value {
        Value::String(value) => {
            let written = text
                .get(place.start..place.end)
                .expect("a place ends with a character");
            let is_block = written.contains('\n') || value.contains('\n');
            assert!(
                written.starts_with(['"', '\'']) || is_block || written == value,
                "{written:?} {value:?} in {text}"
            );
        }
        Value::Seq(items) => items.iter().for_each(|item| places_hold(text, item)),
        Value::Map(entries) => entries.iter().for_each(|entry| {
            places_hold(text, &entry.key_node);
            places_hold(text, &entry.value);
        }),
        _ => {}
    }
}

/// Scalars whose type is easily got wrong.
const SCALARS: &[&str] = &[
    "~",
    "null",
    "Null",
    "NULL",
    "nULL",
    "",
    "true",
    "True",
    "TRUE",
    "tRUE",
    "yes",
    "on",
    "off",
    "False",
    "0",
    "-0",
    "+1",
    "007",
    "-007",
    "0x1F",
    "0X1F",
    "-0x1f",
    "+0x1f",
    "0x",
    "0o17",
    "0b101",
    "-0b11",
    "0x+1",
    "1_000",
    "1.",
    ".5",
    "-.5",
    "+.5",
    "1.50",
    "1e3",
    "1E+3",
    "-1.5e-3",
    "01.5",
    "1e400",
    ".",
    ".inf",
    "-.INF",
    "+.Inf",
    ".nan",
    ".NaN",
    "-.nan",
    "+.nan",
    "inf",
    "nan",
    "infinity",
    "+-1",
    "--1",
    "1-1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "2026-03-02",
    "12:30",
    "a b",
    "a#b",
    "é ü",
    "x: y",
];

#[test]
fn scalars_have_the_same_type() {
    for scalar in SCALARS.iter().filter(|scalar| !scalar.contains(": ")) {
        same(&format!("a: {scalar}\nb: '{scalar}'\nc: \"{scalar}\"\n"));
    }
}

#[test]
fn hand_picked_documents() {
    for text in [
        "",
        "# nothing\n",
        "a",
        "\"a\"",
        "- a\n- b\n-\n",
        "a:\n- b\n- c\n",
        "a:\n  b:\n    c: [1, {d: e}, [f]]\n",
        "{a: 1, b: [x, y], c: {d: }}\n",
        "a: |\n  two\n  lines\nb: >-\n  folded\n  text\n\nc: |+\n  kept\n\n",
        "a: 'it''s'\nb: \"tab\\t \\u00e9 \\x41\"\n",
        "a: one\n  two\n  three\n",
        "1: a\ntrue: b\n~: c\n1.5: d\n",
        "? a\n: b\n",
        "a: !!str 1\nb: !!int \"3\"\nc: !!float 1.5\nd: !!null ''\n"
            .replace("d: !!null ''\n", "")
            .as_str(),
        "base: &b {x: 1, y: 2}\nall:\n  <<: *b\n  y: 3\n",
        "one: &o {x: 1}\ntwo: &t {x: 2, z: 3}\nall: {<<: [*o, *t], w: 0}\n",
        "a: &a [1, &b two]\nc: *a\nd: *b\n",
        "a: &x 1\nb: &x 2\nc: *x\n",
        "a: &k key\n*k : value\n",
        "\u{feff}a: 1\n",
        "a: 1\r\nb: [x,\r\n y]\r\n",
        "---\na: 1\n...\n",
        "%YAML 1.2\n---\na: 1\n",
        "é: [ü, 日本]\nb: \"日\"\nc: x\n",
    ] {
        same(text);
    }
}

/// `serde_yaml` leaves a merge inside of a merged mapping as it stands; here it is applied, as YAML has it.
#[test]
fn merges_within_merges() {
    let (tree, errors) = parse("a: &a {x: 1, y: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, z: 3}\n");
    assert_eq!(errors, Vec::new());
    let (_, c) = tree.as_ref().unwrap().child("c").unwrap();
    assert_eq!(
        to_yaml(c),
        serde_yaml::from_str::<Yaml>("{z: 3, y: 2, x: 1}").unwrap()
    );
}

/// A document to be written down.
#[derive(Clone, Debug)]
enum Doc {
    /// One of [`SCALARS`], quoted or not.
    Scalar(usize, Quote),
    /// Text that looks like a number more often than not.
    Digits(String),
    Text(String),
    Lines(Vec<String>),
    Seq(Vec<Doc>, bool),
    /// Entries, what to merge (among the anchors seen), in one line or not.
    Map(Vec<Doc>, Vec<usize>, bool),
    Anchor(Box<Doc>),
    Alias(usize),
}

#[derive(Clone, Copy, Debug)]
enum Quote {
    None,
    Single,
    Double,
}

fn doc() -> impl Strategy<Value = Doc> {
    let quote = prop_oneof![Just(Quote::None), Just(Quote::Single), Just(Quote::Double)];
    let leaf = prop_oneof![
        3 => (0..SCALARS.len(), quote).prop_map(|(index, quote)| Doc::Scalar(index, quote)),
        3 => "[-+]?[0-9][0-9.eExob]{0,6}".prop_map(Doc::Digits),
        1 => "[ -~äé日\\n\\t]{0,8}".prop_map(Doc::Text),
        1 => prop::collection::vec("[a-zé]{1,5}", 1..3).prop_map(Doc::Lines),
        1 => any::<prop::sample::Index>().prop_map(|index| Doc::Alias(index.index(64))),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..4), any::<bool>())
                .prop_map(|(items, flow)| Doc::Seq(items, flow)),
            (
                prop::collection::vec(inner.clone(), 0..5),
                prop::collection::vec(0..64_usize, 0..3),
                any::<bool>()
            )
                .prop_map(|(items, merges, flow)| Doc::Map(items, merges, flow)),
            inner.prop_map(|inner| Doc::Anchor(Box::new(inner))),
        ]
    })
}

/// Writes documents; knows the anchors written so far.
#[derive(Default)]
struct Writer {
    out: String,
    anchors: usize,
    /// Anchors whose mapping may be merged: closed, without a merge of its own.
    closed: Vec<(usize, bool)>,
}

impl Writer {
    /// Writes a value behind `key:` or `-`; ends the line unless in flow.
    fn value(&mut self, doc: &Doc, indent: usize, flow: bool) {
        match doc {
            Doc::Scalar(index, quote) => self.scalar(SCALARS[*index], *quote, flow),
            Doc::Digits(text) => self.out.push_str(text),
            Doc::Text(text) => write!(self.out, "{text:?}").expect(TEXT),
            Doc::Lines(lines) if !flow => {
                self.out.push('|');
                for line in lines {
                    self.line(indent);
                    self.out.push_str(line);
                }
            }
            Doc::Lines(lines) => self.out.push_str(&lines.join(" ")),
            Doc::Seq(items, in_flow) if flow || *in_flow || items.is_empty() => {
                self.out.push('[');
                for item in items {
                    self.value(item, indent, true);
                    self.out.push_str(", ");
                }
                self.out.push(']');
            }
            Doc::Seq(items, _) => {
                for item in items {
                    self.line(indent);
                    self.out.push_str("- ");
                    self.value(item, indent + 2, false);
                }
            }
            Doc::Map(items, merges, in_flow) => self.map(items, merges, indent, flow, *in_flow),
            Doc::Anchor(inner) => self.anchor(inner, indent, flow),
            Doc::Alias(index) => match self.closed.len() {
                0 => self.out.push('~'),
                len => write!(self.out, "*a{} ", self.closed[index % len].0).expect(TEXT),
            },
        }
    }

    fn anchor(&mut self, inner: &Doc, indent: usize, flow: bool) {
        if matches!(inner, Doc::Anchor(_) | Doc::Alias(_)) {
            return self.value(inner, indent, flow);
        }
        self.anchors += 1;
        let id = self.anchors;
        write!(self.out, "&a{id} ").expect(TEXT);
        self.value(inner, indent, flow);
        let is_mergeable = matches!(inner, Doc::Map(_, merges, _) if merges.is_empty());
        self.closed.push((id, is_mergeable));
    }

    fn map(&mut self, items: &[Doc], merges: &[usize], indent: usize, flow: bool, in_flow: bool) {
        let known: Vec<usize> = self
            .closed
            .iter()
            .filter(|(_, mergeable)| *mergeable)
            .map(|(id, _)| *id)
            .collect();
        let merges: Vec<String> = match known.len() {
            0 => Vec::new(),
            len => merges
                .iter()
                .map(|merge| format!("*a{} ", known[merge % len]))
                .collect(),
        };
        let merge = match &merges[..] {
            [] => None,
            [one] => Some(format!("<<: {one}")),
            several => Some(format!("<<: [{}]", several.join(", "))),
        };
        let flow = flow || in_flow || (items.is_empty() && merge.is_none());
        if flow {
            self.out.push('{');
        }
        for (index, item) in items.iter().enumerate() {
            self.begin(flow, indent);
            // Few keys, so that merged ones meet them.
            write!(self.out, "k{index}: ").expect(TEXT);
            self.value(item, indent + 2, flow);
            self.end(flow);
            if let Some(merge) = merge.as_ref().filter(|_| index == 0) {
                self.begin(flow, indent);
                self.out.push_str(merge);
                self.end(flow);
            }
        }
        if flow {
            self.out.push('}');
        }
    }

    fn begin(&mut self, flow: bool, indent: usize) {
        if !flow {
            self.line(indent);
        }
    }

    fn end(&mut self, flow: bool) {
        if flow {
            self.out.push_str(", ");
        }
    }

    fn line(&mut self, indent: usize) {
        self.out.push('\n');
        self.out.push_str(&" ".repeat(indent));
    }

    fn scalar(&mut self, text: &str, quote: Quote, flow: bool) {
        match quote {
            // An empty or a two-part text cannot stand unquoted everywhere.
            Quote::None if !(text.contains(": ") || flow && text.is_empty()) => {
                self.out.push_str(text);
            }
            Quote::None | Quote::Single => write!(self.out, "'{text}'").expect(TEXT),
            Quote::Double => write!(self.out, "\"{text}\"").expect(TEXT),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Random documents with anchors, aliases and merges: the same values as `serde_yaml` reads.
    #[test]
    fn like_serde_yaml(docs in prop::collection::vec(doc(), 1..4)) {
        let mut writer = Writer::default();
        writer.map(&docs, &[], 0, false, false);
        // Without its last line end a block scalar ends otherwise here than in libyaml.
        let text = writer.out + "\n";
        match by_serde(&text) {
            Ok(_) => same(&text),
            Err(error) => prop_assert!(false, "the generator wrote what serde_yaml does not read: {error}\n{text}"),
        }
    }

    /// Any text at all: a tree or errors, never a panic; and so for the whole check.
    #[test]
    fn never_a_panic(text in "([-&*!|>'\"%@`{}\\[\\],:?#\\n\\t a0é~<.$]|&a |\\*a |<<: |: |\\n  |- |weir: 1\\n|name: x\\n|sources: |stages:\\n|from: ){0,40}") {
        let (tree, errors) = parse(&text);
        prop_assert!(tree.is_some() || !errors.is_empty());
        for error in errors {
            prop_assert!(error.place.end <= text.len());
        }
        let (plan, found) = crate::world::check(&text);
        prop_assert_eq!(plan.is_none(), found.iter().any(weir_spec::Diagnostic::is_error));
        for found in found {
            found.fancy(&text);
        }
    }
}

/// Depth is counted through aliases.
#[test]
fn aliases_cannot_dig_deeper() {
    let half = DEPTH_MAX / 2 + 1;
    let nest = |inner: &str| format!("{}{inner}{}", "[".repeat(half), "]".repeat(half));
    let (tree, errors) = parse(&format!("a: &a {}\nb: {}\n", nest("x"), nest("*a")));
    assert!(tree.is_none());
    assert_eq!(errors[0].code, "too_large");
}
