//! What the command says: what was asked for on standard output, all else on standard error.
//!
//! Whoever listens may go away (`| head -1`, a log reader that ended): then nothing more is said, and the command goes on.

use crate::args::LogFormat;
use anyhow::{Context, Result};
use std::fmt::Display;
use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::sync::OnceLock;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use weir_spec::Diagnostic;

/// What lines on standard error look like; text where nothing is set.
static LOG_FORMAT: OnceLock<LogFormat> = OnceLock::new();
/// What `WEIR_LOG` does not silence: the lines of this module.
const ALWAYS: &str = concat!(module_path!(), "=info");

/// Prints a line of what was asked for.
pub(crate) fn out(line: impl Display) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(error).context("cannot write to standard output")
        }
        _ => Ok(()),
    }
}

/// Says why the command ends without having done what was asked.
pub(crate) fn error(line: impl Display) {
    if is_json() {
        tracing::error!("{line}");
    } else {
        plain(format_args!("weir: {line}"));
    }
}

/// Says what the command does without.
pub(crate) fn warning(line: impl Display) {
    if is_json() {
        tracing::warn!("{line}");
    } else {
        plain(format_args!("weir: warning: {line}"));
    }
}

/// Says how it is going.
pub(crate) fn note(line: impl Display) {
    if is_json() {
        tracing::info!("{line}");
    } else {
        plain(format_args!("weir: {line}"));
    }
}

/// Says what is wrong with a file.
pub(crate) fn finding(found: &Diagnostic) {
    match (is_json(), found.is_error()) {
        (true, true) => tracing::error!("{found}"),
        (true, false) => tracing::warn!("{found}"),
        (false, _) => plain(found),
    }
}

fn is_json() -> bool {
    LOG_FORMAT
        .get()
        .is_some_and(|format| *format == LogFormat::Json)
}

fn plain(line: impl Display) {
    drop(std::io::stderr().write_all(format!("{line}\n").as_bytes()));
}

/// Sets how log lines are written, and which: `info`, and what `WEIR_LOG` changes of that.
pub(crate) fn log(format: LogFormat) {
    let asked = std::env::var_os("WEIR_LOG").unwrap_or_default();
    let (filter, refused) = match filter(&asked.to_string_lossy()) {
        Ok(filter) => (filter, None),
        Err(refused) => (filter("").expect("the default is good"), Some(refused)),
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    LOG_FORMAT.get_or_init(|| format);
    if let Some(refused) = refused {
        warning(refused);
    }
}

/// The filter of `WEIR_LOG`, or what is wrong with it. A word that is no level would be a target of that name.
fn filter(asked: &str) -> std::result::Result<EnvFilter, String> {
    let is_level = |text: &str| !text.is_empty() && text.parse::<LevelFilter>().is_ok();
    let level = |part: &str| is_level(part.split_once('=').map_or(part, |(_, level)| level));
    let parts = || {
        asked
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
    };
    let told = |part: &str| {
        format!(
            "WEIR_LOG: `{part}` is neither a level (off, error, warn, info, debug, trace) nor target=level, such as \
             weir_kafka=debug; `info` is logged"
        )
    };
    if let Some(part) = parts().find(|part| !level(part)) {
        return Err(told(part));
    }
    let all = std::iter::once("info").chain(parts()).chain([ALWAYS]);
    let all = all.collect::<Vec<_>>().join(",");
    EnvFilter::builder()
        .parse(all)
        .map_err(|_error| told(asked))
}

#[cfg(test)]
mod tests {
    use super::filter;

    /// Goal: no slip in `WEIR_LOG` turns the log off. Method: what the filter says of good ones and bad ones.
    #[test]
    fn a_slip_is_told() {
        for bad in [
            "nonsense=",
            "nonsense",
            "inof",
            "weir_kafka=debgu",
            "=",
            "debug=",
            "=info=",
        ] {
            let told = filter(bad).expect_err(bad);
            assert!(
                told.contains(bad) && told.contains("debug, trace"),
                "{told}"
            );
        }
        for (good, expected) in [
            ("", "info"),
            ("off", "off"),
            ("debug", "debug"),
            ("weir_kafka=debug, warn", "weir_kafka=debug,warn"),
            ("weir_kafka=debug,", "weir_kafka=debug,info"),
        ] {
            let filter = filter(good).expect(good).to_string();
            let expected = format!("weir_cli::say=info,{expected}");
            assert_eq!(filter, expected, "{good}");
        }
    }
}
