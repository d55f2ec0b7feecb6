//! `refdata.instruments`: static data. There is no version in it: the last message counts.

use crate::{deleted_key, is_empty};
use fields::{Cell, Number, Refusal};
use weir_sdk::{Output, record};

record! {
    /// The columns of `refdata.instruments` as the decoder writes them.
    pub(crate) struct Message<'a> {
        offset: int64 required = "_offset",
        key: utf8 = "_key",
        instrument_id: utf8 = "instrumentId",
        isin: utf8,
        cusip: utf8,
        kind: utf8,
        issuer_id: utf8 = "issuerId",
        issuer_financial: bool = "issuerFinancial",
        risk_weight_pct: utf8 = "riskWeightPct",
        rating: utf8,
        home_or_local_ccy: bool = "homeOrLocalCcy",
        major_index: bool = "majorIndex",
        own_issue: bool = "ownIssue",
        ehq: bool,
        currency: utf8 = "ccy",
        maturity: utf8,
    }
}

record! {
    /// An instrument, or that it is not known any more.
    pub(crate) struct Instrument<'a> {
        key: utf8 required,
        deleted: bool required,
        version: int64 required,
        id: utf8 = "instrument_id",
        isin: utf8,
        cusip: utf8,
        kind: utf8 = "instrument_kind",
        issuer_id: utf8,
        issuer_financial: bool,
        risk_weight_pct: decimal128(38, 9),
        rating: utf8,
        home_or_local_ccy: bool,
        major_index: bool,
        own_issue: bool,
        ehq: bool,
        currency: utf8,
        maturity: date32,
    }
}

const KINDS: [&str; 11] = [
    "sovereign",
    "central_bank",
    "pse",
    "mdb",
    "corporate",
    "covered_bond",
    "rmbs",
    "equity",
    "commodity",
    "gse",
    "municipal",
];

pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    if is_empty(&[
        message.instrument_id,
        message.kind,
        message.issuer_id,
        message.currency,
    ]) {
        out.push(row, &deleted(deleted_key(message.key)?));
        return Ok(());
    }
    let isin = Cell::new("isin", message.isin).optional();
    // The instrument's id is its ISIN where there is one.
    let instrument_id =
        isin.unwrap_or(Cell::new("instrumentId", message.instrument_id).required()?);
    let currency = Cell::new("ccy", message.currency).currency()?;
    let issuer_financial = message
        .issuer_financial
        .ok_or_else(|| Refusal::missing("issuerFinancial"))?;
    let instrument = Instrument {
        key: instrument_id,
        deleted: false,
        version: message.offset,
        id: Some(instrument_id),
        isin,
        cusip: Cell::new("cusip", message.cusip).optional(),
        kind: Some(Cell::new("kind", message.kind).word(&KINDS)?),
        issuer_id: Some(Cell::new("issuerId", message.issuer_id).required()?),
        issuer_financial: Some(issuer_financial),
        risk_weight_pct: Cell::new("riskWeightPct", message.risk_weight_pct)
            .optional_number(Number::PERCENT)?,
        rating: Cell::new("rating", message.rating).optional(),
        home_or_local_ccy: Some(message.home_or_local_ccy.unwrap_or(false)),
        major_index: Some(message.major_index.unwrap_or(false)),
        own_issue: Some(message.own_issue.unwrap_or(false)),
        ehq: Some(message.ehq.unwrap_or(false)),
        currency: Some(currency.as_str()),
        maturity: Cell::new("maturity", message.maturity).maturity()?,
    };
    out.push(row, &instrument);
    Ok(())
}

fn deleted(key: &str) -> Instrument<'_> {
    Instrument {
        key,
        deleted: true,
        version: 0,
        id: None,
        isin: None,
        cusip: None,
        kind: None,
        issuer_id: None,
        issuer_financial: None,
        risk_weight_pct: None,
        rating: None,
        home_or_local_ccy: None,
        major_index: None,
        own_issue: None,
        ehq: None,
        currency: None,
        maturity: None,
    }
}
