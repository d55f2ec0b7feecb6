//! What a plugin is, as plain data.

use crate::Json;

/// What a column means; its text form is the `kind` of the WIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// Signed 32 bits.
    Int32,
    /// Signed 64 bits.
    Int64,
    /// Text.
    Utf8,
    /// Bytes.
    Binary,
    /// Days since 1970.
    Date32,
    /// Microseconds since 1970, UTC.
    Timestamp,
    /// 128-bit digits with precision and scale.
    Decimal128(u8, i8),
    /// 256-bit digits with precision and scale.
    Decimal256(u8, i8),
    /// A record of its own; its fields follow.
    Struct,
    /// A list; its one child `item` follows.
    List,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Utf8 => f.write_str("utf8"),
            Self::Binary => f.write_str("binary"),
            Self::Date32 => f.write_str("date32"),
            Self::Timestamp => f.write_str("timestamp(us)"),
            Self::Decimal128(precision, scale) => write!(f, "decimal128({precision},{scale})"),
            Self::Decimal256(precision, scale) => write!(f, "decimal256({precision},{scale})"),
            Self::Struct => f.write_str("struct"),
            Self::List => f.write_str("list"),
        }
    }
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it means.
    pub kind: Kind,
    /// Whether a row may be null.
    pub nullable: bool,
    /// The fields of a struct, the `item` of a list.
    pub children: Vec<Field>,
}

impl Field {
    /// A column that is not nested.
    pub fn new(name: &'static str, kind: Kind, nullable: bool) -> Self {
        Self {
            name,
            kind,
            nullable,
            children: Vec::new(),
        }
    }
}

/// A named input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The name it has in the pipeline file; `in` and `out` for a transform.
    pub name: &'static str,
    /// Its columns.
    pub fields: Vec<Field>,
}

/// What goes in and out for one kind of config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Top-level text values the config must have.
    pub when: Vec<(&'static str, &'static str)>,
    /// Inputs; only these columns are passed, in this order.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
}

impl Shape {
    /// The shape of a transform that reads the columns `input` and writes the columns `output`, whatever the config.
    pub fn transform(input: Vec<Field>, output: Vec<Field>) -> Self {
        let inputs = vec![Port {
            name: "in",
            fields: input,
        }];
        Self {
            when: Vec::new(),
            inputs,
            outputs: vec![Port {
                name: "out",
                fields: output,
            }],
        }
    }

    /// The shape of a group plugin with these named inputs and outputs, whatever the config.
    pub fn group(
        inputs: Vec<(&'static str, Vec<Field>)>,
        outputs: Vec<(&'static str, Vec<Field>)>,
    ) -> Self {
        let ports = |list: Vec<(&'static str, Vec<Field>)>| {
            list.into_iter()
                .map(|(name, fields)| Port { name, fields })
                .collect()
        };
        Self {
            when: Vec::new(),
            inputs: ports(inputs),
            outputs: ports(outputs),
        }
    }

    /// The same, only for a config with `key: value` at its top.
    #[must_use]
    pub fn when(mut self, key: &'static str, value: &'static str) -> Self {
        self.when.push((key, value));
        self
    }

    fn holds(&self, config: &Json) -> bool {
        self.when
            .iter()
            .all(|(key, value)| config.get(key).and_then(Json::as_str) == Some(value))
    }
}

/// What `describe` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The plugin's name, by which errors call it.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// JSON Schema of the config; the host checks it before `open`.
    pub config_schema: &'static str,
    /// The first one that holds for the config counts.
    pub shapes: Vec<Shape>,
}

impl Description {
    /// The shape for this config.
    pub fn shape(&self, config: &Json) -> Option<&Shape> {
        self.shapes.iter().find(|shape| shape.holds(config))
    }
}
