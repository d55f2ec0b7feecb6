//! The pipeline file's reference for people, written from the same types as its schema.

use crate::{codes, pipeline_schema};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::fmt::{self, Write as _};

/// What stands in front of the keys.
const BEGINNING: &str = include_str!("reference.md");
/// The mapping, of a key that has one, to the heading that explains it.
type Explained = HashMap<String, String>;

/// Every key, expression function and code of a finding, as `docs/pipeline.md` has it.
pub fn pipeline_reference() -> String {
    let schema = pipeline_schema();
    let mut page = Page {
        definitions: &schema["definitions"],
        explained: Explained::new(),
        text: BEGINNING.to_owned(),
    };
    page.mapping("", &schema);
    page.text += "\n## Functions\n\n";
    let names: Vec<String> = weir_zset::expr::function_names()
        .map(|name| format!("`{name}`"))
        .collect();
    page.text += &names.join(", ");
    page.text += ".\n\n## Findings\n\n| code | meaning |\n|---|---|\n";
    for (code, meaning) in codes::TABLE {
        page.row(format_args!("| `{code}` | {meaning} |\n"));
    }
    page.text
}

struct Page<'a> {
    definitions: &'a Json,
    explained: Explained,
    text: String,
}

impl Page<'_> {
    fn row(&mut self, text: fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("memory takes any write");
    }

    /// The keys of a mapping, then the mappings under them.
    fn mapping(&mut self, path: &str, schema: &Json) {
        let required = schema["required"].as_array();
        let empty = Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        self.text += "\n| key | takes | meaning |\n|---|---|---|\n";
        let mut below = vec![];
        for (key, value) in properties {
            let needed = required.is_some_and(|keys| keys.iter().any(|needed| needed == key));
            let place = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            let takes = self.takes(&place, value, &mut below);
            let meaning = described(value);
            let meaning = self.choices(value).map_or(meaning.clone(), |choices| {
                [meaning, choices].join(" ").trim().to_owned()
            });
            let mark = if needed { " (needed)" } else { "" };
            self.row(format_args!("| `{key}`{mark} | {takes} | {meaning} |\n"));
        }
        for (place, name) in below {
            self.definition(&place, &name);
        }
    }

    /// A named mapping under its own heading, or the mappings of which one may stand there.
    fn definition(&mut self, place: &str, name: &str) {
        if self.explained.contains_key(name) {
            return;
        }
        let schema = &self.definitions[name];
        if schema["properties"].is_object() {
            self.explained.insert(name.to_owned(), place.to_owned());
            self.row(format_args!("\n### `{place}`\n\n{}\n", described(schema)));
            self.mapping(place, schema);
        }
    }

    /// What kind of value a key takes; named mappings in it are put into `below`, with where they stand.
    fn takes(&self, place: &str, value: &Json, below: &mut Vec<(String, String)>) -> String {
        if let Some(name) = referred(value) {
            let schema = &self.definitions[name];
            if schema["properties"].is_object() {
                below.push((place.to_owned(), name.to_owned()));
                let known = self.explained.get(name);
                return match known {
                    Some(first) => format!("mapping, as `{first}`"),
                    None => "mapping".to_owned(),
                };
            }
            return self.takes(place, schema, below);
        }
        for several in ["anyOf", "oneOf"] {
            if let Some(options) = value[several].as_array() {
                let mut kinds: Vec<String> = vec![];
                for option in options {
                    let kind = self.takes(place, option, below);
                    if !kinds.contains(&kind) {
                        kinds.push(kind);
                    }
                }
                return kinds.join(", or ");
            }
        }
        match &value["type"] {
            Json::Array(kinds) => {
                let kinds = kinds.iter().map(|kind| word(kind).to_owned());
                kinds.collect::<Vec<_>>().join(", or ")
            }
            Json::String(kind) if kind == "array" => {
                let items = self.takes(&format!("{place}[]"), &value["items"], below);
                format!("list of: {items}")
            }
            Json::String(kind) if kind == "object" => {
                let values = &value["additionalProperties"];
                if values.is_object() {
                    let values = self.takes(&format!("{place}.NAME"), values, below);
                    format!("by name: {values}")
                } else {
                    "mapping".to_owned()
                }
            }
            kind => word(kind).to_owned(),
        }
    }

    /// The words of which a key takes one, with their meanings, where the key does not tell them itself.
    fn choices(&self, value: &Json) -> Option<String> {
        let options = self.definitions[referred(value)?]["oneOf"].as_array()?;
        let words: Option<Vec<(&str, &str)>> = options
            .iter()
            .map(|option| Some((option["const"].as_str()?, option["description"].as_str()?)))
            .collect();
        let (words, told) = (words?, described(value));
        let is_told = |word: &str| told.contains(&format!("`{word}`"));
        let meanings = words
            .iter()
            .map(|(word, meaning)| format!("`{word}`: {}", line(meaning)));
        let meanings: Vec<String> = meanings.collect();
        (!words.iter().all(|(word, _)| is_told(word))).then(|| meanings.join(" "))
    }
}

/// The definition that a value is.
fn referred(value: &Json) -> Option<&str> {
    let direct = value["$ref"].as_str();
    let wrapped = || value["allOf"][0]["$ref"].as_str();
    direct.or_else(wrapped)?.strip_prefix("#/definitions/")
}

fn described(value: &Json) -> String {
    line(value["description"].as_str().unwrap_or_default())
}

/// Text as one cell of a table has it.
fn line(text: &str) -> String {
    text.replace('\n', " ").replace('|', "\\|")
}

fn word(kind: &Json) -> &str {
    match kind.as_str().unwrap_or("any") {
        "string" => "text",
        "integer" | "number" => "number",
        "boolean" => "true/false",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::pipeline_reference;
    use expect_test::expect_file;

    /// The page says what the types say. `UPDATE_EXPECT=1` rewrites it.
    #[test]
    fn the_reference_is_current() {
        expect_file!["../../../docs/pipeline.md"].assert_eq(&pipeline_reference());
    }
}
