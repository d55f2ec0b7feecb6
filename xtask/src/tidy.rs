//! `cargo xtask tidy`: what ARCHITECTURE.md promises, checked over every file of every type.
//!
//! The page is the source: its tables name the floors, the arrows, the owners and the absences, and this reads them
//! from there. A promise that the code breaks is a finding with file and line; so is a crate the page does not know.

mod page;

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Outcome};
use crate::shell::{entries, root};
use page::{Floor, Page};

use lexopt::prelude::*;

const HELP: &str = "\
Checks what ARCHITECTURE.md promises: the floors' arrows, who alone names which library, the words that no crate says,
what each crate does without; and that every Rust file says what it is for, and no file names a folder of a machine.

Usage: cargo xtask tidy";

pub(crate) fn main(mut arguments: lexopt::Parser) -> Outcome {
    match arguments.next()? {
        None => all(),
        Some(Short('h') | Long("help")) => crate::help(HELP),
        Some(other) => Err(other.unexpected().into()),
    }
}

/// Every check; all findings at once.
pub(crate) fn all() -> Outcome {
    let root = root();
    let page = root.join("ARCHITECTURE.md");
    let page =
        Page::parse(&fs::read_to_string(&page).context(page.display())?).map_err(Failure::new)?;
    let files = files(&root)?;
    let mut findings = Vec::new();
    arrows(&root, &page, &mut findings)?;
    for file in &files {
        check(file, &page, &mut findings);
    }
    if findings.is_empty() {
        crate::shell::say(format!("{} files are tidy", files.len()));
        return Ok(());
    }
    Err(Failure::new(format!(
        "{}\n{} findings",
        findings.join("\n"),
        findings.len()
    )))
}

/// A text file and where it stands, with `/` between names.
struct File {
    path: String,
    text: String,
}

impl File {
    /// The crate's folder name, for a file of the engine.
    fn home(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}

/// Every text file but what is built and what cargo writes itself.
fn files(root: &Path) -> Outcome<Vec<File>> {
    let mut files = Vec::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for path in entries(&dir) {
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() {
                if name != "target" && name != ".git" {
                    dirs.push(path);
                }
            } else if name != "Cargo.lock" {
                files.extend(read(root, &path)?);
            }
        }
    }
    Ok(files)
}

fn read(root: &Path, path: &PathBuf) -> Outcome<Option<File>> {
    let bytes = fs::read(path).context(path.display())?;
    let relative = path
        .strip_prefix(root)
        .unwrap_or(path)
        .to_string_lossy()
        .into_owned();
    Ok(String::from_utf8(bytes).ok().map(|text| File {
        path: relative,
        text,
    }))
}

/// Dependencies of our own go down only, along the page's arrows; the page knows every crate and no other.
fn arrows(root: &Path, page: &Page, findings: &mut Vec<String>) -> Outcome {
    let dirs: Vec<PathBuf> = entries(&root.join("crates"))
        .into_iter()
        .filter(|dir| dir.is_dir())
        .collect();
    let names: Vec<String> = dirs
        .iter()
        .filter_map(|dir| Some(dir.file_name()?.to_str()?.to_owned()))
        .collect();
    for floor in page
        .floors
        .iter()
        .filter(|floor| !names.contains(&floor.name))
    {
        findings.push(format!(
            "ARCHITECTURE.md: there is no crate `{}`",
            floor.name
        ));
    }
    for (dir, name) in dirs.iter().zip(&names) {
        let manifest = dir.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).context(manifest.display())?;
        let Some(floor) = page.floors.iter().find(|floor| &floor.name == name) else {
            findings.push(format!(
                "ARCHITECTURE.md: its table does not name the crate `{name}`"
            ));
            continue;
        };
        for (line, used) in own_dependencies(&text) {
            if !floor.uses.iter().any(|allowed| allowed == used) {
                let arrow = format!("`{name}` may not use `{used}` (the table of ARCHITECTURE.md)");
                findings.push(format!("crates/{name}/Cargo.toml:{line}: {arrow}"));
            }
        }
    }
    let manifest = fs::read_to_string(root.join("xtask/Cargo.toml")).context("xtask/Cargo.toml")?;
    let own = own_dependencies(&manifest);
    findings.extend(own.iter().map(|(line, name)| {
        format!("xtask/Cargo.toml:{line}: xtask uses `{name}`, a product crate")
    }));
    Ok(())
}

/// Our crates that a manifest depends on (other than for its tests), with line numbers.
fn own_dependencies(manifest: &str) -> Vec<(usize, &str)> {
    let mut section = "";
    let mut found = Vec::new();
    for (number, line) in (1..).zip(manifest.lines()) {
        if line.starts_with('[') {
            section = line.trim();
        } else if section.ends_with("dependencies]") && !section.contains("dev-dependencies") {
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            found.extend(name.strip_prefix("weir-").map(|name| (number, name)));
        }
    }
    found
}

fn check(file: &File, page: &Page, findings: &mut Vec<String>) {
    let File { path, text } = file;
    let is_rust = Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "rs");
    if is_rust && !text.starts_with("//!") {
        findings.push(format!("{path}:1: a file opens with `//!`: what it is for"));
    }
    let home = file.home();
    // A crate's tests and examples may do what the crate may not; tests inside a source stand at its end.
    let source = path.split('/').nth(2) == Some("src");
    let absent = home
        .filter(|_| source)
        .map(|home| page.absent_in(home))
        .unwrap_or_default();
    let foreign = home
        .map(|home| page.floors.iter().filter(move |floor| floor.name != home))
        .into_iter()
        .flatten();
    let foreign: Vec<(&Floor, &String)> = foreign
        .flat_map(|floor| floor.owns.iter().map(move |word| (floor, word)))
        .collect();
    let mut tested = false;
    for (number, line) in (1..).zip(text.lines()) {
        tested |= line.starts_with("#[cfg(test)]");
        let mut say = |what: String| findings.push(format!("{path}:{number}: {what}"));
        for word in home.map(|_| said(line, &page.words)).into_iter().flatten() {
            say(format!(
                "`{word}` is a word of the domain, which no crate says"
            ));
        }
        // A word that our own crate goes by, too, is said for that and for what it writes.
        let is_meant = |floor: &Floor, word: &str| floor.name != word || uses(line, word);
        let named = foreign.iter().filter(|(_, word)| names(line, word));
        for (floor, word) in named.filter(|(floor, word)| is_meant(floor, word)) {
            say(format!(
                "`{word}` belongs to the crate `{}` alone",
                floor.name
            ));
        }
        for word in absent
            .iter()
            .filter(|word| is_rust && !tested && line.contains(**word))
        {
            say(format!("this crate does without `{word}`"));
        }
        for place in machine_places()
            .iter()
            .filter(|place| line.contains(*place))
        {
            say(format!("`{place}` is a place of one machine"));
        }
    }
}

/// The words of a list that a line says: alone, in the plural, or as a part of a `snake_case` or `CamelCase` name.
fn said<'a>(line: &str, words: &'a [String]) -> Vec<&'a str> {
    let mut spaced = String::with_capacity(line.len() + 16);
    let mut before = ' ';
    for character in line.chars() {
        if character.is_uppercase() && before.is_lowercase() {
            spaced.push(' ');
        }
        spaced.extend(character.to_lowercase());
        before = character;
    }
    let parts: Vec<&str> = spaced.split(|c: char| !c.is_alphabetic()).collect();
    let says = |word: &&String| {
        parts
            .iter()
            .any(|part| part.strip_suffix('s').unwrap_or(part) == word.as_str())
    };
    words.iter().filter(says).map(String::as_str).collect()
}

/// Whether a line names a library: the whole word, written with either dash.
fn names(line: &str, library: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let same = |found: &str| found.replace('-', "_") == library.replace('-', "_");
    line.split(|c| !word(c)).any(same)
}

/// Whether a line uses a library: in a path, or as a dependency.
fn uses(line: &str, library: &str) -> bool {
    let around: Vec<&str> = line.split(library).collect();
    let is_used = |(index, pair): (usize, &[&str])| {
        let (before, after) = (pair[0], pair[1]);
        let is_first = index == 0 && before.is_empty();
        let is_whole = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        is_whole && (after.starts_with("::") || is_first && after.starts_with(['.', ' ', '=']))
    };
    around.windows(2).enumerate().any(is_used)
}

/// Folders of a person's machine and hosts of registries, spelled so that this file does not name them itself.
fn machine_places() -> [String; 8] {
    let pairs = [
        ("/ro", "ot/"),
        ("/ho", "me/"),
        ("/wo", "rk/"),
        ("/Us", "ers/"),
        ("deb.deb", "ian.org"),
        ("repo.maven.ap", "ache.org"),
        ("static.crat", "es.io"),
        ("registry.npm", "js.org"),
    ];
    pairs.map(|(start, end)| [start, end].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Only what a crate is built from counts, whatever form the line has.
    #[test]
    fn own_dependencies_are_found_in_every_form() {
        let manifest = "[dependencies]\nweir-zset.workspace = true\narrow = \"1\"\n[dev-dependencies]\nweir-host = \"1\"\n\
                        [target.'cfg(unix)'.dependencies]\nweir-spec = { path = \"x\" }\n";
        assert_eq!(own_dependencies(manifest), [(2, "zset"), (7, "spec")]);
    }

    /// A word counts wherever a name is put together from it, and not where it only happens to stand.
    #[test]
    fn a_word_is_said_in_any_form() {
        let words = ["bank".to_owned(), "basel".to_owned()];
        assert_eq!(said("let myBanks = big_bank;", &words), ["bank"]);
        assert_eq!(said("BASEL_RULES", &words), ["basel"]);
        assert!(said("vertical-align: baseline; // embankment", &words).is_empty());
    }

    /// A longer word that holds the library's name is another word.
    #[test]
    fn a_library_is_a_whole_word() {
        assert!(names("use wit_component::x;", "wit-component"));
        assert!(names("rdkafka.workspace = true", "rdkafka"));
        assert!(!names("any librdkafka property", "rdkafka"));
        assert!(uses("use parquet::file;", "parquet"));
        assert!(uses("parquet = { workspace = true }", "parquet"));
        assert!(!uses("weir_parquet::open(sink.parquet)", "parquet"));
    }
}
