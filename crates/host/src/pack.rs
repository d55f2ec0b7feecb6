//! A core module, as cargo builds it, to a plugin file: a component with its description in a section.

use crate::abi;
use crate::describe::{Description, FieldText, PortText, SECTION, ShapeText, World};
use crate::error::HostError;
use crate::load::Loader;
use crate::section::{self, FileKind};

/// Makes a plugin file of a core module: turns it into a component, asks it to describe itself, and writes the answer
/// into the section `weir:description`. The same module always gives the same file.
pub fn pack(core: &[u8]) -> Result<Vec<u8>, HostError> {
    if section::kind_of(core) == FileKind::Component {
        return Err(HostError::Packed);
    }
    let mut component = encode(core).map_err(HostError::Pack)?;
    let (world, answer) = Loader::new(None)?
        .first(&component)
        .map_err(|verdict| HostError::Pack(verdict.message))?;
    let description = text_of(world, answer).map_err(HostError::Description)?;
    description.check().map_err(HostError::Description)?;
    let json = serde_json::to_vec(&description)
        .map_err(|error| HostError::Description(error.to_string()))?;
    section::append(&mut component, SECTION, &json);
    Ok(component)
}

fn encode(core: &[u8]) -> Result<Vec<u8>, String> {
    let mut encoder = wit_component::ComponentEncoder::default();
    let encoded = encoder
        .validate(true)
        .module(core)
        .and_then(wit_component::ComponentEncoder::encode);
    encoded.map_err(|error| format!("{error:#}"))
}

fn text_of(world: World, answer: abi::Description) -> Result<Description, String> {
    let shape = |shape: abi::Shape| {
        Ok(ShapeText {
            when: shape
                .when
                .into_iter()
                .map(|pair| (pair.key, pair.value))
                .collect(),
            inputs: ports_of(shape.inputs)?,
            outputs: ports_of(shape.outputs)?,
        })
    };
    let shapes: Result<Vec<ShapeText>, String> = answer.shapes.into_iter().map(shape).collect();
    Ok(Description {
        world,
        name: answer.name,
        version: answer.version,
        config_schema: answer.config_schema,
        shapes: shapes?,
    })
}

fn ports_of(ports: Vec<abi::Port>) -> Result<Vec<PortText>, String> {
    let port = |port: abi::Port| {
        let mut fields = port.fields.into_iter();
        let mut nested = Vec::new();
        while let Some(field) = fields.next() {
            nested.push(nest(field, &mut fields, 0)?);
        }
        Ok(PortText {
            name: port.name,
            fields: nested,
        })
    };
    ports.into_iter().map(port).collect()
}

/// Deeper nesting is refused, so that no description overflows the stack.
const DEPTH_MAX: u32 = 16;

/// A flat field with the children that stand behind it.
fn nest(
    field: abi::Field,
    rest: &mut impl Iterator<Item = abi::Field>,
    depth: u32,
) -> Result<FieldText, String> {
    if depth > DEPTH_MAX {
        return Err(format!(
            "column `{}` is nested deeper than {DEPTH_MAX}",
            field.name
        ));
    }
    let mut children = Vec::new();
    for _ in 0..field.children {
        let child = rest
            .next()
            .ok_or_else(|| format!("column `{}` lacks children", field.name))?;
        children.push(nest(child, rest, depth + 1)?);
    }
    Ok(FieldText {
        name: field.name,
        kind: field.kind,
        nullable: field.nullable,
        children,
    })
}
