//! Parts of an expression worked out once where all rows of a batch have the same values in the columns that they read,
//! as the rows that a join answers for one key do.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion_common::tree_node::{Transformed, TreeNode as _};
use datafusion_common::{Result as DfResult, ScalarValue};
use datafusion_expr::ColumnarValue;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{CaseExpr, Column};
use datafusion_physical_expr::utils::collect_columns;
use std::fmt::{Display, Formatter};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An expression that has one value where its columns have.
#[derive(Debug, Eq)]
struct Steady {
    inner: Arc<dyn PhysicalExpr>,
    columns: Vec<usize>,
}

impl PartialEq for Steady {
    fn eq(&self, other: &Self) -> bool {
        *self.inner == *other.inner
    }
}

/// The same expression; it as a whole, and each choice in it, looks first whether one row is enough.
pub(super) fn steady(expr: Arc<dyn PhysicalExpr>) -> DfResult<Arc<dyn PhysicalExpr>> {
    let choice = |node: Arc<dyn PhysicalExpr>| {
        let is_choice = node.downcast_ref::<CaseExpr>().is_some();
        Ok(if is_choice {
            Transformed::yes(Steady::of(node))
        } else {
            Transformed::no(node)
        })
    };
    let expr = expr.transform_up(choice)?.data;
    let is_simple =
        expr.downcast_ref::<Column>().is_some() || expr.downcast_ref::<Steady>().is_some();
    Ok(if is_simple { expr } else { Steady::of(expr) })
}

impl Steady {
    fn of(inner: Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        let columns = collect_columns(&inner).into_iter();
        let mut columns: Vec<usize> = columns.map(|column| column.index()).collect();
        columns.sort_unstable();
        Arc::new(Self { inner, columns })
    }
}

impl Hash for Steady {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl Display for Steady {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Steady {
    fn data_type(&self, schema: &Schema) -> DfResult<DataType> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> DfResult<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> DfResult<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> DfResult<ColumnarValue> {
        let mut columns = self.columns.iter().map(|&index| batch.column(index));
        if batch.num_rows() < 2 || !columns.all(is_steady) {
            return self.inner.evaluate(batch);
        }
        Ok(match self.inner.evaluate(&batch.slice(0, 1))? {
            ColumnarValue::Array(one) => {
                ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?)
            }
            scalar @ ColumnarValue::Scalar(_) => scalar,
        })
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> DfResult<Arc<dyn PhysicalExpr>> {
        Ok(children.into_iter().next().map_or(self, Self::of))
    }

    fn fmt_sql(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.inner.fmt_sql(f)
    }
}

/// Whether all values are the same, where that is quickly seen: each beside the next, all at once.
fn is_steady(column: &ArrayRef) -> bool {
    let rows = column.len();
    if column.null_count() > 0 {
        return column.null_count() == rows;
    }
    match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            let (offsets, bytes) = (texts.offsets(), texts.values());
            let length = texts.value_length(0);
            let (first, last) = (texts.value_offsets()[0], texts.value_offsets()[rows]);
            let all = &bytes[first.cast_unsigned() as usize..last.cast_unsigned() as usize];
            offsets
                .lengths()
                .all(|other| other == length.cast_unsigned() as usize)
                && repeats(all, length.cast_unsigned() as usize)
        }
        DataType::Boolean => {
            let count = column.as_boolean().true_count();
            count == 0 || count == rows
        }
        found => found.primitive_width().is_some_and(|width| {
            let data = column.to_data();
            let all = &data.buffers()[0].as_slice()[data.offset() * width..][..rows * width];
            repeats(all, width)
        }),
    }
}

/// Whether bytes are the first so many again and again.
fn repeats(bytes: &[u8], width: usize) -> bool {
    bytes[..bytes.len() - width] == bytes[width..]
}
