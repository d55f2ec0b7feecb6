//! `balances`: the last known state of an account, a commitment, a margin.

use crate::{deleted_key, is_empty};
use fields::{Cell, EuInflows, Number, Refusal};
use weir_sdk::{Output, record};

record! {
    /// The columns of `balances` as the decoder writes them.
    pub(crate) struct Message<'a> {
        offset: int64 required = "_offset",
        key: utf8 = "_key",
        account_id: utf8 = "accountId",
        version: utf8,
        kind: utf8,
        currency: utf8 = "ccy",
        amount: utf8,
        maturity: utf8,
        counterparty: utf8,
        entity: utf8,
        book: utf8,
    }
}

record! {
    /// An account's state, or its end.
    pub(crate) struct Balance<'a> {
        key: utf8 required,
        deleted: bool required,
        version: int64 required,
        account_id: utf8,
        kind: utf8,
        currency: utf8,
        amount: decimal128(38, 6),
        maturity: date32,
        counterparty: utf8,
        inflow_cap: int32,
        entity: utf8,
        book: utf8,
    }
}

const KINDS: [&str; 25] = [
    "cb_reserve",
    "cash_coins",
    "nostro_operational",
    "nostro_excess",
    "deposit_retail_stable",
    "deposit_retail_less_stable",
    "deposit_retail_term",
    "deposit_operational",
    "deposit_operational_insured",
    "deposit_nonfin",
    "deposit_nonfin_insured",
    "deposit_financial",
    "debt_issued",
    "commitment_credit_retail",
    "commitment_credit_nonfin",
    "commitment_liquidity_nonfin",
    "commitment_bank",
    "commitment_credit_otherfin",
    "commitment_liquidity_otherfin",
    "posted_non_l1_collateral",
    "hlba",
    "other_contractual_out",
    "loan_retail",
    "loan_nonfin",
    "loan_financial",
];

pub(crate) fn write(
    policy: &EuInflows,
    message: &Message<'_>,
    row: u32,
    out: &mut Output,
) -> Result<(), Refusal> {
    let counterparty = Cell::new("counterparty", message.counterparty).optional();
    if is_empty(&[
        message.account_id,
        message.kind,
        message.currency,
        message.amount,
        message.entity,
    ]) {
        out.push(row, &deleted(deleted_key(message.key)?));
        return Ok(());
    }
    let account_id = Cell::new("accountId", message.account_id).required()?;
    let currency = Cell::new("ccy", message.currency).currency()?;
    let balance = Balance {
        key: account_id,
        deleted: false,
        version: Cell::new("version", message.version).version(message.offset)?,
        account_id: Some(account_id),
        kind: Some(Cell::new("kind", message.kind).word(&KINDS)?),
        currency: Some(currency.as_str()),
        amount: Some(Cell::new("amount", message.amount).not_negative(Number::AMOUNT)?),
        maturity: Cell::new("maturity", message.maturity).maturity()?,
        counterparty,
        inflow_cap: Some(policy.cap(counterparty)),
        entity: Some(Cell::new("entity", message.entity).required()?),
        book: Cell::new("book", message.book).optional(),
    };
    out.push(row, &balance);
    Ok(())
}

fn deleted(key: &str) -> Balance<'_> {
    Balance {
        key,
        deleted: true,
        version: 0,
        account_id: None,
        kind: None,
        currency: None,
        amount: None,
        maturity: None,
        counterparty: None,
        inflow_cap: None,
        entity: None,
        book: None,
    }
}
