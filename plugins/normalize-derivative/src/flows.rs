//! The column `flows`: a list of records.

use weir_sdk::columns::is_valid;
use weir_sdk::wire::{Batch, Layout};
use weir_sdk::{Columns, Field, Kind, Record, record};

record! {
    /// A projected flow.
    pub(crate) struct Flow<'a> {
        /// When it is paid.
        date: utf8,
        /// Of the amount.
        currency: utf8 = "ccy",
        /// Above 0 it is received.
        amount: utf8,
    }
}

const NAME: &str = "flows";
const ITEM: &str = "item";

/// The column as the plugin asks for it.
pub(crate) fn column() -> Field {
    let item = Field {
        name: ITEM,
        kind: Kind::Struct,
        nullable: true,
        children: Flow::fields(),
    };
    Field {
        name: NAME,
        kind: Kind::List,
        nullable: true,
        children: vec![item],
    }
}

/// The flows of a batch's rows.
#[derive(Debug)]
pub(crate) struct Flows<'a> {
    validity: Option<&'a [u8]>,
    offsets: &'a [u8],
    item_validity: Option<&'a [u8]>,
    items: <Flow<'a> as Record<'a>>::Views,
}

impl<'a> Flows<'a> {
    /// Those of the batch's column.
    pub(crate) fn of(rows: &'a Batch) -> Self {
        let list = rows.columns.iter().find(|column| column.head.name == NAME);
        let Some(Layout::Nested(offsets)) = list.map(|column| column.data) else {
            panic!("the shape asks for a list `{NAME}`");
        };
        let (validity, item) = Columns::of(rows).fields(NAME);
        let (item_validity, columns) = item.fields(ITEM);
        Self {
            validity,
            offsets: rows.bytes(offsets),
            item_validity,
            items: Flow::views(columns),
        }
    }

    /// A row's flows; none when it has no list. A flow that is null has no fields.
    pub(crate) fn of_row(&self, row: usize) -> Option<Vec<Flow<'a>>> {
        let flow = |at| {
            if is_valid(self.item_validity, at) {
                Flow::read(&self.items, at)
            } else {
                Flow {
                    date: None,
                    currency: None,
                    amount: None,
                }
            }
        };
        is_valid(self.validity, row)
            .then(|| (self.offset(row)..self.offset(row + 1)).map(flow).collect())
    }

    fn offset(&self, at: usize) -> usize {
        let bytes = self.offsets[4 * at..4 * at + 4].try_into();
        u32::from_le_bytes(bytes.expect("four bytes")) as usize
    }
}
