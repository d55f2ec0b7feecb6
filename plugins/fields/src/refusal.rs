//! Why a message is refused: a stable code, the field, and a sentence without the message's bytes.

use weir_sdk::Output;

/// What is wrong with a field. The texts of [`Code::as_str`] are stable: dead letters are counted by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// `missing_field`: needed here, but missing, null or empty.
    MissingField,
    /// `bad_number`: no number in a notation of the topics.
    BadNumber,
    /// `over_precise`: more decimals than the field has, trailing zeros aside.
    OverPrecise,
    /// `out_of_range`: 10^18 or more.
    OutOfRange,
    /// `not_positive`: must be above 0.
    NotPositive,
    /// `negative`: must not be below 0.
    Negative,
    /// `not_zero`: must be 0 here.
    NotZero,
    /// `bad_date`: no day of the calendar in a notation of the topics.
    BadDate,
    /// `bad_instant`: no instant with an offset from UTC.
    BadInstant,
    /// `bad_currency`: no code of three letters, or no pair of them.
    BadCurrency,
    /// `unknown_value`: none of the values that the field may have.
    UnknownValue,
    /// `bad_order`: ends before it begins.
    BadOrder,
    /// `bad_key`: a position's key is not `entity|book|instrument`.
    BadKey,
    /// `bad_text`: a line or report that is not in the form of its topic.
    BadText,
    /// `empty_value`: an empty value without a key, so that there is nothing to delete.
    EmptyValue,
}

impl Code {
    /// The code as it stands in a dead letter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingField => "missing_field",
            Self::BadNumber => "bad_number",
            Self::OverPrecise => "over_precise",
            Self::OutOfRange => "out_of_range",
            Self::NotPositive => "not_positive",
            Self::Negative => "negative",
            Self::NotZero => "not_zero",
            Self::BadDate => "bad_date",
            Self::BadInstant => "bad_instant",
            Self::BadCurrency => "bad_currency",
            Self::UnknownValue => "unknown_value",
            Self::BadOrder => "bad_order",
            Self::BadKey => "bad_key",
            Self::BadText => "bad_text",
            Self::EmptyValue => "empty_value",
        }
    }
}

/// One refused message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of fault.
    pub code: Code,
    /// The field at fault.
    pub field: &'static str,
    /// What the field must be.
    pub message: String,
}

impl Refusal {
    /// A refusal whose message is the field's name followed by `fault`.
    #[cold]
    pub fn new(code: Code, field: &'static str, fault: &str) -> Self {
        Self {
            code,
            field,
            message: format!("{field} {fault}"),
        }
    }

    /// The refusal of a message without this field.
    #[cold]
    pub fn missing(field: &'static str) -> Self {
        Self::new(Code::MissingField, field, "is missing")
    }

    /// Refuses input row `row` for this.
    pub fn write(self, out: &mut Output, row: u32) {
        out.refuse_field(row, self.field, self.code.as_str(), self.message);
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Refusal {}
