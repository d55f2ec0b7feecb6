//! A batch of rows, each with a weight.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

/// Rows with weights: what changed in one step.
#[derive(Clone, Debug)]
pub struct Delta {
    /// The rows.
    pub batch: RecordBatch,
    /// One weight per row; never 0 in a consolidated delta.
    pub weights: Arc<[i64]>,
}

impl Delta {
    /// Rows with their weights, as many of one as of the other.
    pub fn new(batch: RecordBatch, weights: Vec<i64>) -> Self {
        assert_eq!(batch.num_rows(), weights.len(), "one weight per row");
        Self {
            batch,
            weights: weights.into(),
        }
    }

    /// Every row inserted once.
    pub fn inserts(batch: RecordBatch) -> Self {
        let weights = vec![1; batch.num_rows()];
        Self::new(batch, weights)
    }

    /// No rows of this schema.
    pub fn empty(schema: SchemaRef) -> Self {
        Self::new(RecordBatch::new_empty(schema), Vec::new())
    }

    /// The number of rows, whatever their weights.
    pub fn len(&self) -> usize {
        self.weights.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.weights.is_empty()
    }
}

/// What runs on an edge in one step, in parts: rows stay in the processor's cache from one operator to the next, and
/// parts that follow one another may share columns, as what a row was and what it is now mostly do.
#[derive(Clone, Debug)]
pub struct Parts {
    schema: SchemaRef,
    parts: Vec<Delta>,
}

/// Most rows of a part that an operator makes. Tests cut where they can.
pub(crate) const PART_ROWS: usize = if cfg!(test) { 2 } else { 4_096 };

impl Parts {
    /// These parts, but for the empty ones; all have the schema.
    pub fn new(schema: SchemaRef, parts: impl IntoIterator<Item = Delta>) -> Self {
        let parts = parts.into_iter().filter(|part| !part.is_empty()).collect();
        Self { schema, parts }
    }

    /// No rows of this schema.
    pub fn empty(schema: SchemaRef) -> Self {
        Self::new(schema, [])
    }

    /// The number of rows, whatever their weights.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Delta::len).sum()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The parts, none of them empty.
    pub fn iter(&self) -> impl Iterator<Item = &Delta> {
        self.parts.iter()
    }

    /// Each part by itself made into one of this schema.
    #[must_use]
    pub fn map(&self, schema: &SchemaRef, part: impl FnMut(&Delta) -> Delta) -> Self {
        Self::new(Arc::clone(schema), self.parts.iter().map(part))
    }

    /// All parts as one.
    pub fn whole(&self) -> Delta {
        match &self.parts[..] {
            [] => Delta::empty(Arc::clone(&self.schema)),
            [only] => only.clone(),
            parts => {
                let batches = parts.iter().map(|part| &part.batch);
                let weights = parts.iter().flat_map(|part| part.weights.iter().copied());
                let batch = concat_batches(&self.schema, batches).expect("parts of one schema");
                Delta::new(batch, weights.collect())
            }
        }
    }
}

impl From<Delta> for Parts {
    fn from(delta: Delta) -> Self {
        Self::new(delta.batch.schema(), [delta])
    }
}
