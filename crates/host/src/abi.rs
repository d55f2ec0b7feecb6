//! The types of `weir:plugin/types` as they cross: borrowed on the way in, owned on the way out.

use crate::buffers::{Gathered, Packed};
use wasmtime::component::{ComponentType, Lift, Lower, ResourceAny};

#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Span {
    pub(crate) of: u32,
    pub(crate) at: u32,
    pub(crate) len: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Varlen {
    pub(crate) offsets: Span,
    pub(crate) bytes: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Dictionary {
    pub(crate) keys: Span,
    pub(crate) values: Varlen,
}

#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(variant)]
pub(crate) enum Layout {
    #[component(name = "none")]
    None,
    #[component(name = "bits")]
    Bits(Span),
    #[component(name = "fixed")]
    Fixed(Span),
    #[component(name = "varlen")]
    Varlen(Varlen),
    #[component(name = "dictionary")]
    Dictionary(Dictionary),
    #[component(name = "nested")]
    Nested(Span),
}

#[derive(Clone, Copy, Debug, PartialEq, ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Column {
    pub(crate) validity: Option<Span>,
    pub(crate) data: Layout,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct BatchRef<'a> {
    pub(crate) rows: u32,
    pub(crate) columns: &'a [Column],
    pub(crate) buffers: Packed<'a>,
}

#[derive(Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub(crate) struct GroupedRef<'a> {
    pub(crate) input: &'a str,
    pub(crate) offsets: &'a [u8],
    pub(crate) rows: BatchRef<'a>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Property {
    pub(crate) key: String,
    pub(crate) value: String,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) nullable: bool,
    pub(crate) children: u32,
    pub(crate) properties: Vec<Property>,
}

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
pub(crate) struct Port {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Shape {
    pub(crate) when: Vec<Property>,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) version: String,
    #[component(name = "config-schema")]
    pub(crate) config_schema: String,
    pub(crate) shapes: Vec<Shape>,
    #[expect(dead_code, reason = "room in the border for what later hosts ask")]
    pub(crate) properties: Vec<Property>,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct DataFile<'a> {
    pub(crate) name: &'a str,
    pub(crate) bytes: &'a [u8],
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Opening<'a> {
    pub(crate) config: &'a str,
    pub(crate) data: Vec<DataFile<'a>>,
    pub(crate) inputs: &'a [Port],
    pub(crate) key: &'a [Field],
    pub(crate) properties: &'a [Property],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Batch {
    pub(crate) rows: u32,
    pub(crate) columns: Vec<Column>,
    pub(crate) buffers: Gathered,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Failure {
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) transient: bool,
    #[expect(dead_code, reason = "room in the border for what later hosts ask")]
    pub(crate) properties: Vec<Property>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Refusal {
    pub(crate) row: u32,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) field: Option<String>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Spans {
    pub(crate) offsets: Vec<u8>,
    pub(crate) rows: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum Origin {
    #[component(name = "same")]
    Same,
    #[component(name = "rows")]
    Rows(Vec<u8>),
    #[component(name = "many")]
    Many(Spans),
    #[component(name = "group")]
    Group,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Produced {
    pub(crate) output: Batch,
    pub(crate) origin: Origin,
    pub(crate) refusals: Vec<Refusal>,
    #[expect(dead_code, reason = "room in the border for what later hosts ask")]
    pub(crate) properties: Vec<Property>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct Answered {
    pub(crate) output: String,
    pub(crate) offsets: Vec<u8>,
    pub(crate) produced: Produced,
}

/// The arguments and the answer of `transform`.
pub(crate) type TransformCall<'a> = (ResourceAny, BatchRef<'a>, &'a [Property]);
pub(crate) type TransformAnswer = (Result<Produced, Failure>,);
/// The arguments and the answer of `evaluate`.
pub(crate) type EvaluateCall<'a> = (
    ResourceAny,
    i64,
    BatchRef<'a>,
    &'a [GroupedRef<'a>],
    &'a [Property],
);
pub(crate) type EvaluateAnswer = (Result<Vec<Answered>, Failure>,);
