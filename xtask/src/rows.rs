//! Rows of a dumped table (flat JSON objects, one a line) as columns of text on a terminal.

use std::fmt::Write as _;

/// The named columns of every row, aligned. Fails with what is no flat JSON object.
pub(crate) fn table(lines: &str, columns: &[&str]) -> Result<String, String> {
    let mut cells = vec![
        columns
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>(),
    ];
    for line in lines.lines() {
        let row = object(line).ok_or_else(|| format!("no flat JSON object: {line}"))?;
        let cell = |name: &&str| {
            row.iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        };
        cells.push(
            columns
                .iter()
                .map(|name| cell(name).unwrap_or_default())
                .collect(),
        );
    }
    let width = |column: usize| {
        cells
            .iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let mut text = String::new();
    for (number, row) in cells.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            let numeric = cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            let padded = if numeric && number > 0 {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            };
            write!(text, "{padded}  ").map_err(|error| error.to_string())?;
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    Ok(text)
}

/// Keys and values of one flat object, values as text, null as nothing.
fn object(line: &str) -> Option<Vec<(String, String)>> {
    let mut rest = line.trim().strip_prefix('{')?;
    let mut pairs = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if rest == "}" {
            return Some(pairs);
        }
        let (key, after) = string(rest)?;
        let after = after.trim_start().strip_prefix(':')?.trim_start();
        let (value, after) = if after.starts_with('"') {
            string(after)?
        } else {
            scalar(after)?
        };
        pairs.push((key, value));
        rest = after;
    }
}

fn scalar(text: &str) -> Option<(String, &str)> {
    let (word, rest) = text.split_at(text.find([',', '}'])?);
    let word = word.trim();
    Some((
        if word == "null" {
            String::new()
        } else {
            word.to_owned()
        },
        rest,
    ))
}

fn string(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 2..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                'u' => {
                    let hex: String = characters
                        .by_ref()
                        .take(4)
                        .map(|(_, digit)| digit)
                        .collect();
                    value.push(
                        char::from_u32(u32::from_str_radix(&hex, 16).ok()?).unwrap_or('\u{fffd}'),
                    );
                }
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cells line up, nulls are empty, numbers lean right, escapes are read.
    #[test]
    fn rows_become_columns() {
        let lines = "{\"a\":\"x \\\"y\\u0041\\\"\",\"n\":\"-1.5\"}\n{\"n\": 20, \"a\": null, \"b\": true}\n";
        let shown = table(lines, &["a", "n", "b"]).unwrap();
        assert_eq!(
            shown,
            "a       n     b\nx \"yA\"  -1.5\n          20  true\n"
        );
    }

    /// What is no row is named, not skipped.
    #[test]
    fn a_broken_line_is_named() {
        assert_eq!(
            table("{\"a\":", &["a"]),
            Err("no flat JSON object: {\"a\":".to_owned())
        );
    }
}
