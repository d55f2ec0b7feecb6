//! What holds for any book: identities between the formulas, and what no change may do.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use lcr_rules::{
    Caps, Factor, Fraction, I256, Inflows, Levels, NetTerms, Regime, addon, coverage_ratio,
    net_outflow, stock,
};
use proptest::prelude::*;
use weir_exact::from_i128;

const BASEL: Caps = Caps::Basel {
    level_2: Factor::new(4000),
    level_2b: Factor::new(1500),
};
const US: Caps = Caps::Us {
    level_2_of_level_1: Factor::new(6667),
    level_2b_of_better: Factor::new(1765),
};
const EU: Caps = Caps::Eu {
    level_1_uncovered: Factor::new(3000),
    level_1: Factor::new(6000),
    level_2b: Factor::new(1500),
};

fn levels([one, two_a, two_b]: [i128; 3]) -> Levels {
    Levels {
        one: from_i128(one),
        covered: I256::ZERO,
        two_a: from_i128(two_a),
        two_b: from_i128(two_b),
    }
}

fn total(caps: &Caps, held: [i128; 3], adjusted: [i128; 3]) -> Fraction {
    stock(caps, &levels(held), &levels(adjusted)).unwrap().total
}

/// `a` is at least `b`.
fn is_at_least(a: Fraction, b: Fraction) -> bool {
    let left = a.digits.checked_mul(from_i128(b.per)).unwrap();
    left >= b.digits.checked_mul(from_i128(a.per)).unwrap()
}

fn terms(regime: Regime) -> NetTerms {
    NetTerms {
        regime,
        inflow_cap: Factor::new(7500),
        higher_cap: Factor::new(9000),
        percentage: Factor::ONE,
    }
}

fn inflows([exempt, ninety, capped]: [i128; 3]) -> Inflows {
    Inflows {
        exempt: from_i128(exempt),
        ninety: from_i128(ninety),
        capped: from_i128(capped),
    }
}

const SIGNED: std::ops::Range<i128> = -1_000_000..1_000_000;
const POSITIVE: std::ops::Range<i128> = 0..1_000_000;

proptest! {
    /// Para 5 and para 6 of Annex 1 are the same number for amounts of any sign.
    #[test]
    fn para_5_is_para_6(held in prop::array::uniform3(SIGNED), adjusted in prop::array::uniform3(SIGNED)) {
        let [a1, a2a, a2b] = adjusted;
        let stock = total(&BASEL, held, adjusted);
        let cut = (204 * (a2a + a2b) - 136 * a1).max(204 * a2b - 36 * (a1 + a2a)).max(0);
        let wanted = Fraction { digits: from_i128(204 * held.iter().sum::<i128>() - cut), per: 204 };
        prop_assert!(is_at_least(stock, wanted) && is_at_least(wanted, stock));
    }

    /// Without covered bonds the EU cuts what Basel cuts, of amounts that are not below 0.
    #[test]
    fn eu_is_basel_without_covered_bonds(held in prop::array::uniform3(POSITIVE), adjusted in prop::array::uniform3(POSITIVE)) {
        let (basel, eu) = (total(&BASEL, held, adjusted), total(&EU, held, adjusted));
        let nothing = Fraction { digits: I256::ZERO, per: 1 };
        let floored = if is_at_least(basel, nothing) { basel } else { nothing };
        prop_assert!(is_at_least(eu, floored) && is_at_least(floored, eu));
    }

    /// The US never has more than it would without the adjusted stock, nor more than what is held.
    #[test]
    fn us_takes_the_greater_excess(held in prop::array::uniform3(POSITIVE), adjusted in prop::array::uniform3(SIGNED)) {
        let us = total(&US, held, adjusted);
        prop_assert!(is_at_least(total(&US, held, held), us));
        let whole = Fraction { digits: from_i128(held.iter().sum()), per: 1 };
        prop_assert!(is_at_least(whole, us));
    }

    /// Twice the book is twice the stock; more level 1 is never less of it.
    #[test]
    fn stocks_scale_and_grow(held in prop::array::uniform3(POSITIVE), adjusted in prop::array::uniform3(POSITIVE), more in POSITIVE) {
        for caps in [BASEL, US, EU] {
            let stock = total(&caps, held, adjusted);
            let twice = total(&caps, held.map(|amount| 2 * amount), adjusted.map(|amount| 2 * amount));
            prop_assert_eq!(twice.digits, stock.digits.checked_mul(from_i128(2)).unwrap());
            let richer = |[one, two_a, two_b]: [i128; 3]| [one + more, two_a, two_b];
            prop_assert!(is_at_least(total(&caps, richer(held), richer(adjusted)), stock));
        }
    }

    /// The net outflow is never less than a quarter of the outflows, and never more than all of them.
    #[test]
    fn a_quarter_remains(outflow in POSITIVE, inflow in POSITIVE) {
        for regime in [Regime::Basel, Regime::Us, Regime::Eu] {
            let net = net_outflow(&terms(regime), from_i128(outflow), &inflows([0, 0, inflow]), I256::ZERO).unwrap();
            let quarter = Fraction { digits: from_i128(outflow), per: 4 };
            prop_assert!(is_at_least(net.net, quarter));
            let whole = Fraction { digits: from_i128(outflow), per: 1 };
            prop_assert!(is_at_least(whole, net.net));
            prop_assert_eq!(net.is_cap_binding, 4 * inflow > 3 * outflow);
        }
    }

    /// The EU's net outflow by its plain formula in whole numbers, all amounts in parts of 360.
    #[test]
    fn eu_cascade_is_its_formula(outflow in POSITIVE, flows in prop::array::uniform3(POSITIVE)) {
        let [exempt, ninety, capped] = flows;
        let net = net_outflow(&terms(Regime::Eu), from_i128(outflow), &inflows(flows), I256::ZERO).unwrap();
        let first = 360 * exempt.min(outflow);
        let second = (360 * ninety).min(324 * (outflow - exempt).max(0));
        let third = (360 * capped).min(30 * (9 * (outflow - exempt) - 10 * ninety).max(0));
        let wanted = Fraction { digits: from_i128((360 * outflow - first - second - third).max(0)), per: 360 };
        prop_assert!(is_at_least(net.net, wanted) && is_at_least(wanted, net.net));
    }

    /// The add-on is not below 0, and none when nothing comes in after it went out.
    #[test]
    fn addons(nets in prop::collection::vec(SIGNED, 31)) {
        let digits = |nets: &[i128]| nets.iter().map(|net| from_i128(*net)).collect::<Vec<_>>();
        prop_assert!(!addon(&digits(&nets)).unwrap().amount.is_negative());
        let outflows: Vec<i128> = nets.iter().map(|net| net.abs()).collect();
        prop_assert!(addon(&digits(&outflows)).unwrap().amount.is_zero());
    }
}

/// An amount that 256 bits cannot hold is an error with a name, not a wrapped number.
#[test]
fn overflow_is_named() {
    let held = Levels {
        one: I256::MAX,
        ..Levels::default()
    };
    for caps in [BASEL, US, EU] {
        let error = stock(&caps, &held, &held).unwrap_err();
        assert_eq!(error.code(), "amount_overflow");
    }
    for regime in Regime::ALL {
        let net = net_outflow(&terms(regime), I256::MAX, &Inflows::default(), I256::MAX);
        assert_eq!(net.unwrap_err().code(), "amount_overflow");
    }
}

/// Nothing flows out: there is no ratio; else it is rounded once, half-even.
#[test]
fn ratios() {
    let fraction = |digits, per| Fraction {
        digits: from_i128(digits),
        per,
    };
    assert_eq!(coverage_ratio(fraction(1, 1), fraction(0, 7)), Ok(None));
    let ratio = coverage_ratio(fraction(134, 3), fraction(85, 3)).unwrap();
    assert_eq!(ratio.unwrap().to_text(), "1.5764705882");
}
