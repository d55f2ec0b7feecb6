//! Which columns an operator reads, so that nothing is carried along and kept that nobody wants.

use super::{OpError, OpSpec, Operator, latest, project};
use crate::expr::Expr;
use crate::meta;
use arrow::datatypes::{Schema, SchemaRef};
use std::collections::BTreeSet;

/// Names of columns.
pub type Names = BTreeSet<String>;

impl OpSpec {
    /// For each input the columns without which the answers would not be the same in the `wanted` ones, or a
    /// refusal would be another.
    pub fn needs(&self, inputs: &[SchemaRef], wanted: &Names) -> Result<Vec<Names>, OpError> {
        let passed = |input: &SchemaRef| -> Names {
            let names = names(input)
                .filter(|name| wanted.contains(*name) || meta::PLACE.contains(&name.as_str()));
            names.cloned().collect()
        };
        let mut needs: Vec<Names> = inputs.iter().map(passed).collect();
        match self {
            // What tells two contents of a version apart is every column.
            Self::Latest(_) => needs[0].extend(own(&inputs[0])),
            Self::Filter(sql) => needs[0].extend(read(sql, &inputs[0])?),
            Self::Project(columns) => {
                for (name, sql) in made(columns, &inputs[0], wanted) {
                    needs[0].extend(read(&sql, &inputs[0]).map_err(|e| e.at(&[&name]))?);
                }
            }
            Self::Aggregate(spec) => {
                let arguments = spec
                    .values
                    .iter()
                    .filter_map(|(.., column)| column.as_ref());
                needs[0] = spec.by.iter().chain(arguments).cloned().collect();
            }
            Self::Explode(spec) => needs[0].extend([spec.list.clone()]),
            Self::Join(spec) => {
                needs[0].extend(spec.on.iter().map(|(left, _)| left.clone()));
                // The taken columns and the record say which of several rows counts.
                let taken = spec.columns.iter().map(|(_, right)| right.clone());
                let keys = spec.on.iter().map(|(_, right)| right.clone());
                let record = names(&inputs[1])
                    .filter(|name| meta::is_meta(name))
                    .cloned();
                needs[1] = taken.chain(keys).chain(record).collect();
            }
            // Every input has the same columns of its own, and one at least.
            Self::Union if wanted.iter().all(|name| meta::is_meta(name)) => {
                for (needs, input) in needs.iter_mut().zip(inputs) {
                    needs.extend(own(input));
                }
            }
            Self::Union => {}
            Self::Valid(spec) => needs[0].extend(spec.from.iter().chain(&spec.until).cloned()),
            Self::Dedupe(_) | Self::Override(_) => {
                needs = inputs
                    .iter()
                    .map(|input| names(input).cloned().collect())
                    .collect();
            }
        }
        Ok(needs)
    }

    /// The operator over inputs that may have no more than it [`needs`](Self::needs); its answers may lack what is
    /// not `wanted`.
    pub fn build_narrow(
        &self,
        inputs: &[SchemaRef],
        wanted: &Names,
    ) -> Result<Box<dyn Operator>, OpError> {
        match self {
            Self::Latest(spec) => Ok(Box::new(latest::Latest::new(spec, inputs, Some(wanted))?)),
            Self::Project(columns) => {
                let columns = made(columns, &inputs[0], wanted);
                Ok(Box::new(project::Project::new(&columns, inputs)?))
            }
            _ => self.build(inputs),
        }
    }
}

/// The columns of a `select` that are made. Of those that nobody wants, what is computed is: it may refuse a row. What
/// is a column of the input as it stands, or of one that the input does not have any more, is left out.
fn made(columns: &[(String, String)], input: &SchemaRef, wanted: &Names) -> Vec<(String, String)> {
    let own = columns.iter().filter(|(name, _)| !meta::is_meta(name));
    let is_idle = |sql: &str| Expr::compile(sql, input).map_or(true, |expr| expr.is_column());
    let made = own.filter(|(name, sql)| wanted.contains(name) || !is_idle(sql));
    made.cloned().collect()
}

/// The columns that an expression reads.
fn read(sql: &str, schema: &SchemaRef) -> Result<Vec<String>, OpError> {
    let expr = Expr::compile(sql, schema)?;
    let columns = expr.columns().iter();
    Ok(columns
        .map(|&index| schema.field(index).name().clone())
        .collect())
}

fn names(schema: &Schema) -> impl Iterator<Item = &String> {
    schema.fields().iter().map(|field| field.name())
}

fn own(schema: &Schema) -> impl Iterator<Item = String> + '_ {
    names(schema).filter(|name| !meta::is_meta(name)).cloned()
}
