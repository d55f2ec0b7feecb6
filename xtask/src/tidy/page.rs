//! What ARCHITECTURE.md promises, read from its tables.
//!
//! The floors' table has the columns `floor | crate | what it is | may use | alone owns`, the table of absences
//! `crate | does without`, and one line starts with `Absent words:`. Names stand in backticks.

/// The promises.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) floors: Vec<Floor>,
    /// Words that no file under `crates/` says.
    pub(super) words: Vec<String>,
    absent: Vec<(String, Vec<String>)>,
}

/// One crate.
#[derive(Debug)]
pub(super) struct Floor {
    pub(super) name: String,
    /// Our crates that it may use.
    pub(super) uses: Vec<String>,
    /// Libraries that no other crate names.
    pub(super) owns: Vec<String>,
}

impl Page {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut floors, mut absent) = (Vec::new(), Vec::new());
        for row in text.lines().filter(|line| line.starts_with('|')) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            match cells.as_slice() {
                [_, name, _, uses, owns] if name.starts_with('`') => {
                    let name = quoted(name).concat();
                    floors.push(Floor {
                        name,
                        uses: quoted(uses),
                        owns: quoted(owns),
                    });
                }
                [name, without] if name.starts_with('`') => {
                    absent.extend(quoted(name).into_iter().map(|name| (name, quoted(without))));
                }
                _ => {}
            }
        }
        let words = text
            .lines()
            .find_map(|line| line.strip_prefix("Absent words:"))
            .map(quoted)
            .unwrap_or_default();
        if floors.is_empty() || words.is_empty() || absent.is_empty() {
            return Err("ARCHITECTURE.md: the floors, the absences or the absent words are not where they were".to_owned());
        }
        Ok(Self {
            floors,
            words,
            absent,
        })
    }

    /// What the sources of a crate do without.
    pub(super) fn absent_in(&self, name: &str) -> Vec<&str> {
        let rows = self.absent.iter().filter(|(of, _)| of == name);
        rows.flat_map(|(_, words)| words)
            .map(String::as_str)
            .collect()
    }
}

/// The texts between backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both tables and the words are found by their shape.
    #[test]
    fn promises_are_read() {
        let page = Page::parse(
            "| floor | crate | what | may use | alone owns |\n|-|-|-|-|-|\n| 1 | `spec` | x | `zset`, `exact` | `miette` |\n\
             | crate | does without |\n|-|-|\n| `zset`, `spec` | `std::fs` |\nAbsent words: `a`, `b`\n",
        )
        .unwrap();
        assert_eq!(page.floors[0].uses, ["zset", "exact"]);
        assert_eq!(page.absent_in("spec"), ["std::fs"]);
        assert_eq!(page.words, ["a", "b"]);
    }
}
