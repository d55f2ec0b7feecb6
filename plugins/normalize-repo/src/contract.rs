//! One message of the repo book, read and checked. Avro gives its numbers and dates typed.

use fields::{Action, Cell, Code, Currency, Date, Leg, Number, Refusal, Terms, Trade};
use fields::{amount, in_range, not_negative, positive, received_amount};
use weir_exact::Decimal;
use weir_sdk::{I256, record};

record! {
    /// A security and how much of it.
    pub(crate) struct Asset<'a> {
        /// The security.
        instrument_id: utf8 required,
        /// Its face.
        nominal: decimal128(38, 9) required,
    }
}

record! {
    /// The columns of `trades.repos` as the decoder writes them.
    pub(crate) struct Message<'a> {
        /// The trade's id.
        repo_id: utf8,
        /// The highest one counts.
        version: int64,
        /// `NEW`, `AMEND`, `CANCEL`.
        action: utf8,
        /// `REPO`, `REVERSE_REPO`, `COLLATERAL_SWAP`.
        direction: utf8,
        /// What is given, or, under a reverse repo, held.
        collateral: record(Asset),
        /// What a collateral swap holds.
        received: record(Asset),
        /// Lent or borrowed.
        cash: decimal128(38, 6),
        /// Of the cash.
        currency: utf8 = "ccy",
        /// A year of 360 days.
        repo_rate_pct: decimal128(18, 9),
        /// When it begins.
        start_date: date32,
        /// When it ends; none: open.
        maturity_date: date32,
        /// The bank entity.
        entity: utf8,
        /// Its book.
        book: utf8,
        /// With whom.
        counterparty: utf8,
        /// The collateral held may be used again.
        rehypothecable: bool,
        /// The collateral held is in use elsewhere.
        reused: bool,
    }
}

/// A message that is accepted.
#[derive(Debug)]
pub(crate) struct Contract<'a> {
    trade: Trade<'a>,
    /// None for a cancel.
    booked: Option<Booked<'a>>,
}

#[derive(Debug)]
struct Booked<'a> {
    direction: Direction,
    collateral: Held<'a>,
    received: Option<Held<'a>>,
    cash: i128,
    interest: I256,
    currency: Currency,
    start_date: Date,
    maturity_date: Option<Date>,
    entity: &'a str,
    book: &'a str,
    counterparty: &'a str,
    rehypothecable: bool,
    reused: bool,
    terms: Terms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Repo,
    ReverseRepo,
    CollateralSwap,
}

#[derive(Clone, Copy, Debug)]
struct Held<'a> {
    instrument_id: &'a str,
    nominal: i128,
}

impl<'a> Contract<'a> {
    /// Reads a message.
    pub(crate) fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let trade = Trade {
            id: Cell::new("repo_id", message.repo_id).required()?,
            version: given("version", message.version)?,
            action: Cell::new("action", message.action).one_of(&Action::SPELLINGS)?,
            asset_class: "REPO",
        };
        let booked = match trade.action {
            Action::Cancel => None,
            Action::New | Action::Amend => Some(Booked::read(message)?),
        };
        Ok(Self { trade, booked })
    }

    /// The rows to write.
    pub(crate) fn legs(&self) -> Vec<Leg<'_>> {
        let bare = self.trade.bare_leg();
        let Some(booked) = &self.booked else {
            return vec![bare];
        };
        let trade = Leg {
            product: Some(booked.direction.as_str()),
            entity: Some(booked.entity),
            book: Some(booked.book),
            counterparty: Some(booked.counterparty),
            start_date: Some(booked.start_date),
            maturity_date: booked.maturity_date,
            currency: Some(booked.currency.as_str()),
            payment_date: booked.maturity_date,
            rehypothecable: Some(booked.rehypothecable),
            reused: Some(booked.reused),
            terms: booked.terms.as_str(),
            ..bare
        };
        [Some(booked.principal(&trade)), booked.coupon(&trade)]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl<'a> Booked<'a> {
    fn read(message: &Message<'a>) -> Result<Self, Refusal> {
        let direction = Cell::new("direction", message.direction).one_of(&Direction::SPELLINGS)?;
        let start_date = given("start_date", message.start_date)?;
        if message
            .maturity_date
            .is_some_and(|maturity| maturity < start_date)
        {
            return Err(Refusal::new(
                Code::BadOrder,
                "maturity_date",
                "is before start_date",
            ));
        }
        let cash = direction.cash(given("cash", message.cash)?)?;
        let rate = given("repo_rate_pct", message.repo_rate_pct)?;
        let collateral = given("collateral", message.collateral)?;
        Ok(Self {
            direction,
            collateral: Held::read(collateral, "collateral.instrument_id", "collateral.nominal")?,
            received: direction.received(message.received)?,
            cash,
            interest: message.maturity_date.map_or(I256::ZERO, |maturity| {
                interest(cash, rate, maturity - start_date)
            }),
            currency: Cell::new("ccy", message.currency).currency()?,
            start_date,
            maturity_date: message.maturity_date,
            entity: Cell::new("entity", message.entity).required()?,
            book: Cell::new("book", message.book).required()?,
            counterparty: Cell::new("counterparty", message.counterparty).required()?,
            rehypothecable: message.rehypothecable.unwrap_or(true),
            reused: message.reused.unwrap_or(false),
            terms: Terms::default().digits("rate", Some(rate)),
        })
    }

    /// The cash that goes back, or the collateral that does.
    fn principal<'t>(&'t self, trade: &Leg<'t>) -> Leg<'t> {
        let (kind, direction) = match self.direction {
            Direction::Repo => ("SECURED", Some("PAY")),
            Direction::ReverseRepo => ("SECURED", Some("RECEIVE")),
            Direction::CollateralSwap => ("SWAP", None),
        };
        Leg {
            kind: Some(kind),
            direction,
            instrument_id: Some(self.collateral.instrument_id),
            quantity: Some(self.collateral.nominal),
            received_instrument_id: self.received.map(|held| held.instrument_id),
            received_quantity: self.received.map(|held| held.nominal),
            amount: Some(received_amount(self.cash)),
            ..*trade
        }
    }

    /// The interest, without the collateral: paid on a repo, received on a reverse repo, the other way round below 0.
    fn coupon<'t>(&self, trade: &Leg<'t>) -> Option<Leg<'t>> {
        let pays = (self.direction == Direction::Repo) != self.interest.is_negative();
        let direction = Some(if pays { "PAY" } else { "RECEIVE" });
        let amount = Some(self.interest.abs());
        (!self.interest.is_zero()).then_some(Leg {
            leg: 1,
            kind: Some("COUPON"),
            direction,
            amount,
            ..*trade
        })
    }
}

impl Direction {
    const SPELLINGS: [(&'static str, Self); 3] = [
        ("REPO", Self::Repo),
        ("REVERSE_REPO", Self::ReverseRepo),
        ("COLLATERAL_SWAP", Self::CollateralSwap),
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Repo => "REPO",
            Self::ReverseRepo => "REVERSE_REPO",
            Self::CollateralSwap => "COLLATERAL_SWAP",
        }
    }

    /// The cash: above 0, but 0 where collateral goes against collateral.
    fn cash(self, digits: i128) -> Result<i128, Refusal> {
        let cash = not_negative("cash", in_range("cash", digits, Number::AMOUNT)?)?;
        match self {
            Self::CollateralSwap if cash != 0 => Err(Refusal::new(
                Code::NotZero,
                "cash",
                "is not 0 in a collateral swap",
            )),
            Self::CollateralSwap => Ok(0),
            Self::Repo | Self::ReverseRepo => positive("cash", cash),
        }
    }

    /// What is held for the collateral; only a collateral swap has it read.
    fn received(self, asset: Option<Asset<'_>>) -> Result<Option<Held<'_>>, Refusal> {
        match self {
            Self::CollateralSwap => {
                let received = given("received", asset)?;
                Held::read(received, "received.instrument_id", "received.nominal").map(Some)
            }
            Self::Repo | Self::ReverseRepo => Ok(None),
        }
    }
}

impl<'a> Held<'a> {
    fn read(
        asset: Asset<'a>,
        id_field: &'static str,
        nominal_field: &'static str,
    ) -> Result<Self, Refusal> {
        let instrument_id = Cell::new(id_field, Some(asset.instrument_id)).required()?;
        let nominal = positive(
            nominal_field,
            in_range(nominal_field, asset.nominal, Number::QUANTITY)?,
        )?;
        Ok(Self {
            instrument_id,
            nominal,
        })
    }
}

fn given<T>(field: &'static str, value: Option<T>) -> Result<T, Refusal> {
    value.ok_or_else(|| Refusal::missing(field))
}

/// A year of 360 days, a rate in percent.
fn interest(cash: i128, rate_pct: i128, days: i32) -> I256 {
    let cash = Decimal::from_i128(cash, Number::AMOUNT.scale);
    amount(
        cash,
        Decimal::from_i128(rate_pct * i128::from(days), Number::PERCENT.scale),
        100 * 360,
    )
}
