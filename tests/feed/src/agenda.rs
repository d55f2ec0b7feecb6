//! What is going to happen, in the order of time: messages to send, cash to arrive.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::message::Message;

/// Something due at an instant.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Send(Message),
    /// An entity's account at the central bank changes by so many cents of its currency.
    Cash {
        entity: usize,
        cents: i128,
    },
    /// The account's balance is told; and again some minutes later, and so on.
    Reserves {
        entity: usize,
        again: bool,
    },
    /// An account and the reserves change together by so many cents of the account's currency.
    Pay {
        place: usize,
        cents: i128,
    },
    /// Another deal is struck.
    Deal,
}

#[derive(Debug)]
struct Due {
    at_ms: i64,
    /// What was put in earlier comes first within an instant.
    turn: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ms, self.turn) == (other.at_ms, other.turn)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at_ms, self.turn).cmp(&(other.at_ms, other.turn))
    }
}

/// Events that have not happened yet.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    due: BinaryHeap<Reverse<Due>>,
    turns: u64,
}

impl Agenda {
    pub(crate) fn put(&mut self, at_ms: i64, event: Event) {
        self.turns += 1;
        self.due.push(Reverse(Due {
            at_ms,
            turn: self.turns,
            event,
        }));
    }

    /// The next event that is due by an instant.
    pub(crate) fn take(&mut self, until_ms: i64) -> Option<(i64, Event)> {
        if self.due.peek()?.0.at_ms > until_ms {
            return None;
        }
        self.due.pop().map(|Reverse(due)| (due.at_ms, due.event))
    }
}
