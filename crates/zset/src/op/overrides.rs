//! Replaces columns of input 0 while a row of input 1 (the overrides) matches it.
//!
//! A null in an override's column leaves the value as it was. Overrides equal in all `latest` columns
//! are told apart by their other columns, the greatest wins. An override of a scope that the stage
//! does not list is refused (`unknown_scope`) for as long as it is there; one without a key matches nothing.

use super::bag::{self, Bag};
use super::columns::{Encoder, Records, batch, distinct, find, find_all, inputs, some, typed};
use super::keyed::{Bytes, Keyed};
use super::saved::{Dirty, Put, Reader, Unreadable, Writer};
use super::{Operator, OverrideSpec, Step};
use crate::compact::Compact;
use crate::delta::PART_ROWS;
use crate::rows::RowCodec;
use crate::{Delta, OpError, Parts, Refusal, meta};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{and, is_not_null, take};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

pub(super) struct Override {
    schema: SchemaRef,
    row: Compact,
    /// In order of precedence.
    scopes: Vec<Scope>,
    scope_column: usize,
    key: Encoder,
    /// The override's `latest` columns, then those of `set`, then those of `take`, then all the others.
    rank: Encoder,
    rank_codec: RowCodec,
    /// Left column, index in the rank.
    set: Vec<(usize, usize)>,
    /// Indexes in the rank.
    take: Vec<usize>,
    records: Records,
    rows: Keyed<Row>,
    nulls: Bytes,
    kept: usize,
    dirty: Dirty,
}

/// Entries are of these kinds; the overrides of scope `n` have tag `n`, which comes first.
const ROW: u8 = u8::MAX;

struct Scope {
    name: String,
    column: Encoder,
    overrides: Keyed<Bag>,
    /// Slots of the rows that have this key.
    rows: Keyed<BTreeSet<u32>>,
}

/// A row of input 0.
struct Row {
    bytes: Bytes,
    weight: i64,
    /// Its key in each scope; null matches nothing.
    keys: Box<[Option<Bytes>]>,
    /// The override in force.
    winner: Option<Bytes>,
}

/// Rows to answer: row, override, weight.
type Pairs = Vec<(Bytes, Option<Bytes>, i64)>;

/// A row whose override is another now: its slot, and the override before.
type Moved = (u32, Option<Bytes>);

impl Override {
    pub(super) fn new(spec: &OverrideSpec, schemas: &[SchemaRef]) -> Result<Self, OpError> {
        let [left, overrides] = inputs("override", schemas)?;
        let is_text = |found: &DataType| *found == DataType::Utf8;
        let scope_column = typed(overrides, &spec.scope, "scope", "Utf8", is_text)?;
        let key = find(overrides, &spec.key).map_err(|error| error.at(&["key"]))?;
        let scopes = scopes(spec, left, overrides.field(key))?;
        some(&spec.latest, "latest")?;
        let mut ranked = find_all(overrides, &spec.latest, "latest")?;
        let (schema, set, take) = output(spec, left, overrides)?;
        let put = |index: usize, ranked: &mut Vec<usize>| {
            ranked
                .iter()
                .position(|&known| known == index)
                .unwrap_or_else(|| {
                    ranked.push(index);
                    ranked.len() - 1
                })
        };
        let set: Vec<(usize, usize)> = set
            .into_iter()
            .map(|(column, index)| (column, put(index, &mut ranked)))
            .collect();
        let take: Vec<usize> = take
            .into_iter()
            .map(|index| put(index, &mut ranked))
            .collect();
        for index in 0..overrides.fields().len() {
            put(index, &mut ranked);
        }
        let rank = Encoder::new(overrides, ranked)?;
        let open = rank
            .codec
            .schema()
            .fields()
            .iter()
            .map(|field| Arc::new(field.as_ref().clone().with_nullable(true)));
        Ok(Self {
            schema,
            row: Compact::whole(left)?,
            scopes,
            scope_column,
            key: Encoder::new(overrides, vec![key])?,
            rank_codec: RowCodec::new(Arc::new(Schema::new(open.collect::<Vec<_>>()))),
            nulls: rank.null_row().into(),
            rank,
            set,
            take,
            records: Records::of(overrides),
            rows: Keyed::new(),
            kept: 0,
            dirty: Dirty::default(),
        })
    }

    /// Takes the overrides' change; answers the rows whose winner is another now.
    fn step_overrides(&mut self, delta: &Delta, refusals: &mut Vec<Refusal>) -> Vec<Moved> {
        let names: &StringArray = delta.batch.column(self.scope_column).as_string();
        let (keys, ranks) = (
            self.key.encode(&delta.batch),
            self.rank.encode(&delta.batch),
        );
        let nulls = self.key.nulls(&delta.batch);
        let mut affected: Vec<u32> = Vec::new();
        for (row, is_null) in nulls.into_iter().enumerate() {
            let name = names.is_valid(row).then(|| names.value(row));
            let key = keys.row(row).data();
            let rank: Bytes = ranks.row(row).data().into();
            let weight = delta.weights[row];
            let mut is_known = false;
            for (tag, scope) in (0..)
                .zip(&mut self.scopes)
                .filter(|(_, scope)| Some(scope.name.as_str()) == name)
            {
                is_known = true;
                if !is_null {
                    bag::touch(tag, key, &rank, &mut self.dirty);
                    self.kept = self.kept.strict_add_signed(scope.add(key, &rank, weight));
                    affected.extend(scope.rows.get(key).into_iter().flatten());
                }
            }
            if !is_known {
                let message = "its scope is none of those that the stage matches";
                let refusal =
                    self.records
                        .refusal(&delta.batch, row, weight, "unknown_scope", message);
                refusals.push(refusal);
            }
        }
        affected.sort_unstable();
        affected.dedup();
        let mut moved = Vec::new();
        for slot in affected {
            let winner = self.winner(&self.rows.at(slot).keys);
            let row = self.rows.at_mut(slot);
            if row.winner != winner {
                moved.push((slot, std::mem::replace(&mut row.winner, winner)));
            }
        }
        moved
    }

    /// Rows as they were and as they are now; both share what is the same.
    fn both(&self, moved: &[Moved]) -> [Delta; 2] {
        let rows: Vec<&Row> = moved.iter().map(|(slot, _)| self.rows.at(*slot)).collect();
        let bytes: Vec<&[u8]> = rows.iter().map(|row| row.bytes.as_ref()).collect();
        let decoded = self.row.decode(&bytes);
        let gone = moved.iter().map(|(_, before)| before.as_ref());
        let come = rows.iter().map(|row| row.winner.as_ref());
        let weights = |sign: i64| rows.iter().map(|row| sign * row.weight).collect();
        [
            Delta::new(self.overridden(&decoded, gone), weights(-1)),
            Delta::new(self.overridden(&decoded, come), weights(1)),
        ]
    }

    /// The override in force for a row with these keys.
    fn winner(&self, keys: &[Option<Bytes>]) -> Option<Bytes> {
        let found = self.scopes.iter().zip(keys).find_map(|(scope, key)| {
            let bag = scope.overrides.get(key.as_ref()?)?;
            bag.present().next_back()
        });
        found.map(|(rank, _)| Bytes::clone(rank))
    }

    fn step_rows(&mut self, delta: &Delta, pairs: &mut Pairs) {
        let rows = self.row.encode(&delta.batch);
        let keys: Vec<_> = self
            .scopes
            .iter()
            .map(|scope| {
                (
                    scope.column.encode(&delta.batch),
                    scope.column.nulls(&delta.batch),
                )
            })
            .collect();
        for row in 0..delta.len() {
            let (bytes, weight) = (rows.row(row), delta.weights[row]);
            let slot = self.rows.find(bytes).unwrap_or_else(|| {
                let key = |(keys, nulls): &(arrow::row::Rows, Vec<bool>)| {
                    (!nulls[row]).then(|| Bytes::from(keys.row(row).data()))
                };
                self.insert(&bytes.into(), keys.iter().map(key).collect())
            });
            let row = self.rows.at_mut(slot);
            pairs.push((Bytes::clone(&row.bytes), row.winner.clone(), weight));
            row.weight += weight;
            self.dirty.touch_parts([&[ROW], bytes]);
            if row.weight == 0 {
                self.remove(slot);
            }
        }
    }

    fn insert(&mut self, bytes: &Bytes, keys: Box<[Option<Bytes>]>) -> u32 {
        let winner = self.winner(&keys);
        let new = || Row {
            bytes: Bytes::clone(bytes),
            weight: 0,
            keys,
            winner,
        };
        let (slot, _) = self.rows.slot(bytes, new);
        for (scope, key) in self.scopes.iter_mut().zip(&self.rows.at(slot).keys) {
            if let Some(key) = key {
                let (place, _) = scope.rows.slot(key, BTreeSet::new);
                scope.rows.at_mut(place).insert(slot);
            }
        }
        slot
    }

    fn remove(&mut self, slot: u32) {
        let row = self.rows.remove(slot);
        for (scope, key) in self.scopes.iter_mut().zip(&row.keys) {
            let Some(place) = key.as_ref().and_then(|key| scope.rows.find(key)) else {
                continue;
            };
            let slots = scope.rows.at_mut(place);
            slots.remove(&slot);
            if slots.is_empty() {
                scope.rows.remove(place);
            }
        }
    }

    fn delta(&self, pairs: &[(Bytes, Option<Bytes>, i64)]) -> Delta {
        let rows: Vec<&[u8]> = pairs.iter().map(|(row, ..)| row.as_ref()).collect();
        let winners = pairs.iter().map(|(_, winner, _)| winner.as_ref());
        let batch = self.overridden(&self.row.decode(&rows), winners);
        Delta::new(batch, pairs.iter().map(|(.., weight)| *weight).collect())
    }

    /// Rows with their overrides, each of which is decoded once.
    fn overridden<'a>(
        &'a self,
        rows: &RecordBatch,
        winners: impl Iterator<Item = Option<&'a Bytes>>,
    ) -> RecordBatch {
        let mut distinct: Vec<&Bytes> = vec![&self.nulls];
        let mut known: HashMap<*const u8, u32> = HashMap::new();
        let index = |winner: Option<&'a Bytes>| {
            let Some(winner) = winner else {
                return 0;
            };
            *known.entry(winner.as_ptr()).or_insert_with(|| {
                distinct.push(winner);
                u32::try_from(distinct.len() - 1).expect("a batch has fewer than 2^32 rows")
            })
        };
        let winners: UInt32Array = winners.map(index).collect::<Vec<_>>().into();
        let is_won: BooleanArray = winners
            .values()
            .iter()
            .map(|&index| Some(index > 0))
            .collect();
        let ranks = self
            .rank_codec
            .decode(distinct.into_iter().map(AsRef::as_ref));
        let value =
            |index: usize| take(ranks.column(index), &winners, None).expect("indexes of it");
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for &(column, index) in self.set.iter().filter(|_| is_won.true_count() > 0) {
            let value = value(index);
            let mask = is_not_null(&value).and_then(|some| and(&some, &is_won));
            columns[column] = zip(&mask.expect("flags"), &value, rows.column(column))
                .expect("values of one type");
        }
        let kept = self.set.iter();
        columns.extend(kept.map(|&(column, _)| Arc::clone(rows.column(column))));
        columns.extend(self.take.iter().map(|&index| value(index)));
        batch(&self.schema, columns, rows.num_rows())
    }
}

impl Scope {
    /// Answers by how many rows the overrides grew.
    fn add(&mut self, key: &[u8], rank: &Bytes, weight: i64) -> isize {
        let (slot, _) = self.overrides.slot(key, Bag::default);
        let bag = self.overrides.at_mut(slot);
        let before = bag.len();
        bag.add(rank, weight);
        let after = bag.len();
        if after == 0 {
            self.overrides.remove(slot);
        }
        after.cast_signed() - before.cast_signed()
    }
}

fn scopes(spec: &OverrideSpec, left: &SchemaRef, key: &Field) -> Result<Vec<Scope>, OpError> {
    if spec.matching.is_empty() {
        return Err(OpError::new("missing_key", "`match` names no scope").at(&["match"]));
    }
    if spec.matching.len() >= usize::from(ROW) {
        return Err(OpError::new("too_many", "`match` names more than 254 scopes").at(&["match"]));
    }
    let mut scopes = Vec::new();
    for (name, column) in &spec.matching {
        let place = ["match", name.as_str()];
        let index = find(left, column).map_err(|error| error.at(&place))?;
        let found = left.field(index).data_type();
        if found != key.data_type() {
            let message = format!(
                "column `{column}` is {found}, the overrides' `{}` is {}",
                key.name(),
                key.data_type()
            );
            return Err(OpError::new("wrong_type", message).at(&place));
        }
        let column = Encoder::new(left, vec![index]).map_err(|error| error.at(&place))?;
        let (overrides, rows) = (Keyed::new(), Keyed::new());
        scopes.push(Scope {
            name: name.clone(),
            column,
            overrides,
            rows,
        });
    }
    Ok(scopes)
}

/// The output's schema; for `set` left column and override column, for `take` override columns.
type Output = (SchemaRef, Vec<(usize, usize)>, Vec<usize>);

fn output(spec: &OverrideSpec, left: &SchemaRef, overrides: &SchemaRef) -> Result<Output, OpError> {
    let mut fields: Vec<FieldRef> = left.fields().iter().map(Arc::clone).collect();
    let (mut set, mut take) = (Vec::new(), Vec::new());
    for (column, source) in &spec.set {
        let place = ["set", column.as_str()];
        let index = find(left, column).map_err(|error| error.at(&place))?;
        let from = find(overrides, source).map_err(|error| error.at(&place))?;
        let (found, given) = (left.field(index), overrides.field(from));
        if found.data_type() != given.data_type() {
            let (found, given) = (found.data_type(), given.data_type());
            let message = format!("`{column}` is {found}, the overrides' `{source}` is {given}");
            return Err(OpError::new("wrong_type", message).at(&place));
        }
        if set.iter().any(|&(known, _)| known == index) || meta::is_meta(column) {
            let message = format!("`{column}` cannot be set here, or not twice");
            return Err(OpError::new("duplicate_column", message).at(&place));
        }
        fields.push(Arc::new(found.clone().with_name(format!("base_{column}"))));
        set.push((index, from));
    }
    for (name, source) in &spec.take {
        let place = ["take", name.as_str()];
        let from = find(overrides, source).map_err(|error| error.at(&place))?;
        if meta::is_meta(name) {
            let message = format!("`{name}`: names that begin with `_` belong to record metadata");
            return Err(OpError::new("reserved_name", message).at(&place));
        }
        let field = overrides
            .field(from)
            .clone()
            .with_name(name)
            .with_nullable(true);
        fields.push(Arc::new(field));
        take.push(from);
    }
    Ok((distinct(fields, &["take"])?, set, take))
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

impl Operator for Override {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn step(&mut self, inputs: &[Parts], _as_of_us: i64) -> Step {
        let mut refusals = Vec::new();
        let moved = self.step_overrides(&inputs[1].whole(), &mut refusals);
        let moved = moved.chunks(PART_ROWS).flat_map(|moved| self.both(moved));
        let mut parts: Vec<Delta> = moved.collect();
        let mut pairs = Pairs::new();
        for part in inputs[0].iter() {
            self.step_rows(part, &mut pairs);
        }
        consolidate(&mut pairs);
        parts.extend(pairs.chunks(PART_ROWS).map(|pairs| self.delta(pairs)));
        Step {
            delta: Parts::new(self.schema(), parts),
            refusals,
        }
    }

    fn state_rows(&self) -> usize {
        self.rows.len() + self.kept
    }

    fn save(&mut self, put: &mut Put<'_>) {
        let value = |row: &Row| {
            let value = Writer::default().i64(row.weight);
            let keys = row.keys.iter().fold(value, |value, key| match key {
                None => value.raw(&[0]),
                Some(key) => value.raw(&[1]).part(key),
            });
            keys.done()
        };
        let Some(keys) = self.dirty.take() else {
            for (tag, scope) in (0..).zip(&self.scopes) {
                bag::save_all(tag, &scope.overrides, put);
            }
            for (bytes, row) in self.rows.each() {
                let key = Writer::tagged(ROW).raw(bytes).done();
                put(&key, Some(&value(row)));
            }
            return;
        };
        keys.iter()
            .for_each(|key| match self.scopes.get(usize::from(key[0])) {
                Some(scope) => bag::save_one(&scope.overrides, key, put),
                None => put(key, self.rows.get(&key[1..]).map(value).as_deref()),
            });
    }

    fn load(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unreadable> {
        self.dirty.settle();
        let mut key = Reader::new(key);
        let tag = key.tag()?;
        if let Some(scope) = self.scopes.get_mut(usize::from(tag)) {
            self.kept += bag::load(&mut scope.overrides, key, value)?;
            return Ok(());
        }
        let mut value = Reader::new(value);
        let weight = value.i64()?;
        let keys = self.scopes.iter().map(|_| match value.tag()? {
            0 => Ok(None),
            _ => value.part().map(|key| Some(key.into())),
        });
        let keys = keys.collect::<Result<_, _>>()?;
        value.end()?;
        let slot = self.insert(&key.rest().into(), keys);
        self.rows.at_mut(slot).weight = weight;
        Ok(())
    }
}
