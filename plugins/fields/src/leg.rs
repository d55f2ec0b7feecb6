//! Trade legs: what every normaliser of trades writes.

use crate::number::Number;
use weir_exact::{
    Decimal, checked_mul, from_i128, from_le_bytes, from_u128, mul_div_round, product, to_le_bytes,
};
use weir_sdk::{I256, record};

record! {
    /// One payment or delivery of a trade. A cancel is one row with nothing but id, version, action and class.
    pub struct Leg<'a> {
        /// Unique across all trade topics.
        trade_id: utf8 required,
        /// The highest one counts.
        version: int64 required,
        /// `NEW`, `AMEND` or `CANCEL`.
        action: utf8 required,
        /// `FX`, `REPO`, `BOND`, `EQUITY`, `INTERBANK`, `COMMODITY` or `DERIVATIVE`.
        asset_class: utf8 required,
        /// `SPOT`, `FORWARD`, `SWAP`, `NDF`; `REPO`, `REVERSE_REPO`, `COLLATERAL_SWAP`; `BOND`; `EQUITY`;
        /// `LOAN_PLACED`, `DEPOSIT_TAKEN`; `PHYSICAL`, `FORWARD`; a derivative's own word.
        product: utf8,
        /// The bank entity that traded.
        entity: utf8,
        /// Its book.
        book: utf8,
        /// With whom.
        counterparty: utf8,
        /// The agreement that the trade itself names.
        netting_agreement: utf8,
        /// When it was agreed.
        trade_date: date32,
        /// When it begins, where a trade may begin in the future.
        start_date: date32,
        /// Its last date; null when open.
        maturity_date: date32,
        /// Counts the trade's legs from 0.
        leg: int32 required,
        /// Flows of one number net on their date: of an FX trade 1 near, 2 far; elsewhere each has its own.
        exchange: int32,
        /// `CASH` (may be netted), `SECURITY`, `PHYSICAL`, `SECURED`, `SWAP`, `COUPON`, `PRINCIPAL` or `PURCHASE` (of
        /// goods); null when nothing flows.
        kind: utf8,
        /// `PAY` or `RECEIVE`, of the cash at the payment date; for a security `RECEIVE` is a purchase.
        direction: utf8,
        /// The security, or the collateral given or held.
        instrument_id: utf8,
        /// The security's CUSIP, as the message has it.
        cusip: utf8,
        /// How much of it.
        quantity: decimal128(38, 9),
        /// What a collateral swap holds for it.
        received_instrument_id: utf8,
        /// How much of that.
        received_quantity: decimal128(38, 9),
        /// Cash or cost.
        amount: decimal256(76, 18),
        /// Of the amount.
        currency: utf8,
        /// When it is paid or delivered; null when open.
        payment_date: date32,
        /// The collateral held may be used again.
        rehypothecable: bool,
        /// The collateral held is in use elsewhere.
        reused: bool,
        /// The contract's fields that no other column holds, by value.
        terms: utf8,
    }
}

/// What a message does to its trade. Spelled alike in all topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Books the trade.
    New,
    /// Books it as well.
    Amend,
    /// Removes it.
    Cancel,
}

impl Action {
    /// How messages spell the actions.
    pub const SPELLINGS: [(&'static str, Self); 3] = [
        ("NEW", Self::New),
        ("AMEND", Self::Amend),
        ("CANCEL", Self::Cancel),
    ];

    /// As messages spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Amend => "AMEND",
            Self::Cancel => "CANCEL",
        }
    }
}

/// What identifies a message of a trade: all that is read of a cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade<'a> {
    /// The trade's id.
    pub id: &'a str,
    /// The message's version.
    pub version: i64,
    /// What the message does.
    pub action: Action,
    /// As in [`Leg::asset_class`].
    pub asset_class: &'static str,
}

impl<'a> Trade<'a> {
    /// A leg of this trade with everything else null: the row of a cancel, or the base of the others.
    pub fn bare_leg(&self) -> Leg<'a> {
        Leg {
            trade_id: self.id,
            version: self.version,
            action: self.action.as_str(),
            asset_class: self.asset_class,
            product: None,
            entity: None,
            book: None,
            counterparty: None,
            netting_agreement: None,
            trade_date: None,
            start_date: None,
            maturity_date: None,
            leg: 0,
            exchange: None,
            kind: None,
            direction: None,
            instrument_id: None,
            cusip: None,
            quantity: None,
            received_instrument_id: None,
            received_quantity: None,
            amount: None,
            currency: None,
            payment_date: None,
            rehypothecable: None,
            reused: None,
            terms: None,
        }
    }
}

/// Decimals of an amount that is worked out.
const AMOUNT_SCALE: u8 = 18;

/// `a * b / c` as an amount, rounded half-even once.
pub fn amount(a: Decimal, b: Decimal, c: i128) -> I256 {
    let amount = mul_div_round(a, b, Decimal::from_i128(c, 0), AMOUNT_SCALE);
    amount
        .expect("factors below 10^18 and a day count fit 76 digits")
        .value
}

/// `amount * price`, both as received and below 10^18: the decimals of both together are those of the answer.
#[inline]
pub fn priced_amount(amount: i128, price: i128) -> I256 {
    const _: () = assert!(Number::AMOUNT.scale + Number::PRICE.scale == AMOUNT_SCALE);
    exact_product(amount, price)
}

/// An amount as received, below 10^18, at the scale of those that are worked out.
#[inline]
pub fn received_amount(digits: i128) -> I256 {
    const ZEROS: i128 = 10_i128.pow((AMOUNT_SCALE - Number::AMOUNT.scale) as u32);
    exact_product(digits, ZEROS)
}

/// `a * b`, of 36 and fewer digits each.
#[inline]
fn exact_product(a: i128, b: i128) -> I256 {
    // By the bytes, so that the usual answer never stands in memory, where the unusual one is.
    let bytes = match (u64::try_from(a), u64::try_from(b)) {
        (Ok(a), Ok(b)) => to_le_bytes(from_u128(product(a, b))),
        _ => wide_product(a, b),
    };
    from_le_bytes(bytes)
}

#[cold]
fn wide_product(a: i128, b: i128) -> [u8; 32] {
    let product = checked_mul(from_i128(a), from_i128(b));
    to_le_bytes(product.expect("factors of 36 and fewer digits fit 76"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert_eq, proptest};

    proptest! {
        /// Small and large, above and below 0, as the plain way has them.
        #[test]
        fn products_are_those_of_decimals(
            one in -(10_i128.pow(24))..10_i128.pow(24),
            other in -(10_i128.pow(30))..10_i128.pow(30),
            shift in 0_u32..60,
        ) {
            let (one, other) = (one >> shift, other >> shift);
            let decimal = |digits, number: Number| Decimal::from_i128(digits, number.scale);
            let (money, price) = (decimal(one, Number::AMOUNT), decimal(other, Number::PRICE));
            prop_assert_eq!(priced_amount(one, other), amount(money, price, 1));
            prop_assert_eq!(received_amount(one), amount(money, Decimal::from_i128(1, 0), 1));
        }
    }
}
