//! A reader's schema as a tree without references, and its columns.

use crate::error::CodecError;
use apache_avro::Schema;
use apache_avro::schema::{
    DecimalSchema, InnerDecimalSchema, Name, NamespaceRef, RecordSchema, ResolvedSchema,
    UnionSchema, UuidSchema,
};
use arrow::datatypes::{DataType, Field, Fields};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use weir_zset::meta;

/// Deepest nesting of a reader's schema; one that refers to itself ends here.
const SCHEMA_DEPTH_MAX: usize = 32;

/// A type, and whether it may be null.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// The union's branch that is `null`, if this is such a union; the type is its other branch.
    pub(super) null_branch: Option<u8>,
}

/// A type that a column can have.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Bool,
    Int,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    Enum {
        symbols: Vec<String>,
        default: Option<String>,
    },
    Date,
    /// So many microseconds a unit.
    Instant(i64),
    Decimal {
        precision: u8,
        scale: i8,
        size: Option<usize>,
    },
    Record(Vec<NodeField>),
    List(Box<Node>),
}

/// A record's field.
#[derive(Clone, Debug)]
pub(super) struct NodeField {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) default: Option<Value>,
    pub(super) node: Node,
}

/// Named types, by full name.
pub(super) type Names<'a> = HashMap<Name, &'a Schema>;

/// The tree of a schema.
pub(super) fn compile(schema: &Schema) -> Result<Node, CodecError> {
    let resolved =
        ResolvedSchema::new(schema).map_err(|error| CodecError::Unreadable(error.to_string()))?;
    Compiler {
        names: resolved.get_names(),
    }
    .node(
        schema,
        Place {
            namespace: None,
            path: "",
            depth: 0,
        },
    )
}

/// The Arrow fields of a record; all nullable where a whole row may be null.
pub(super) fn arrow_fields(fields: &[NodeField], all_nullable: bool) -> Fields {
    let field = |field: &NodeField| {
        Field::new(
            &field.name,
            data_type(&field.node.kind),
            all_nullable || field.node.null_branch.is_some(),
        )
    };
    fields.iter().map(field).collect()
}

fn data_type(kind: &Kind) -> DataType {
    match kind {
        Kind::Bool => DataType::Boolean,
        Kind::Int => DataType::Int32,
        Kind::Long => DataType::Int64,
        Kind::Float => DataType::Float32,
        Kind::Double => DataType::Float64,
        Kind::Text | Kind::Enum { .. } => DataType::Utf8,
        Kind::Bytes | Kind::Fixed(_) => DataType::Binary,
        Kind::Date => DataType::Date32,
        Kind::Instant(_) => meta::instant_type(),
        Kind::Decimal {
            precision, scale, ..
        } if *precision <= 38 => DataType::Decimal128(*precision, *scale),
        Kind::Decimal {
            precision, scale, ..
        } => DataType::Decimal256(*precision, *scale),
        Kind::Record(fields) => DataType::Struct(arrow_fields(fields, false)),
        Kind::List(item) => DataType::List(Arc::new(Field::new_list_field(
            data_type(&item.kind),
            item.null_branch.is_some(),
        ))),
    }
}

/// The type that a name stands for, and the namespace that names inside it are looked up in.
pub(super) fn named<'a>(
    schema: &'a Schema,
    names: &Names<'a>,
    namespace: NamespaceRef<'_>,
) -> Option<(&'a Schema, Option<String>)> {
    let target = match schema {
        Schema::Ref { name } => *names.get(&*name.fully_qualified_name(namespace))?,
        other => other,
    };
    let inner = match (schema, target) {
        (Schema::Ref { name }, Schema::Record(_)) => name
            .fully_qualified_name(namespace)
            .namespace()
            .map(str::to_owned),
        (_, Schema::Record(record)) => record
            .name
            .fully_qualified_name(namespace)
            .namespace()
            .map(str::to_owned),
        _ => namespace.map(str::to_owned),
    };
    Some((target, inner))
}

#[derive(Clone, Copy)]
struct Place<'a> {
    namespace: NamespaceRef<'a>,
    path: &'a str,
    depth: usize,
}

impl Place<'_> {
    fn error(&self, what: &str) -> CodecError {
        CodecError::unsupported(
            if self.path.is_empty() {
                "top"
            } else {
                self.path
            },
            what,
            None,
        )
    }
}

struct Compiler<'a> {
    names: &'a Names<'a>,
}

impl Compiler<'_> {
    fn node(&self, schema: &Schema, place: Place<'_>) -> Result<Node, CodecError> {
        if place.depth > SCHEMA_DEPTH_MAX {
            return Err(place.error("refers to itself or nests too deep"));
        }
        let (schema, namespace) = self.named(schema, place)?;
        let inner = Place {
            namespace: namespace.as_deref(),
            ..place
        };
        let kind = match schema {
            Schema::Union(union) => return self.union(union, place),
            Schema::Boolean => Kind::Bool,
            Schema::Int => Kind::Int,
            Schema::Long => Kind::Long,
            Schema::Float => Kind::Float,
            Schema::Double => Kind::Double,
            Schema::String | Schema::Uuid(UuidSchema::String) => Kind::Text,
            Schema::Bytes => Kind::Bytes,
            Schema::Fixed(fixed) => Kind::Fixed(fixed.size),
            Schema::Enum(symbols) => {
                Kind::Enum { symbols: symbols.symbols.clone(), default: symbols.default.clone() }
            }
            Schema::Date => Kind::Date,
            Schema::TimestampMillis => Kind::Instant(1_000),
            Schema::TimestampMicros => Kind::Instant(1),
            Schema::Decimal(decimal) => Self::decimal(decimal, place)?,
            Schema::Record(record) => self.record(record, inner)?,
            Schema::Array(array) => Kind::List(Box::new(self.node(&array.items, Place { depth: place.depth + 1, ..place })?)),
            _ => return Err(place.error("is of a type that no column has (map, time of day, local timestamp, duration, ...)")),
        };
        Ok(Node {
            kind,
            null_branch: None,
        })
    }

    fn named<'a>(
        &'a self,
        schema: &'a Schema,
        place: Place<'_>,
    ) -> Result<(&'a Schema, Option<String>), CodecError> {
        named(schema, self.names, place.namespace)
            .ok_or_else(|| place.error("names a type that is not defined"))
    }

    fn union(&self, union: &UnionSchema, place: Place<'_>) -> Result<Node, CodecError> {
        let (null_branch, other) = match union.variants() {
            [other] => (None, other),
            [Schema::Null, other] => (Some(0), other),
            [other, Schema::Null] => (Some(1), other),
            _ => return Err(place.error("is a union of more than null and one type")),
        };
        let inner = self.node(
            other,
            Place {
                depth: place.depth + 1,
                ..place
            },
        )?;
        Ok(Node {
            kind: inner.kind,
            null_branch,
        })
    }

    fn decimal(decimal: &DecimalSchema, place: Place<'_>) -> Result<Kind, CodecError> {
        let size = match &decimal.inner {
            InnerDecimalSchema::Bytes => None,
            InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
        };
        match (u8::try_from(decimal.precision), i8::try_from(decimal.scale)) {
            (Ok(precision @ 1..=76), Ok(scale)) => Ok(Kind::Decimal {
                precision,
                scale,
                size,
            }),
            _ => Err(place.error("is a decimal of more than 76 digits")),
        }
    }

    fn record(&self, record: &RecordSchema, place: Place<'_>) -> Result<Kind, CodecError> {
        let mut fields = Vec::with_capacity(record.fields.len());
        for field in &record.fields {
            if place.depth == 0 && meta::is_meta(&field.name) {
                return Err(
                    place.error("has a field that begins with `_`, as those of record metadata do")
                );
            }
            let path = if place.path.is_empty() {
                field.name.clone()
            } else {
                format!("{}.{}", place.path, field.name)
            };
            let node = self.node(
                &field.schema,
                Place {
                    path: &path,
                    depth: place.depth + 1,
                    ..place
                },
            )?;
            let aliases = field.aliases.clone();
            fields.push(NodeField {
                name: field.name.clone(),
                aliases,
                default: field.default.clone(),
                node,
            });
        }
        Ok(Kind::Record(fields))
    }
}
