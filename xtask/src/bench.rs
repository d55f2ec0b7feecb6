//! x
use crate::failure::Outcome;
pub(crate) fn main(_arguments: lexopt::Parser, _yes: bool) -> Outcome {
    Ok(())
}
