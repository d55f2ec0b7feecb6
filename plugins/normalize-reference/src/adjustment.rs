//! `adjustments`: an override, its approval, its end.
//!
//! Only a `SUBMIT` carries terms; of the others id, version, action, user and time are read. Whether the state of
//! the adjustment allows an action is not known here. When the record came is no content: the same message sent again is the same.

use fields::{Cell, Code, Instant, Refusal};
use weir_sdk::{Output, record};

record! {
    /// The columns of `adjustments` as the decoder writes them.
    pub(crate) struct Message<'a> {
        adjustment_id: utf8 = "adjustmentId",
        version: utf8,
        action: utf8,
        scope: utf8,
        key: utf8,
        hqla_class: utf8 = "hqlaClass",
        effective_from: utf8 = "effectiveFrom",
        effective_to: utf8 = "effectiveTo",
        reason_code: utf8 = "reasonCode",
        narrative: utf8,
        user: utf8,
        at: utf8,
    }
}

record! {
    /// One step in the life of an adjustment.
    pub(crate) struct Adjustment<'a> {
        id: utf8 required = "adjustment_id",
        version: int64 required,
        action: utf8 required,
        scope: utf8,
        key: utf8,
        hqla_class: utf8,
        effective_from: timestamp,
        effective_to: timestamp,
        reason_code: utf8,
        narrative: utf8,
        user: utf8 required,
        user_key: utf8 required,
        at: timestamp required,
    }
}

const ACTIONS: [&str; 5] = ["SUBMIT", "APPROVE", "REJECT", "WITHDRAW", "REVOKE"];
const SCOPES: [&str; 3] = ["position", "instrument", "issuer"];
const CLASSES: [&str; 5] = ["L1", "L2A", "L2B", "L2B_RMBS", "NON"];

pub(crate) fn write(message: &Message<'_>, row: u32, out: &mut Output) -> Result<(), Refusal> {
    let action = Cell::new("action", message.action).word(&ACTIONS)?;
    let user = Cell::new("user", message.user).required()?;
    let bare = Adjustment {
        id: Cell::new("adjustmentId", message.adjustment_id).required()?,
        version: Cell::new("version", message.version).required_version()?,
        action,
        scope: None,
        key: None,
        hqla_class: None,
        effective_from: None,
        effective_to: None,
        reason_code: None,
        narrative: None,
        user,
        user_key: &user_key(user)?,
        at: Cell::new("at", message.at).instant()?,
    };
    let adjustment = if action == "SUBMIT" {
        with_terms(message, bare)?
    } else {
        bare
    };
    out.push(row, &adjustment);
    Ok(())
}

/// Users compare without case and outer spaces.
fn user_key(user: &str) -> Result<String, Refusal> {
    let key = user.trim().to_lowercase();
    if key.is_empty() {
        Err(Refusal::missing("user"))
    } else {
        Ok(key)
    }
}

fn with_terms<'a>(message: &Message<'a>, bare: Adjustment<'a>) -> Result<Adjustment<'a>, Refusal> {
    let scope = Cell::new("scope", message.scope).word(&SCOPES)?;
    let (effective_from, effective_to) = effective(message)?;
    Ok(Adjustment {
        scope: Some(scope),
        key: Some(target(scope, Cell::new("key", message.key).required()?)?),
        hqla_class: Some(Cell::new("hqlaClass", message.hqla_class).word(&CLASSES)?),
        effective_from: Some(effective_from),
        effective_to: Some(effective_to),
        reason_code: Some(Cell::new("reasonCode", message.reason_code).required()?),
        narrative: Cell::new("narrative", message.narrative).optional(),
        ..bare
    })
}

fn effective(message: &Message<'_>) -> Result<(Instant, Instant), Refusal> {
    let from = Cell::new("effectiveFrom", message.effective_from).instant()?;
    let to = Cell::new("effectiveTo", message.effective_to).instant()?;
    if from < to {
        Ok((from, to))
    } else {
        Err(Refusal::new(
            Code::BadOrder,
            "effectiveTo",
            "is not after effectiveFrom",
        ))
    }
}

/// A position is named by entity, book and instrument.
fn target<'a>(scope: &str, key: &'a str) -> Result<&'a str, Refusal> {
    let parts = key.split('|').filter(|part| !part.is_empty()).count();
    let good = scope != "position" || parts == 3 && key.matches('|').count() == 2;
    good.then_some(key)
        .ok_or_else(|| Refusal::new(Code::BadKey, "key", "is not entity|book|instrument"))
}
