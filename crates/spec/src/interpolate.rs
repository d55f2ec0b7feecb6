//! `${env:NAME}`, `${env:NAME:-default}` and `${file:path}` in texts (never in keys or structure); `$${` is `${`.
//!
//! What comes from the environment or a file may be secret: [`Secrets`] replaces it in every message by the
//! text that stands in the file.

use crate::codes;
use crate::diagnostic::{Severity, Sink};
use crate::tree::{Node, Place};
use std::io;
use std::path::Path;

/// Largest file that `${file:...}` takes: secrets and addresses, not data.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// Longest text after interpolation.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// From this length on a value is replaced wherever it stands; a shorter one, and one that is a plain word, only as a word
/// of its own: `exactly` is not to be found in `exactly_once`.
const DISTINCT_CHARS_MIN: usize = 4;

/// What the check may see of the machine. `cli` gives the real one, tests a map.
pub trait Reader {
    /// An environment variable. Called once for each mention.
    fn env(&self, name: &str) -> Option<String>;
    /// The text of a file: once for each `${file:...}` (at most [`FILE_BYTES_MAX`] are taken) and, to see whether
    /// it is there, once for each data file of a plugin stage.
    fn file(&self, path: &Path) -> io::Result<String>;
}

/// Values that no message may show, with what to show instead.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secrets(Vec<(String, String)>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

impl Secrets {
    fn add(&mut self, value: &str, shown: &str) {
        if !value.is_empty() && value != shown {
            self.0.push((value.to_owned(), shown.to_owned()));
        }
    }

    /// Longest first, so that a value within another leaves no rest.
    fn sort(&mut self) {
        self.0
            .sort_by(|a, b| (b.0.len(), &a.0).cmp(&(a.0.len(), &b.0)));
        self.0.dedup_by(|a, b| a.0 == b.0);
    }

    /// The message without any of them.
    pub(crate) fn redact(&self, message: &str) -> String {
        let mut out = String::with_capacity(message.len());
        let mut rest = message;
        while let Some(next) = rest.chars().next() {
            let before = out.chars().next_back();
            let hit = self
                .0
                .iter()
                .find(|(value, _)| stands_at_start(rest, value, before));
            if let Some((value, shown)) = hit {
                out.push_str(shown);
                rest = rest.get(value.len()..).unwrap_or_default();
            } else {
                out.push(next);
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        }
        out
    }
}

/// Whether `value` begins `text` and is recognisable: long, or a word of its own.
fn stands_at_start(text: &str, value: &str, before: Option<char>) -> bool {
    let Some(after) = text.strip_prefix(value) else {
        return false;
    };
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let is_plain = value.bytes().all(|byte| byte.is_ascii_lowercase());
    (value.chars().count() >= DISTINCT_CHARS_MIN && !is_plain)
        || !(is_word(before) || is_word(after.chars().next()))
}

/// Replaces every `${...}` in the tree's texts.
pub(crate) fn interpolate(
    root: &mut Node,
    base: &Path,
    reader: &dyn Reader,
    sink: &mut Sink<'_>,
) -> Secrets {
    let mut secrets = Secrets::default();
    root.for_each_string(&mut |place, text| {
        if text.contains('$') {
            let mut leaf = Leaf {
                base,
                reader,
                sink,
                place,
                secrets: &mut secrets,
            };
            *text = leaf.expand(text).unwrap_or_default();
        }
    });
    root.for_each_key(&mut |place, key| {
        if key.contains("${") {
            let message = "`${...}` stands in a value, not in a key";
            sink.put(Severity::Error, place, codes::BAD_INTERPOLATION, message);
        }
    });
    secrets.sort();
    secrets
}

/// One text that has a `$`.
struct Leaf<'l, 's> {
    base: &'l Path,
    reader: &'l dyn Reader,
    sink: &'l mut Sink<'s>,
    place: &'l Place,
    secrets: &'l mut Secrets,
}

impl Leaf<'_, '_> {
    /// The text with all values; `None` when one is missing (which is reported).
    fn expand(&mut self, text: &str) -> Option<String> {
        let mut out = String::new();
        let mut is_secret = false;
        let mut is_whole = true;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = after;
                continue;
            }
            out.push_str(before);
            let Some((inside, after)) = after.split_once('}') else {
                self.bad("a `${` without its `}`");
                return None;
            };
            match self.value(inside) {
                Some((value, secret)) => {
                    out.push_str(&value);
                    is_secret |= secret;
                }
                None => is_whole = false,
            }
            rest = after;
        }
        out.push_str(rest);
        if out.len() > TEXT_BYTES_MAX {
            self.error(
                codes::TOO_LARGE,
                format!("more than {TEXT_BYTES_MAX} bytes with its `${{...}}` replaced"),
            );
            return None;
        }
        if is_secret {
            self.secrets.add(&out, text);
        }
        is_whole.then_some(out)
    }

    /// What stands for the inside of one `${...}`, and whether it may be secret.
    fn value(&mut self, inside: &str) -> Option<(String, bool)> {
        let found = if let Some(name) = inside.strip_prefix("env:") {
            let (name, default) = name
                .split_once(":-")
                .map_or((name, None), |(name, default)| (name, Some(default)));
            if name.is_empty() {
                self.bad("`${env:}` without a name");
                return None;
            }
            match (self.reader.env(name), default) {
                (Some(value), _) if !value.is_empty() || default.is_none() => value,
                (_, Some(default)) => return Some((default.to_owned(), false)),
                (_, None) => {
                    let message = format!("the environment variable {name} is not set");
                    let hint = format!("set it, or write `${{env:{name}:-default}}`");
                    self.error(codes::UNRESOLVED, message).hinted(hint);
                    return None;
                }
            }
        } else if let Some(path) = inside.strip_prefix("file:") {
            self.file(path)?
        } else {
            self.bad("`${...}` takes `env:NAME`, `env:NAME:-default` or `file:path`");
            return None;
        };
        self.secrets.add(&found, &format!("${{{inside}}}"));
        Some((found, true))
    }

    /// A file's text without the line end that editors add.
    fn file(&mut self, path: &str) -> Option<String> {
        match self.reader.file(&self.base.join(path)) {
            Ok(text) if text.len() > FILE_BYTES_MAX => {
                self.error(
                    codes::TOO_LARGE,
                    format!("the file {path} has more than {FILE_BYTES_MAX} bytes"),
                );
                None
            }
            Ok(text) => {
                let text = text.strip_suffix('\n').unwrap_or(&text);
                Some(text.strip_suffix('\r').unwrap_or(text).to_owned())
            }
            Err(error) => {
                self.error(
                    codes::UNRESOLVED,
                    format!("the file {path} cannot be read: {}", error.kind()),
                );
                None
            }
        }
    }

    fn bad(&mut self, message: &str) {
        self.error(codes::BAD_INTERPOLATION, message.to_owned())
            .hinted("a plain `${` is written `$${`".to_owned());
    }

    fn error(&mut self, code: &'static str, message: String) -> &mut crate::Diagnostic {
        self.sink.put(Severity::Error, self.place, code, message)
    }
}

#[cfg(test)]
mod tests {
    use super::Secrets;

    /// A value never shows, also not within a longer word; a short one does not tear words apart.
    #[test]
    fn messages_hide_values() {
        let mut secrets = Secrets::default();
        secrets.add("hunter2", "${env:PW}");
        secrets.add("a", "${env:A}");
        secrets.add("hunter2000", "${env:LONG}");
        secrets.sort();
        assert_eq!(
            secrets.redact("a bad \"hunter2\", xhunter2000x and \"a\""),
            "${env:A} bad \"${env:PW}\", x${env:LONG}x and \"${env:A}\""
        );
    }

    /// A plain word is hidden where it stands as a word, and does not tear others apart; what is no plain word is hidden
    /// wherever it stands.
    #[test]
    fn plain_words_are_hidden_whole() {
        let mut secrets = Secrets::default();
        secrets.add("exactly", "${env:DELIVERY}");
        secrets.add("Exactly", "${env:PW}");
        secrets.sort();
        let told = "exactly `exactly`: not exactly_once, inexactly, exactly1, _exactly or éexactly; Exactly_once";
        let expected = "${env:DELIVERY} `${env:DELIVERY}`: not exactly_once, inexactly, exactly1, _exactly or éexactly; \
                        ${env:PW}_once";
        assert_eq!(secrets.redact(told), expected);
    }
}
