//! YAML text to a tree whose every node knows its place.
//!
//! Aliases are expanded and merge keys (`<<`) applied; scalars are typed as `serde_yaml` types them (YAML 1.2
//! core schema). Depth and expanded size are bounded, whatever the text says.

use crate::codes;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use std::collections::BTreeMap;

/// Deepest nesting. A pipeline needs about ten.
pub const DEPTH_MAX: usize = 64;

/// Most that the tree may weigh once aliases are expanded: a node's text in bytes plus [`NODE_BYTES`]. A pipeline
/// of a thousand lines weighs about half a megabyte.
pub const EXPANDED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a node counts beside its text.
const NODE_BYTES: usize = 64;

/// A stretch of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// First byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
}

/// One value with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it stands (for an aliased node: where it is defined).
    pub place: Place,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A number with a fraction or exponent as it is written, `.inf` and `.nan` too: never through a float.
    Float(String),
    /// Text.
    String(String),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping in the file's order, merged entries last.
    Map(Vec<Entry>),
}

/// One entry of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key as written, without quotes.
    pub key: String,
    /// The key's place and type.
    pub key_node: Node,
    /// The value.
    pub value: Node,
}

/// Why the text is no tree, or not a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeError {
    /// Where.
    pub place: Place,
    /// A code of [`codes`].
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would mend it.
    pub hint: Option<String>,
}

/// Keys and indexes from the root to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct At(Vec<String>);

impl At {
    /// This key or index below.
    #[must_use]
    pub fn to<T: ToString + ?Sized>(&self, part: &T) -> Self {
        let mut parts = self.0.clone();
        parts.push(part.to_string());
        Self(parts)
    }

    /// The path of these keys from the root.
    pub fn of(parts: &[&str]) -> Self {
        Self(parts.iter().map(ToString::to_string).collect())
    }

    /// The path without its last part.
    #[must_use]
    pub fn parent(&self) -> Self {
        Self(
            self.0
                .split_last()
                .map_or_else(Vec::new, |(_, parents)| parents.to_vec()),
        )
    }

    /// The keys and indexes.
    pub fn parts(&self) -> &[String] {
        &self.0
    }
}

impl Node {
    /// The value under this key (of a mapping), at this index (of a sequence), or, for a mapping without such a
    /// key, in this position.
    pub fn child(&self, part: &str) -> Option<(Option<&Node>, &Node)> {
        let index = || part.parse::<usize>().ok();
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.key == part)
                .or_else(|| entries.get(index()?))
                .map(|entry| (Some(&entry.key_node), &entry.value)),
            Value::Seq(items) => items.get(index()?).map(|item| (None, item)),
            _ => None,
        }
    }

    /// The place of the value at `at`, or of the last of its parents that is there. Of a mapping, a sequence and
    /// nothing at all it is the key's.
    pub fn place_at(&self, at: &At) -> &Place {
        let (key, node) = self.descend(at);
        match (&node.value, key) {
            (Value::Map(_) | Value::Seq(_) | Value::Null, Some(key)) => &key.place,
            _ => &node.place,
        }
    }

    /// The place of the key at `at`, or of the last of its parents that is there.
    pub fn key_place_at(&self, at: &At) -> &Place {
        let (key, node) = self.descend(at);
        &key.unwrap_or(node).place
    }

    fn descend(&self, at: &At) -> (Option<&Node>, &Node) {
        let mut here = (None, self);
        for part in at.parts() {
            match here.1.child(part) {
                Some(found) => here = found,
                None => break,
            }
        }
        here
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a number",
            Value::String(_) => "text",
            Value::Seq(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// The same as JSON; numbers keep their digits. What JSON has no number for
    /// (`.inf`, `.nan`) is text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => {
                serde_json::Number::from_i128(*value).map_or(Json::Null, Json::Number)
            }
            Value::Float(text) => {
                json_number(text).map_or_else(|| Json::String(text.clone()), Json::Number)
            }
            Value::String(text) => Json::String(text.clone()),
            Value::Seq(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect(),
            ),
        }
    }

    /// Calls `visit` on every text that is a value (not a key).
    pub(crate) fn for_each_string(&mut self, visit: &mut dyn FnMut(&Place, &mut String)) {
        match &mut self.value {
            Value::String(text) => visit(&self.place, text),
            Value::Seq(items) => items
                .iter_mut()
                .for_each(|item| item.for_each_string(visit)),
            Value::Map(entries) => entries
                .iter_mut()
                .for_each(|entry| entry.value.for_each_string(visit)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {}
        }
    }

    /// Calls `visit` on every key.
    pub(crate) fn for_each_key(&self, visit: &mut dyn FnMut(&Place, &str)) {
        match &self.value {
            Value::Seq(items) => items.iter().for_each(|item| item.for_each_key(visit)),
            Value::Map(entries) => {
                for entry in entries {
                    visit(&entry.key_node.place, &entry.key);
                    entry.value.for_each_key(visit);
                }
            }
            _ => {}
        }
    }

    /// What it weighs, and how deep it is.
    fn measure(&self) -> (usize, usize) {
        let children: Vec<&Node> = match &self.value {
            Value::Seq(items) => items.iter().collect(),
            Value::Map(entries) => entries
                .iter()
                .flat_map(|entry| [&entry.key_node, &entry.value])
                .collect(),
            Value::String(text) | Value::Float(text) => return (NODE_BYTES + text.len(), 1),
            Value::Null | Value::Bool(_) | Value::Int(_) => return (NODE_BYTES, 1),
        };
        children
            .into_iter()
            .map(Node::measure)
            .fold((NODE_BYTES, 1), |(weight, depth), (w, d)| {
                (weight + w, depth.max(d + 1))
            })
    }
}

/// What most likely helps against what the parser says.
fn cure(message: &str) -> Option<String> {
    let cures = [
        ("tab", "indent with spaces"),
        (
            "unknown anchor",
            "`*name` repeats what an earlier `&name` marks",
        ),
        (
            "flow mapping",
            "a `{` without its `}`, or text with `,` or `: ` in it that needs quotes",
        ),
        (
            "flow sequence",
            "a `[` without its `]`, or text with `,` in it that needs quotes",
        ),
        ("block mapping", "entries of one mapping are indented alike"),
        ("block collection", "entries of one list are indented alike"),
        ("mapping values", "text with `: ` in it stands in quotes"),
    ];
    let found = cures.iter().find(|(words, _)| message.contains(words));
    found.map(|(_, cure)| (*cure).to_owned())
}

/// Parses one document. Errors that leave a sensible tree (a key twice, an unknown tag) come with the tree.
pub fn parse(text: &str) -> (Option<Node>, Vec<TreeError>) {
    let mut builder = Builder::new(text);
    let mut parser = Parser::new_from_str(text);
    loop {
        let step = match parser.next_event() {
            Some(Ok((Event::StreamEnd, _))) | None => break,
            Some(Ok((event, span))) => builder.event(event, span),
            Some(Err(error)) => {
                let place = builder.place(Span::empty(*error.marker()));
                Err(TreeError {
                    place,
                    code: codes::YAML,
                    message: error.info().to_owned(),
                    hint: cure(error.info()),
                })
            }
        };
        if let Err(fatal) = step {
            builder.errors.push(fatal);
            return (None, builder.errors);
        }
    }
    let nothing = Node {
        place: Place {
            start: 0,
            end: 0,
            line: 1,
            column: 1,
        },
        value: Value::Null,
    };
    (Some(builder.root.unwrap_or(nothing)), builder.errors)
}

/// A collection that is not closed yet.
struct Frame {
    anchor: usize,
    place: Place,
    is_map: bool,
    /// Of a map: keys and values in turn.
    nodes: Vec<Node>,
}

struct Builder<'t> {
    text: &'t str,
    /// The byte at which each character begins; empty for ASCII text, where they are the same.
    bytes: Vec<usize>,
    stack: Vec<Frame>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    weight: usize,
    errors: Vec<TreeError>,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| at).collect()
        };
        Self {
            text,
            bytes,
            stack: Vec::new(),
            anchors: BTreeMap::new(),
            root: None,
            weight: 0,
            errors: Vec::new(),
        }
    }

    fn byte(&self, marker: Marker) -> usize {
        let byte = if self.bytes.is_empty() {
            Some(marker.index())
        } else {
            self.bytes.get(marker.index()).copied()
        };
        byte.unwrap_or(self.text.len()).min(self.text.len())
    }

    fn place(&self, span: Span) -> Place {
        let (start, end) = (self.byte(span.start), self.byte(span.end));
        Place {
            start,
            end: end.max(start),
            line: span.start.line(),
            column: span.start.col() + 1,
        }
    }

    /// The place of the value itself, behind its anchor and tag.
    fn without_properties(&self, place: Place, has_properties: bool) -> Place {
        let mut here = place;
        let mut rest = if has_properties {
            self.text.get(place.start..).unwrap_or_default()
        } else {
            ""
        };
        while let Some(next) = rest.chars().next() {
            let skipped = match next {
                '&' | '!' => rest.find(char::is_whitespace).unwrap_or(rest.len()),
                '#' => rest.find('\n').unwrap_or(rest.len()),
                _ if next.is_whitespace() => next.len_utf8(),
                _ => break,
            };
            let (text, after) = rest.split_at(skipped);
            here.start += skipped;
            for c in text.chars() {
                (here.line, here.column) = if c == '\n' {
                    (here.line + 1, 1)
                } else {
                    (here.line, here.column + 1)
                };
            }
            rest = after;
        }
        // Behind the properties of nothing at all stands something else.
        if here.start > place.end { place } else { here }
    }

    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), TreeError> {
        let place = self.place(span);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => match self.root {
                None => Ok(()),
                Some(_) => Err(TreeError {
                    place,
                    code: codes::SEVERAL_DOCUMENTS,
                    message: "a second YAML document begins here".to_owned(),
                    hint: Some("one pipeline is one document: remove the `---`".to_owned()),
                }),
            },
            Event::Alias(id) => self.alias(id, place),
            Event::Scalar(text, style, anchor, tag) => {
                let place = self.without_properties(place, anchor != 0 || tag.is_some());
                let value = self.scalar(&text, style, tag.as_deref(), &place);
                self.add(anchor, Node { place, value })
            }
            Event::SequenceStart(anchor, tag) => self.open(anchor, tag.as_deref(), place, false),
            Event::MappingStart(anchor, tag) => self.open(anchor, tag.as_deref(), place, true),
            Event::SequenceEnd | Event::MappingEnd => {
                self.close(place);
                self.check_size(place, 0)
            }
        }
    }

    fn alias(&mut self, id: usize, place: Place) -> Result<(), TreeError> {
        let Some(node) = self.anchors.get(&id).cloned() else {
            let message = "an alias inside of its own anchor".to_owned();
            return Err(TreeError {
                place,
                code: codes::YAML,
                message,
                hint: None,
            });
        };
        let (weight, depth) = node.measure();
        self.weight += weight;
        self.check_size(place, depth)?;
        self.push(node);
        Ok(())
    }

    fn open(
        &mut self,
        anchor: usize,
        tag: Option<&Tag>,
        place: Place,
        is_map: bool,
    ) -> Result<(), TreeError> {
        let own = if is_map { "map" } else { "seq" };
        if let Some(tag) = tag
            .filter(|tag| !is_untyped(tag))
            .filter(|tag| !tag.is_yaml_core_schema() || tag.suffix != own)
        {
            self.unknown_tag(tag, place);
        }
        let place = self.without_properties(place, anchor != 0 || tag.is_some());
        self.stack.push(Frame {
            anchor,
            place,
            is_map,
            nodes: Vec::new(),
        });
        self.weight += NODE_BYTES;
        self.check_size(place, 0)
    }

    fn close(&mut self, place: Place) {
        let frame = self.stack.pop().expect("the parser closes what it opened");
        let is_flow = self
            .text
            .as_bytes()
            .get(frame.place.start)
            .is_some_and(|byte| matches!(byte, b'{' | b'['));
        let end = match frame.nodes.last() {
            Some(last) if !is_flow => last.place.end,
            _ => place.end,
        };
        let place = Place {
            end: end.max(frame.place.start),
            ..frame.place
        };
        let value = if frame.is_map {
            Value::Map(self.entries(frame.nodes))
        } else {
            Value::Seq(frame.nodes)
        };
        self.keep(frame.anchor, Node { place, value });
    }

    /// A scalar.
    fn add(&mut self, anchor: usize, node: Node) -> Result<(), TreeError> {
        let (weight, depth) = node.measure();
        self.weight += weight;
        self.check_size(node.place, depth)?;
        self.keep(anchor, node);
        Ok(())
    }

    fn keep(&mut self, anchor: usize, node: Node) {
        if anchor != 0 {
            self.weight += node.measure().0;
            self.anchors.insert(anchor, node.clone());
        }
        self.push(node);
    }

    fn push(&mut self, node: Node) {
        match self.stack.last_mut() {
            Some(frame) => frame.nodes.push(node),
            None => self.root = Some(node),
        }
    }

    fn check_size(&self, place: Place, depth: usize) -> Result<(), TreeError> {
        let message = if self.stack.len() + depth > DEPTH_MAX {
            format!("nested more than {DEPTH_MAX} levels deep")
        } else if self.weight > EXPANDED_BYTES_MAX {
            format!(
                "more than {} MiB with aliases expanded",
                EXPANDED_BYTES_MAX >> 20
            )
        } else {
            return Ok(());
        };
        Err(TreeError {
            place,
            code: codes::TOO_LARGE,
            message,
            hint: None,
        })
    }

    /// Keys and values in turn to entries: each key once, merged entries behind the mapping's own.
    fn entries(&mut self, nodes: Vec<Node>) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::with_capacity(nodes.len() / 2);
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        let mut merge = None;
        let mut nodes = nodes.into_iter();
        while let (Some(key_node), Some(value)) = (nodes.next(), nodes.next()) {
            let Some(key) = key_text(&key_node) else {
                self.error(
                    key_node.place,
                    codes::BAD_TYPE,
                    format!("a key must be text, this is {}", key_node.kind()),
                );
                continue;
            };
            if let Some(line) = first.get(&key) {
                self.error(
                    key_node.place,
                    codes::DUPLICATE_KEY,
                    format!("`{key}` stands here twice, first in line {line}"),
                );
                continue;
            }
            first.insert(key.clone(), key_node.place.line);
            if key == "<<" && matches!(key_node.value, Value::String(_)) {
                merge = Some(value);
            } else {
                entries.push(Entry {
                    key,
                    key_node,
                    value,
                });
            }
        }
        if let Some(merge) = merge {
            self.merge(merge, &mut entries, &mut first);
        }
        entries
    }

    fn merge(&mut self, from: Node, into: &mut Vec<Entry>, known: &mut BTreeMap<String, usize>) {
        match from.value {
            Value::Map(entries) => {
                for entry in entries {
                    if known
                        .insert(entry.key.clone(), entry.key_node.place.line)
                        .is_none()
                    {
                        into.push(entry);
                    }
                }
            }
            Value::Seq(items) if items.iter().all(|item| matches!(item.value, Value::Map(_))) => {
                for item in items {
                    self.merge(item, into, known);
                }
            }
            _ => self.error(
                from.place,
                codes::BAD_TYPE,
                "`<<` takes a mapping or a list of mappings".to_owned(),
            ),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: &Place,
    ) -> Value {
        let typed = match tag {
            None if style == ScalarStyle::Plain => Some(core_schema(text)),
            None => None,
            Some(tag) if is_untyped(tag) => None,
            Some(tag) => self.tagged(text, tag, place),
        };
        typed.unwrap_or_else(|| Value::String(text.to_owned()))
    }

    fn tagged(&mut self, text: &str, tag: &Tag, place: &Place) -> Option<Value> {
        if !tag.is_yaml_core_schema() {
            self.unknown_tag(tag, *place);
            return None;
        }
        let typed = core_schema(text);
        let fits = match (tag.suffix.as_str(), &typed) {
            ("str", _) => return None,
            ("null", Value::Null) | ("bool", Value::Bool(_)) | ("int", Value::Int(_)) => true,
            ("float", Value::Float(_)) => true,
            ("float", Value::Int(_)) => return Some(Value::Float(text.to_owned())),
            ("null" | "bool" | "int" | "float", _) => false,
            _ => {
                self.unknown_tag(tag, *place);
                return None;
            }
        };
        if !fits {
            self.error(
                *place,
                codes::BAD_TYPE,
                format!("this is no `!!{}`", tag.suffix),
            );
        }
        Some(typed)
    }

    fn unknown_tag(&mut self, tag: &Tag, place: Place) {
        self.error(
            place,
            codes::UNKNOWN_TAG,
            format!("the tag `{tag}` has no meaning here"),
        );
    }

    fn error(&mut self, place: Place, code: &'static str, message: String) {
        self.errors.push(TreeError {
            place,
            code,
            message,
            hint: None,
        });
    }
}

/// `!` alone: text or collection, untyped.
fn is_untyped(tag: &Tag) -> bool {
    tag.suffix.is_empty() || (tag.handle.is_empty() && tag.suffix == "!")
}

/// A scalar key as text.
fn key_text(key: &Node) -> Option<String> {
    match &key.value {
        Value::String(text) | Value::Float(text) => Some(text.clone()),
        Value::Null => Some("null".to_owned()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Seq(_) | Value::Map(_) => None,
    }
}

/// The type of an unquoted scalar.
fn core_schema(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Some(value) = core_int(text) {
        Value::Int(value)
    } else if is_float(text) {
        Value::Float(text.to_owned())
    } else {
        Value::String(text.to_owned())
    }
}

fn core_int(text: &str) -> Option<i128> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = digits.strip_prefix(prefix) {
            return unsigned(digits, radix).map(|value| sign * value);
        }
    }
    if has_leading_zero(digits) {
        return None;
    }
    unsigned(digits, 10).map(|value| sign * value)
}

fn unsigned(digits: &str, radix: u32) -> Option<i128> {
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok()
}

/// `007` is text, says YAML 1.2.
fn has_leading_zero(digits: &str) -> bool {
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => true,
        ".nan" | ".NaN" | ".NAN" => unsigned == text,
        _ => {
            // The parse says only whether it is a number; the digits are kept.
            !unsigned.starts_with(['+', '-'])
                && !has_leading_zero(unsigned)
                && unsigned.parse::<f64>().is_ok_and(f64::is_finite)
        }
    }
}

/// `.5`, `+1.` and `01.5` as JSON writes them; `None` for `.inf` and `.nan`.
fn json_number(text: &str) -> Option<serde_json::Number> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match rest.find(['e', 'E']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    format!("{sign}{whole}.{fraction}{exponent}").parse().ok()
}
