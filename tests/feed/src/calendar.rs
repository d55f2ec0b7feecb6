//! Days and instants without a clock: the proleptic Gregorian calendar in UTC.

/// A day, counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Date(pub(crate) i64);

pub(crate) const SECOND_MS: i64 = 1_000;
pub(crate) const MINUTE_MS: i64 = 60 * SECOND_MS;
pub(crate) const HOUR_MS: i64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

impl Date {
    /// The UTC day of an instant.
    pub(crate) fn of_ms(ms: i64) -> Self {
        Self(ms.div_euclid(DAY_MS))
    }

    /// The instant at which the day starts.
    pub(crate) fn start_ms(self) -> i64 {
        self.0 * DAY_MS
    }

    pub(crate) fn plus(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// So many business days later; Saturdays and Sundays are none.
    pub(crate) fn plus_business(self, days: i64) -> Self {
        let mut date = self;
        for _ in 0..days {
            date = date.plus(1);
            while date.is_weekend() {
                date = date.plus(1);
            }
        }
        date
    }

    fn is_weekend(self) -> bool {
        // 1970-01-01 was a Thursday.
        matches!((self.0 + 3).rem_euclid(7), 5 | 6)
    }

    /// Year, month, day.
    fn civil(self) -> (i64, i64, i64) {
        let z = self.0 + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        (
            yoe + era * 400 + i64::from(month <= 2),
            month,
            doy - (153 * mp + 2) / 5 + 1,
        )
    }

    /// `2026-03-17`.
    pub(crate) fn iso(self) -> String {
        let (year, month, day) = self.civil();
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// One of the notations that a source system may use, chosen by `style`.
    pub(crate) fn styled(self, style: usize) -> String {
        let (year, month, day) = self.civil();
        match style % 5 {
            0 => self.iso(),
            1 => format!("{year:04}{month:02}{day:02}"),
            2 => format!("{month:02}/{day:02}/{year:04}"),
            3 => format!("{day:02}.{month:02}.{year:04}"),
            _ => {
                let name = MONTHS[usize::try_from(month - 1).expect("a month")];
                format!("{day:02}-{name}-{:02}", year % 100)
            }
        }
    }
}

/// `2026-03-02T07:00:00Z`.
pub(crate) fn instant(ms: i64) -> String {
    let (date, time) = (Date::of_ms(ms), ms.rem_euclid(DAY_MS) / SECOND_MS);
    format!(
        "{}T{:02}:{:02}:{:02}Z",
        date.iso(),
        time / 3_600,
        time / 60 % 60,
        time % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day that is easy to check by hand, in every notation, and the one after its weekend.
    #[test]
    fn notations_and_weekends() {
        let friday = Date(20_518);
        assert_eq!(friday.styled(0), "2026-03-06");
        assert_eq!(friday.styled(2), "03/06/2026");
        assert_eq!(friday.styled(4), "06-MAR-26");
        assert_eq!(friday.plus_business(1).iso(), "2026-03-09");
        assert_eq!(
            instant(friday.start_ms() + 7 * HOUR_MS),
            "2026-03-06T07:00:00Z"
        );
    }
}
