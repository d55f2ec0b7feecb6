//! Checks by JSON Schema with findings that people can act on; and the pipeline file's own schema.

use crate::codes;
use crate::diagnostic::Findings;
use crate::nearest::{hint, nearest};
use crate::raw::PipelineSpec;
use crate::tree::At;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{Draft, ValidationError, Validator};
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value as Json;
use std::sync::LazyLock;

/// What [`NumberSpec`](crate::raw::NumberSpec) takes.
pub(crate) const NUMBER: &str = r"^-?[0-9]+(\.[0-9]+)?$";

/// The JSON Schema of pipeline files, as `schemas/pipeline.schema.json` has it.
pub fn pipeline_schema() -> Json {
    let settings = SchemaSettings::draft07().with_transform(NoNull);
    let schema = settings
        .into_generator()
        .into_root_schema_for::<PipelineSpec>();
    // What the file is about comes first: people open it too.
    let mut first = serde_json::Map::new();
    first.insert(
        "$schema".to_owned(),
        schema.get("$schema").cloned().unwrap_or_default(),
    );
    first.insert("title".to_owned(), "Weir pipeline".into());
    if let Json::Object(rest) = schema.to_value() {
        for (key, value) in rest {
            first.entry(key).or_insert(value);
        }
    }
    Json::Object(first)
}

/// A JSON Schema, compiled; draft 7 unless it says otherwise.
#[derive(Debug)]
pub(crate) struct Schema {
    json: Json,
    validator: Validator,
}

impl Schema {
    pub(crate) fn new(json: Json) -> Result<Self, String> {
        // Its own schema is a quarter of the newest draft's and takes half the time to get ready.
        let options = match json.get("$schema") {
            Some(_) => jsonschema::options(),
            None => jsonschema::options().with_draft(Draft::Draft7),
        };
        let validator = options.build(&json).map_err(|error| error.to_string())?;
        Ok(Self { json, validator })
    }

    /// The schema of pipeline files.
    pub(crate) fn pipeline() -> &'static Self {
        static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
            Schema::new(pipeline_schema()).expect("the generated schema is a schema")
        });
        &SCHEMA
    }

    /// Everything in `instance` that does not fit.
    pub(crate) fn violations(&self, instance: &Json) -> Vec<Violation> {
        let mut found = Vec::new();
        for error in self.validator.iter_errors(instance) {
            self.explain(&error, &mut found);
        }
        drop_explained(&mut found);
        found
    }

    fn explain(&self, error: &ValidationError<'_>, found: &mut Vec<Violation>) {
        let at = path(error);
        let instance = error.instance();
        found.push(match error.kind() {
            Kind::AnyOf { context }
            | Kind::OneOfNotValid { context }
            | Kind::OneOfMultipleValid { context } => {
                let kinds = self.kinds_by_key(error);
                return found.extend(match wrong_kind(&at, instance, &kinds) {
                    Some(one) => vec![one],
                    None => self.alternatives(&at, context, instance),
                });
            }
            // No key is allowed at all; which ones there are is not told.
            Kind::FalseSchema => Violation::new(at, What::Value, "takes no keys".to_owned()),
            Kind::AdditionalProperties { unexpected } => {
                let known = self.properties_beside(error);
                let value = |key: &str| instance.get(key).unwrap_or(&Json::Null);
                let unknown = |key: &String| unknown_key(&at, key, &known, value(key));
                return found.extend(unexpected.iter().map(unknown));
            }
            Kind::Required { property } => {
                let key = property.as_str().unwrap_or_default().to_owned();
                let message = format!("the key `{key}` is missing");
                Violation::new(at, What::MissingKey(key), message)
            }
            Kind::Type { kind } => {
                let wanted = types(kind);
                let one = Violation::new(at, What::Type, wrong_type(&wanted, instance));
                Violation {
                    hint: self.rewritten(error, &wanted, instance),
                    ..one
                }
            }
            Kind::Enum { options } => {
                let options: Vec<&Json> = options.as_array().into_iter().flatten().collect();
                wrong_choice(at, instance, &options)
            }
            Kind::Constant { expected_value } => wrong_choice(at, instance, &[expected_value]),
            Kind::Pattern { pattern } if pattern != NUMBER => Violation {
                hint: self
                    .beside(error, "description")
                    .and_then(Json::as_str)
                    .map(str::to_owned),
                ..Violation::new(at, What::Value, self.wrong_value(error))
            },
            _ => Violation::new(at, What::Value, self.wrong_value(error)),
        });
    }

    /// What is wrong with a value of the right kind, without the value.
    fn wrong_value(&self, error: &ValidationError<'_>) -> String {
        let known = self.properties_beside(error);
        match error.kind() {
            Kind::MinProperties { limit: 1 } if !known.is_empty() => {
                format!("takes at least one of {}", known.join(", "))
            }
            Kind::MaxProperties { limit: 1 } if !known.is_empty() => {
                format!("takes only one of {}", known.join(", "))
            }
            Kind::MinItems { limit: 1 } => "the list is empty".to_owned(),
            Kind::Pattern { pattern } if pattern == NUMBER => {
                "the value is not a plain number such as 1.05".to_owned()
            }
            _ => error.masked_with("the value").to_string(),
        }
    }

    /// None of several alternatives fits: tells about the one that was most likely meant.
    fn alternatives(
        &self,
        at: &At,
        context: &[Vec<ValidationError<'static>>],
        instance: &Json,
    ) -> Vec<Violation> {
        let constants: Option<Vec<&Json>> = context.iter().map(|errors| constant(errors)).collect();
        if let Some(options) = constants {
            return vec![wrong_choice(at.clone(), instance, &options)];
        }
        let wanted: Vec<&str> = context
            .iter()
            .flatten()
            .flat_map(|error| kinds_of(error))
            .collect();
        let is_wrong_kind = |one: &Violation| one.what == What::Type && one.at == *at;
        let keys = || {
            instance
                .as_object()
                .into_iter()
                .flat_map(|keys| keys.keys())
        };
        let is_misspelt = |one: &Violation| match &one.what {
            What::MissingKey(key) if one.at == *at => {
                keys().any(|given| nearest(given, [key.as_str()]).is_some())
            }
            _ => false,
        };
        let likeliest = context
            .iter()
            .map(|errors| self.branch(errors))
            .filter(|branch| !branch.iter().any(is_wrong_kind))
            .min_by_key(|branch| (cost(branch), !branch.iter().any(is_misspelt)));
        let Some(mut likeliest) = likeliest else {
            let one = Violation::new(at.clone(), What::Type, wrong_type(&wanted, instance));
            return vec![Violation {
                hint: as_list(&wanted, instance),
                ..one
            }];
        };
        if let ([only], Some(other)) = (&mut likeliest[..], wanted.first())
            && only.what == What::Choice
            && only.at == *at
        {
            only.message.push_str(", nor ");
            only.message.push_str(other);
            let mapping = (context.iter().flatten())
                .filter(|error| kinds_of(error) == ["a mapping"])
                .find_map(|error| self.rewritten(error, &["a mapping"], instance));
            only.hint = only.hint.take().or(mapping);
        }
        likeliest
    }

    /// What one alternative finds wrong.
    fn branch(&self, errors: &[ValidationError<'static>]) -> Vec<Violation> {
        let mut found = Vec::new();
        for error in errors {
            self.explain(error, &mut found);
        }
        drop_explained(&mut found);
        found
    }

    /// The one key by which each of several mappings is known from the others, when there is such a key for each.
    fn kinds_by_key(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let branches = self.json.pointer(error.schema_path().as_str());
        let branches = branches.and_then(Json::as_array).into_iter().flatten();
        let key = |branch| match self
            .resolved(branch)?
            .get("required")?
            .as_array()?
            .as_slice()
        {
            [only] => only.as_str(),
            _ => None,
        };
        branches
            .map(key)
            .collect::<Option<Vec<&str>>>()
            .unwrap_or_default()
    }

    /// A schema behind a reference, as the pipeline's own schema writes references.
    fn resolved<'s>(&'s self, schema: &'s Json) -> Option<&'s Json> {
        let place = schema.pointer("/allOf/0/$ref").or(schema.get("$ref"));
        match place {
            Some(place) => self.json.pointer(place.as_str()?.strip_prefix('#')?),
            None => Some(schema),
        }
    }

    /// How text would be written as the list, mapping or number that is wanted here. The text is shown whole or not at
    /// all: it may be a secret, which is replaced as a whole.
    fn rewritten(
        &self,
        error: &ValidationError<'_>,
        wanted: &[&str],
        found: &Json,
    ) -> Option<String> {
        let text = found.as_str()?;
        if let Some(hint) = as_list(wanted, found) {
            return Some(hint);
        }
        if wanted.contains(&"an integer") {
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
            let is_number = rest.len() < text.len() && rest.chars().all(char::is_alphabetic);
            return is_number.then(|| "write the number alone: no quotes, no unit".to_owned());
        }
        let known = self.properties_beside(error);
        let key = text.split_once('(').map_or(text, |(key, _)| key);
        if wanted == ["a mapping"] && known.contains(&key) {
            return Some(format!("write `{{ {key}: ... }}`"));
        }
        match known[..] {
            // A file's name says what it is for.
            [only] if wanted == ["a mapping"] && text.contains('.') => {
                Some(format!("write `{{ {only}: {text} }}`"))
            }
            _ => None,
        }
    }

    /// The keys that the mapping may have whose unexpected one (or number of them) `error` is about.
    fn properties_beside(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let properties = self.beside(error, "properties");
        properties
            .and_then(Json::as_object)
            .map(|keys| keys.keys().map(String::as_str).collect())
            .unwrap_or_default()
    }

    /// What this word of the schema says beside the one that `error` is about.
    fn beside(&self, error: &ValidationError<'_>, word: &str) -> Option<&Json> {
        let place = error.schema_path().as_str();
        let parent = place.rsplit_once('/').map_or("", |(parent, _)| parent);
        self.json.pointer(parent)?.get(word)
    }
}

/// One thing that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) at: At,
    what: What,
    message: String,
    hint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    UnknownKey {
        key: String,
        nearest: Option<String>,
    },
    MissingKey(String),
    Type,
    Choice,
    Value,
}

impl Violation {
    fn new(at: At, what: What, message: String) -> Self {
        Self {
            at,
            what,
            message,
            hint: None,
        }
    }

    /// The key that stands there in another spelling, if that is what is wrong.
    pub(crate) fn misspelt(&self) -> Option<At> {
        match &self.what {
            What::UnknownKey { nearest, .. } => Some(self.at.parent().to(nearest.as_ref()?)),
            _ => None,
        }
    }

    /// Reports it about the value at `below`, with its own code or the one given.
    pub(crate) fn report(
        self,
        below: &At,
        code: Option<&'static str>,
        findings: &mut Findings<'_>,
    ) {
        let at = self
            .at
            .parts()
            .iter()
            .fold(below.clone(), |at, part| at.to(part));
        let found = match self.what {
            What::UnknownKey { .. } => {
                findings.key_error(&at, code.unwrap_or(codes::UNKNOWN_KEY), self.message)
            }
            What::MissingKey(_) => {
                findings.error(&at, code.unwrap_or(codes::MISSING_KEY), self.message)
            }
            What::Type => findings.error(&at, code.unwrap_or(codes::BAD_TYPE), self.message),
            What::Choice | What::Value => {
                findings.error(&at, code.unwrap_or(codes::BAD_VALUE), self.message)
            }
        };
        found.hinted(self.hint);
    }
}

/// The mapping is of none of the kinds that each have a key of their own, or of several.
fn wrong_kind(at: &At, instance: &Json, kinds: &[&str]) -> Option<Violation> {
    let keys = instance.as_object()?.keys();
    let is_meant = |key: &&String| nearest(key, kinds.iter().copied()).is_some();
    let given = keys
        .clone()
        .filter(|key| kinds.contains(&key.as_str()))
        .count();
    let message = match (given, kinds) {
        (_, []) | (1, _) => return None,
        (0, _) if keys.clone().any(|key| is_meant(&key)) => return None,
        (0, _) => format!("takes one of {}", kinds.join(", ")),
        _ => format!("takes only one of {}", kinds.join(", ")),
    };
    Some(Violation::new(at.clone(), What::Value, message))
}

/// A name where a list of names is wanted.
fn as_list(wanted: &[&str], found: &Json) -> Option<String> {
    let name = found.as_str().filter(|text| {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        text.split(", ")
            .all(|name| !name.is_empty() && name.chars().all(is_name))
    })?;
    wanted
        .contains(&"a list")
        .then(|| format!("write `[{name}]`"))
}

fn unknown_key(at: &At, key: &str, known: &[&str], value: &Json) -> Violation {
    let nearest = nearest(key, known.iter().copied()).map(str::to_owned);
    let what = What::UnknownKey {
        key: key.to_owned(),
        nearest,
    };
    // `{ title: one, two }` is a title and a key without a value.
    let hint = match value {
        Json::Null if key.contains(' ') => {
            Some("within `{ }`, text with `,` in it stands in quotes".to_owned())
        }
        _ => hint(key, known.iter().copied()),
    };
    Violation {
        hint,
        ..Violation::new(at.to(key), what, format!("unknown key `{key}`"))
    }
}

/// A missing key that an unknown one is a misspelling of needs no second finding.
fn drop_explained(found: &mut Vec<Violation>) {
    let suggested: Vec<(At, String)> = found
        .iter()
        .filter_map(|one| match &one.what {
            What::UnknownKey {
                nearest: Some(nearest),
                ..
            } => Some((one.at.parent(), nearest.clone())),
            _ => None,
        })
        .collect();
    found.retain(|one| match &one.what {
        What::MissingKey(key) => !suggested
            .iter()
            .any(|(at, nearest)| *at == one.at && nearest == key),
        _ => true,
    });
}

/// How far an alternative is from what was written: what is missing weighs more than what is too much, and a
/// misspelling hardly anything.
fn cost(branch: &[Violation]) -> usize {
    branch
        .iter()
        .map(|one| match &one.what {
            What::UnknownKey {
                nearest: Some(_), ..
            } => 1,
            What::UnknownKey { .. } | What::Choice | What::Value => 2,
            What::MissingKey(_) | What::Type => 3,
        })
        .sum()
}

/// Where in the instance the error is.
fn path(error: &ValidationError<'_>) -> At {
    error
        .instance_path()
        .segments()
        .fold(At::default(), |at, part| at.to(&part))
}

/// The one value that an alternative is, if that is what it failed by.
fn constant<'e>(errors: &'e [ValidationError<'static>]) -> Option<&'e Json> {
    match errors {
        [error] => match error.kind() {
            Kind::Constant { expected_value } => Some(expected_value),
            _ => None,
        },
        _ => None,
    }
}

fn kinds_of(error: &ValidationError<'_>) -> Vec<&'static str> {
    match error.kind() {
        Kind::Type { kind } => types(kind),
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => context
            .iter()
            .flatten()
            .flat_map(|error| kinds_of(error))
            .collect(),
        _ => Vec::new(),
    }
}

fn types(kind: &TypeKind) -> Vec<&'static str> {
    let name = |text: &str| match text {
        "string" => "text",
        "integer" => "an integer",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "nothing",
    };
    match kind {
        TypeKind::Single(one) => vec![name(&one.to_string())],
        TypeKind::Multiple(several) => several.iter().map(|one| name(&one.to_string())).collect(),
    }
}

fn wrong_type(wanted: &[&str], found: &Json) -> String {
    let found = match found {
        Json::Null => "nothing",
        Json::Bool(_) => "true or false",
        Json::Number(number) if number.is_i64() || number.is_u64() => "an integer",
        Json::Number(_) => "a number",
        Json::String(_) => "text",
        Json::Array(_) => "a list",
        Json::Object(_) => "a mapping",
    };
    let mut seen: Vec<&str> = Vec::new();
    for one in wanted {
        if !seen.contains(one) {
            seen.push(one);
        }
    }
    format!("expected {}, found {found}", seen.join(" or "))
}

fn wrong_choice(at: At, found: &Json, options: &[&Json]) -> Violation {
    let shown: Vec<String> = options.iter().map(|option| plain(option)).collect();
    let message = match found {
        Json::String(text) => format!("`{text}` is not one of {}", shown.join(", ")),
        _ => wrong_type(&[&shown.join(" or ")], found),
    };
    let nearest = found
        .as_str()
        .and_then(|text| nearest(text, shown.iter().map(String::as_str)));
    let hint = nearest.map(|nearest| format!("did you mean `{nearest}`?"));
    Violation {
        at,
        what: What::Choice,
        message,
        hint,
    }
}

fn plain(value: &Json) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// `Option` means that a key may be missing, not that it may be null; and a default is told in words.
#[derive(Clone, Debug)]
struct NoNull;

impl Transform for NoNull {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else {
            return;
        };
        if object.get("default").is_some_and(Json::is_null) {
            object.remove("default");
        }
        if let Some(Json::Array(types)) = object.get_mut("type") {
            types.retain(|one| one != "null");
            if let [one] = &types[..] {
                let one = one.clone();
                object.insert("type".to_owned(), one);
            }
        }
        if let Some(Json::Array(options)) = object.get_mut("anyOf") {
            let is_null = |option: &Json| option.get("type").is_some_and(|kind| kind == "null");
            if options.iter().any(is_null) {
                options.retain(|option| !is_null(option));
                if let [Json::Object(one)] = &options[..] {
                    let one = one.clone();
                    object.remove("anyOf");
                    object.extend(one);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::pipeline_schema;
    use expect_test::expect_file;

    /// Editors read the file, so it must be what the types say. `UPDATE_EXPECT=1` rewrites it.
    #[test]
    fn the_schema_file_is_current() {
        let mut text = serde_json::to_string_pretty(&pipeline_schema()).unwrap();
        text.push('\n');
        expect_file!["../../../schemas/pipeline.schema.json"].assert_eq(&text);
    }
}
