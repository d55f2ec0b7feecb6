//! Two small plugins as their authors write them, run natively.

use weir_sdk::harness;
use weir_sdk::{
    Answers, Batch, Data, Description, Failure, Group, Groups, Json, Output, Record, Shape,
    Transform, record,
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
