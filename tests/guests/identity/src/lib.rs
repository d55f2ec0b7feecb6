//! Ten columns in, the same ten out: what the border alone costs.

use weir_sdk::{Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, record};

record! {
    /// A row of the kinds that a normalised record has.
    pub struct Row<'a> {
        /// Text.
        id: utf8 required,
        /// Text with nulls.
        book: utf8,
        /// Text.
        entity: utf8,
        /// A version.
        version: int64 required,
        /// A position.
        leg: int32 required,
        /// True or false.
        open: bool,
        /// A day.
        day: date32,
        /// An instant.
        at: timestamp,
        /// A quantity.
        quantity: decimal128(38, 9),
        /// A derived amount.
        amount: decimal256(76, 18),
    }
}

/// The plugin: `by: column` answers the columns as they came, `by: cell` writes them anew.
#[derive(Debug)]
pub struct Identity {
    by_cell: bool,
}

impl Transform for Identity {
    fn description() -> Description {
        Description {
            name: "identity",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","properties":{"by":{"enum":["column","cell"]}},"additionalProperties":false}"#,
            shapes: vec![Shape::transform(Row::fields(), Row::fields())],
        }
    }

    fn open(config: &Json, _data: &Data) -> Result<Self, Failure> {
        Ok(Self {
            by_cell: config.get("by").and_then(Json::as_str) == Some("cell"),
        })
    }

    fn transform(&self, rows: &Batch, out: &mut Output) {
        if !self.by_cell {
            return out.same(rows.clone());
        }
        for (index, row) in rows.records::<Row<'_>>() {
            out.push(index, &row);
        }
    }
}

weir_sdk::export_transform!(Identity);
