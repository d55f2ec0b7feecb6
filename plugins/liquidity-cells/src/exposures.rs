//! What an entity holds, owes and is owed, kind by kind, and the cells that it makes.

use crate::book::{Book, Place, Side};
use crate::classes::{Classes, classes};
use lcr_rules::{
    BalanceKind, Day, HORIZON_DAYS, I256, Reach, Regime, RuleError, Side as BalanceSide, SwapFlow,
    balance_kind, collateral_swap, negate, repo_outflow, reverse_repo_inflow,
};
use weir_sdk::record;

record! {
    /// That the entity is there: a live trade, a balance or a holding names it.
    pub struct Named<'a> {
        /// Which.
        entity: utf8,
    }
}

record! {
    /// Free securities of one set of classes, at market value.
    pub struct Stock<'a> {
        /// Basel class with overrides.
        hqla_class: utf8,
        /// US class with overrides.
        us_class: utf8,
        /// EU class with overrides.
        eu_class: utf8,
        /// Basel class without.
        base_hqla_class: utf8,
        /// US class without.
        base_us_class: utf8,
        /// EU class without.
        base_eu_class: utf8,
        /// In the reporting currency.
        value: decimal256(76, 18),
        /// Positions without instrument, price or rate.
        unvalued: int64,
    }
}

record! {
    /// Cash that comes or goes because of a security: pending trades and redemptions.
    pub struct SecurityFlow<'a> {
        /// `pending_purchase`, `pending_sale` or `redemption`.
        line: utf8,
        /// Of the cash: `PAY` or `RECEIVE`.
        direction: utf8,
        /// Basel class with overrides.
        hqla_class: utf8,
        /// US class with overrides.
        us_class: utf8,
        /// EU class with overrides.
        eu_class: utf8,
        /// Basel class without.
        base_hqla_class: utf8,
        /// US class without.
        base_us_class: utf8,
        /// EU class without.
        base_eu_class: utf8,
        /// When it is due.
        payment_date: date32,
        /// Whether nothing of the trade is due later.
        last: bool,
        /// In the reporting currency; null without a rate.
        value: decimal256(76, 18),
    }
}

record! {
    /// Cash that comes or goes in full: interest, exchanged currencies.
    pub struct Flow<'a> {
        /// What it is.
        line: utf8,
        /// `PAY` or `RECEIVE`.
        direction: utf8,
        /// Received on collateral that is in use elsewhere.
        reused: bool,
        /// When it is due; null when open.
        payment_date: date32,
        /// Whether nothing of the trade is due later.
        last: bool,
        /// In the reporting currency, what has a rate.
        value: decimal256(76, 18),
        /// Amounts without one.
        unrated: int64,
    }
}

record! {
    /// Running repos (`PAY`) and reverse repos (`RECEIVE`) alike in all that counts.
    pub struct Secured<'a> {
        /// Of the cash, at the end.
        direction: utf8,
        /// The counterparty is a central bank.
        central_bank: bool,
        /// The collateral held may be used again.
        rehypothecable: bool,
        /// The collateral held is in use elsewhere.
        reused: bool,
        /// Basel class of the collateral, with overrides.
        hqla_class: utf8,
        /// US class with overrides.
        us_class: utf8,
        /// EU class with overrides.
        eu_class: utf8,
        /// Basel class without.
        base_hqla_class: utf8,
        /// US class without.
        base_us_class: utf8,
        /// EU class without.
        base_eu_class: utf8,
        /// When it ends; null when open.
        payment_date: date32,
        /// Always true for these: nothing is due later.
        last: bool,
        /// Whether the cash has a rate.
        rated: bool,
        /// Whether the collateral has instrument, price and rate.
        valued: bool,
        /// The cash, in the reporting currency.
        cash: decimal256(76, 18),
        /// The collateral at market value, in the reporting currency.
        collateral: decimal256(76, 18),
    }
}

record! {
    /// Running collateral swaps alike in all that counts.
    pub struct Swap<'a> {
        /// The asset held may be used again.
        rehypothecable: bool,
        /// The asset held is in use elsewhere.
        reused: bool,
        /// Basel class of the asset given, with overrides.
        hqla_class: utf8,
        /// US class with overrides.
        us_class: utf8,
        /// EU class with overrides.
        eu_class: utf8,
        /// Basel class without.
        base_hqla_class: utf8,
        /// US class without.
        base_us_class: utf8,
        /// EU class without.
        base_eu_class: utf8,
        /// Basel class of the asset held, with overrides.
        received_hqla_class: utf8,
        /// US class with overrides.
        received_us_class: utf8,
        /// EU class with overrides.
        received_eu_class: utf8,
        /// Basel class without.
        received_base_hqla_class: utf8,
        /// US class without.
        received_base_us_class: utf8,
        /// EU class without.
        received_base_eu_class: utf8,
        /// When it ends; null when open.
        payment_date: date32,
        /// Always true for these: nothing is due later.
        last: bool,
        /// Whether the asset given has instrument, price and rate.
        valued: bool,
        /// Whether the asset held has.
        received_valued: bool,
        /// The asset given at market value, in the reporting currency.
        given: decimal256(76, 18),
        /// The asset held at market value, in the reporting currency.
        received: decimal256(76, 18),
    }
}

record! {
    /// Cash under a netting agreement; receipts are positive.
    pub struct Netted<'a> {
        /// With whom.
        counterparty: utf8,
        /// The agreement.
        agreement: utf8,
        /// When it is due.
        payment_date: date32,
        /// Whether nothing of the trade is due later.
        last: bool,
        /// In the reporting currency; null without a rate.
        value: decimal256(76, 18),
    }
}

record! {
    /// Accounts, commitments and margins of one kind and maturity.
    pub struct Balance<'a> {
        /// See [`balance_kind`].
        kind: utf8,
        /// When it ends; null when open.
        maturity: date32,
        /// In the reporting currency; null without a rate.
        value: decimal256(76, 18),
    }
}

type Done = Result<(), RuleError>;

/// The day that stock stands at.
const NOW: i32 = 0;

/// The day of what is due on demand.
const ON_DEMAND: i32 = 1;

/// Free securities count after haircut (B238 50-54).
pub(crate) fn stock(book: &mut Book<'_>, row: &Stock<'_>) -> Done {
    book.is_incomplete |= row.unvalued.is_some_and(|rows| rows > 0);
    let asset = Asset {
        classes: classes!(row),
        value: row.value.unwrap_or_default(),
    };
    hold(book, asset, "securities")
}

/// Something with classes and a value.
#[derive(Clone, Copy, Debug)]
struct Asset {
    classes: Classes,
    value: I256,
}

impl Asset {
    fn negated(self) -> Result<Self, RuleError> {
        Ok(Self {
            value: negate(self.value)?,
            ..self
        })
    }
}

/// Adds an asset to the stock of every view that takes it for liquid.
fn hold(book: &mut Book<'_>, asset: Asset, detail: &str) -> Done {
    for view in book.views() {
        let class = asset.classes.seen(view);
        if class.is_liquid() {
            let place = Place {
                side: Side::Hqla,
                line: class.name(),
                detail,
                day: NOW,
            };
            book.add(view, place, asset.value, class.counted())?;
        }
    }
    Ok(())
}

/// Cash for securities counts where the security does not (B238 72, 155).
pub(crate) fn security_flow(book: &mut Book<'_>, row: &SecurityFlow<'_>) -> Done {
    let Day::On(day) = book.day(row.payment_date, row.last.unwrap_or(false)) else {
        return Ok(());
    };
    let classes = classes!(row);
    let Some(value) = row.value else {
        book.is_incomplete |= classes.is_non_anywhere();
        return Ok(());
    };
    let place = Place {
        side: side_of(row.direction),
        line: row.line.unwrap_or_default(),
        detail: "",
        day,
    };
    for view in book.views() {
        let percent = lcr_rules::security_flow(classes.seen(view));
        if percent > 0 {
            book.add(view, place, value, percent)?;
        }
    }
    Ok(())
}

/// Cash that counts in full, but for receipts on collateral that must be bought back first (B238 146).
pub(crate) fn flow(book: &mut Book<'_>, row: &Flow<'_>) -> Done {
    let side = side_of(row.direction);
    let Some(day) = day_within(book, side, row.payment_date, row.last) else {
        return Ok(());
    };
    book.is_incomplete |= row.unrated.is_some_and(|amounts| amounts > 0);
    let is_reused = side == Side::In && row.reused.unwrap_or(false);
    let (detail, percent) = if is_reused { ("reused", 0) } else { ("", 100) };
    let place = Place {
        side,
        line: row.line.unwrap_or_default(),
        detail,
        day,
    };
    book.add_to_all(place, row.value.unwrap_or_default(), percent)
}

/// A repo or reverse repo: collateral held in the stock, cash at the collateral's rate, and the unwind.
pub(crate) fn secured(book: &mut Book<'_>, row: &Secured<'_>) -> Done {
    let side = side_of(row.direction);
    let is_reused = row.reused.unwrap_or(false);
    let is_held = side == Side::In && row.rehypothecable.unwrap_or(true) && !is_reused;
    let is_valued = row.valued.unwrap_or(false);
    let collateral = Asset {
        classes: classes!(row),
        value: row.collateral.unwrap_or_default(),
    };
    book.is_incomplete |= !is_valued;
    if is_held && is_valued {
        hold(book, collateral, "collateral held")?;
    }
    let Some(day) = day_within(book, side, row.payment_date, row.last) else {
        return Ok(());
    };
    let Some(cash) = row.cash.filter(|_| row.rated.unwrap_or(false)) else {
        book.is_incomplete = true;
        return Ok(());
    };
    secured_cash(book, side, row, cash, day)?;
    match side {
        Side::In if is_held && is_valued => undo(book, cash, collateral.negated()?, day),
        Side::Out if is_valued => undo(book, negate(cash)?, collateral, day),
        _ => Ok(()),
    }
}

/// The cash at its rate.
fn secured_cash(book: &mut Book<'_>, side: Side, row: &Secured<'_>, cash: I256, day: i32) -> Done {
    let classes = classes!(row);
    let (is_central_bank, is_reused) = (
        row.central_bank.unwrap_or(false),
        row.reused.unwrap_or(false),
    );
    for view in book.views() {
        let class = classes.seen(view);
        let (line, percent) = match side {
            Side::Out if is_central_bank => ("repo_central_bank", repo_outflow(class, true)),
            Side::Out => ("repo", repo_outflow(class, false)),
            _ if is_reused => ("reverse_repo_reused", reverse_repo_inflow(class, true)),
            _ => ("reverse_repo", reverse_repo_inflow(class, false)),
        };
        book.add(
            view,
            Place {
                side,
                line,
                detail: class.name(),
                day,
            },
            cash,
            percent,
        )?;
    }
    Ok(())
}

/// Undoes a secured trade: cash is level 1, the asset its own level after haircut (B238 Annex 1 para 4). In Basel and
/// the US only when the asset is liquid; in the EU the cash alone is enough (Annex I para 3).
fn undo(book: &mut Book<'_>, cash: I256, asset: Asset, day: i32) -> Done {
    for view in book.views() {
        let class = asset.classes.seen(view);
        if class.is_liquid() || view.regime == Regime::Eu {
            book.add(
                view,
                Place {
                    side: Side::Unwind,
                    line: "L1",
                    detail: "cash",
                    day,
                },
                cash,
                100,
            )?;
        }
        if class.is_liquid() {
            let place = Place {
                side: Side::Unwind,
                line: class.name(),
                detail: "collateral",
                day,
            };
            book.add(view, place, asset.value, class.counted())?;
        }
    }
    Ok(())
}

/// A collateral swap: the asset held in the stock, the difference of the two rates, and the unwind.
pub(crate) fn swap(book: &mut Book<'_>, row: &Swap<'_>) -> Done {
    let is_held = row.rehypothecable.unwrap_or(true) && !row.reused.unwrap_or(false);
    let (is_valued, is_received_valued) = (
        row.valued.unwrap_or(false),
        row.received_valued.unwrap_or(false),
    );
    let given = Asset {
        classes: classes!(row),
        value: row.given.unwrap_or_default(),
    };
    let received = Asset {
        classes: received_classes(row),
        value: row.received.unwrap_or_default(),
    };
    book.is_incomplete |= !is_valued || !is_received_valued;
    if is_held && is_received_valued {
        hold(book, received, "collateral held")?;
    }
    if !is_valued || !is_received_valued {
        return Ok(());
    }
    swap_flow(book, row, given, received)?;
    match day_within(book, Side::Out, row.payment_date, row.last) {
        Some(day) if is_held => undo_swap(book, given, received, day),
        _ => Ok(()),
    }
}

fn received_classes(row: &Swap<'_>) -> Classes {
    Classes::new(
        [
            row.received_hqla_class,
            row.received_us_class,
            row.received_eu_class,
        ],
        [
            row.received_base_hqla_class,
            row.received_base_us_class,
            row.received_base_eu_class,
        ],
    )
}

/// The difference of the rates, on the asset that flows. An open swap may end tomorrow, but not in our favour.
fn swap_flow(book: &mut Book<'_>, row: &Swap<'_>, given: Asset, received: Asset) -> Done {
    let is_reused = row.reused.unwrap_or(false);
    for view in book.views() {
        let (lent, borrowed) = (given.classes.seen(view), received.classes.seen(view));
        let (side, value, percent) = match collateral_swap(lent, borrowed) {
            SwapFlow::Out(percent) => (Side::Out, given.value, percent),
            SwapFlow::In(percent) if !is_reused => (Side::In, received.value, percent),
            SwapFlow::In(_) | SwapFlow::Nothing => continue,
        };
        if let Some(day) = day_within(book, side, row.payment_date, row.last) {
            let detail = format!("{} for {}", lent.name(), borrowed.name());
            let place = Place {
                side,
                line: "collateral_swap",
                detail: &detail,
                day,
            };
            book.add(view, place, value, percent)?;
        }
    }
    Ok(())
}

/// What was given comes back, what is held goes. In Basel and the US only when both are liquid.
fn undo_swap(book: &mut Book<'_>, given: Asset, received: Asset, day: i32) -> Done {
    let sides = [
        (given, "collateral given"),
        (received.negated()?, "collateral held"),
    ];
    for view in book.views() {
        let all_liquid = sides
            .iter()
            .all(|(asset, _)| asset.classes.seen(view).is_liquid());
        for (asset, detail) in sides {
            let class = asset.classes.seen(view);
            if class.is_liquid() && (all_liquid || view.regime == Regime::Eu) {
                let place = Place {
                    side: Side::Unwind,
                    line: class.name(),
                    detail,
                    day,
                };
                book.add(view, place, asset.value, class.counted())?;
            }
        }
    }
    Ok(())
}

/// Cash under a netting agreement is one net over the whole horizon (B238 116, 158): summed here, added by [`nets`].
pub(crate) fn netted(book: &mut Book<'_>, row: &Netted<'_>) -> Done {
    let Day::On(_) = book.day(row.payment_date, row.last.unwrap_or(false)) else {
        return Ok(());
    };
    let Some(value) = row.value else {
        book.is_incomplete = true;
        return Ok(());
    };
    book.add_to_net(
        row.counterparty.unwrap_or_default(),
        row.agreement.unwrap_or_default(),
        value,
    )
}

/// The nets: a payment flows out, a receipt in; the horizon's last day stands for all of it.
pub(crate) fn nets(book: &mut Book<'_>) -> Done {
    for ((counterparty, agreement), net) in book.take_nets() {
        let detail = format!("{counterparty} {agreement}");
        let (side, amount) = if net.is_negative() {
            (Side::Out, negate(net)?)
        } else {
            (Side::In, net)
        };
        let place = Place {
            side,
            line: "net_derivatives",
            detail: &detail,
            day: HORIZON_DAYS,
        };
        book.add_to_all(place, amount, 100)?;
    }
    Ok(())
}

/// A balance at its kind's factor.
pub(crate) fn balance(book: &mut Book<'_>, row: &Balance<'_>) -> Done {
    let Some(kind) = row.kind.and_then(balance_kind) else {
        book.is_incomplete = true;
        return Ok(());
    };
    let day = book.day(row.maturity, false);
    let Some(value) = row.value else {
        book.is_incomplete |= Regime::ALL
            .iter()
            .any(|regime| day_of_balance(kind, *regime, day).is_some());
        return Ok(());
    };
    for view in book.views() {
        let Some(day) = day_of_balance(kind, view.regime, day) else {
            continue;
        };
        let place = match kind.side {
            BalanceSide::Stock => Place {
                side: Side::Hqla,
                line: "L1",
                detail: kind.name,
                day,
            },
            BalanceSide::Out => Place {
                side: Side::Out,
                line: kind.name,
                detail: "",
                day,
            },
            BalanceSide::In | BalanceSide::InOnDemand => Place {
                side: Side::In,
                line: kind.name,
                detail: "",
                day,
            },
        };
        let percent = kind.factor(view.regime);
        // Stock that counts nothing is no stock.
        if place.side != Side::Hqla || percent > 0 {
            book.add(view, place, value, percent)?;
        }
    }
    Ok(())
}

/// The day on which a balance counts in a regime, if it does.
fn day_of_balance(kind: &BalanceKind, regime: Regime, day: Day) -> Option<i32> {
    match (kind.side, day) {
        (BalanceSide::Stock, _) => Some(NOW),
        (_, Day::On(day)) => Some(day),
        (BalanceSide::Out | BalanceSide::InOnDemand, Day::Open) => Some(ON_DEMAND),
        (_, Day::After) => (kind.reach(regime) == Reach::Any).then_some(HORIZON_DAYS),
        (BalanceSide::In, Day::Open) | (_, Day::Past) => None,
    }
}

fn side_of(direction: Option<&str>) -> Side {
    if direction == Some("RECEIVE") {
        Side::In
    } else {
        Side::Out
    }
}

/// The day of a flow inside the horizon. Without a maturity, what we owe is due on day 1, what we are owed is not.
fn day_within(book: &Book<'_>, side: Side, date: Option<i32>, last: Option<bool>) -> Option<i32> {
    match book.day(date, last.unwrap_or(false)) {
        Day::On(day) => Some(day),
        Day::Open => (side == Side::Out).then_some(ON_DEMAND),
        Day::After | Day::Past => None,
    }
}
