//! Columns inside columns.

use arrow::array::{Array, ArrayRef, StructArray, make_array};
use arrow::buffer::NullBuffer;
use std::sync::Arc;

/// A struct's column, null also where the struct is.
pub(crate) fn masked(parent: &StructArray, child: &ArrayRef) -> ArrayRef {
    if parent.null_count() == 0 {
        return Arc::clone(child);
    }
    let nulls = NullBuffer::union(parent.nulls(), child.nulls());
    let data = child.to_data().into_builder().nulls(nulls);
    make_array(data.build().expect("only nulls were added"))
}
