//! All rows of one key in, that key's rows out.

use crate::columns::u32_at;
use crate::describe::{Description, Port};
use crate::record::Record;
use crate::table::Table;
use crate::wire::Batch;
use crate::{Columns, Data, Failure, Json, Refusal};

/// A whole-group plugin. The host calls [`Group::evaluate`] for the keys whose rows changed, and for all when the
/// clock passes a step that the stage asks for. Pure: the answer depends on the group's rows, the instant, the
/// config and the data files alone, and not on the order of the rows inside an input, which is not defined.
pub trait Group: Sized + 'static {
    /// Name, version, config schema, columns.
    fn description() -> Description;

    /// Called once per instance, with the config (valid by the schema) and the data files.
    fn open(config: &Json, data: &Data) -> Result<Self, Failure>;

    /// Writes all rows of all these groups. `as_of_us`: the instant, microseconds since 1970, UTC.
    fn evaluate(&self, as_of_us: i64, groups: &Groups, out: &mut Answers);
}

/// The groups of one call.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    keys: Batch,
    inputs: Vec<Grouped>,
}

/// One input's rows, group by group.
#[derive(Clone, Debug)]
pub(crate) struct Grouped {
    pub(crate) name: String,
    /// Where each group's rows begin; one more than there are groups.
    pub(crate) offsets: Vec<u8>,
    pub(crate) rows: Batch,
}

impl Groups {
    pub(crate) fn new(keys: Batch, inputs: Vec<Grouped>) -> Self {
        Self { keys, inputs }
    }

    /// The keys.
    pub(crate) fn into_keys(self) -> Batch {
        self.keys
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no group.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The number of each group.
    pub fn ids(&self) -> std::ops::Range<u32> {
        0..self.keys.rows
    }

    /// The key of each group, as records of the `group_by` columns.
    pub fn keys<'a, R: Record<'a>>(&'a self) -> impl Iterator<Item = (u32, R)> {
        self.keys.records()
    }

    /// Whether the shape for this config has this input.
    pub fn has(&self, name: &str) -> bool {
        self.inputs.iter().any(|input| input.name == name)
    }

    /// The rows of a named input, as records. Panics when the shape has no such input.
    pub fn input<'a, R: Record<'a>>(&'a self, name: &str) -> Input<'a, R> {
        let mut first = 0;
        for input in &self.inputs {
            if input.name == name {
                return Input {
                    views: R::views(Columns::of(&input.rows)),
                    offsets: &input.offsets,
                    first,
                };
            }
            first += input.rows.rows;
        }
        panic!("the shape has no input `{name}`")
    }
}

/// One input's rows as records.
#[derive(Debug)]
pub struct Input<'a, R: Record<'a>> {
    views: R::Views,
    offsets: &'a [u8],
    first: u32,
}

impl<'a, R: Record<'a>> Input<'a, R> {
    /// The rows of group `group`.
    pub fn of(&self, group: u32) -> Rows<'_, 'a, R> {
        let group = group as usize;
        Rows {
            input: self,
            at: u32_at(self.offsets, group),
            end: u32_at(self.offsets, group + 1),
        }
    }
}

/// The rows of one group of one input, each with the number by which it can be refused.
#[derive(Debug)]
pub struct Rows<'i, 'a, R: Record<'a>> {
    input: &'i Input<'a, R>,
    at: usize,
    end: usize,
}

impl<'a, R: Record<'a>> Iterator for Rows<'_, 'a, R> {
    type Item = (u32, R);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.at == self.end {
            return None;
        }
        let row = self.at;
        self.at += 1;
        let number = u32::try_from(row).expect("offsets are u32") + self.input.first;
        Some((number, R::read(&self.input.views, row)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.at, Some(self.end - self.at))
    }
}

impl<'a, R: Record<'a>> ExactSizeIterator for Rows<'_, 'a, R> {}

/// Where each group's rows begin, from the group of each row; one more than there are groups.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(
        dead_code,
        reason = "the border's form; natively tests read the groups"
    )
)]
pub(crate) fn offsets_of(group_of: &[u32], groups: u32) -> Vec<u32> {
    let begins = |group: u32| group_of.partition_point(|of| *of < group);
    (0..=groups)
        .map(|group| u32::try_from(begins(group)).expect("a table has less than 2^32 rows"))
        .collect()
}

/// What a group plugin wrote to one output: its name, its rows, and the group of each row.
pub type Written = (&'static str, Batch, Vec<u32>);

/// What a group plugin writes.
#[derive(Debug)]
pub struct Answers {
    outputs: Vec<(&'static str, Table, Vec<u32>)>,
    refusals: Vec<Refusal>,
}

impl Answers {
    /// Nothing yet for these outputs.
    pub fn new(outputs: &[Port]) -> Self {
        let empty = |port: &Port| (port.name, Table::new(&port.fields, 0), Vec::new());
        Self {
            outputs: outputs.iter().map(empty).collect(),
            refusals: Vec::new(),
        }
    }

    /// Writes a row of group `group` to output `output`. Groups are written in order.
    pub fn push<'r, R: Record<'r>>(&mut self, output: &str, group: u32, row: &R) {
        let (_, table, groups) = self
            .outputs
            .iter_mut()
            .find(|(name, ..)| *name == output)
            .unwrap_or_else(|| panic!("the shape has no output `{output}`"));
        assert!(
            groups.last().is_none_or(|last| *last <= group),
            "groups are written in order"
        );
        table.push(row);
        groups.push(group);
    }

    /// Refuses an input row, by its number from [`Rows`].
    pub fn refuse(&mut self, row: u32, code: &str, message: impl Into<String>) {
        self.refusals.push(Refusal {
            row,
            code: code.to_owned(),
            message: message.into(),
            field: None,
        });
    }

    /// Refuses an input row for what stands in `field`.
    pub fn refuse_field(&mut self, row: u32, field: &str, code: &str, message: impl Into<String>) {
        let field = Some(field.to_owned());
        self.refusals.push(Refusal {
            row,
            code: code.to_owned(),
            message: message.into(),
            field,
        });
    }

    /// What was written to each output, and the refusals.
    pub fn finish(self) -> (Vec<Written>, Vec<Refusal>) {
        let outputs = self
            .outputs
            .into_iter()
            .map(|(name, table, groups)| (name, table.into_batch(), groups));
        (outputs.collect(), self.refusals)
    }
}
