//! A writer's schema against a reader's: what to do with each value, decided once.

use super::encode;
use super::node::{Kind, Names, Node, NodeField, named};
use crate::error::CodecError;
use apache_avro::Schema;
use apache_avro::schema::{
    DecimalSchema, EnumSchema, InnerDecimalSchema, NamespaceRef, RecordSchema, ResolvedSchema,
    UuidSchema,
};
use serde_json::Value;
use std::collections::BTreeMap;

/// How to read what one writer's schema wrote.
#[derive(Debug)]
pub struct WriterPlan {
    pub(super) record: RecordOp,
    /// What named types of the writer's schema are skipped as.
    pub(super) skips: BTreeMap<String, Skip>,
}

/// What to do with a value.
#[derive(Debug)]
pub(super) enum Op {
    Null,
    Bool,
    /// 32 bits, checked; into a column of 32 or 64.
    Int,
    Long,
    Date,
    Instant(i64),
    Float,
    Double,
    /// A `float` into a column of doubles.
    FloatToDouble,
    Text,
    Bytes,
    Fixed(usize),
    /// The writer's symbols as the reader's; `None` has no counterpart.
    Enum(Vec<Option<String>>),
    Decimal {
        size: Option<usize>,
        /// Decimals to add.
        shift: u8,
    },
    Union(Vec<Op>),
    Record(RecordOp),
    List(Box<Op>),
    /// A union's branch that the reader's schema has no place for.
    Mismatch,
}

/// A record: its fields in the writer's order, then those that the writer did not have.
#[derive(Debug)]
pub(super) struct RecordOp {
    pub(super) steps: Vec<Step>,
    /// Column, its type, its default.
    pub(super) defaults: Vec<(usize, Node, Value)>,
    /// The reader's names, for refusals.
    pub(super) names: Vec<String>,
}

/// One of the writer's fields.
#[derive(Debug)]
pub(super) enum Step {
    /// Into this column.
    Read(usize, Op),
    /// Passed over.
    Skip(Skip),
}

/// A value that is passed over.
#[derive(Clone, Debug)]
pub(super) enum Skip {
    Nothing,
    Varint,
    Bytes,
    Fixed(usize),
    Bool,
    Union(Vec<Skip>),
    Items(Box<Skip>),
    Entries(Box<Skip>),
    Record(Vec<Skip>),
    /// By name, since it may contain itself.
    Named(String),
}

impl WriterPlan {
    pub(super) fn new(writer: &Schema, reader: &[NodeField]) -> Result<Self, CodecError> {
        let resolved = ResolvedSchema::new(writer)
            .map_err(|error| CodecError::Unreadable(error.to_string()))?;
        let mut planner = Planner {
            names: resolved.get_names(),
            skips: BTreeMap::new(),
        };
        let Schema::Record(record) = writer else {
            return Err(incompatible("", "the writer's schema is no record"));
        };
        let namespace = record.name.namespace();
        let record = planner.record(record, namespace, reader, "")?;
        Ok(Self {
            record,
            skips: planner.skips,
        })
    }
}

fn incompatible(path: &str, what: &str) -> CodecError {
    CodecError::Incompatible {
        place: if path.is_empty() {
            "top".to_owned()
        } else {
            path.to_owned()
        },
        what: what.to_owned(),
    }
}

struct Planner<'a> {
    names: &'a Names<'a>,
    skips: BTreeMap<String, Skip>,
}

impl Planner<'_> {
    fn op(
        &mut self,
        writer: &Schema,
        namespace: NamespaceRef<'_>,
        reader: &Node,
        path: &str,
    ) -> Result<Op, CodecError> {
        let found = named(writer, self.names, namespace);
        let (writer, namespace) = found.ok_or_else(|| {
            incompatible(
                path,
                "the writer's schema names a type that it does not define",
            )
        })?;
        let namespace = namespace.as_deref();
        let op = match (writer, &reader.kind) {
            (Schema::Union(union), _) => {
                return self.union(union.variants(), namespace, reader, path);
            }
            (Schema::Null, _) if reader.null_branch.is_some() => Op::Null,
            (Schema::Boolean, Kind::Bool) => Op::Bool,
            (Schema::Int, Kind::Int | Kind::Long) => Op::Int,
            (Schema::Long, Kind::Long) => Op::Long,
            (Schema::Float, Kind::Float) => Op::Float,
            (Schema::Float, Kind::Double) => Op::FloatToDouble,
            (Schema::Double, Kind::Double) => Op::Double,
            (Schema::String | Schema::Uuid(UuidSchema::String) | Schema::Bytes, Kind::Text) => {
                Op::Text
            }
            (Schema::Bytes | Schema::String, Kind::Bytes) => Op::Bytes,
            (Schema::Fixed(fixed), Kind::Fixed(size)) if fixed.size == *size => Op::Fixed(*size),
            (
                Schema::Enum(symbols),
                Kind::Enum {
                    symbols: wanted,
                    default,
                },
            ) => Self::symbols(symbols, wanted, default.as_ref()),
            (Schema::Date, Kind::Date) => Op::Date,
            (Schema::TimestampMillis, Kind::Instant(_)) => Op::Instant(1_000),
            (Schema::TimestampMicros, Kind::Instant(_)) => Op::Instant(1),
            (Schema::Decimal(decimal), Kind::Decimal { scale, .. }) => {
                Self::decimal(decimal, *scale, path)?
            }
            (Schema::Record(record), Kind::Record(fields)) => {
                Op::Record(self.record(record, namespace, fields, path)?)
            }
            (Schema::Array(array), Kind::List(item)) => {
                Op::List(Box::new(self.op(&array.items, namespace, item, path)?))
            }
            _ => {
                return Err(incompatible(
                    path,
                    "the writer's type is not the reader's, nor can it be read as such",
                ));
            }
        };
        Ok(op)
    }

    /// A branch without a counterpart is an error only when a value has it.
    fn union(
        &mut self,
        branches: &[Schema],
        namespace: NamespaceRef<'_>,
        reader: &Node,
        path: &str,
    ) -> Result<Op, CodecError> {
        let ops: Vec<_> = branches
            .iter()
            .map(|branch| self.op(branch, namespace, reader, path))
            .collect();
        if ops.iter().all(Result::is_err) {
            return ops
                .into_iter()
                .next()
                .unwrap_or_else(|| Err(incompatible(path, "the writer's union is empty")));
        }
        Ok(Op::Union(
            ops.into_iter()
                .map(|op| op.unwrap_or(Op::Mismatch))
                .collect(),
        ))
    }

    fn symbols(writer: &EnumSchema, wanted: &[String], default: Option<&String>) -> Op {
        let counterpart = |symbol: &String| {
            if wanted.contains(symbol) {
                Some(symbol.clone())
            } else {
                default.cloned()
            }
        };
        Op::Enum(writer.symbols.iter().map(counterpart).collect())
    }

    fn decimal(writer: &DecimalSchema, scale: i8, path: &str) -> Result<Op, CodecError> {
        let size = match &writer.inner {
            InnerDecimalSchema::Bytes => None,
            InnerDecimalSchema::Fixed(fixed) => Some(fixed.size),
        };
        let wanted = usize::try_from(scale).expect("a reader's scale is not negative");
        match wanted
            .checked_sub(writer.scale)
            .and_then(|shift| u8::try_from(shift).ok())
        {
            Some(shift) => Ok(Op::Decimal { size, shift }),
            None => Err(incompatible(
                path,
                "the writer's decimals are more than the reader's",
            )),
        }
    }

    fn record(
        &mut self,
        writer: &RecordSchema,
        namespace: NamespaceRef<'_>,
        reader: &[NodeField],
        path: &str,
    ) -> Result<RecordOp, CodecError> {
        let mut steps = Vec::with_capacity(writer.fields.len());
        let mut is_read = vec![false; reader.len()];
        for field in &writer.fields {
            let column = reader
                .iter()
                .position(|wanted| wanted.name == field.name)
                .or_else(|| {
                    let by_alias = |wanted: &NodeField| wanted.aliases.contains(&field.name);
                    reader.iter().position(|wanted| {
                        by_alias(wanted)
                            && !writer.fields.iter().any(|other| other.name == wanted.name)
                    })
                });
            steps.push(match column.filter(|column| !is_read[*column]) {
                Some(column) => {
                    is_read[column] = true;
                    let path = join(path, &reader[column].name);
                    Step::Read(
                        column,
                        self.op(&field.schema, namespace, &reader[column].node, &path)?,
                    )
                }
                None => Step::Skip(self.skip(&field.schema, namespace)?),
            });
        }
        let defaults = defaults(reader, &is_read, path)?;
        Ok(RecordOp {
            steps,
            defaults,
            names: reader.iter().map(|field| field.name.clone()).collect(),
        })
    }

    fn skip(&mut self, writer: &Schema, namespace: NamespaceRef<'_>) -> Result<Skip, CodecError> {
        let found = named(writer, self.names, namespace);
        let (target, namespace) = found.ok_or_else(|| {
            incompatible(
                "",
                "the writer's schema names a type that it does not define",
            )
        })?;
        let namespace = namespace.as_deref();
        Ok(match target {
            Schema::Null => Skip::Nothing,
            Schema::Boolean => Skip::Bool,
            Schema::Float => Skip::Fixed(4),
            Schema::Double => Skip::Fixed(8),
            Schema::Bytes
            | Schema::String
            | Schema::BigDecimal
            | Schema::Uuid(UuidSchema::String | UuidSchema::Bytes) => Skip::Bytes,
            Schema::Fixed(fixed)
            | Schema::Uuid(UuidSchema::Fixed(fixed))
            | Schema::Duration(fixed) => Skip::Fixed(fixed.size),
            Schema::Decimal(DecimalSchema {
                inner: InnerDecimalSchema::Fixed(fixed),
                ..
            }) => Skip::Fixed(fixed.size),
            Schema::Decimal(_) => Skip::Bytes,
            Schema::Union(union) => Skip::Union(
                union
                    .variants()
                    .iter()
                    .map(|branch| self.skip(branch, namespace))
                    .collect::<Result<_, _>>()?,
            ),
            Schema::Array(array) => Skip::Items(Box::new(self.skip(&array.items, namespace)?)),
            Schema::Map(map) => Skip::Entries(Box::new(self.skip(&map.types, namespace)?)),
            Schema::Record(record) => return self.skip_record(record, namespace),
            _ => Skip::Varint,
        })
    }

    fn skip_record(
        &mut self,
        record: &RecordSchema,
        namespace: NamespaceRef<'_>,
    ) -> Result<Skip, CodecError> {
        let name = record.name.fullname(namespace);
        if !self.skips.contains_key(&name) {
            // First a place, so that a record inside itself finds it.
            self.skips.insert(name.clone(), Skip::Nothing);
            let fields = record
                .fields
                .iter()
                .map(|field| self.skip(&field.schema, namespace))
                .collect::<Result<_, _>>()?;
            self.skips.insert(name.clone(), Skip::Record(fields));
        }
        Ok(Skip::Named(name))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What the writer did not have, each tried once so that it cannot fail later.
fn defaults(
    reader: &[NodeField],
    is_read: &[bool],
    path: &str,
) -> Result<Vec<(usize, Node, Value)>, CodecError> {
    let mut defaults = Vec::new();
    for (column, field) in reader
        .iter()
        .enumerate()
        .filter(|(column, _)| !is_read[*column])
    {
        let path = join(path, &field.name);
        let default = field.default.clone();
        let default = default.ok_or_else(|| {
            incompatible(
                &path,
                "the writer's schema does not have this field, and it has no default",
            )
        })?;
        encode::check_default(&field.node, &default).map_err(|what| incompatible(&path, what))?;
        defaults.push((column, field.node.clone(), default));
    }
    Ok(defaults)
}
