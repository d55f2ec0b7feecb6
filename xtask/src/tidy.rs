//! x
use crate::failure::Outcome;
pub(crate) fn main(_arguments: lexopt::Parser) -> Outcome {
    Ok(())
}
