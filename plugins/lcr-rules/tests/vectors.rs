//! The rules against the hand-worked and published cases of `tests/vectors/lcr-vectors.json`: what Basel says of
//! caps, unwind, haircuts and net outflow, on exact fractions. And random books against the formula of para 6.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use lcr_rules::{
    BASEL_CAPS, Class, I256, Levels, WEIGHTED_SCALE, coverage_ratio, net_outflow, stock, weigh,
};
use proptest::prelude::*;
use serde_json::Value;
use weir_exact::{Decimal, from_i128, mul_div_round};

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/lcr-vectors.json")).unwrap()
}

fn cases(kind: &str) -> Vec<Value> {
    let vectors = vectors();
    let all = vectors["cases"].as_array().unwrap().iter();
    let found: Vec<Value> = all.filter(|case| case["kind"] == kind).cloned().collect();
    assert!(!found.is_empty(), "no case of kind {kind}");
    found
}

fn number(text: &Value) -> Decimal {
    text.as_str().unwrap().parse().unwrap()
}

/// Digits at the scale of weighted amounts.
fn amount(text: &Value) -> I256 {
    number(text).at(WEIGHTED_SCALE).unwrap()
}

/// `units / per` equals the expected decimal or fraction `a/b`: cross-multiplied, nothing rounded.
fn assert_equal(units: I256, per: i128, scale: u8, expected: &Value, what: &str) {
    let text = expected.as_str().unwrap();
    let (above, below) = text.split_once('/').unwrap_or((text, "1"));
    let (above, below): (Decimal, Decimal) = (above.parse().unwrap(), below.parse().unwrap());
    let left = Decimal::new(units, scale).checked_mul(below).unwrap();
    let right = above.checked_mul(Decimal::from_i128(per, 0)).unwrap();
    assert_eq!(left, right, "{what}: wanted {text}");
}

fn levels(one: I256, two_a: I256, two_b: I256) -> Levels {
    Levels { one, two_a, two_b }
}

/// The stock with secured trades inside the horizon undone: cash against the asset after haircut (Annex 1 para 4).
fn unwound(held: Levels, trades: &Value) -> Levels {
    let mut adjusted = held;
    for trade in trades.as_array().unwrap_or(&Vec::new()) {
        if trade["days"].as_i64().is_some_and(|days| days > 30) {
            continue;
        }
        let (asset, sign) = match trade["type"].as_str().unwrap() {
            "repo" => (&trade["give"], 1),
            _ => (&trade["get"], -1),
        };
        let class = Class::parse(asset["level"].as_str().unwrap()).unwrap();
        let value = weigh(
            number(&asset["mv"]).at(WEIGHTED_SCALE - 2).unwrap(),
            class.counted(),
        )
        .unwrap();
        let signed = |digits: I256| digits.checked_mul(from_i128(sign)).unwrap();
        adjusted
            .add(
                lcr_rules::Level::One,
                signed(amount(&trade["cash"])).checked_neg().unwrap(),
            )
            .unwrap();
        adjusted.add(class.level().unwrap(), signed(value)).unwrap();
    }
    adjusted
}

/// Caps and unwind: the stock and both cuts to the last fraction, negative ones too.
#[test]
fn caps_and_unwind() {
    for case in cases("hqla_caps") {
        let id = case["id"].as_str().unwrap();
        let (inputs, expected) = (&case["inputs"], &case["expected"]["basel"]);
        let held = levels(
            amount(&inputs["l1"]),
            amount(&inputs["l2a"]),
            amount(&inputs["l2b"]),
        );
        let adjusted = unwound(held, &inputs["sfts"]);
        if let Some(levels) = expected.get("adjusted") {
            assert_equal(adjusted.one, 1, WEIGHTED_SCALE, &levels["L1"], id);
            assert_equal(adjusted.two_a, 1, WEIGHTED_SCALE, &levels["L2A"], id);
            assert_equal(adjusted.two_b, 1, WEIGHTED_SCALE, &levels["L2B"], id);
        }
        let stock = stock(&BASEL_CAPS, &held, &adjusted).unwrap();
        for (key, units) in [
            ("adj15", stock.cut_15),
            ("adj40", stock.cut_40),
            ("stock", stock.total),
        ] {
            if let Some(wanted) = expected.get(key) {
                assert_equal(
                    units,
                    stock.per,
                    WEIGHTED_SCALE,
                    wanted,
                    &format!("{id} {key}"),
                );
            }
        }
    }
}

/// Haircuts by class before the caps, and the ratio.
#[test]
fn haircuts_and_caps() {
    for case in cases("haircut_caps") {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let mut held = Levels::default();
        for (name, value) in inputs["market_values"].as_object().unwrap() {
            let class = Class::parse(name).unwrap();
            let value = number(value).at(WEIGHTED_SCALE - 2).unwrap();
            held.add(
                class.level().unwrap(),
                weigh(value, class.counted()).unwrap(),
            )
            .unwrap();
        }
        assert_equal(held.one, 1, WEIGHTED_SCALE, &expected["l1"], "l1");
        assert_equal(held.two_a, 1, WEIGHTED_SCALE, &expected["l2a"], "l2a");
        assert_equal(held.two_b, 1, WEIGHTED_SCALE, &expected["l2b"], "l2b");
        let stock = stock(&BASEL_CAPS, &held, &held).unwrap();
        assert_equal(
            stock.cut_15,
            stock.per,
            WEIGHTED_SCALE,
            &expected["adj15"],
            "adj15",
        );
        assert_equal(
            stock.total,
            stock.per,
            WEIGHTED_SCALE,
            &expected["stock"],
            "stock",
        );
        let net = number(&inputs["net_outflow"]);
        let ratio = coverage_ratio(&stock, net).unwrap().unwrap();
        // 134/85 to ten decimals.
        assert_eq!(ratio.to_text(), "1.5764705882");
    }
}

/// The sum of `amount * rate`.
fn weighted(flows: &Value) -> I256 {
    let one = |flow: &Value| {
        number(&flow["amount"])
            .checked_mul(number(&flow["rate"]))
            .unwrap()
    };
    let flows = flows.as_array().unwrap().iter().map(one);
    flows
        .reduce(|a, b| a.checked_add(b).unwrap())
        .map_or(I256::ZERO, |sum| sum.at(WEIGHTED_SCALE).unwrap())
}

/// The inflow cap, its edge, and the ratio that is undefined without a net outflow.
#[test]
fn net_outflows() {
    for case in cases("net_outflow") {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let outflow = weighted(&inputs["outflows"]);
        let net = net_outflow(outflow, weighted(&inputs["inflows"])).unwrap();
        assert_equal(
            outflow,
            1,
            WEIGHTED_SCALE,
            &expected["total_outflow"],
            "outflow",
        );
        assert_equal(
            net.inflow.value,
            1,
            net.inflow.scale,
            &expected["total_inflow_capped"],
            "inflow",
        );
        assert_equal(
            net.net.value,
            1,
            net.net.scale,
            &expected["net_outflow"],
            "net",
        );
        if let Some(binding) = expected.get("cap_binding") {
            assert_eq!(net.is_cap_binding, binding.as_bool().unwrap());
        }
        if let Some(hqla) = inputs.get("hqla") {
            let held = levels(amount(hqla), I256::ZERO, I256::ZERO);
            let stock = stock(&BASEL_CAPS, &held, &held).unwrap();
            let ratio = coverage_ratio(&stock, net.net)
                .unwrap()
                .map(Decimal::to_text);
            assert_eq!(ratio.as_deref(), expected["lcr"].as_str());
        }
    }
}

/// The sum of the lines' weighted amounts.
fn disclosed(lines: &Value) -> I256 {
    let lines = lines
        .as_object()
        .unwrap()
        .values()
        .map(|line| number(&line["w"]));
    let sum = lines.reduce(|a, b| a.checked_add(b).unwrap()).unwrap();
    sum.at(WEIGHTED_SCALE).unwrap()
}

/// Published disclosures under Basel rules, within the roundings that they print; one whose printed lines do not add
/// up must not come out as printed.
#[test]
fn disclosures() {
    let is_basel = |case: &&Value| case["inputs"].get("maturity_mismatch_addon").is_none();
    let cases = cases("disclosure");
    let basel: Vec<&Value> = cases.iter().filter(is_basel).collect();
    assert!(!basel.is_empty());
    for case in basel {
        let (inputs, expected) = (&case["inputs"], &case["expected"]);
        let outflow = disclosed(&inputs["outflows_weighted"]);
        let net = net_outflow(outflow, disclosed(&inputs["inflows_weighted"])).unwrap();
        let held = levels(amount(&inputs["hqla"]), I256::ZERO, I256::ZERO);
        let stock = stock(&BASEL_CAPS, &held, &held).unwrap();
        let ratio = coverage_ratio(&stock, net.net).unwrap().unwrap();
        let is_near = |found: Decimal, wanted: &Value, tolerance: &str| {
            let distance = found.checked_add(number(wanted).negated()).unwrap();
            let distance = distance.max(distance.negated());
            distance <= number(&case["tolerances"][tolerance])
        };
        assert!(
            is_near(net.net, &expected["net_outflow"], "default"),
            "{}",
            case["id"]
        );
        assert!(is_near(ratio, &expected["lcr"], "lcr"), "{}", case["id"]);
        if let Some(published) = case.get("published_figures") {
            assert!(!is_near(ratio, &published["lcr"], "lcr"), "{}", case["id"]);
        }
    }
}

/// Random books of another implementation, printed to twelve decimals.
#[test]
fn random_books() {
    for case in vectors()["fuzz_cases"].as_array().unwrap() {
        let (input, out) = (&case["in"], &case["out"]);
        let held = levels(
            amount(&input["l1"]),
            amount(&input["l2a"]),
            amount(&input["l2b"]),
        );
        let adjusted = levels(
            amount(&input["a1"]),
            amount(&input["a2a"]),
            amount(&input["a2b"]),
        );
        let stock = stock(&BASEL_CAPS, &held, &adjusted).unwrap();
        for (key, units) in [
            ("adj15", stock.cut_15),
            ("adj40", stock.cut_40),
            ("basel_stock", stock.total),
        ] {
            let one = Decimal::from_i128(1, 0);
            let per = Decimal::from_i128(stock.per, 0);
            let rounded = mul_div_round(Decimal::new(units, WEIGHTED_SCALE), one, per, 12).unwrap();
            assert_eq!(rounded, number(&out[key]), "{} {key}", case["id"]);
        }
    }
}

/// What other implementations get wrong and this one must not.
#[test]
fn anti_vectors() {
    let vectors = vectors();
    for case in vectors["anti_vectors"].as_array().unwrap() {
        let Some(mv) = case["inputs"].get("l2a_mv") else {
            continue;
        };
        let value = |text: &Value| number(text).at(WEIGHTED_SCALE - 2).unwrap();
        let held = levels(
            amount(&case["inputs"]["l1"]),
            weigh(value(mv), Class::L2a.counted()).unwrap(),
            weigh(value(&case["inputs"]["l2b_mv"]), Class::L2b.counted()).unwrap(),
        );
        let stock = stock(&BASEL_CAPS, &held, &held).unwrap();
        assert_equal(
            stock.total,
            stock.per,
            WEIGHTED_SCALE,
            &case["correct"],
            "stock",
        );
    }
}

proptest! {
    /// Para 5 and para 6 of Annex 1 are the same number for amounts of any sign.
    #[test]
    fn para_5_is_para_6(amounts in prop::array::uniform3(-1_000_000_i128..1_000_000),
                        adjusted in prop::array::uniform3(-1_000_000_i128..1_000_000)) {
        let [a1, a2a, a2b] = adjusted;
        let digits = |values: [i128; 3]| {
            let [one, two_a, two_b] = values.map(from_i128);
            levels(one, two_a, two_b)
        };
        let stock = stock(&BASEL_CAPS, &digits(amounts), &digits(adjusted)).unwrap();
        let cut = (204 * (a2a + a2b) - 136 * a1).max(204 * a2b - 36 * (a1 + a2a)).max(0);
        prop_assert_eq!(stock.total, from_i128(204 * amounts.iter().sum::<i128>() - cut));
    }

    /// The net outflow is never less than a quarter of the outflows.
    #[test]
    fn a_quarter_remains(outflow in 0_i128..1_000_000, inflow in 0_i128..1_000_000) {
        let net = net_outflow(from_i128(outflow), from_i128(inflow)).unwrap();
        prop_assert!(net.net.value >= from_i128(25 * outflow));
        prop_assert_eq!(net.is_cap_binding, 4 * inflow > 3 * outflow);
    }
}

/// An amount that 256 bits cannot hold is an error with a name, not a wrapped number.
#[test]
fn overflow_is_named() {
    let held = levels(I256::MAX, I256::ZERO, I256::ZERO);
    let error = stock(&BASEL_CAPS, &held, &held).unwrap_err();
    assert_eq!(error.code(), "amount_overflow");
}
