//! What holds for any book: identities between the formulas, and what no change may do.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use lcr_rules::{
    Caps, Factor, Fraction, I256, Inflows, Level, Levels, NetTerms, Regime, addon, coverage_ratio,
    eu_split, net_outflow, stock,
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

/// Each level by itself: what is added is there, and two books are added level by level.
#[test]
fn levels_are_apart() {
    let all = [Level::One, Level::Covered, Level::TwoA, Level::TwoB];
    let mut held = Levels::default();
    for (level, amount) in all.into_iter().zip([3, 5, 7, 11]) {
        held.add(level, from_i128(amount)).unwrap();
        held.add(level, from_i128(amount)).unwrap();
    }
    assert_eq!(
        all.map(|level| held.of(level)),
        [6, 10, 14, 22].map(from_i128)
    );
    let both = held.plus(&levels([1, 2, 3])).unwrap();
    assert_eq!(
        all.map(|level| both.of(level)),
        [7, 10, 16, 25].map(from_i128)
    );
}

/// The EU's split of both caps binding (D06), and of covered bonds under their own floor; the others have none.
#[test]
fn the_split_of_the_eu() {
    let split = |levels: Levels| {
        let parts = eu_split(&EU, &levels).unwrap().expect("the EU splits");
        parts.map(|part| part.digits.checked_div(from_i128(part.per)).unwrap())
    };
    assert_eq!(split(levels([60, 50, 30])), [60, 0, 40, 0].map(from_i128));
    let covered = Levels {
        covered: from_i128(100),
        ..levels([30, 50, 30])
    };
    assert_eq!(split(covered), [30, 70, 0, 0].map(from_i128));
    for caps in [BASEL, US] {
        assert_eq!(eu_split(&caps, &levels([60, 50, 30])), Ok(None));
    }
}

/// Inflows of exactly the cap are not above it; one more is.
#[test]
fn the_cap_binds_above_it() {
    for regime in Regime::ALL {
        let binds = |inflow| {
            let inflows = inflows([0, 0, inflow]);
            let net = net_outflow(&terms(regime), from_i128(100), &inflows, I256::ZERO);
            net.unwrap().is_cap_binding
        };
        assert!(!binds(75));
        assert!(binds(76));
    }
}

/// The peak of D30, and what is due today: it counts in day 1 and is no peak of its own.
#[test]
fn an_addon_is_its_peak_over_its_end() {
    let mut nets = [I256::ZERO; 31];
    for (day, net) in [(5, 60), (10, -30), (20, 10), (25, -15)] {
        nets[day] = from_i128(net);
    }
    let found = addon(&nets).unwrap();
    let digits = [found.peak, found.last, found.amount];
    assert_eq!(digits, [60, 25, 35].map(from_i128));
    let found = addon(&[10, -4, -6, 1].map(from_i128)).unwrap();
    let digits = [found.peak, found.last, found.amount];
    assert_eq!(digits, [6, 1, 5].map(from_i128));
}

/// Columns of tables by regime.
#[test]
fn columns() {
    assert_eq!(Regime::ALL.map(Regime::column), [0, 1, 2]);
}

/// A cut is told in the smallest parts that its shares allow, and never in parts of nothing.
#[test]
fn parts() {
    let held = levels([60, 50, 30]);
    let per = |caps: &Caps| stock(caps, &held, &held).unwrap().total.per;
    assert_eq!([BASEL, US, EU].map(|caps| per(&caps)), [204, 10_000, 51]);
}
