//! A JSON Schema as columns: what it means for a record's fields, decided once.

use crate::error::CodecError;
use arrow::datatypes::{DataType, Field, Fields};
use hashbrown::HashMap;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Value};
use std::sync::Arc;
use weir_zset::meta;

/// Deepest `$ref` and `properties` nesting of a schema; a schema that refers to itself ends here.
const SCHEMA_DEPTH_MAX: usize = 32;

/// An object's fields.
pub(super) struct Record {
    /// In the schema's order.
    pub(super) members: Vec<Member>,
    /// Index of each name.
    pub(super) index: HashMap<Box<[u8]>, u16>,
    /// Whether other names are refused.
    pub(super) is_closed: bool,
}

/// A field, or a list's items.
pub(super) struct Member {
    /// Its name.
    pub(super) name: String,
    /// Its name as it is mostly written.
    pub(super) spelled: Spelled,
    /// What its values are.
    pub(super) kind: Kind,
    /// The name must be there.
    pub(super) is_required: bool,
    /// The value may be null.
    pub(super) is_nullable: bool,
    /// What else a text must satisfy.
    pub(super) check: Option<Validator>,
}

/// A name in quotes and its colon, to be compared eight bytes at a time.
pub(super) struct Spelled {
    bytes: Box<[u8]>,
    /// Eight bytes, and which of them count.
    words: Box<[(u64, u64)]>,
}

impl Spelled {
    fn new(name: &str) -> Self {
        let bytes = format!("\"{name}\":").into_bytes();
        let word = |chunk: &[u8]| {
            let (mut value, mut mask) = ([0; 8], [0; 8]);
            value[..chunk.len()].copy_from_slice(chunk);
            mask[..chunk.len()].fill(0xFF);
            (u64::from_le_bytes(value), u64::from_le_bytes(mask))
        };
        let words = bytes.chunks(8).map(word).collect();
        Self {
            bytes: bytes.into(),
            words,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether a text begins so.
    #[inline]
    pub(super) fn begins(&self, text: &[u8]) -> bool {
        let mut rest = text;
        for (value, mask) in &self.words {
            let Some((chunk, after)) = rest.split_first_chunk::<8>() else {
                return text.starts_with(&self.bytes);
            };
            if (u64::from_le_bytes(*chunk) ^ value) & mask != 0 {
                return false;
            }
            rest = after;
        }
        true
    }
}

/// What a value is.
pub(super) enum Kind {
    Text,
    /// Any of several scalar types, kept as it was written.
    Literal(Scalars),
    Int,
    Bool,
    Decimal {
        precision: u8,
        scale: i8,
    },
    Date,
    Instant,
    Struct(Record),
    List(Box<Member>),
}

/// Scalar types that a [`Kind::Literal`] takes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a set of types, as the schema writes it"
)]
pub(super) struct Scalars {
    pub(super) text: bool,
    pub(super) number: bool,
    pub(super) integer: bool,
    pub(super) boolean: bool,
}

impl Record {
    /// The Arrow fields; all nullable where a whole row may be null.
    pub(super) fn fields(&self, all_nullable: bool) -> Fields {
        let field = |member: &Member| {
            let is_nullable = all_nullable || !member.is_required || member.is_nullable;
            Field::new(&member.name, member.data_type(), is_nullable)
        };
        self.members.iter().map(field).collect()
    }
}

impl Member {
    fn data_type(&self) -> DataType {
        match &self.kind {
            Kind::Text | Kind::Literal(_) => DataType::Utf8,
            Kind::Int => DataType::Int64,
            Kind::Bool => DataType::Boolean,
            Kind::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Kind::Date => DataType::Date32,
            Kind::Instant => meta::instant_type(),
            Kind::Struct(record) => DataType::Struct(record.fields(false)),
            Kind::List(item) => DataType::List(Arc::new(Field::new_list_field(
                item.data_type(),
                item.is_nullable,
            ))),
        }
    }
}

/// Reads a schema's text; its top must be an object with properties.
pub(super) fn compile(text: &str) -> Result<Record, CodecError> {
    let root: Value =
        serde_json::from_str(text).map_err(|error| CodecError::Unreadable(error.to_string()))?;
    let top = Place {
        root: &root,
        path: Vec::new(),
        depth: 0,
    }
    .member(&root, true)?;
    match top.kind {
        Kind::Struct(record) => Ok(record),
        _ => Err(CodecError::unsupported(
            "top",
            "is no object",
            Some("a record's schema is `type: object` with `properties`"),
        )),
    }
}

/// Keywords that say nothing about which values are good.
const ANNOTATIONS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "$defs",
    "definitions",
    "$anchor",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
];
/// Keywords that are compiled.
const COMPILED: &[&str] = &[
    "type",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "x-decimal",
    "x-type",
];
/// Keywords that are checked by `jsonschema`, on text.
const CHECKED: &[&str] = &["enum", "const", "pattern", "minLength", "maxLength"];

/// Where in a schema the compiler is.
struct Place<'a> {
    root: &'a Value,
    path: Vec<&'a str>,
    depth: usize,
}

impl<'a> Place<'a> {
    fn inner(&self, name: &'a str) -> Self {
        let mut path = self.path.clone();
        path.push(name);
        Self {
            root: self.root,
            path,
            depth: self.depth + 1,
        }
    }

    fn error(&self, what: impl Into<String>, hint: Option<&str>) -> CodecError {
        let place = if self.path.is_empty() {
            "top".to_owned()
        } else {
            self.path.join(".")
        };
        CodecError::unsupported(&place, what, hint)
    }

    fn member(&self, schema: &'a Value, is_required: bool) -> Result<Member, CodecError> {
        if self.depth > SCHEMA_DEPTH_MAX {
            return Err(self.error("refers to itself or nests too deep", None));
        }
        let schema = self.resolved(schema)?;
        self.known_keywords(schema)?;
        let (types, is_nullable) = self.types(schema)?;
        let kind = self.kind(schema, &types)?;
        let check = self.check(schema, &kind)?;
        let name = self.path.last().copied().unwrap_or_default().to_owned();
        Ok(Member {
            spelled: Spelled::new(&name),
            name,
            kind,
            is_required,
            is_nullable,
            check,
        })
    }

    /// The schema itself, or what its `$ref` points to in the same file.
    fn resolved(&self, schema: &'a Value) -> Result<&'a Map<String, Value>, CodecError> {
        let mut schema = schema;
        for _ in 0..SCHEMA_DEPTH_MAX {
            let Value::Object(map) = schema else {
                return Err(self.error("is no schema object", None));
            };
            let Some(reference) = map.get("$ref") else {
                return Ok(map);
            };
            let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
            let target = pointer.and_then(|pointer| self.root.pointer(pointer));
            schema = target.ok_or_else(|| {
                self.error(
                    format!("`$ref` {reference} leads nowhere"),
                    Some("only references inside the file are followed"),
                )
            })?;
        }
        Err(self.error("`$ref` leads round in a circle", None))
    }

    fn known_keywords(&self, schema: &Map<String, Value>) -> Result<(), CodecError> {
        let known = |name: &&str| {
            ANNOTATIONS.contains(name) || COMPILED.contains(name) || CHECKED.contains(name)
        };
        match schema.keys().map(String::as_str).find(|name| !known(name)) {
            None => Ok(()),
            Some(
                name @ ("minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum"
                | "multipleOf"),
            ) => {
                let hint =
                    "bounds of numbers are checked exactly by a `where` or a plugin after decoding";
                Err(self.error(format!("`{name}` is not supported"), Some(hint)))
            }
            Some(name) => {
                let hint = "leave it out, or check it in a plugin after decoding";
                Err(self.error(format!("`{name}` is not supported"), Some(hint)))
            }
        }
    }

    /// The types but `null`, and whether `null` is among them.
    fn types(&self, schema: &'a Map<String, Value>) -> Result<(Vec<&'a str>, bool), CodecError> {
        let types: Option<Vec<&str>> = match schema.get("type") {
            Some(Value::String(one)) => Some(vec![one]),
            Some(Value::Array(many)) => many.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let types = types.ok_or_else(|| {
            self.error(
                "has no `type`",
                Some("a column needs one type, or a list of scalar types"),
            )
        })?;
        let is_nullable = types.contains(&"null");
        Ok((
            types.into_iter().filter(|name| *name != "null").collect(),
            is_nullable,
        ))
    }

    fn kind(&self, schema: &'a Map<String, Value>, types: &[&str]) -> Result<Kind, CodecError> {
        for (keyword, owner) in [
            ("x-decimal", "number"),
            ("x-type", "string"),
            ("properties", "object"),
            ("items", "array"),
        ] {
            if schema.contains_key(keyword) && types != [owner] {
                return Err(self.error(format!("`{keyword}` goes with type `{owner}` alone"), None));
            }
        }
        match types {
            ["string"] => self.text(schema),
            ["integer"] => Ok(Kind::Int),
            ["boolean"] => Ok(Kind::Bool),
            ["number"] => self.number(schema),
            ["object"] => self.record(schema).map(Kind::Struct),
            ["array"] => self.list(schema),
            _ => self.literal(types),
        }
    }

    fn text(&self, schema: &Map<String, Value>) -> Result<Kind, CodecError> {
        match schema
            .get("x-type")
            .map(|name| name.as_str().unwrap_or_default())
        {
            None => Ok(Kind::Text),
            Some("date32") => Ok(Kind::Date),
            Some("timestamp") => Ok(Kind::Instant),
            Some(_) => Err(self.error("has an unknown `x-type`", Some("`date32` or `timestamp`"))),
        }
    }

    fn number(&self, schema: &Map<String, Value>) -> Result<Kind, CodecError> {
        let Some(decimal) = schema.get("x-decimal") else {
            return self.literal(&["number"]);
        };
        let parts: Option<Vec<u64>> = decimal
            .as_array()
            .and_then(|parts| parts.iter().map(Value::as_u64).collect());
        match parts.as_deref() {
            Some(&[precision @ 1..=38, scale]) if scale <= precision => Ok(Kind::Decimal {
                precision: u8::try_from(precision).expect("at most 38"),
                scale: i8::try_from(scale).expect("at most 38"),
            }),
            _ => Err(self.error(
                "`x-decimal` is not a precision of 1 to 38 and a scale up to it",
                Some("for example `[38, 9]`"),
            )),
        }
    }

    fn literal(&self, types: &[&str]) -> Result<Kind, CodecError> {
        let mut scalars = Scalars::default();
        for name in types {
            match *name {
                "string" => scalars.text = true,
                "number" => scalars.number = true,
                "integer" => scalars.integer = true,
                "boolean" => scalars.boolean = true,
                other => {
                    return Err(self.error(
                        format!("type `{other}` cannot share a column with another"),
                        None,
                    ));
                }
            }
        }
        if scalars == Scalars::default() {
            return Err(self.error("has no type but `null`", None));
        }
        Ok(Kind::Literal(scalars))
    }

    fn list(&self, schema: &'a Map<String, Value>) -> Result<Kind, CodecError> {
        let items = schema
            .get("items")
            .ok_or_else(|| self.error("is an array without `items`", None))?;
        self.inner("[]")
            .member(items, true)
            .map(|item| Kind::List(Box::new(item)))
    }

    fn record(&self, schema: &'a Map<String, Value>) -> Result<Record, CodecError> {
        let properties = schema
            .get("properties")
            .and_then(Value::as_object)
            .filter(|map| !map.is_empty());
        let properties = properties.ok_or_else(|| {
            self.error(
                "is an object without `properties`",
                Some("each property is a column"),
            )
        })?;
        let required = self.required(schema, properties)?;
        let is_closed = match schema.get("additionalProperties") {
            None | Some(Value::Bool(true)) => false,
            Some(Value::Bool(false)) => true,
            Some(_) => {
                return Err(self.error("`additionalProperties` is neither true nor false", None));
            }
        };
        let mut members = Vec::with_capacity(properties.len());
        for (name, property) in properties {
            if self.depth == 0 && meta::is_meta(name) {
                let what = format!("property `{name}` begins with `_`");
                return Err(self.error(what, Some("such names are those of record metadata")));
            }
            members.push(
                self.inner(name)
                    .member(property, required.contains(&name.as_str()))?,
            );
        }
        let index = (0..)
            .zip(&members)
            .map(|(i, member)| (member.name.as_bytes().into(), i))
            .collect();
        Ok(Record {
            members,
            index,
            is_closed,
        })
    }

    fn required(
        &self,
        schema: &'a Map<String, Value>,
        properties: &Map<String, Value>,
    ) -> Result<Vec<&'a str>, CodecError> {
        let Some(required) = schema.get("required") else {
            return Ok(Vec::new());
        };
        let names: Option<Vec<&str>> = required
            .as_array()
            .and_then(|names| names.iter().map(Value::as_str).collect());
        let names = names.ok_or_else(|| self.error("`required` is no list of names", None))?;
        match names.iter().find(|name| !properties.contains_key(**name)) {
            None => Ok(names),
            Some(name) => Err(self.error(
                format!("`required` names `{name}`, which is no property"),
                None,
            )),
        }
    }

    fn check(
        &self,
        schema: &Map<String, Value>,
        kind: &Kind,
    ) -> Result<Option<Validator>, CodecError> {
        let keywords: Map<String, Value> = schema
            .iter()
            .filter(|(name, _)| CHECKED.contains(&name.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if keywords.is_empty() {
            return Ok(None);
        }
        let all: Vec<&Value> = keywords
            .get("enum")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .chain(keywords.get("const"))
            .collect();
        if !matches!(kind, Kind::Text | Kind::Literal(_))
            || all
                .iter()
                .any(|value| !value.is_string() && !value.is_null())
        {
            let what = "`enum`, `const`, `pattern` and the lengths are supported for text alone";
            return Err(self.error(what, Some("check it in a plugin after decoding")));
        }
        // These keywords are the same in every draft; draft 7's own schema is soon got ready.
        let options = jsonschema::options().with_draft(Draft::Draft7);
        options
            .build(&Value::Object(keywords))
            .map(Some)
            .map_err(|error| self.error(format!("{error}"), None))
    }
}
