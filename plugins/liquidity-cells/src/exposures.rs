//! What an entity holds, owes and is owed, kind by kind, and the cells that it makes.

use crate::book::{Basis, Book, HqlaBasis, INFLOW_CAP, Place, Scope, Side, TOTAL, View};
use crate::classes::{Classes, classes};
use lcr_rules::{
    BalanceKind, Class, Day, Factor, I256, Reach, RuleError, Side as BalanceSide, SwapFlow,
    balance_kind, flow_line, negate,
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
        /// Theirs.
        currency: utf8,
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
        /// Up to how many percent of the outflows the EU counts inflows from the counterparty; null: 75.
        inflow_cap: int32,
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
        /// Of the cash.
        currency: utf8,
        /// In the reporting currency; null without a rate.
        value: decimal256(76, 18),
    }
}

record! {
    /// Cash that comes or goes and that no security changes: interest, interbank principals, FX, derivatives, goods.
    pub struct Flow<'a> {
        /// What it is, see [`flow_line`].
        line: utf8,
        /// `PAY` or `RECEIVE`.
        direction: utf8,
        /// Up to how many percent of the outflows the EU counts inflows from the counterparty; null: 75.
        inflow_cap: int32,
        /// Received on collateral that is in use elsewhere.
        reused: bool,
        /// When it is due; null when open.
        payment_date: date32,
        /// Whether nothing of the trade is due later.
        last: bool,
        /// Of the cash; null for the net of several.
        currency: utf8,
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
        /// Up to how many percent of the outflows the EU counts inflows from the counterparty; null: 75.
        inflow_cap: int32,
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
        /// Of the cash.
        currency: utf8,
        /// Of the collateral.
        asset_currency: utf8,
        /// The cash, in the reporting currency.
        cash: decimal256(76, 18),
        /// The collateral at market value, in the reporting currency.
        collateral: decimal256(76, 18),
    }
}

record! {
    /// Running collateral swaps alike in all that counts.
    pub struct Swap<'a> {
        /// Up to how many percent of the outflows the EU counts inflows from the counterparty; null: 75.
        inflow_cap: int32,
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
        /// Of the asset given.
        asset_currency: utf8,
        /// Of the asset held.
        received_currency: utf8,
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
        /// Up to how many percent of the outflows the EU counts inflows from the counterparty; null: 75.
        inflow_cap: int32,
        /// When it is due.
        payment_date: date32,
        /// Whether nothing of the trade is due later.
        last: bool,
        /// Of the cash.
        currency: utf8,
        /// In the reporting currency; null without a rate.
        value: decimal256(76, 18),
    }
}

record! {
    /// Accounts, commitments and margins of one kind and maturity.
    pub struct Balance<'a> {
        /// See [`balance_kind`].
        kind: utf8,
        /// Up to how many percent of the outflows the EU counts inflows from the counterparty; null: 75.
        inflow_cap: int32,
        /// When it ends; null when open.
        maturity: date32,
        /// Of the cash.
        currency: utf8,
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
        currency: row.currency,
        value: row.value.unwrap_or_default(),
    };
    hold(book, asset, "securities")
}

/// Something with classes and a value.
#[derive(Clone, Copy, Debug)]
struct Asset<'a> {
    classes: Classes,
    currency: Option<&'a str>,
    value: I256,
}

impl Asset<'_> {
    fn negated(self) -> Result<Self, RuleError> {
        Ok(Self {
            value: negate(self.value)?,
            ..self
        })
    }
}

/// Adds an asset to the stock of every view that takes it for liquid.
fn hold(book: &mut Book<'_>, asset: Asset<'_>, detail: &str) -> Done {
    for view in &book.views() {
        let class = asset.classes.seen(view);
        if class.is_liquid() {
            let place = Place::of_stock(Side::Hqla, class, asset.currency, detail, NOW);
            book.add(view, place, asset.value, view.terms.counted(class))?;
        }
    }
    Ok(())
}

/// What counts of a line, and whether it is in the US net cumulative outflow.
fn factor_of(view: &View<'_>, line: &str) -> Result<(Factor, bool), RuleError> {
    let factor = view.terms.flow(line).ok_or(RuleError::UnknownLine)?;
    let is_day_net = flow_line(line).is_some_and(|(_, line)| line.is_day_net);
    Ok((factor, is_day_net))
}

/// Cash for securities counts where the security does not: a liquid one is in the stock already, or comes with its
/// cash (B238 72, 155, LCR40.88). One that counts from the trade on does so with the cash that is pending for it.
pub(crate) fn security_flow(book: &mut Book<'_>, row: &SecurityFlow<'_>) -> Done {
    let classes = classes!(row);
    let counts = book.hqla_basis == HqlaBasis::Trade && row.line != Some("redemption");
    let day = |view: &View<'_>| match view.day(row.payment_date, row.last) {
        Day::On(day) if counts || !classes.seen(view).is_liquid() => Some(day),
        _ => None,
    };
    let Some(value) = row.value else {
        book.is_incomplete |= book.in_any(|view| day(view).is_some());
        return Ok(());
    };
    let line = row.line.unwrap_or_default();
    for view in &book.views() {
        let Some(day) = day(view) else { continue };
        let (factor, is_day_net) = factor_of(view, line)?;
        let place = Place {
            scope: Scope::Both(row.currency),
            side: side_of(row.direction),
            line,
            detail: "",
            day,
            inflow_cap: row.inflow_cap.unwrap_or(INFLOW_CAP),
            is_day_net,
        };
        book.add(view, place, value, factor)?;
    }
    Ok(())
}

/// What is in the ratios of currencies alone: each leg of what is exchanged, in its own (B238 209-213).
pub(crate) fn currency_flow(book: &mut Book<'_>, row: &Flow<'_>) -> Done {
    match row.currency {
        Some(currency) => flow_in(book, row, Scope::Currency(currency)),
        None => Ok(()),
    }
}

/// What is in the total, and in the ratio of its currency.
pub(crate) fn flow(book: &mut Book<'_>, row: &Flow<'_>) -> Done {
    flow_in(book, row, Scope::Both(row.currency))
}

/// Cash at its line's factor; receipts on collateral that must be bought back first at one of their own (B238 146).
fn flow_in(book: &mut Book<'_>, row: &Flow<'_>, scope: Scope<'_>) -> Done {
    let side = side_of(row.direction);
    let line = row.line.unwrap_or_default();
    let day = |view: &View<'_>| day_within(view, side, row.payment_date, row.last);
    if row.unrated.is_some_and(|amounts| amounts > 0) {
        book.is_incomplete |= book.in_any(|view| day(view).is_some());
    }
    let is_reused = side == Side::In && line == "interest" && row.reused.unwrap_or(false);
    let (rule, detail) = if is_reused {
        ("interest_reused", "reused")
    } else {
        (line, "")
    };
    for view in &book.views() {
        let Some(day) = day(view) else { continue };
        let (factor, is_day_net) = factor_of(view, rule)?;
        let place = Place {
            scope,
            side,
            line,
            detail,
            day,
            inflow_cap: row.inflow_cap.unwrap_or(INFLOW_CAP),
            is_day_net,
        };
        book.add(view, place, row.value.unwrap_or_default(), factor)?;
    }
    Ok(())
}

/// A repo or reverse repo: collateral held in the stock, cash at the collateral's rate, and the unwind.
pub(crate) fn secured(book: &mut Book<'_>, row: &Secured<'_>) -> Done {
    let side = side_of(row.direction);
    let is_reused = row.reused.unwrap_or(false);
    let is_held = side == Side::In && row.rehypothecable.unwrap_or(true) && !is_reused;
    let is_valued = row.valued.unwrap_or(false);
    let collateral = Asset {
        classes: classes!(row),
        currency: row.asset_currency,
        value: row.collateral.unwrap_or_default(),
    };
    book.is_incomplete |= !is_valued;
    if is_held && is_valued {
        hold(book, collateral, "collateral held")?;
    }
    let day = |view: &View<'_>| day_within(view, side, row.payment_date, row.last);
    let Some(cash) = row.cash.filter(|_| row.rated.unwrap_or(false)) else {
        book.is_incomplete |= book.in_any(|view| day(view).is_some());
        return Ok(());
    };
    let undone = match side {
        Side::In if is_held && is_valued => Some((cash, collateral.negated()?)),
        Side::Out if is_valued => Some((negate(cash)?, collateral)),
        _ => None,
    };
    for view in &book.views() {
        let Some(day) = day(view) else { continue };
        secured_cash(book, view, row, cash, day)?;
        if let Some((cash, collateral)) = undone {
            undo(book, view, (cash, row.currency), collateral, day)?;
        }
    }
    Ok(())
}

/// The cash at its rate: the haircut of what secures it; towards a central bank, and of collateral used again, one of
/// its own (B238 114, 145-146, LCR40.46-48, 78-80).
fn secured_cash(
    book: &mut Book<'_>,
    view: &View<'_>,
    row: &Secured<'_>,
    cash: I256,
    day: i32,
) -> Done {
    let class = classes!(row).seen(view);
    let side = side_of(row.direction);
    let is_central_bank = row.central_bank.unwrap_or(false);
    let line = match side {
        Side::Out if is_central_bank => "repo_central_bank",
        Side::Out => "repo",
        _ if row.reused.unwrap_or(false) => "reverse_repo_reused",
        _ => "reverse_repo",
    };
    let place = Place {
        scope: Scope::Both(row.currency),
        side,
        line,
        detail: class.name(),
        day,
        inflow_cap: row.inflow_cap.unwrap_or(INFLOW_CAP),
        is_day_net: true,
    };
    let own = view.terms.flow(line);
    book.add(view, place, cash, own.unwrap_or(view.terms.haircut(class)))
}

/// Undoes a secured trade: cash is level 1, the asset its own level after haircut (B238 Annex 1 para 4). In Basel and
/// the US only when the asset is liquid; in the EU the cash alone is enough (Annex I para 3).
fn undo(
    book: &mut Book<'_>,
    view: &View<'_>,
    (cash, currency): (I256, Option<&str>),
    asset: Asset<'_>,
    day: i32,
) -> Done {
    let class = asset.classes.seen(view);
    if class.is_liquid() || view.is_eu() {
        let place = Place::of_stock(Side::Unwind, Class::L1, currency, "cash", day);
        book.add(view, place, cash, Factor::ONE)?;
    }
    if class.is_liquid() {
        let place = Place::of_stock(Side::Unwind, class, asset.currency, "collateral", day);
        book.add(view, place, asset.value, view.terms.counted(class))?;
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
        currency: row.asset_currency,
        value: row.given.unwrap_or_default(),
    };
    let received = Asset {
        classes: received_classes(row),
        currency: row.received_currency,
        value: row.received.unwrap_or_default(),
    };
    book.is_incomplete |= !is_valued || !is_received_valued;
    if is_held && is_received_valued {
        hold(book, received, "collateral held")?;
    }
    if !is_valued || !is_received_valued {
        return Ok(());
    }
    let returned = received.negated()?;
    for view in &book.views() {
        swap_flow(book, view, row, given, received)?;
        match day_within(view, Side::Out, row.payment_date, row.last) {
            Some(day) if is_held => undo_swap(book, view, given, returned, day)?,
            _ => {}
        }
    }
    Ok(())
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
fn swap_flow(
    book: &mut Book<'_>,
    view: &View<'_>,
    row: &Swap<'_>,
    given: Asset<'_>,
    received: Asset<'_>,
) -> Done {
    let (lent, borrowed) = (given.classes.seen(view), received.classes.seen(view));
    let (side, asset, factor) = match view.terms.collateral_swap(lent, borrowed) {
        SwapFlow::Out(factor) => (Side::Out, given, factor),
        SwapFlow::In(factor) if !row.reused.unwrap_or(false) => (Side::In, received, factor),
        SwapFlow::In(_) | SwapFlow::Nothing => return Ok(()),
    };
    let Some(day) = day_within(view, side, row.payment_date, row.last) else {
        return Ok(());
    };
    let place = Place {
        scope: Scope::Both(asset.currency),
        side,
        line: "collateral_swap",
        detail: &format!("{} for {}", lent.name(), borrowed.name()),
        day,
        inflow_cap: row.inflow_cap.unwrap_or(INFLOW_CAP),
        is_day_net: true,
    };
    book.add(view, place, asset.value, factor)
}

/// What was given comes back, what is held goes. In Basel and the US only when both are liquid.
fn undo_swap(
    book: &mut Book<'_>,
    view: &View<'_>,
    given: Asset<'_>,
    returned: Asset<'_>,
    day: i32,
) -> Done {
    let sides = [(given, "collateral given"), (returned, "collateral held")];
    let all_liquid = sides
        .iter()
        .all(|(asset, _)| asset.classes.seen(view).is_liquid());
    for (asset, detail) in sides {
        let class = asset.classes.seen(view);
        if class.is_liquid() && (all_liquid || view.is_eu()) {
            let place = Place::of_stock(Side::Unwind, class, asset.currency, detail, day);
            book.add(view, place, asset.value, view.terms.counted(class))?;
        }
    }
    Ok(())
}

/// Cash under a netting agreement is one net over the whole horizon (B238 116, 158): summed here, added by [`nets`].
pub(crate) fn netted(book: &mut Book<'_>, row: &Netted<'_>) -> Done {
    let is_inside = |view: &View<'_>| matches!(view.day(row.payment_date, row.last), Day::On(_));
    let Some(value) = row.value else {
        book.is_incomplete |= book.in_any(is_inside);
        return Ok(());
    };
    for view in &book.views() {
        if view.basis == Basis::Adjusted && is_inside(view) {
            let (counterparty, agreement) = (
                row.counterparty.unwrap_or_default().to_owned(),
                row.agreement.unwrap_or_default().to_owned(),
            );
            let cap = row.inflow_cap.unwrap_or(INFLOW_CAP);
            for scope in book.scopes(Scope::Both(row.currency)) {
                let (scope, regime) = (scope.to_owned(), view.terms.regime);
                let net = (scope, regime, counterparty.clone(), agreement.clone(), cap);
                book.add_to_net(net, value)?;
            }
        }
    }
    Ok(())
}

/// The nets: a payment flows out, a receipt in; the horizon's last day stands for all of it. A part of a net, whose side
/// the whole decides, takes away from it where it flows the other way.
pub(crate) fn nets(book: &mut Book<'_>, side_of_whole: Option<Side>) -> Done {
    let line = "net_derivatives";
    for ((scope, regime, counterparty, agreement, inflow_cap), net) in book.take_nets() {
        let scope = if scope == TOTAL {
            Scope::Both(None)
        } else {
            Scope::Currency(&scope)
        };
        let own = if net.is_negative() {
            Side::Out
        } else {
            Side::In
        };
        let side = side_of_whole.unwrap_or(own);
        let amount = if side == Side::Out { negate(net)? } else { net };
        for view in &book.views() {
            if view.terms.regime != regime {
                continue;
            }
            let (factor, is_day_net) = factor_of(view, line)?;
            let place = Place {
                scope,
                side,
                line,
                detail: &format!("{counterparty} {agreement}"),
                day: view.terms.horizon,
                inflow_cap,
                is_day_net,
            };
            book.add(view, place, amount, factor)?;
        }
    }
    Ok(())
}

/// A balance at its kind's factor.
pub(crate) fn balance(book: &mut Book<'_>, row: &Balance<'_>) -> Done {
    let Some((_, kind)) = row.kind.and_then(balance_kind) else {
        book.is_incomplete = true;
        return Ok(());
    };
    let day = |view: &View<'_>| day_of_balance(kind, view, row.maturity);
    let Some(value) = row.value else {
        book.is_incomplete |= book.in_any(|view| day(view).is_some());
        return Ok(());
    };
    for view in &book.views() {
        let Some(day) = day(view) else { continue };
        let factor = view.terms.balance(kind.name);
        let factor = factor.ok_or(RuleError::UnknownLine)?;
        let flow = |side| Place {
            scope: Scope::Both(row.currency),
            side,
            line: kind.name,
            detail: "",
            day,
            inflow_cap: row.inflow_cap.unwrap_or(INFLOW_CAP),
            is_day_net: kind.is_day_net,
        };
        let place = match kind.side {
            // Stock that counts nothing is no stock.
            BalanceSide::Stock if factor == Factor::ZERO => continue,
            BalanceSide::Stock => {
                Place::of_stock(Side::Hqla, Class::L1, row.currency, kind.name, day)
            }
            BalanceSide::Out => flow(Side::Out),
            BalanceSide::In | BalanceSide::InOnDemand => flow(Side::In),
        };
        book.add(view, place, value, factor)?;
    }
    Ok(())
}

/// The day on which a balance counts in a regime, if it does.
fn day_of_balance(kind: &BalanceKind, view: &View<'_>, maturity: Option<i32>) -> Option<i32> {
    let reach = kind.reach(view.terms.regime);
    match (kind.side, view.day(maturity, None)) {
        (BalanceSide::Stock, _) => Some(NOW),
        (_, Day::On(day)) => Some(day),
        (BalanceSide::Out | BalanceSide::InOnDemand, Day::Open) => Some(ON_DEMAND),
        (_, Day::After) => (reach == Reach::Any).then_some(view.terms.horizon),
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
fn day_within(view: &View<'_>, side: Side, date: Option<i32>, last: Option<bool>) -> Option<i32> {
    match view.day(date, last) {
        Day::On(day) => Some(day),
        Day::Open => (side == Side::Out).then_some(ON_DEMAND),
        Day::After | Day::Past => None,
    }
}
