//! The state machine of one adjustment.
//!
//! ```text
//!   SUBMIT -> submitted -- APPROVE --> approved -- REVOKE --> revoked
//!     ^           |-- REJECT ---> rejected
//!     |           `-- WITHDRAW --> withdrawn     (by the submitter)
//!     `--- a new SUBMIT from any state: new terms, a new approval
//! ```
//!
//! Any other message changes nothing.

/// What a `SUBMIT` says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) scope: &'a str,
    pub(crate) key: &'a str,
    pub(crate) hqla_class: &'a str,
    /// Instants are microseconds since 1970, UTC.
    pub(crate) effective_from: i64,
    pub(crate) effective_to: i64,
    pub(crate) user: &'a str,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Action<'a> {
    Submit(Terms<'a>),
    Approve,
    Reject,
    Withdraw,
    Revoke,
}

/// A message: who did what, when, and when it was recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) action: Action<'a>,
    pub(crate) user: &'a str,
    /// The user without case and outer spaces: what is compared.
    pub(crate) user_key: &'a str,
    pub(crate) at: i64,
    pub(crate) event_time: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Submitted,
    Approved,
    Rejected,
    Withdrawn,
    Revoked,
}

/// Who approved, when, and the instant from which that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Approval<'a> {
    pub(crate) user: &'a str,
    pub(crate) at: i64,
    pub(crate) known_from: i64,
}

/// An adjustment after its messages so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life<'a> {
    pub(crate) terms: Terms<'a>,
    submitter: &'a str,
    pub(crate) state: State,
    pub(crate) approval: Option<Approval<'a>>,
}

/// The submitter tried to be the second person too.
#[derive(Debug)]
pub(crate) struct FourEyes;

/// Applies the next message in version order.
pub(crate) fn apply<'a>(
    life: &mut Option<Life<'a>>,
    message: &Message<'a>,
) -> Result<(), FourEyes> {
    if let Action::Submit(terms) = message.action {
        let submitter = message.user_key;
        *life = Some(Life {
            terms,
            submitter,
            state: State::Submitted,
            approval: None,
        });
        return Ok(());
    }
    let Some(life) = life else { return Ok(()) };
    let is_submitter = message.user_key == life.submitter;
    match (life.state, message.action) {
        (State::Submitted, Action::Approve) | (State::Approved, Action::Revoke) if is_submitter => {
            return Err(FourEyes);
        }
        (State::Submitted, Action::Approve) => {
            life.state = State::Approved;
            let (user, at, known_from) = (message.user, message.at, message.event_time);
            life.approval = Some(Approval {
                user,
                at,
                known_from,
            });
        }
        (State::Submitted, Action::Reject) => life.state = State::Rejected,
        (State::Submitted, Action::Withdraw) if is_submitter => life.state = State::Withdrawn,
        (State::Approved, Action::Revoke) => life.state = State::Revoked,
        _ => {}
    }
    Ok(())
}
