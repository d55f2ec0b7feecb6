//! Rules as dated data: what of `schemas/rules/*.csv` holds on a date.
//!
//! A file has the columns `regime,rule,value,from,until,flag,source`; a line that begins with `#` says something to
//! readers alone, and the source may have commas. `from` is the first day, `until` the first day after; empty means
//! since ever and for ever, and every rule has a value on every day. A factor above 1 needs the flag `above_one`.

use crate::balance::BALANCE_KINDS;
use crate::caps::Caps;
use crate::class::Class;
use crate::classify::ClassRule;
use crate::exact::Factor;
use crate::rates::FLOW_LINES;
use crate::regime::Regime;
use crate::terms::Terms;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// What is wrong with a rules file, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, and the cure.
    pub message: String,
}

impl std::fmt::Display for RulesError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

impl std::error::Error for RulesError {}

const HEADER: &str = "regime,rule,value,from,until,flag,source";
const ABOVE_ONE: &str = "above_one";

/// All rules of all regimes and dates.
#[derive(Clone, Debug)]
pub struct Rules {
    /// In the order of the files, which is that of the class rules.
    rows: Vec<Row>,
}

/// A rule's value on some days.
#[derive(Clone, Debug)]
struct Row {
    file: String,
    line: usize,
    regime: Regime,
    name: String,
    value: Value,
    from: Option<i32>,
    until: Option<i32>,
    source: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Factor(Factor),
    Days(i32),
    Class(ClassRule),
}

impl Rules {
    /// Reads files: names and texts. Whatever is missing, unknown, twice or never there is told with its place.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, RulesError> {
        let mut rows = Vec::new();
        for (file, text) in files {
            rows.extend(read(file, text)?);
        }
        let rules = Self { rows };
        rules.check_dates()?;
        rules.check_names(files)?;
        Ok(rules)
    }

    /// Reads `basel.csv`, `us.csv` and `eu.csv`, whose texts the first function gives; the second makes the caller's
    /// error of what is wrong.
    pub fn of<'t, E>(
        text: impl Fn(&'static str) -> Result<&'t str, E>,
        refuse: impl Fn(String) -> E,
    ) -> Result<Self, E> {
        let [basel, us, eu] =
            ["basel.csv", "us.csv", "eu.csv"].map(|name| text(name).map(|text| (name, text)));
        Self::parse(&[basel?, us?, eu?]).map_err(|error| refuse(error.to_string()))
    }

    /// What a regime says on a date (days since 1970).
    pub fn terms(&self, regime: Regime, date: i32) -> Terms {
        let factor = |name: &str| match self.value(regime, name, date) {
            Some(Value::Factor(factor)) => factor,
            _ => Factor::ZERO,
        };
        let classes = self.rows.iter().filter(|row| row.holds(regime, date));
        Terms {
            regime,
            haircuts: Class::ALL.map(|class| factor(&haircut(class))),
            flows: FLOW_LINES.map(|line| factor(&flow(line.name))),
            balances: BALANCE_KINDS.map(|kind| factor(&balance(kind.name))),
            caps: match regime {
                Regime::Basel => Caps::Basel {
                    level_2: factor("cap.level_2"),
                    level_2b: factor("cap.level_2b"),
                },
                Regime::Us => Caps::Us {
                    level_2_of_level_1: factor("cap.level_2_of_level_1"),
                    level_2b_of_better: factor("cap.level_2b_of_better"),
                },
                Regime::Eu => Caps::Eu {
                    level_1_uncovered: factor("floor.level_1_uncovered"),
                    level_1: factor("floor.level_1"),
                    level_2b: factor("cap.level_2b"),
                },
            },
            inflow_cap: factor("cap.inflow"),
            higher_cap: factor("cap.inflow_higher"),
            horizon: match self.value(regime, "horizon_days", date) {
                Some(Value::Days(days)) => days,
                _ => 0,
            },
            classes: classes
                .filter_map(|row| match row.value {
                    Value::Class(rule) => Some(rule),
                    _ => None,
                })
                .collect(),
        }
    }

    /// The paragraph that a rule stands on, on a date.
    pub fn source(&self, regime: Regime, name: &str, date: i32) -> Option<&str> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.name == name && row.holds(regime, date))
            .map(|row| row.source.as_str())
    }

    /// The days on which what makes classes changes.
    pub fn class_dates(&self) -> BTreeSet<i32> {
        let rows = self.rows.iter();
        rows.filter(|row| matches!(row.value, Value::Class(_)))
            .filter_map(|row| row.from)
            .collect()
    }

    fn value(&self, regime: Regime, name: &str, date: i32) -> Option<Value> {
        let mut rows = self.rows.iter();
        rows.find(|row| row.name == name && row.holds(regime, date))
            .map(|row| row.value)
    }

    /// Each rule's days follow each other from ever to ever.
    fn check_dates(&self) -> Result<(), RulesError> {
        let names: BTreeSet<(Regime, &str)> = self
            .rows
            .iter()
            .map(|row| (row.regime, &*row.name))
            .collect();
        for (regime, name) in names {
            let mut rows: Vec<&Row> = self
                .rows
                .iter()
                .filter(|row| row.regime == regime && row.name == name)
                .collect();
            rows.sort_by_key(|row| row.from);
            if let Some(row) = rows.first().filter(|row| row.from.is_some()) {
                return Err(row.error("has no value before its first `from`: leave that empty"));
            }
            for pair in rows.windows(2) {
                let [row, next] = pair else { continue };
                let days = row.until.zip(next.from);
                let fault = match days.map(|(until, from)| until.cmp(&from)) {
                    Some(Ordering::Equal) => continue,
                    Some(Ordering::Less) => "leaves a gap",
                    Some(Ordering::Greater) | None => "overlaps",
                };
                return Err(next.error(&format!(
                    "{fault} with line {} of {}: let that end on the day on which this begins",
                    row.line, row.file
                )));
            }
            if let Some(row) = rows.last().filter(|row| row.until.is_some()) {
                return Err(row.error("has no value from its last `until` on: leave that empty"));
            }
        }
        Ok(())
    }

    /// Every regime has every rule.
    fn check_names(&self, files: &[(&str, &str)]) -> Result<(), RulesError> {
        for regime in Regime::ALL {
            for name in needed(regime) {
                let is_there = |row: &Row| row.regime == regime && row.name == name;
                if !self.rows.iter().any(is_there) {
                    let of_regime = self.rows.iter().rev().find(|row| row.regime == regime);
                    let (file, line) = of_regime.map_or_else(
                        || (files.first().map_or("", |(file, _)| *file), 1),
                        |row| (&*row.file, row.line),
                    );
                    let regime = regime.name();
                    let message =
                        format!("regime `{regime}` has no rule `{name}`: add a line for it");
                    let file = file.to_owned();
                    return Err(RulesError {
                        file,
                        line,
                        message,
                    });
                }
            }
        }
        Ok(())
    }
}

impl Row {
    fn holds(&self, regime: Regime, date: i32) -> bool {
        self.regime == regime
            && self.from.is_none_or(|from| from <= date)
            && self.until.is_none_or(|until| date < until)
    }

    fn error(&self, fault: &str) -> RulesError {
        RulesError {
            file: self.file.clone(),
            line: self.line,
            message: format!("rule `{}` of `{}` {fault}", self.name, self.regime.name()),
        }
    }
}

fn haircut(class: Class) -> String {
    format!("haircut.{}", class.name())
}

fn flow(name: &str) -> String {
    format!("flow.{name}")
}

fn balance(name: &str) -> String {
    format!("balance.{name}")
}

/// The rules that a regime must have; class rules are as many as it likes.
fn needed(regime: Regime) -> Vec<String> {
    let caps: &[&str] = match regime {
        Regime::Basel => &["cap.level_2", "cap.level_2b"],
        Regime::Us => &["cap.level_2_of_level_1", "cap.level_2b_of_better"],
        Regime::Eu => &[
            "floor.level_1_uncovered",
            "floor.level_1",
            "cap.level_2b",
            "cap.inflow_higher",
        ],
    };
    let caps = caps.iter().chain(&["cap.inflow", "horizon_days"]);
    let haircuts = Class::ALL.into_iter().map(haircut);
    let flows = FLOW_LINES.iter().map(|line| flow(line.name));
    let balances = BALANCE_KINDS.iter().map(|kind| balance(kind.name));
    let all = caps.map(|name| (*name).to_owned()).chain(haircuts);
    all.chain(flows).chain(balances).collect()
}

fn read(file: &str, text: &str) -> Result<Vec<Row>, RulesError> {
    let mut rows = Vec::new();
    let mut is_headed = false;
    for (line, content) in (1..).zip(text.lines()) {
        let error = |message: String| RulesError {
            file: file.to_owned(),
            line,
            message,
        };
        let content = content.trim_end();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if is_headed {
            rows.push(row(file, line, content).map_err(error)?);
        } else if content == HEADER {
            is_headed = true;
        } else {
            return Err(error(format!(
                "the first line is not `{HEADER}`: put it there"
            )));
        }
    }
    Ok(rows)
}

fn row(file: &str, line: usize, content: &str) -> Result<Row, String> {
    let cells: Vec<&str> = content.splitn(7, ',').map(str::trim).collect();
    let [regime, name, value, from, until, flag, source] = cells[..] else {
        return Err(format!(
            "has not the columns `{HEADER}`: fill in the commas"
        ));
    };
    let known = Regime::ALL.map(Regime::name).join(", ");
    let regime = Regime::parse(regime)
        .ok_or_else(|| format!("unknown regime `{regime}`: write one of {known}"))?;
    if source.is_empty() {
        return Err("has no source: name the paragraph it stands on".to_owned());
    }
    let (from, until) = (date(from)?, date(until)?);
    if from.zip(until).is_some_and(|(from, until)| from >= until) {
        return Err("`from` is not before `until`: swap them, or leave the line out".to_owned());
    }
    Ok(Row {
        file: file.to_owned(),
        line,
        regime,
        name: name.to_owned(),
        value: read_value(regime, name, value, flag)?,
        from,
        until,
        source: source.to_owned(),
    })
}

fn read_value(regime: Regime, name: &str, value: &str, flag: &str) -> Result<Value, String> {
    if let Some(condition) = name.strip_prefix("class.") {
        return ClassRule::parse(condition, value).map(Value::Class);
    }
    if !needed(regime).iter().any(|known| known == name) {
        return Err(format!(
            "unknown rule `{name}` for `{}`: see the other files for how rules are called",
            regime.name()
        ));
    }
    if name == "horizon_days" {
        let days = value.parse().ok().filter(|days| (1..=366).contains(days));
        let days = days.ok_or_else(|| format!("`{value}` is no number of days: write 1 to 366"))?;
        return Ok(Value::Days(days));
    }
    let factor = Factor::parse(value).ok_or_else(|| {
        format!("`{value}` is no factor: write 0.15 or 15%, at most four decimals")
    })?;
    let fault = match flag {
        "" if factor > Factor::ONE => {
            format!("factor {value} is above 1: mend it, or flag it `{ABOVE_ONE}` if it is meant")
        }
        "" | ABOVE_ONE => return share_of(name, factor).map(Value::Factor),
        _ => format!("unknown flag `{flag}`: there is only `{ABOVE_ONE}`"),
    };
    Err(fault)
}

/// A share that is divided by, or whose rest is, is neither nothing nor all.
fn share_of(name: &str, factor: Factor) -> Result<Factor, String> {
    let is_share =
        name.starts_with("floor.") || (name.starts_with("cap.level") && !name.contains("_of_"));
    let is_divisor = is_share || name == "cap.inflow_higher";
    if is_divisor && (factor == Factor::ZERO || (is_share && factor >= Factor::ONE)) {
        return Err(format!("share {factor} is not between 0 and 1: mend it"));
    }
    Ok(factor)
}

/// `2026-04-01` as days since 1970; nothing for an empty text.
fn date(text: &str) -> Result<Option<i32>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = parse_date(text).ok_or_else(|| format!("`{text}` is no date: write 2026-04-01"));
    parsed.map(Some)
}

pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    let [_, _, _, _, b'-', _, _, b'-', _, _] = bytes else {
        return None;
    };
    let number = |from: usize, to: usize| -> Option<i32> {
        let digits = text.get(from..to)?;
        let all = digits.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| digits.parse().ok()).flatten()
    };
    days_since_1970(number(0, 4)?, number(5, 7)?, number(8, 10)?)
}

/// Counts in years that begin in March, so that the leap day is the last of its year.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "four digits of a year, two of a month and a day cannot overflow"
)]
fn days_since_1970(year: i32, month: i32, day: i32) -> Option<i32> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let year = if month > 2 { year } else { year - 1 };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days_before_1970 = 719_468;
    let count = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - days_before_1970;
    ((1..=days).contains(&day)).then_some(count)
}
