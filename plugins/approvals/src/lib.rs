//! Adjustments through their states: a `group` plugin over the messages of one adjustment.
//!
//! It answers phases: rows that each hold from one instant to the next (`valid_from`, `valid_until`, null without
//! end), so that a `valid` stage shows the state at the clock and no plugin reads a clock. Only the phase `active`
//! overrides anything. Two people: the submitter can neither approve nor revoke (`four_eyes`). topics.md: adjustments.

mod life;
mod phases;

use life::{Action, Life, Message, Terms};
use weir_sdk::{
    Answers, Data, Description, Failure, Group, Groups, Json, Record, Shape, export_group, record,
};

record! {
    /// A message, each version once. Of all but `SUBMIT` only action, user and instants are there.
    pub struct AdjustmentMessage<'a> {
        /// The adjustment.
        adjustment_id: utf8,
        /// Messages apply in this order.
        version: int64,
        /// `SUBMIT`, `APPROVE`, `REJECT`, `WITHDRAW` or `REVOKE`.
        action: utf8,
        /// `position`, `instrument` or `issuer`.
        scope: utf8,
        /// What it is about, within the scope.
        key: utf8,
        /// The class it gives.
        hqla_class: utf8,
        /// From when on.
        effective_from: timestamp,
        /// Until when.
        effective_to: timestamp,
        /// Who, as written.
        user: utf8,
        /// Who, as compared.
        user_key: utf8,
        /// When the user did it.
        at: timestamp,
        /// When the record was written.
        event_time: timestamp = "_timestamp",
    }
}

record! {
    /// The adjustment during one phase of its life.
    pub struct Phase<'a> {
        /// The adjustment.
        adjustment_id: utf8,
        /// `submitted`, `approved`, `active`, `expired`, `rejected`, `withdrawn` or `revoked`.
        state: utf8 required,
        /// `position`, `instrument` or `issuer`.
        scope: utf8,
        /// What it is about, within the scope.
        key: utf8,
        /// The class it gives.
        hqla_class: utf8,
        /// Who submitted it.
        user: utf8,
        /// Who approved it.
        approver: utf8,
        /// When that was.
        approved_at: timestamp,
        /// From when on.
        effective_from: timestamp,
        /// Until when.
        effective_to: timestamp,
        /// The phase's first instant; null: always.
        valid_from: timestamp,
        /// The first instant after it; null: for ever.
        valid_until: timestamp,
    }
}

/// The plugin.
#[derive(Clone, Copy, Debug)]
pub struct Approvals;

impl Group for Approvals {
    fn description() -> Description {
        let inputs = vec![("messages", AdjustmentMessage::fields())];
        Description {
            name: "approvals",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","additionalProperties":false}"#,
            shapes: vec![Shape::group(inputs, vec![("phases", Phase::fields())])],
        }
    }

    fn open(_config: &Json, _data: &Data) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn evaluate(&self, _as_of_us: i64, groups: &Groups, out: &mut Answers) {
        let input = groups.input::<AdjustmentMessage<'_>>("messages");
        for group in groups.ids() {
            let mut messages: Vec<_> = input.of(group).collect();
            messages.sort_by_key(|(_, message)| message.version);
            let id = messages
                .first()
                .and_then(|(_, message)| message.adjustment_id);
            let mut life = None;
            for (number, row) in &messages {
                let Some(message) = message(row) else {
                    continue;
                };
                if life::apply(&mut life, &message).is_err() {
                    out.refuse_field(*number, "user", "four_eyes", FOUR_EYES);
                }
            }
            write(group, id, life, out);
        }
    }
}

export_group!(Approvals);

const FOUR_EYES: &str =
    "the user who submitted an adjustment may not approve or revoke it; another user must";

fn message<'a>(row: &AdjustmentMessage<'a>) -> Option<Message<'a>> {
    let action = match row.action? {
        "SUBMIT" => Action::Submit(Terms {
            scope: row.scope?,
            key: row.key?,
            hqla_class: row.hqla_class?,
            effective_from: row.effective_from?,
            effective_to: row.effective_to?,
            user: row.user?,
        }),
        "APPROVE" => Action::Approve,
        "REJECT" => Action::Reject,
        "WITHDRAW" => Action::Withdraw,
        "REVOKE" => Action::Revoke,
        _ => return None,
    };
    Some(Message {
        action,
        user: row.user?,
        user_key: row.user_key?,
        at: row.at?,
        event_time: row.event_time?,
    })
}

fn write(group: u32, adjustment_id: Option<&str>, life: Option<Life<'_>>, out: &mut Answers) {
    let Some(life) = life else { return };
    let approval = life.approval;
    for phase in phases::of(&life) {
        let row = Phase {
            adjustment_id,
            state: phase.state,
            scope: Some(life.terms.scope),
            key: Some(life.terms.key),
            hqla_class: Some(life.terms.hqla_class),
            user: Some(life.terms.user),
            approver: approval.map(|approval| approval.user),
            approved_at: approval.map(|approval| approval.at),
            effective_from: Some(life.terms.effective_from),
            effective_to: Some(life.terms.effective_to),
            valid_from: phase.from,
            valid_until: phase.until,
        };
        out.push("phases", group, &row);
    }
}

#[cfg(test)]
mod tests;
