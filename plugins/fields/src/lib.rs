//! What the normalisers share: the numbers, dates, instants, codes and ids of the topics, and the trade legs.
//!
//! Everything here is pure: text in, a value or a [`Refusal`] out. Two notations of one value give one value,
//! and no amount ever passes through binary floating point. A null cell, an empty text and a missing field are
//! the same. A refusal names the field and says what is wrong with it, never what stood in it.

mod cell;
mod currency;
mod date;
mod inflows;
mod instant;
mod leg;
mod number;
mod refusal;
mod terms;

pub use cell::{Cell, in_range, not_negative, positive};
pub use currency::Currency;
pub use date::{Date, date_of, parse_date};
pub use inflows::EuInflows;
pub use instant::{Instant, parse_instant};
pub use leg::{Action, Leg, Trade, amount, priced_amount, received_amount};
pub use number::{Number, parse_number};
pub use refusal::{Code, Refusal};
pub use terms::Terms;
