//! One cell of a message: its field's name and its text, and the readings that the topics ask for.

use crate::currency::Currency;
use crate::date::{Date, parse_date};
use crate::instant::{Instant, parse_instant};
use crate::number::{Number, parse_number};
use crate::refusal::{Code, Refusal};

/// A field's cell. An empty text is the same as none.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    field: &'static str,
    text: Option<&'a str>,
}

impl<'a> Cell<'a> {
    /// The cell of `field`.
    #[inline]
    pub fn new(field: &'static str, text: Option<&'a str>) -> Self {
        Self {
            field,
            text: text.filter(|text| !text.is_empty()),
        }
    }

    /// The text as it stands, if there is one: an id that may be missing.
    #[inline]
    pub fn optional(self) -> Option<&'a str> {
        self.text
    }

    /// The text as it stands: an id.
    #[inline]
    pub fn required(self) -> Result<&'a str, Refusal> {
        self.text.ok_or_else(|| Refusal::missing(self.field))
    }

    /// A number that may be missing.
    #[expect(
        clippy::inline_always,
        reason = "the answer of a call goes through memory in WebAssembly"
    )]
    #[inline(always)]
    pub fn optional_number(self, number: Number) -> Result<Option<i128>, Refusal> {
        self.text
            .map(|text| parse_number(self.field, text, number))
            .transpose()
    }

    /// A number of either sign.
    #[expect(
        clippy::inline_always,
        reason = "the answer of a call goes through memory in WebAssembly"
    )]
    #[inline(always)]
    pub fn number(self, number: Number) -> Result<i128, Refusal> {
        parse_number(self.field, self.required()?, number)
    }

    /// A number above 0.
    #[expect(
        clippy::inline_always,
        reason = "the answer of a call goes through memory in WebAssembly"
    )]
    #[inline(always)]
    pub fn positive(self, number: Number) -> Result<i128, Refusal> {
        positive(self.field, self.number(number)?)
    }

    /// A number that is not below 0.
    #[inline]
    pub fn not_negative(self, number: Number) -> Result<i128, Refusal> {
        not_negative(self.field, self.number(number)?)
    }

    /// A number above 0 that may be missing.
    #[expect(
        clippy::inline_always,
        reason = "the answer of a call goes through memory in WebAssembly"
    )]
    #[inline(always)]
    pub fn optional_positive(self, number: Number) -> Result<Option<i128>, Refusal> {
        self.text.map(|_| self.positive(number)).transpose()
    }

    /// A date.
    #[inline]
    pub fn date(self) -> Result<Date, Refusal> {
        parse_date(self.field, self.required()?)
    }

    /// A date that may be missing.
    #[inline]
    pub fn optional_date(self) -> Result<Option<Date>, Refusal> {
        self.text
            .map(|text| parse_date(self.field, text))
            .transpose()
    }

    /// A date, or none when it is missing or `OPEN`.
    pub fn maturity(self) -> Result<Option<Date>, Refusal> {
        match self.text {
            None | Some("OPEN") => Ok(None),
            Some(text) => parse_date(self.field, text).map(Some),
        }
    }

    /// An instant.
    pub fn instant(self) -> Result<Instant, Refusal> {
        parse_instant(self.field, self.required()?)
    }

    /// One of these spellings; the answer is what the spelling stands for.
    #[inline]
    pub fn one_of<T: Copy>(self, spellings: &[(&str, T)]) -> Result<T, Refusal> {
        let text = self.required()?;
        let known = spellings.iter().find(|(spelling, _)| *spelling == text);
        known
            .map(|(_, value)| *value)
            .ok_or_else(|| self.unknown(spellings))
    }

    #[cold]
    fn unknown<T>(self, spellings: &[(&str, T)]) -> Refusal {
        let names: Vec<&str> = spellings.iter().map(|(spelling, _)| *spelling).collect();
        let fault = format!("is none of {}", names.join(", "));
        Refusal::new(Code::UnknownValue, self.field, &fault)
    }

    /// One of these spellings, or this value when there is none.
    #[inline]
    pub fn one_of_or<T: Copy>(self, spellings: &[(&str, T)], missing: T) -> Result<T, Refusal> {
        if self.text.is_some() {
            self.one_of(spellings)
        } else {
            Ok(missing)
        }
    }

    /// One of these words, as written here.
    pub fn word(self, words: &[&'static str]) -> Result<&'static str, Refusal> {
        let spellings: Vec<(&str, &'static str)> =
            words.iter().map(|word| (*word, *word)).collect();
        self.one_of(&spellings)
    }

    /// A currency code of three letters, in capitals.
    #[inline]
    pub fn currency(self) -> Result<Currency, Refusal> {
        Currency::parse(self.required()?)
            .ok_or_else(|| Refusal::new(Code::BadCurrency, self.field, "is not a currency code"))
    }

    /// A currency code that may be missing.
    #[inline]
    pub fn optional_currency(self) -> Result<Option<Currency>, Refusal> {
        self.text.map(|_| self.currency()).transpose()
    }

    /// Base and quote of a pair.
    #[inline]
    pub fn currency_pair(self) -> Result<(Currency, Currency), Refusal> {
        Currency::parse_pair(self.required()?).ok_or_else(|| {
            Refusal::new(
                Code::BadCurrency,
                self.field,
                "is not a pair of currency codes",
            )
        })
    }

    /// A whole number, else the record's offset.
    #[inline]
    pub fn version(self, offset: i64) -> Result<i64, Refusal> {
        let version = self.optional_number(Number::WHOLE)?;
        Ok(version.map_or(offset, whole))
    }

    /// A whole number that must be there.
    #[inline]
    pub fn required_version(self) -> Result<i64, Refusal> {
        self.number(Number::WHOLE).map(whole)
    }
}

/// A number below 10^18 without decimals.
#[inline]
fn whole(digits: i128) -> i64 {
    i64::try_from(digits).expect("a number below 10^18")
}

/// The value, if it is above 0.
#[inline]
pub fn positive(field: &'static str, value: i128) -> Result<i128, Refusal> {
    if value > 0 {
        Ok(value)
    } else {
        Err(Refusal::new(Code::NotPositive, field, "is not above 0"))
    }
}

/// The value, if it is not below 0.
#[inline]
pub fn not_negative(field: &'static str, value: i128) -> Result<i128, Refusal> {
    if value >= 0 {
        Ok(value)
    } else {
        Err(Refusal::new(Code::Negative, field, "is below 0"))
    }
}

/// The digits of a decimal that came typed, if it is below 10^18.
pub fn in_range(field: &'static str, digits: i128, number: Number) -> Result<i128, Refusal> {
    let limit = 10_u128.pow(18 + u32::from(number.scale));
    let small = digits.unsigned_abs() < limit;
    if small {
        Ok(digits)
    } else {
        Err(Refusal::new(Code::OutOfRange, field, "is 10^18 or more"))
    }
}
