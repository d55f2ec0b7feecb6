//! One pass over a JSON text, straight into columns.
//!
//! Every step moves `at` forward or fails. A failure leaves the columns as they are: the caller cuts them
//! back. The path of the field at fault is put together on the way out, so that good records pay nothing.

use super::DEPTH_MAX;
use super::number;
use super::schema::{Kind, Member, Record, Scalars};
use crate::civil;
use crate::column::{Column, Table, Values};
use crate::record::Refused;
use jsonschema::Validator;
use serde_json::Value;

/// The text is refused; the parser knows why. (Small, because every step answers with it.)
#[derive(Clone, Copy, Debug)]
pub(super) struct Bad;

/// Why a text is refused.
#[derive(Clone, Copy, Debug)]
struct Reason {
    code: &'static str,
    what: &'static str,
    at: usize,
}

type Read<T> = Result<T, Bad>;

/// A place in a text, which is valid UTF-8.
pub(super) struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Text whose escapes had to be resolved.
    scratch: &'a mut Vec<u8>,
    /// Why the text is refused, if it is.
    reason: Option<Reason>,
    /// Names from the field at fault outwards.
    path: Vec<&'a str>,
}

/// A string: as it stands in the text, or resolved into the scratch.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Text {
    from: usize,
    to: usize,
}

/// In the scratch.
const RESOLVED: Text = Text {
    from: usize::MAX,
    to: 0,
};

impl<'a> Parser<'a> {
    pub(super) fn new(bytes: &'a [u8], scratch: &'a mut Vec<u8>) -> Self {
        Self {
            bytes,
            at: 0,
            scratch,
            reason: None,
            path: Vec::new(),
        }
    }

    /// The whole text: one object, which becomes one row.
    pub(super) fn document(&mut self, record: &'a Record, table: &mut Table) -> Read<()> {
        self.space();
        if self.peek() != Some(b'{') {
            return self.not_a("an object");
        }
        self.record(record, table, 1)?;
        self.space();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            self.bad("invalid_json", "more after the value")
        }
    }

    /// What the engine is told.
    pub(super) fn refusal(&self) -> Refused {
        let reason = self.reason.expect("whoever fails says why");
        let mut field = String::new();
        for name in self.path.iter().rev() {
            if !field.is_empty() && *name != "[]" {
                field.push('.');
            }
            field.push_str(name);
        }
        let field = if field.is_empty() { None } else { Some(field) };
        Refused {
            code: reason.code,
            message: format!("{} at byte {}", reason.what, reason.at),
            field,
        }
    }

    #[cold]
    fn bad<T>(&mut self, code: &'static str, what: &'static str) -> Read<T> {
        self.bad_at(code, what, self.at)
    }

    #[cold]
    fn bad_at<T>(&mut self, code: &'static str, what: &'static str, at: usize) -> Read<T> {
        self.reason = Some(Reason { code, what, at });
        Err(Bad)
    }

    /// The value at `at` has another type: well-formed or not is said first.
    fn not_a<T>(&mut self, expected: &'static str) -> Read<T> {
        let at = self.at;
        self.skip(1)?;
        let what = match expected {
            "an object" => "not an object",
            "an array" => "not an array",
            "a text" => "not a text",
            "a number" => "not a number",
            "a boolean" => "not a boolean",
            _ => "of none of the allowed types",
        };
        self.bad_at("wrong_type", what, at)
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        if self.peek().is_some_and(|b| b <= b' ') {
            self.more_space();
        }
    }

    fn more_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Read<()> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.bad("invalid_json", what)
        }
    }

    /// An object, from its brace, as one row of the table.
    fn record(&mut self, record: &'a Record, table: &mut Table, depth: usize) -> Read<()> {
        self.deeper(depth)?;
        let (mut nth, mut found) = (0, 0);
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return self.missing(record, table);
        }
        loop {
            let start = self.at;
            let index = self.name(record, &mut table.order, nth)?;
            nth += 1;
            self.space();
            if let Some(index) = index {
                let (member, column) = (&record.members[index], &mut table.columns[index]);
                if column.len() > table.rows {
                    self.path.push(&member.name);
                    return self.bad_at("duplicate_key", "a name for the second time", start);
                }
                self.member(member, column, depth)?;
                found += 1;
            } else if record.is_closed {
                return self.bad_at(
                    "unknown_field",
                    "a name that the schema does not have",
                    start,
                );
            } else {
                self.skip(depth + 1)?;
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.bad("invalid_json", "neither a comma nor the object's end"),
            }
            self.space();
        }
        self.at += 1;
        if found == record.members.len() {
            return Ok(());
        }
        self.missing(record, table)
    }

    /// Nulls for what did not come.
    fn missing(&mut self, record: &'a Record, table: &mut Table) -> Read<()> {
        let rows = table.rows;
        for (member, column) in record.members.iter().zip(&mut table.columns) {
            if column.len() > rows {
                continue;
            }
            if member.is_required {
                self.path.push(&member.name);
                return self.bad("missing_field", "the object ends without a required field");
            }
            column.push_null();
        }
        Ok(())
    }

    /// A name and its colon: its field's index, if the schema has it. `order` guesses.
    #[inline]
    fn name(&mut self, record: &Record, order: &mut Vec<u16>, nth: usize) -> Read<Option<usize>> {
        if let Some(guess) = order.get(nth) {
            let guess = usize::from(*guess);
            let spelled = &record.members[guess].spelled;
            if spelled.begins(self.bytes.get(self.at..).unwrap_or_default()) {
                self.at += spelled.len();
                return Ok(Some(guess));
            }
        }
        self.searched_name(record, order, nth)
    }

    fn searched_name(
        &mut self,
        record: &Record,
        order: &mut Vec<u16>,
        nth: usize,
    ) -> Read<Option<usize>> {
        if self.peek() != Some(b'"') {
            return self.bad("invalid_json", "no name in quotes");
        }
        let text = self.text()?;
        let found = record.index.get(self.text_bytes(text)).copied();
        // A name that was written with escapes is no guess: its own text between quotes may not be itself.
        if let (Some(index), true) = (found, text != RESOLVED) {
            order.resize(order.len().max(nth + 1), index);
            order[nth] = index;
        }
        self.space();
        self.expect(b':', "no colon after a name")?;
        Ok(found.map(usize::from))
    }

    /// A field's value or a list's item.
    #[inline]
    fn member(&mut self, member: &'a Member, column: &mut Column, depth: usize) -> Read<()> {
        if self.peek() == Some(b'n') {
            let at = self.at;
            self.word(b"null")?;
            if member.is_required && !member.is_nullable {
                self.path.push(&member.name);
                let code = if member.name == "[]" {
                    "wrong_type"
                } else {
                    "missing_field"
                };
                return self.bad_at(code, "null where a value is required", at);
            }
            column.push_null();
            return Ok(());
        }
        let result = self.value(member, column, depth);
        if result.is_err() {
            self.path.push(&member.name);
        }
        result
    }

    #[inline]
    fn value(&mut self, member: &'a Member, column: &mut Column, depth: usize) -> Read<()> {
        match (&member.kind, &mut column.values) {
            (Kind::Text, Values::Text(spans)) => {
                let text = self.string()?;
                self.checked(member, text)?;
                spans.data.extend_from_slice(self.text_bytes(text));
                spans.close();
            }
            (Kind::Literal(scalars), Values::Text(spans)) => {
                let text = self.literal(*scalars)?;
                self.checked(member, text)?;
                spans.data.extend_from_slice(self.text_bytes(text));
                spans.close();
            }
            (Kind::Int, Values::Int64(values)) => values.push(self.integer()?),
            (Kind::Bool, Values::Bool(values)) => values.append(self.boolean()?),
            (Kind::Decimal { precision, scale }, Values::Decimal128 { values, .. }) => {
                values.push(self.decimal(*precision, *scale)?);
            }
            (Kind::Date, Values::Date(values)) => {
                values.push(self.parsed(civil::date, "no date like 2026-03-17")?);
            }
            (Kind::Instant, Values::Instant(values)) => {
                values.push(self.parsed(civil::instant, "no instant like 2026-03-17T09:00:00Z")?);
            }
            (Kind::Struct(record), Values::Struct { table, .. }) => {
                if self.peek() != Some(b'{') {
                    return self.not_a("an object");
                }
                self.record(record, table, depth + 1)?;
                table.rows += 1;
            }
            (Kind::List(item), Values::List { column: items, .. }) => {
                self.list(item, items, depth + 1)?;
                column.close_list();
                return Ok(());
            }
            _ => unreachable!("columns are made from the schema"),
        }
        column.close();
        Ok(())
    }

    fn list(&mut self, item: &'a Member, items: &mut Column, depth: usize) -> Read<()> {
        if self.peek() != Some(b'[') {
            return self.not_a("an array");
        }
        self.deeper(depth)?;
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.member(item, items, depth)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.bad("invalid_json", "neither a comma nor the array's end"),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn deeper(&mut self, depth: usize) -> Read<()> {
        if depth > DEPTH_MAX {
            self.bad("too_deep", "objects and arrays nested too deep")
        } else {
            Ok(())
        }
    }

    #[inline]
    fn string(&mut self) -> Read<Text> {
        if self.peek() == Some(b'"') {
            self.text()
        } else {
            self.not_a("a text")
        }
    }

    fn parsed<T>(&mut self, parse: fn(&[u8]) -> Option<T>, what: &'static str) -> Read<T> {
        let at = self.at;
        let text = self.string()?;
        match parse(self.text_bytes(text)) {
            Some(value) => Ok(value),
            None => self.bad_at("wrong_type", what, at),
        }
    }

    fn boolean(&mut self) -> Read<bool> {
        match self.peek() {
            Some(b't') => self.word(b"true").map(|()| true),
            Some(b'f') => self.word(b"false").map(|()| false),
            _ => self.not_a("a boolean"),
        }
    }

    /// A number's span.
    #[inline]
    fn number(&mut self) -> Read<(usize, usize)> {
        let from = self.at;
        match self.peek() {
            Some(b'-' | b'0'..=b'9') => self.digits_of_number()?,
            _ => return self.not_a("a number"),
        }
        Ok((from, self.at))
    }

    fn integer(&mut self) -> Read<i64> {
        let (from, to) = self.number()?;
        let literal = &self.bytes[from..to];
        // Up to 18 plain digits, the usual case, cannot overflow.
        if literal.len() <= 18 && literal.iter().all(u8::is_ascii_digit) {
            return Ok(literal
                .iter()
                .fold(0, |value, b| value * 10 + i64::from(b - b'0')));
        }
        match number::integer(literal) {
            Some(value) => Ok(value),
            None if number::is_integral(literal) => {
                self.bad_at("number_range", "an integer that 64 bits do not hold", from)
            }
            None => self.bad_at("wrong_type", "not an integer", from),
        }
    }

    fn decimal(&mut self, precision: u8, scale: i8) -> Read<i128> {
        let (from, to) = self.number()?;
        let what = "a number with more digits than the column has";
        match number::decimal(&self.bytes[from..to], precision, scale) {
            Some(value) => Ok(value),
            None => self.bad_at("number_range", what, from),
        }
    }

    #[inline]
    fn literal(&mut self, scalars: Scalars) -> Read<Text> {
        let from = self.at;
        match self.peek() {
            Some(b'"') if scalars.text => self.text(),
            Some(b'-' | b'0'..=b'9') if scalars.number || scalars.integer => {
                self.digits_of_number()?;
                if !scalars.number && !number::is_integral(&self.bytes[from..self.at]) {
                    return self.bad_at("wrong_type", "not an integer", from);
                }
                Ok(self.without_exponent(from))
            }
            Some(b't' | b'f') if scalars.boolean => {
                self.boolean()?;
                Ok(Text { from, to: self.at })
            }
            _ => self.not_a("a scalar"),
        }
    }

    /// A number as text has no exponent, so that a reader can refuse one that was written as text.
    fn without_exponent(&mut self, from: usize) -> Text {
        let to = self.at;
        match number::plain(&self.bytes[from..to]) {
            None => Text { from, to },
            Some(plain) => {
                *self.scratch = plain;
                RESOLVED
            }
        }
    }

    #[inline]
    fn checked(&mut self, member: &Member, text: Text) -> Read<()> {
        match &member.check {
            None => Ok(()),
            Some(check) => self.validated(check, text),
        }
    }

    /// The slow path: keywords that restrict a text.
    fn validated(&mut self, check: &Validator, text: Text) -> Read<()> {
        let value = String::from_utf8_lossy(self.text_bytes(text)).into_owned();
        if check.is_valid(&Value::String(value)) {
            return Ok(());
        }
        self.bad(
            "schema_violation",
            "a value that the schema does not allow ends",
        )
    }

    #[inline]
    fn text_bytes(&self, text: Text) -> &[u8] {
        if text == RESOLVED {
            self.scratch
        } else {
            &self.bytes[text.from..text.to]
        }
    }

    /// A string from its opening quote to past its closing one.
    #[inline]
    fn text(&mut self) -> Read<Text> {
        self.at += 1;
        let from = self.at;
        self.at = end_of_plain(self.bytes, from);
        match self.peek() {
            Some(b'"') => {
                let to = self.at;
                self.at += 1;
                Ok(Text { from, to })
            }
            Some(b'\\') => self.resolved(from),
            Some(_) => self.bad("invalid_json", "a control character in a text"),
            None => self.bad("invalid_json", "the end inside a text"),
        }
    }

    /// The rest of a string with escapes, into the scratch.
    #[cold]
    fn resolved(&mut self, from: usize) -> Read<Text> {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.bytes[from..self.at]);
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(RESOLVED);
                }
                Some(b'\\') => self.escape()?,
                Some(_) => return self.bad("invalid_json", "a control character in a text"),
                None => return self.bad("invalid_json", "the end inside a text"),
            }
            let from = self.at;
            self.at = end_of_plain(self.bytes, from);
            self.scratch.extend_from_slice(&self.bytes[from..self.at]);
        }
    }

    fn escape(&mut self) -> Read<()> {
        let plain = match self.bytes.get(self.at + 1) {
            Some(b @ (b'"' | b'\\' | b'/')) => *b,
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode(),
            _ => return self.bad("invalid_json", "an unknown escape"),
        };
        self.scratch.push(plain);
        self.at += 2;
        Ok(())
    }

    fn unicode(&mut self) -> Read<()> {
        let first = self.unit()?;
        let code = match first {
            0xD800..=0xDBFF => match self.unit() {
                Ok(second @ 0xDC00..=0xDFFF) => {
                    0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
                }
                _ => return self.bad("invalid_json", "half of a surrogate pair"),
            },
            code => code,
        };
        let Some(code) = char::from_u32(code) else {
            return self.bad("invalid_json", "half of a surrogate pair");
        };
        self.scratch
            .extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// `\uXXXX`.
    fn unit(&mut self) -> Read<u32> {
        let Some(&[b'\\', b'u', a, b, c, d]) = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk())
        else {
            return self.bad("invalid_json", "an unknown escape");
        };
        let digits = [a, b, c, d]
            .into_iter()
            .map(|digit| char::from(digit).to_digit(16));
        let Some(unit) = digits
            .into_iter()
            .try_fold(0, |unit, digit| digit.map(|digit| unit * 16 + digit))
        else {
            return self.bad("invalid_json", "an unknown escape");
        };
        self.at += 6;
        Ok(unit)
    }

    #[inline]
    fn word(&mut self, word: &'static [u8]) -> Read<()> {
        if self
            .bytes
            .get(self.at..)
            .is_some_and(|rest| rest.starts_with(word))
        {
            self.at += word.len();
            return Ok(());
        }
        self.bad("invalid_json", "no JSON value")
    }

    #[inline]
    fn digits_of_number(&mut self) -> Read<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    #[inline]
    fn digits(&mut self) -> Read<()> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == from {
            self.bad("invalid_json", "a number without a digit")
        } else {
            Ok(())
        }
    }

    /// Any value, checked and not kept.
    fn skip(&mut self, depth: usize) -> Read<()> {
        match self.peek() {
            Some(b'"') => self.text().map(|_| ()),
            Some(b'{') => self.skip_object(depth),
            Some(b'[') => self.skip_array(depth),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            Some(b'-' | b'0'..=b'9') => self.digits_of_number(),
            Some(_) => self.bad("invalid_json", "no JSON value"),
            None => self.bad("invalid_json", "the end where a value is expected"),
        }
    }

    fn skip_object(&mut self, depth: usize) -> Read<()> {
        self.deeper(depth)?;
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek() != Some(b'"') {
                return self.bad("invalid_json", "no name in quotes");
            }
            self.text()?;
            self.space();
            self.expect(b':', "no colon after a name")?;
            self.space();
            self.skip(depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.bad("invalid_json", "neither a comma nor the object's end"),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    fn skip_array(&mut self, depth: usize) -> Read<()> {
        self.deeper(depth)?;
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.skip(depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.bad("invalid_json", "neither a comma nor the array's end"),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }
}

/// The next quote, backslash or control character from here on, or the end. Eight bytes at a time: the
/// lowest high bit of a word marks its first such byte (a borrow can only mark bytes after it).
#[inline]
fn end_of_plain(bytes: &[u8], from: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let mut at = from;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let quote = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslash = has_zero(word ^ (ONES * u64::from(b'\\')));
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGH;
        let found = quote | backslash | control;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes
        .get(at)
        .is_some_and(|b| *b >= 0x20 && *b != b'"' && *b != b'\\')
    {
        at += 1;
    }
    at
}
