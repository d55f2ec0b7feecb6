//! A batch of rows, each with a weight.

use arrow::array::RecordBatch;
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
