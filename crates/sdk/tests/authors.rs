//! Two small plugins as their authors write them, run natively; and tables, written and read back.

use weir_sdk::harness;
use weir_sdk::wire::Layout;
use weir_sdk::{
    Answers, Batch, Columns, Data, Description, Failure, Field, Group, Groups, Json, Kind, Output,
    Record, Shape, Table, Transform, record,
};

record! {
    /// An order as it comes.
    struct Order<'a> {
        id: utf8 required,
        side: utf8,
        /// Named `type` in the batch.
        type_: utf8 = "type",
        quantity: decimal128(38, 9),
        asset: record(Asset),
    }
}

record! {
    struct Asset<'a> { code: utf8 required, due: date32 }
}

record! {
    struct Clean<'a> {
        id: utf8 required,
        is_buy: bool required,
        quantity: decimal256(76, 18),
        code: utf8,
        due: date32,
    }
}

struct Normalize {
    buy: String,
}

impl Transform for Normalize {
    fn description() -> Description {
        Description {
            name: "normalize",
            version: "0.1.0",
            config_schema: r#"{"type":"object","properties":{"buy":{"type":"string"}},"required":["buy"]}"#,
            shapes: vec![Shape::transform(Order::fields(), Clean::fields())],
        }
    }

    fn open(config: &Json, _data: &Data) -> Result<Self, Failure> {
        let buy = config.get("buy").and_then(Json::as_str);
        let buy = buy.ok_or_else(|| Failure::new("config_invalid", "`buy` is missing"))?;
        Ok(Self {
            buy: buy.to_owned(),
        })
    }

    fn transform(&self, rows: &Batch, out: &mut Output) {
        for (row, order) in rows.records::<Order<'_>>() {
            let Some(side) = order.side else {
                out.refuse_field(row, "side", "missing_field", "an order needs a side");
                continue;
            };
            let quantity = order
                .quantity
                .map(|digits| weir_sdk::I256::from(digits) * weir_sdk::I256::from(1_000_000_000));
            out.push(
                row,
                &Clean {
                    id: order.id,
                    is_buy: side == self.buy,
                    quantity,
                    code: order.asset.map(|asset| asset.code),
                    due: order.asset.and_then(|asset| asset.due),
                },
            );
        }
    }
}

weir_sdk::export_transform!(Normalize);

#[test]
fn a_transform_writes_rows_and_refusals() {
    let ran = harness::transform::<Normalize>(
        r#"{"buy": "B"}"#,
        &Data::default(),
        r#"
        {"id": "a", "side": "B", "quantity": "38000000.5", "asset": {"code": "X", "due": "2026-03-02"}}
        {"id": "b"}
        {"id": "c", "side": "S"}
        "#,
    )
    .unwrap();
    assert_eq!(
        ran.to_string(),
        "0: id=a is_buy=true quantity=38000000.5 code=X due=2026-03-02\n\
         2: id=c is_buy=false\n\
         refused 1: missing_field (side): an order needs a side\n"
    );
}

record! {
    struct Leg<'a> { trade: utf8 required, amount: int64 required }
}
record! {
    struct Fill<'a> { trade: utf8, filled: int64 required, at: timestamp }
}
record! {
    struct Open<'a> { trade: utf8 required, open: int64 required }
}

struct Remaining;

impl Group for Remaining {
    fn description() -> Description {
        Description {
            name: "remaining",
            version: "0.1.0",
            config_schema: r#"{"type":"object"}"#,
            shapes: vec![Shape::group(
                vec![("legs", Leg::fields()), ("fills", Fill::fields())],
                vec![("open", Open::fields())],
            )],
        }
    }

    fn open(_config: &Json, _data: &Data) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn evaluate(&self, _as_of_us: i64, groups: &Groups, out: &mut Answers) {
        let (legs, fills) = (
            groups.input::<Leg<'_>>("legs"),
            groups.input::<Fill<'_>>("fills"),
        );
        for group in groups.ids() {
            let Some((_, leg)) = legs.of(group).next() else {
                continue;
            };
            let mut open = leg.amount;
            for (number, fill) in fills.of(group) {
                if fill.filled > open {
                    out.refuse(
                        number,
                        "over_filled",
                        format!("{} more than is open", fill.filled - open),
                    );
                } else {
                    open -= fill.filled;
                }
            }
            out.push(
                "open",
                group,
                &Open {
                    trade: leg.trade,
                    open,
                },
            );
        }
    }
}

weir_sdk::export_group!(Remaining);

#[test]
fn a_group_sees_the_rows_of_each_input() {
    let ran = harness::group::<Remaining>(
        "{}",
        &Data::default(),
        "2026-03-02T12:00:00Z",
        &["trade"],
        &[
            ("legs", "{\"trade\": \"a\", \"amount\": 10}\n{\"trade\": \"b\", \"amount\": 5}"),
            ("fills", "{\"trade\": \"b\", \"filled\": 9}\n{\"trade\": \"a\", \"filled\": 4, \"at\": \"2026-03-02T11:00:00.5Z\"}"),
        ],
    )
    .unwrap();
    assert_eq!(
        ran.to_string(),
        "open 0: trade=a open=6\nopen 1: trade=b open=5\nrefused 3: over_filled: 4 more than is open\n"
    );
}

record! {
    struct Cells<'a> {
        text: utf8,
        number: int32,
        flag: bool,
    }
}

/// A record whose columns are not those that the table has is the author's mistake.
#[test]
#[should_panic(expected = "output column `text` is int32")]
fn columns_of_another_kind_are_seen() {
    let mut fields = <Cells<'_> as Record<'_>>::fields();
    fields[0] = Field::new("text", Kind::Int32, true);
    let mut table = Table::new(&fields, 1);
    table.push_with(|at, columns| columns[0].fixed(at, Some(1)));
    table.push(&Cells {
        text: Some("a"),
        number: None,
        flag: None,
    });
}

/// Whatever is written, either way, to whatever room there is, is read back: runs of values and of nulls, texts short
/// and long.
#[test]
fn cells_come_back() {
    let fields = <Cells<'_> as Record<'_>>::fields();
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..2_000 {
        let (rows, change) = (random(60), 1 + random(20));
        let mut there = [0, 1, 2].map(|_| random(2) == 0);
        let mut table = Table::new(&fields, random(40));
        let mut cells = Vec::new();
        for _ in 0..rows {
            there = there.map(|is| is != (random(change) == 0));
            let number = i32::try_from(random(45)).unwrap();
            let text = "aß€😀".chars().cycle().take(random(45)).collect::<String>();
            cells.push((
                there[0].then_some(text),
                there[1].then_some(number),
                there[2].then_some(number % 2 == 0),
            ));
        }
        for (text, number, flag) in &cells {
            if random(3) > 0 {
                table.push(&Cells {
                    text: text.as_deref(),
                    number: *number,
                    flag: *flag,
                });
                continue;
            }
            table.push_with(|at, columns| {
                columns[0].bytes(at, text.as_deref().map(str::as_bytes));
                columns[1].fixed(at, *number);
                columns[2].bool(at, *flag);
            });
        }
        let batch = table.into_batch();
        let columns = Columns::of(&batch);
        let texts = columns.text("text");
        let (numbers, flags) = (columns.fixed::<i32>("number"), columns.bools("flag"));
        for (row, (text, number, flag)) in cells.iter().enumerate() {
            assert_eq!(texts.get(row), text.as_deref());
            assert_eq!(numbers.get(row), *number);
            assert_eq!(flags.get(row), *flag);
        }
        let values = [
            cells.iter().filter(|cell| cell.0.is_some()).count(),
            cells.iter().filter(|cell| cell.1.is_some()).count(),
            cells.iter().filter(|cell| cell.2.is_some()).count(),
        ];
        for (column, values) in batch.columns.iter().zip(values) {
            assert_eq!(column.validity.is_some(), 0 < values && values < rows);
            assert_eq!(column.data == Layout::None, values == 0 && rows > 0);
            let bits = column.validity.map(|span| batch.bytes(span));
            let set: u32 = bits
                .unwrap_or_default()
                .iter()
                .map(|byte| byte.count_ones())
                .sum();
            assert!(column.validity.is_none() || set as usize == values);
        }
    }
}
