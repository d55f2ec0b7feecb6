//! A small JSON reader for configs and data files. Numbers stay the text that they are.

use crate::Failure;

/// A JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, in the order of the text; of a repeated key the first counts.
    Object(Vec<(String, Json)>),
}

/// Deeper nesting is refused, so that no text overflows the stack.
const DEPTH_MAX: u32 = 64;

impl Json {
    /// Reads a text that is one JSON value.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        if reader.at < text.len() {
            Err(reader.error("nothing more"))
        } else {
            Ok(value)
        }
    }

    /// The value of a key; `None` also when this is no object.
    pub fn get(&self, key: &str) -> Option<&Json> {
        self.entries()
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// A number's text, or a string's: a decimal may be written either way.
    pub fn as_number(&self) -> Option<&str> {
        if let Self::Number(text) | Self::Text(text) = self {
            Some(text)
        } else {
            None
        }
    }

    /// A whole number.
    pub fn as_i64(&self) -> Option<i64> {
        if let Self::Number(text) = self {
            text.parse().ok()
        } else {
            None
        }
    }

    /// `true` or `false`.
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(value) = self {
            Some(*value)
        } else {
            None
        }
    }

    /// The elements of an array, else none.
    pub fn items(&self) -> &[Json] {
        if let Self::List(items) = self {
            items
        } else {
            &[]
        }
    }

    /// The entries of an object, else none.
    pub fn entries(&self) -> &[(String, Json)] {
        if let Self::Object(entries) = self {
            entries
        } else {
            &[]
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn error(&self, wanted: &str) -> Failure {
        Failure::new(
            "json_invalid",
            format!("byte {}: expected {wanted}", self.at),
        )
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn value(&mut self, depth: u32) -> Result<Json, Failure> {
        self.space();
        match self.peek() {
            _ if depth > DEPTH_MAX => Err(self.error("less nesting")),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.list(depth),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ if self.take("null") => Ok(Json::Null),
            _ if self.take("true") => Ok(Json::Bool(true)),
            _ if self.take("false") => Ok(Json::Bool(false)),
            _ => Err(self.error("a value")),
        }
    }

    fn number(&mut self) -> Result<Json, Failure> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')
        ) {
            self.at += 1;
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        if text.ends_with(|last: char| last.is_ascii_digit()) {
            Ok(Json::Number(text.to_owned()))
        } else {
            Err(self.error("a digit"))
        }
    }

    fn list(&mut self, depth: u32) -> Result<Json, Failure> {
        let mut items = Vec::new();
        self.at += 1;
        self.space();
        if self.take("]") {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            if self.take("]") {
                return Ok(Json::List(items));
            }
            if !self.take(",") {
                return Err(self.error("`,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: u32) -> Result<Json, Failure> {
        let mut entries = Vec::new();
        self.at += 1;
        self.space();
        if self.take("}") {
            return Ok(Json::Object(entries));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.space();
            if !self.take(":") {
                return Err(self.error("`:`"));
            }
            entries.push((key, self.value(depth + 1)?));
            self.space();
            if self.take("}") {
                return Ok(Json::Object(entries));
            }
            if !self.take(",") {
                return Err(self.error("`,` or `}`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, Failure> {
        if !self.take("\"") {
            return Err(self.error("a string"));
        }
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(next) = rest.chars().next() else {
                return Err(self.error("`\"`"));
            };
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                '\0'..='\x1f' => return Err(self.error("an escaped control character")),
                _ => out.push(next),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Failure> {
        let escaped = self.peek();
        self.at += 1;
        Ok(match escaped {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(plain @ (b'"' | b'\\' | b'/')) => char::from(plain),
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, Failure> {
        let high = self.hex4()?;
        let code = if (0xd800..0xdc00).contains(&high) && self.take("\\u") {
            0x10000 + ((high - 0xd800) << 10) + (self.hex4()?.wrapping_sub(0xdc00) & 0x3ff)
        } else {
            high
        };
        char::from_u32(code).ok_or_else(|| self.error("a character"))
    }

    fn hex4(&mut self) -> Result<u32, Failure> {
        let digits = self.text.get(self.at..self.at + 4).unwrap_or_default();
        let code = u32::from_str_radix(digits, 16)
            .ok()
            .filter(|_| !digits.starts_with('+'));
        let code = code.ok_or_else(|| self.error("four hex digits"))?;
        self.at += 4;
        Ok(code)
    }
}
