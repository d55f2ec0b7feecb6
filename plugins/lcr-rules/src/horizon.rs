//! The thirty days that count.
//!
//! Day of a flow: its date minus the business date; 0 to 30 count, the last day included (B238 69, LCR40.1).

/// Where a flow stands in the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Day {
    /// No maturity: on demand.
    Open,
    /// Inside, on this day.
    On(i32),
    /// Behind the last day.
    After,
    /// Before the business date, and done with.
    Past,
}

/// The day of a flow: dates are days since 1970, `None` is open. A flow that is due, unconfirmed and the last of
/// its trade (`last`) has failed to settle and is still to come: day 0. `horizon` is the last day that counts.
pub fn day_of(business_date: i32, horizon: i32, date: Option<i32>, last: bool) -> Day {
    let Some(date) = date else { return Day::Open };
    match date.saturating_sub(business_date) {
        day if day < 0 => {
            if last {
                Day::On(0)
            } else {
                Day::Past
            }
        }
        day if day <= horizon => Day::On(day),
        _ => Day::After,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends of the horizon, and a failed trade, at a business date of day 100.
    #[test]
    fn ends_of_the_horizon() {
        let cases = [
            (None, false, Day::Open),
            (Some(99), false, Day::Past),
            (Some(99), true, Day::On(0)),
            (Some(100), false, Day::On(0)),
            (Some(130), false, Day::On(30)),
            (Some(131), true, Day::After),
            (Some(i32::MAX), true, Day::After),
            (Some(i32::MIN), false, Day::Past),
        ];
        for (date, last, day) in cases {
            assert_eq!(day_of(100, 30, date, last), day, "{date:?} {last}");
        }
    }
}
