//! What the check found: where, what, and the cure; as text, as a picture of the source, as JSON.

use crate::tree::{At, Node, Place};
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use weir_zset::OpError;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pipeline cannot run.
    Error,
    /// The pipeline runs, but hardly as meant.
    Warning,
}

/// One finding. Its `Display` is `file:line:column: code: message`, of a warning with `warning: ` in front of the code,
/// and, if there is one, a line with the hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code; see [`codes`](crate::codes).
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What would mend it.
    pub hint: Option<String>,
    /// The pipeline file's name as it was given.
    pub file: String,
    /// Line from 1.
    pub line: usize,
    /// Column from 1, in characters.
    pub column: usize,
    /// Bytes of the file's text.
    pub span: Range<usize>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            code,
            message,
            file,
            line,
            column,
            ..
        } = self;
        let warning = if self.is_error() { "" } else { "warning: " };
        write!(f, "{file}:{line}:{column}: {warning}{code}: {message}")?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Diagnostic {
    /// Whether the pipeline cannot run for it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The finding drawn under the lines of `text`, the file's, that it is about.
    pub fn fancy(&self, text: &str) -> String {
        let theme = miette::GraphicalTheme::unicode_nocolor();
        let report = Report {
            found: self,
            source: miette::NamedSource::new(&self.file, text.to_owned()),
        };
        let mut out = String::new();
        match miette::GraphicalReportHandler::new_themed(theme).render_report(&mut out, &report) {
            Ok(()) => out,
            Err(fmt::Error) => self.to_string(),
        }
    }

    /// Adds the cure.
    pub(crate) fn hinted(&mut self, hint: impl Into<Option<String>>) {
        self.hint = hint.into();
    }
}

/// A finding in the shape that miette draws.
#[derive(Debug)]
struct Report<'a> {
    found: &'a Diagnostic,
    source: miette::NamedSource<String>,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.found.message)
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.found.code))
    }

    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.found.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.found
            .hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        let label = miette::LabeledSpan::underline(self.found.span.clone());
        Some(Box::new(std::iter::once(label)))
    }
}

/// Findings as they come.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    file: &'a str,
    found: Vec<Diagnostic>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(file: &'a str) -> Self {
        Self {
            file,
            found: Vec::new(),
        }
    }

    /// A finding at a place.
    pub(crate) fn put(
        &mut self,
        severity: Severity,
        place: &Place,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.found.push(Diagnostic {
            severity,
            code,
            message: message.into(),
            hint: None,
            file: self.file.to_owned(),
            line: place.line,
            column: place.column,
            span: place.start..place.end,
        });
        self.found.last_mut().expect("one was pushed just now")
    }

    /// Whether the pipeline cannot run.
    pub(crate) fn has_errors(&self) -> bool {
        self.found.iter().any(Diagnostic::is_error)
    }

    /// All findings by place; secrets are replaced by the text that stands for them in the file.
    pub(crate) fn finish(mut self, redact: impl Fn(&str) -> String) -> Vec<Diagnostic> {
        for one in &mut self.found {
            one.message = redact(&one.message);
            one.hint = one.hint.as_deref().map(&redact);
        }
        self.found.sort_by(|a, b| {
            (a.span.start, a.code, &a.message).cmp(&(b.span.start, b.code, &b.message))
        });
        self.found.dedup();
        self.found
    }
}

/// Findings about a parsed file, placed by path.
#[derive(Debug)]
pub(crate) struct Findings<'a> {
    pub(crate) sink: Sink<'a>,
    pub(crate) root: &'a Node,
}

impl<'a> Findings<'a> {
    pub(crate) fn new(sink: Sink<'a>, root: &'a Node) -> Self {
        Self { sink, root }
    }

    /// An error about the value there (a mapping's or sequence's place is its key).
    pub(crate) fn error(
        &mut self,
        at: &At,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.sink
            .put(Severity::Error, self.root.place_at(at), code, message)
    }

    /// An error about the key there.
    pub(crate) fn key_error(
        &mut self,
        at: &At,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.sink
            .put(Severity::Error, self.root.key_place_at(at), code, message)
    }

    /// A warning about the key there.
    pub(crate) fn key_warning(
        &mut self,
        at: &At,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        self.sink
            .put(Severity::Warning, self.root.key_place_at(at), code, message)
    }

    /// An operator's error, placed inside of its settings at `at`.
    pub(crate) fn op_error(&mut self, at: &At, error: OpError) {
        let key = |part: &String| match part.as_str() {
            "columns" => "take".to_owned(),
            "matching" => "match".to_owned(),
            _ => part.clone(),
        };
        let at = error
            .at
            .iter()
            .fold(at.clone(), |at, part| at.to(&key(part)));
        self.error(&at, error.code, error.message)
            .hinted(error.hint);
    }
}
