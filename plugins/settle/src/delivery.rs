//! Which confirmations of a security trade count.

use weir_exact::{Decimal, mul_div_round};
use weir_sdk::I256;

/// A confirmation, and the number by which it can be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation<'a> {
    pub(crate) number: u32,
    pub(crate) id: &'a str,
    pub(crate) quantity: i128,
    /// Microseconds since 1970, UTC.
    pub(crate) settled_at: i64,
    /// When its record was written, likewise.
    pub(crate) recorded_at: Option<i64>,
    /// Its record's topic, partition and offset.
    pub(crate) place: (Option<&'a str>, Option<i32>, Option<i64>),
}

/// How far a trade is delivered.
#[derive(Debug)]
pub(crate) struct Delivered<'a> {
    pub(crate) counted: Vec<Confirmation<'a>>,
    pub(crate) refused: Vec<Confirmation<'a>>,
    /// Of the quantity ordered, what has not come.
    pub(crate) rest: i128,
}

/// Takes confirmations in the order of when they settled, then of their ids; one that would take the total over the
/// quantity ordered counts nothing, later ones may still fit (topics.md: settlements).
pub(crate) fn deliver(ordered: i128, mut confirmations: Vec<Confirmation<'_>>) -> Delivered<'_> {
    confirmations.sort_by_key(|confirmation| (confirmation.settled_at, confirmation.id));
    let mut rest = ordered;
    let (mut counted, mut refused) = (Vec::new(), Vec::new());
    for confirmation in confirmations {
        if confirmation.quantity > rest {
            refused.push(confirmation);
        } else {
            rest -= confirmation.quantity;
            counted.push(confirmation);
        }
    }
    Delivered {
        counted,
        refused,
        rest,
    }
}

const QUANTITY_SCALE: u8 = 9;
const AMOUNT_SCALE: u8 = 18;

/// The cost of what has not come, pro rata; `None` when all has.
pub(crate) fn remaining_amount(amount: I256, rest: i128, ordered: i128) -> Option<I256> {
    let quantity = |digits| Decimal::from_i128(digits, QUANTITY_SCALE);
    let amount = Decimal::new(amount, AMOUNT_SCALE);
    // A part of an amount that fits does fit; nothing ordered is nothing to come.
    let part = mul_div_round(amount, quantity(rest), quantity(ordered), AMOUNT_SCALE).ok()?;
    (!part.value.is_zero()).then_some(part.value)
}
