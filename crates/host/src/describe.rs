//! A plugin's description: what `describe` answers, kept in the file's section `weir:description` as JSON, so
//! that a pipeline is checked without running its plugins.

use crate::kind;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use jsonschema::{Draft, ValidationError, Validator};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use weir_stage::{Port, Shape};

/// The custom section of a plugin file that holds the description.
pub(crate) const SECTION: &str = "weir:description";

/// The two worlds of `weir:plugin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum World {
    Transform,
    Group,
}

impl World {
    /// The interface that a plugin of this world exports.
    pub(crate) const fn interface(self) -> &'static str {
        match self {
            Self::Transform => "weir:plugin/transformer@0.1.0",
            Self::Group => "weir:plugin/grouper@0.1.0",
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transform => "transform",
            Self::Group => "group",
        }
    }
}

/// The section's JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) world: World,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) config_schema: String,
    pub(crate) shapes: Vec<ShapeText>,
}

/// What goes in and out when the config's top-level text values are those of `when`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ShapeText {
    #[serde(default)]
    pub(crate) when: BTreeMap<String, String>,
    pub(crate) inputs: Vec<PortText>,
    pub(crate) outputs: Vec<PortText>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PortText {
    pub(crate) name: String,
    pub(crate) fields: Vec<FieldText>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct FieldText {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) nullable: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) children: Vec<FieldText>,
}

impl Description {
    /// Everything that is wrong with it, whatever the config.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.shapes.is_empty() {
            return Err("it has no shape".to_owned());
        }
        let schema: Value = serde_json::from_str(&self.config_schema)
            .map_err(|error| format!("its config schema is not JSON: {error}"))?;
        validator(&schema)
            .map_err(|error| format!("its config schema is not a JSON Schema: {error}"))?;
        self.shapes
            .iter()
            .try_for_each(|shape| self.check_shape(shape))
    }

    fn check_shape(&self, shape: &ShapeText) -> Result<(), String> {
        if self.world == World::Transform
            && (!is_only(&shape.inputs, "in") || !is_only(&shape.outputs, "out"))
        {
            return Err("a transform has one input `in` and one output `out`".to_owned());
        }
        for ports in [&shape.inputs, &shape.outputs] {
            let names: BTreeSet<&str> = ports.iter().map(|port| port.name.as_str()).collect();
            if names.len() < ports.len() || ports.is_empty() {
                return Err("inputs and outputs are there, each by its own name".to_owned());
            }
            ports
                .iter()
                .try_for_each(|port| schema_of(port).map(|_| ()))?;
        }
        Ok(())
    }

    /// The shape for a config that is valid by the schema, or what is wrong with the config.
    pub(crate) fn shape(&self, config: &str) -> Result<Shape, String> {
        let config: Value = serde_json::from_str(config)
            .map_err(|error| format!("the config is not JSON: {error}"))?;
        self.validate(&config)?;
        let holds = |shape: &&ShapeText| {
            shape
                .when
                .iter()
                .all(|(key, value)| config.get(key).and_then(Value::as_str) == Some(value))
        };
        let shape = self
            .shapes
            .iter()
            .find(holds)
            .ok_or_else(|| self.no_shape())?;
        let ports = |ports: &[PortText]| -> Result<Vec<Port>, String> {
            let port = |port: &PortText| {
                Ok(Port {
                    name: port.name.clone(),
                    schema: Arc::new(schema_of(port)?),
                })
            };
            ports.iter().map(port).collect()
        };
        Ok(Shape {
            name: self.name.clone(),
            version: self.version.clone(),
            is_group: self.world == World::Group,
            inputs: ports(&shape.inputs)?,
            outputs: ports(&shape.outputs)?,
        })
    }

    /// All findings of the config's schema in one message, each with its place.
    fn validate(&self, config: &Value) -> Result<(), String> {
        let schema: Value = serde_json::from_str(&self.config_schema)
            .map_err(|error| format!("the plugin's config schema is not JSON: {error}"))?;
        let validator = validator(&schema)
            .map_err(|error| format!("the plugin's config schema is not a JSON Schema: {error}"))?;
        let findings: Vec<String> = validator
            .iter_errors(config)
            .map(|error| finding(&error))
            .collect();
        if findings.is_empty() {
            Ok(())
        } else {
            Err(findings.join("; "))
        }
    }

    fn no_shape(&self) -> String {
        let pairs = |shape: &ShapeText| {
            let pairs = shape
                .when
                .iter()
                .map(|(key, value)| format!("{key}: {value}"));
            pairs.collect::<Vec<_>>().join(", ")
        };
        let known: Vec<String> = self.shapes.iter().map(pairs).collect();
        format!(
            "the config holds for none of the plugin's shapes; they are for {}",
            known.join(" | ")
        )
    }
}

/// Of draft 7 unless it says otherwise, as all schemas here: the schema of that draft is soon got ready.
fn validator(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    let options = match schema.get("$schema") {
        Some(_) => jsonschema::options(),
        None => jsonschema::options().with_draft(Draft::Draft7),
    };
    options.build(schema)
}

fn finding(error: &ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    if place.is_empty() {
        format!("config: {error}")
    } else {
        format!("config{place}: {error}")
    }
}

fn is_only(ports: &[PortText], name: &str) -> bool {
    matches!(ports, [port] if port.name == name)
}

/// The Arrow schema of a port, or what is wrong with it.
fn schema_of(port: &PortText) -> Result<Schema, String> {
    let names: BTreeSet<&str> = port
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    if names.len() < port.fields.len() || names.is_empty() {
        return Err(format!(
            "port `{}` has no columns, or two of one name",
            port.name
        ));
    }
    let fields: Result<Vec<FieldRef>, String> = port.fields.iter().map(field_of).collect();
    Ok(Schema::new(fields?))
}

fn field_of(field: &FieldText) -> Result<FieldRef, String> {
    let children: Result<Vec<FieldRef>, String> = field.children.iter().map(field_of).collect();
    let data_type: DataType = kind::type_of(&field.kind, &children?).ok_or_else(|| {
        format!(
            "column `{}` has the unknown kind `{}`",
            field.name, field.kind
        )
    })?;
    Ok(Arc::new(Field::new(&field.name, data_type, field.nullable)))
}
