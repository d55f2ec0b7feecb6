//! Input 0 joined with input 1, inner or left. Null joins nothing.
//!
//! With `at_most_one` a key's least right row counts (by the taken columns, then by its record); each
//! further one is refused (`more_than_one_match`) for as long as it is there. A right row that was
//! retracted more often than inserted joins nothing and is refused (`retracted_unknown`) meanwhile.

use super::bag::Bag;
use super::columns::{Encoder, Records, batch, distinct, find, inputs};
use super::keyed::{Bytes, Keyed};
use super::{JoinKind, JoinSpec, Operator, Step};
use crate::rows::RowCodec;
use crate::{Delta, OpError, Refusal, meta};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use std::sync::Arc;

pub(super) struct Join {
    schema: SchemaRef,
    kind: JoinKind,
    at_most_one: bool,
    left_key: Encoder,
    left_row: Encoder,
    right_key: Encoder,
    /// The taken columns, then the metadata.
    right_row: Encoder,
    taken: usize,
    records: Records,
    /// What a left row without a partner is joined with.
    nulls: Bytes,
    /// Decodes right rows, where every column may be null.
    right_codec: RowCodec,
    left: Keyed<Bag>,
    right: Keyed<Bag>,
    rows: usize,
}

/// Right rows that a key joins, with weights.
type Partners = Vec<(Bytes, i64)>;

/// Joined rows to answer: left, right, weight.
type Pairs = Vec<(Bytes, Bytes, i64)>;

impl Join {
    pub(super) fn new(spec: &JoinSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [left, right] = inputs("join", schemas)?;
        let (left_on, right_on) = keys(spec, left, right)?;
        let mut fields: Vec<FieldRef> = left.fields().iter().map(Arc::clone).collect();
        let mut taken = Vec::new();
        for (name, column) in &spec.columns {
            let index = find(right, column).map_err(|error| error.at(&["take", name]))?;
            if meta::is_meta(name) {
                let message =
                    format!("`{name}`: names that begin with `_` belong to record metadata");
                return Err(OpError::new("reserved_name", message).at(&["take", name]));
            }
            let field = right.field(index).clone().with_name(name);
            let nullable = field.is_nullable() || spec.kind == JoinKind::Left;
            fields.push(Arc::new(field.with_nullable(nullable)));
            taken.push(index);
        }
        let schema = distinct(fields, &["take"])?;
        let (count, mut kept) = (taken.len(), taken);
        let is_meta = |index: &usize| meta::is_meta(right.field(*index).name());
        kept.extend((0..right.fields().len()).filter(is_meta));
        let right_row = Encoder::new(right, kept).map_err(|error| error.at(&["take"]))?;
        let open = right_row
            .codec
            .schema()
            .fields()
            .iter()
            .map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        Ok(Self {
            schema,
            kind: spec.kind,
            at_most_one: spec.at_most_one,
            left_key: Encoder::new(left, left_on).map_err(|error| error.at(&["on"]))?,
            left_row: Encoder::whole(left)?,
            right_key: Encoder::new(right, right_on).map_err(|error| error.at(&["on"]))?,
            right_codec: RowCodec::new(Arc::new(Schema::new(open.collect::<Vec<_>>()))),
            records: Records::of(right_row.codec.schema()),
            nulls: right_row.null_row().into(),
            right_row,
            taken: count,
            left: Keyed::new(),
            right: Keyed::new(),
            rows: 0,
        })
    }

    /// What a key joins now.
    fn partners(&self, key: &[u8]) -> Partners {
        let bag = self.right.get(key);
        let mut present = bag.into_iter().flat_map(Bag::present);
        let mut partners: Partners = if self.at_most_one {
            present
                .next()
                .map(|(row, _)| (Bytes::clone(row), 1))
                .into_iter()
                .collect()
        } else {
            present
                .map(|(row, weight)| (Bytes::clone(row), weight))
                .collect()
        };
        if partners.is_empty() && self.kind == JoinKind::Left {
            partners.push((Bytes::clone(&self.nulls), 1));
        }
        partners
    }

    /// Takes the right side's change; answers pairs for the left rows there were.
    fn step_right(&mut self, delta: &Delta, refusals: &mut Vec<Refusal>) -> Pairs {
        let (keys, rows) = (
            self.right_key.encode(&delta.batch),
            self.right_row.encode(&delta.batch),
        );
        let nulls = self.right_key.nulls(&delta.batch);
        let mut touched: Keyed<(Partners, Faults)> = Keyed::new();
        let mut order = Vec::new();
        for row in (0..delta.len()).filter(|row| !nulls[*row]) {
            let key = keys.row(row).data();
            if touched.find(key).is_none() {
                let before = (self.partners(key), self.faults(key));
                order.push(touched.slot(key, || before).0);
            }
            let (slot, _) = self.right.slot(key, Bag::default);
            let bag = self.right.at_mut(slot);
            self.rows -= bag.len();
            bag.add(&rows.row(row).data().into(), delta.weights[row]);
            self.rows += bag.len();
            if bag.is_empty() {
                self.right.remove(slot);
            }
        }
        let mut pairs = Pairs::new();
        for slot in order {
            let (key, (before, faults)) = (touched.key(slot), touched.at(slot));
            self.refuse(faults, -1, refusals);
            self.refuse(&self.faults(key), 1, refusals);
            let after = self.partners(key);
            if *before == after {
                continue;
            }
            let Some(left) = self.left.get(key) else {
                continue;
            };
            for (row, weight) in left.iter() {
                pair(&mut pairs, row, -weight, before);
                pair(&mut pairs, row, weight, &after);
            }
        }
        pairs
    }

    /// Takes the left side's change.
    fn step_left(&mut self, delta: &Delta, pairs: &mut Pairs) {
        let (keys, rows) = (
            self.left_key.encode(&delta.batch),
            self.left_row.encode(&delta.batch),
        );
        let nulls = self.left_key.nulls(&delta.batch);
        let lonely = [(Bytes::clone(&self.nulls), 1)];
        for (row, is_null) in nulls.into_iter().enumerate() {
            let (bytes, weight): (Bytes, i64) = (rows.row(row).data().into(), delta.weights[row]);
            if is_null {
                if self.kind == JoinKind::Left {
                    pair(pairs, &bytes, weight, &lonely);
                }
                continue;
            }
            let key = keys.row(row).data();
            pair(pairs, &bytes, weight, &self.partners(key));
            let (slot, _) = self.left.slot(key, Bag::default);
            let bag = self.left.at_mut(slot);
            self.rows -= bag.len();
            bag.add(&bytes, weight);
            self.rows += bag.len();
            if bag.is_empty() {
                self.left.remove(slot);
            }
        }
    }

    /// Right rows of a key that break a rule, and how often.
    fn faults(&self, key: &[u8]) -> Faults {
        let Some(bag) = self.right.get(key) else {
            return Faults::default();
        };
        let mut faults = Faults::default();
        if self.at_most_one {
            let mut spare = 1;
            for (row, weight) in bag.present() {
                if weight > spare {
                    faults.more.push((Bytes::clone(row), weight - spare));
                }
                spare = 0;
            }
        }
        if bag.missing() > 0 {
            let missing = bag.iter().filter(|(_, weight)| *weight < 0);
            faults.missing = missing
                .map(|(row, weight)| (Bytes::clone(row), -weight))
                .collect();
        }
        faults
    }

    fn refuse(&self, faults: &Faults, sign: i64, refusals: &mut Vec<Refusal>) {
        let cases = [
            (
                &faults.more,
                "more_than_one_match",
                "its key has more than one row on the joined side",
            ),
            (
                &faults.missing,
                "retracted_unknown",
                "it was retracted more often than inserted",
            ),
        ];
        for (rows, code, message) in cases {
            if rows.is_empty() {
                continue;
            }
            let batch = self
                .right_codec
                .decode(rows.iter().map(|(row, _)| row.as_ref()));
            for (row, (_, weight)) in rows.iter().enumerate() {
                refusals.push(
                    self.records
                        .refusal(&batch, row, sign * weight, code, message),
                );
            }
        }
    }

    fn delta(&self, pairs: &Pairs) -> Delta {
        let left = self
            .left_row
            .codec
            .decode(pairs.iter().map(|(left, ..)| left.as_ref()));
        let right = self
            .right_codec
            .decode(pairs.iter().map(|(_, right, _)| right.as_ref()));
        let mut columns = left.columns().to_vec();
        columns.extend(right.columns()[..self.taken].iter().map(Arc::clone));
        let batch = batch(&self.schema, columns, pairs.len());
        Delta::new(batch, pairs.iter().map(|(.., weight)| *weight).collect())
    }
}

#[derive(Default)]
struct Faults {
    more: Partners,
    missing: Partners,
}

fn pair(pairs: &mut Pairs, left: &Bytes, weight: i64, partners: &[(Bytes, i64)]) {
    for (right, count) in partners {
        pairs.push((Bytes::clone(left), Bytes::clone(right), weight * count));
    }
}

/// Merges equal rows and drops those that cancel.
fn consolidate(pairs: &mut Pairs) {
    pairs.sort_unstable();
    pairs.dedup_by(|next, kept| {
        let same = next.0 == kept.0 && next.1 == kept.1;
        if same {
            kept.2 += next.2;
        }
        same
    });
    pairs.retain(|(.., weight)| *weight != 0);
}

fn keys(
    spec: &JoinSpec,
    left: &SchemaRef,
    right: &SchemaRef,
) -> Result<(Vec<usize>, Vec<usize>), OpError> {
    if spec.on.is_empty() {
        return Err(OpError::new("missing_key", "`on` names no column").at(&["on"]));
    }
    let (mut left_on, mut right_on) = (Vec::new(), Vec::new());
    for (index, (one, two)) in spec.on.iter().enumerate() {
        let place = ["on", &index.to_string()];
        let one_index = find(left, one).map_err(|error| error.at(&place))?;
        let two_index = find(right, two).map_err(|error| error.at(&place))?;
        let one_type = value_type(left.field(one_index).data_type());
        let two_type = value_type(right.field(two_index).data_type());
        if one_type != two_type {
            let message =
                format!("`{one}` is {one_type}, `{two}` of the joined side is {two_type}");
            let fault = OpError::new("wrong_type", message).at(&place);
            return Err(fault.hint("cast one of them with `let` before the join"));
        }
        left_on.push(one_index);
        right_on.push(two_index);
    }
    Ok((left_on, right_on))
}

/// The type whose row form a column has.
fn value_type(found: &DataType) -> &DataType {
    match found {
        DataType::Dictionary(_, values) => values,
        found => found,
    }
}

impl Operator for Join {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Delta], _as_of_us: i64) -> Step {
        let mut refusals = Vec::new();
        let mut pairs = self.step_right(&inputs[1], &mut refusals);
        self.step_left(&inputs[0], &mut pairs);
        if !inputs[1].is_empty() && !inputs[0].is_empty() {
            consolidate(&mut pairs);
        }
        Step {
            delta: self.delta(&pairs),
            refusals,
        }
    }

    fn state_rows(&self) -> usize {
        self.rows
    }
}
