//! Counts and sums the rows of each group; misbehaves on groups that say so.

use weir_sdk::{Answers, Data, Description, Failure, Group, Groups, Json, Record, Shape, record};

record! {
    /// The key.
    pub struct Key<'a> {
        /// The key's only column.
        book: utf8,
    }
}

record! {
    /// A row of input `trades`.
    pub struct Trade {
        /// Summed.
        amount: int64 required,
    }
}

record! {
    /// A row of input `notes`.
    pub struct Note<'a> {
        /// What to do.
        say: utf8,
    }
}

record! {
    /// A row of output `sums`.
    pub struct Sum<'a> {
        /// The key.
        book: utf8,
        /// How many trades.
        count: int64 required,
        /// Their sum.
        sum: int64 required,
        /// The instant of the call.
        at: timestamp required,
    }
}

record! {
    /// A row of output `said`.
    pub struct Said<'a> {
        /// The key.
        book: utf8,
        /// A note.
        say: utf8 required,
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Tally;

impl Group for Tally {
    fn description() -> Description {
        Description {
            name: "tally",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","properties":{"mode":{"enum":["plain","quiet"]}},"required":["mode"]}"#,
            shapes: vec![
                Shape::group(
                    vec![("trades", Trade::fields()), ("notes", Note::fields())],
                    vec![("sums", Sum::fields()), ("said", Said::fields())],
                )
                .when("mode", "plain"),
                Shape::group(
                    vec![("trades", Trade::fields())],
                    vec![("sums", Sum::fields())],
                )
                .when("mode", "quiet"),
            ],
        }
    }

    fn open(_config: &Json, _data: &Data) -> Result<Self, Failure> {
        Ok(Self)
    }

    fn evaluate(&self, as_of_us: i64, groups: &Groups, out: &mut Answers) {
        let trades = groups.input::<Trade>("trades");
        for (group, key) in groups.keys::<Key<'_>>() {
            let (count, sum) = trades.of(group).fold((0, 0), |(count, sum), (_, trade)| {
                (count + 1, sum + trade.amount)
            });
            if count > 0 {
                out.push(
                    "sums",
                    group,
                    &Sum {
                        book: key.book,
                        count,
                        sum,
                        at: as_of_us,
                    },
                );
            }
        }
        if groups.has("notes") {
            say(groups, out);
        }
    }
}

fn say(groups: &Groups, out: &mut Answers) {
    let notes = groups.input::<Note<'_>>("notes");
    for (group, key) in groups.keys::<Key<'_>>() {
        for (number, note) in notes.of(group) {
            match note.say {
                Some("trap") => panic!("asked to"),
                Some("refuse") => out.refuse(number, "asked", "asked to"),
                Some(say) => out.push(
                    "said",
                    group,
                    &Said {
                        book: key.book,
                        say,
                    },
                ),
                None => {}
            }
        }
    }
}

weir_sdk::export_group!(Tally);
