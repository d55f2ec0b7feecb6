//! The WebAssembly exports: from the WIT's types to the plain ones of this crate and back, by moving buffers.

use crate::describe::{self, Shape};
use crate::group::{Answers, Group, Grouped, Groups};
use crate::table::Room;
use crate::transform::{Output, Transform};
use crate::wire::{Batch, Column, Head, Layout, Span, Varlen};
use crate::{Data, Failure, Json, Refusal, Table};
use std::cell::RefCell;
use std::marker::PhantomData;
use transform::weir::plugin::types;

#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::mem_forget,
    reason = "written by wit-bindgen"
)]
pub mod transform {
    wit_bindgen::generate!({
        world: "transform",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "weir_sdk::bindings::transform",
    });
}

#[expect(
    missing_docs,
    clippy::pedantic,
    clippy::mem_forget,
    reason = "written by wit-bindgen"
)]
pub mod group {
    wit_bindgen::generate!({
        world: "group",
        path: "wit",
        pub_export_macro: true,
        default_bindings_module: "weir_sdk::bindings::group",
        with: { "weir:plugin/types@0.1.0": crate::bindings::transform::weir::plugin::types },
    });
}

use group::exports::weir::plugin::grouper;
use transform::exports::weir::plugin::transformer;

/// What [`crate::export_transform!`] exports.
#[derive(Debug)]
pub struct TransformExport<P>(PhantomData<P>);

/// An opened transform.
#[derive(Debug)]
pub struct TransformInstance<P> {
    plugin: P,
    shape: Shape,
    input: Vec<Head>,
    /// What the last answer held.
    room: RefCell<Room>,
}

impl<P: Transform> transformer::Guest for TransformExport<P> {
    type Instance = TransformInstance<P>;

    fn describe() -> types::Description {
        description(&P::description())
    }
}

impl<P: Transform> TransformInstance<P> {
    /// The plugin, opened.
    pub fn opened(opening: types::Opening) -> Result<Self, types::Failure> {
        let (shape, config, data) = opened(opening, &P::description()).map_err(failure)?;
        let plugin = P::open(&config, &data).map_err(failure)?;
        Ok(Self {
            plugin,
            input: Head::flat(&shape.inputs[0].fields),
            shape,
            room: RefCell::default(),
        })
    }
}

impl<P: Transform> transformer::GuestInstance for TransformInstance<P> {
    fn open(opening: types::Opening) -> Result<transformer::Instance, types::Failure> {
        Self::opened(opening).map(transformer::Instance::new)
    }

    fn outputs(&self) -> Vec<types::Port> {
        ports(&self.shape.outputs)
    }

    fn transform(
        &self,
        batch: types::Batch,
        _: Vec<types::Property>,
    ) -> Result<types::Produced, types::Failure> {
        let rows = batch_in(batch, &self.input);
        let fields = &self.shape.outputs[0].fields;
        let mut out = Output::new(Table::like(&self.room.borrow(), fields, rows.len()));
        self.plugin.transform(&rows, &mut out);
        self.room.replace(out.room());
        let (output, origin, refusals) = out.finish();
        let is_same = output.rows == rows.rows && origin.iter().copied().eq(0..rows.rows);
        let origin = if is_same {
            types::Origin::Same
        } else {
            types::Origin::Rows(u32s(&origin))
        };
        Ok(produced(output, origin, refusals))
    }
}

/// What [`crate::export_group!`] exports.
#[derive(Debug)]
pub struct GroupExport<P>(PhantomData<P>);

/// An opened group plugin.
#[derive(Debug)]
pub struct GroupInstance<P> {
    plugin: P,
    shape: Shape,
    key: Vec<Head>,
    inputs: Vec<Vec<Head>>,
}

impl<P: Group> grouper::Guest for GroupExport<P> {
    type Instance = GroupInstance<P>;

    fn describe() -> types::Description {
        description(&P::description())
    }
}

impl<P: Group> grouper::GuestInstance for GroupInstance<P> {
    fn open(opening: types::Opening) -> Result<grouper::Instance, types::Failure> {
        let key = opening.key.iter().map(head).collect();
        let (shape, config, data) = opened(opening, &P::description()).map_err(failure)?;
        let plugin = P::open(&config, &data).map_err(failure)?;
        let inputs = shape.inputs.iter();
        Ok(grouper::Instance::new(Self {
            plugin,
            key,
            inputs: inputs.map(|port| Head::flat(&port.fields)).collect(),
            shape,
        }))
    }

    fn outputs(&self) -> Vec<types::Port> {
        ports(&self.shape.outputs)
    }

    fn evaluate(
        &self,
        as_of_us: i64,
        keys: types::Batch,
        inputs: Vec<grouper::Grouped>,
        _: Vec<types::Property>,
    ) -> Result<Vec<grouper::Answered>, types::Failure> {
        let groups = keys.rows;
        let inputs = inputs.into_iter().zip(&self.inputs);
        let inputs = inputs.map(|(input, heads)| Grouped {
            name: input.input,
            offsets: input.offsets,
            rows: batch_in(input.rows, heads),
        });
        let mut out = Answers::new(&self.shape.outputs);
        self.plugin.evaluate(
            as_of_us,
            &Groups::new(batch_in(keys, &self.key), inputs.collect()),
            &mut out,
        );
        let (outputs, refusals) = out.finish();
        let mut refusals = Some(refusals);
        let answered = outputs
            .into_iter()
            .map(|(name, rows, group_of)| grouper::Answered {
                output: name.to_owned(),
                offsets: u32s(&crate::group::offsets_of(&group_of, groups)),
                produced: produced(
                    rows,
                    types::Origin::Group,
                    refusals.take().unwrap_or_default(),
                ),
            });
        Ok(answered.collect())
    }
}

fn opened(
    opening: types::Opening,
    description: &describe::Description,
) -> Result<(Shape, Json, Data), Failure> {
    let config = Json::parse(&opening.config)?;
    let shape = description.shape(&config).cloned();
    let shape = shape.ok_or_else(|| {
        Failure::new(
            "config_invalid",
            "no shape of the plugin holds for this config",
        )
    })?;
    let data = Data::new(
        opening
            .data
            .into_iter()
            .map(|file| (file.name, file.bytes))
            .collect(),
    );
    Ok((shape, config, data))
}

/// A column of the key, which no shape names: its name lives as long as the instance.
fn head(field: &types::Field) -> Head {
    Head {
        name: field.name.clone().leak(),
        kind: None,
        children: field.children,
    }
}

fn failure(failure: Failure) -> types::Failure {
    types::Failure {
        code: failure.code,
        message: failure.message,
        transient: false,
        properties: Vec::new(),
    }
}

fn description(from: &describe::Description) -> types::Description {
    let when = |(key, value): &(&str, &str)| types::Property {
        key: (*key).to_owned(),
        value: (*value).to_owned(),
    };
    let shape = |shape: &Shape| types::Shape {
        when: shape.when.iter().map(when).collect(),
        inputs: ports(&shape.inputs),
        outputs: ports(&shape.outputs),
    };
    types::Description {
        name: from.name.to_owned(),
        version: from.version.to_owned(),
        config_schema: from.config_schema.to_owned(),
        shapes: from.shapes.iter().map(shape).collect(),
        properties: Vec::new(),
    }
}

fn ports(from: &[describe::Port]) -> Vec<types::Port> {
    let port = |port: &describe::Port| {
        let mut fields = Vec::new();
        port.fields
            .iter()
            .for_each(|field| push_field(field, &mut fields));
        types::Port {
            name: port.name.to_owned(),
            fields,
        }
    };
    from.iter().map(port).collect()
}

fn push_field(from: &describe::Field, to: &mut Vec<types::Field>) {
    to.push(types::Field {
        name: from.name.to_owned(),
        kind: from.kind.to_string(),
        nullable: from.nullable,
        children: u32::try_from(from.children.len()).expect("a struct has few fields"),
        properties: Vec::new(),
    });
    from.children.iter().for_each(|child| push_field(child, to));
}

/// The batch, whose columns are these.
fn batch_in(batch: types::Batch, heads: &[Head]) -> Batch {
    assert_eq!(
        batch.columns.len(),
        heads.len(),
        "the host sends the columns of the shape"
    );
    let mut rows = Batch {
        rows: batch.rows,
        columns: Vec::with_capacity(heads.len()),
        buffers: batch.buffers,
    };
    for (column, head) in batch.columns.into_iter().zip(heads) {
        let validity = column.validity.map(span_in);
        let data = match column.data {
            types::Layout::None => Layout::None,
            types::Layout::Bits(bits) => Layout::Bits(span_in(bits)),
            types::Layout::Fixed(bytes) => Layout::Fixed(span_in(bytes)),
            types::Layout::Varlen(values) => Layout::Varlen(varlen_in(values)),
            types::Layout::Dictionary(coded) => {
                let (keys, values) = (span_in(coded.keys), varlen_in(coded.values));
                Layout::Varlen(rows.plain(validity, keys, values))
            }
            types::Layout::Nested(offsets) => Layout::Nested(span_in(offsets)),
        };
        rows.columns.push(Column {
            head: *head,
            validity,
            data,
        });
    }
    rows
}

fn span_in(span: types::Span) -> Span {
    let types::Span { of, at, len } = span;
    Span { of, at, len }
}

fn varlen_in(values: types::Varlen) -> Varlen {
    Varlen {
        offsets: span_in(values.offsets),
        bytes: span_in(values.bytes),
    }
}

fn batch_out(batch: Batch) -> types::Batch {
    let column = |column: Column| types::Column {
        validity: column.validity.map(span_out),
        data: match column.data {
            Layout::None => types::Layout::None,
            Layout::Bits(bits) => types::Layout::Bits(span_out(bits)),
            Layout::Fixed(bytes) => types::Layout::Fixed(span_out(bytes)),
            Layout::Varlen(values) => types::Layout::Varlen(varlen_out(values)),
            Layout::Nested(offsets) => types::Layout::Nested(span_out(offsets)),
        },
    };
    types::Batch {
        rows: batch.rows,
        columns: batch.columns.into_iter().map(column).collect(),
        buffers: batch.buffers,
    }
}

fn span_out(span: Span) -> types::Span {
    let Span { of, at, len } = span;
    types::Span { of, at, len }
}

fn varlen_out(values: Varlen) -> types::Varlen {
    types::Varlen {
        offsets: span_out(values.offsets),
        bytes: span_out(values.bytes),
    }
}

fn produced(output: Batch, origin: types::Origin, refusals: Vec<Refusal>) -> types::Produced {
    let refusal = |refusal: Refusal| types::Refusal {
        row: refusal.row,
        code: refusal.code,
        message: refusal.message,
        field: refusal.field,
    };
    types::Produced {
        output: batch_out(output),
        origin,
        refusals: refusals.into_iter().map(refusal).collect(),
        properties: Vec::new(),
    }
}

fn u32s(values: &[u32]) -> Vec<u8> {
    let mut bytes = vec![[0; 4]; values.len()];
    for (bytes, value) in bytes.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
    bytes.into_flattened()
}
