//! Tables and the views of the page.

use super::Resolver;
use crate::codes;
use crate::nearest::hint;
use crate::plan::{DrillPlan, TablePlan, ViewPlan};
use crate::raw::{DrillSpec, GridSpec, HeadlineSpec, TableSpec, ViewSpec};
use crate::tree::At;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_zset::meta;

/// Columns by table; `None` where a finding says why they are not known.
pub(super) type Types = BTreeMap<String, Option<SchemaRef>>;

impl Resolver<'_, '_> {
    pub(super) fn tables(&mut self) -> (Vec<TablePlan>, Types) {
        let spec = self.spec;
        let mut plans = Vec::new();
        let mut types = Types::new();
        for (name, table) in &spec.tables {
            let at = At::of(&["tables", name]);
            self.check_name(&at, "table", name);
            let plan = self.table(&at, name, table);
            types.insert(
                name.clone(),
                plan.as_ref().map(|plan| Arc::clone(&plan.schema)),
            );
            plans.extend(plan);
        }
        (plans, types)
    }

    pub(super) fn table(&mut self, at: &At, name: &str, table: &TableSpec) -> Option<TablePlan> {
        let flow = self.flow(&at.to("from"), &table.from)?;
        let fields: Vec<_> = flow
            .schema
            .fields()
            .iter()
            .filter(|field| !meta::is_meta(field.name()))
            .cloned()
            .collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        for (index, column) in table.key.iter().enumerate() {
            let at = at.to("key").to(&index);
            if table.key[..index].contains(column) {
                self.findings.error(
                    &at,
                    codes::DUPLICATE_COLUMN,
                    format!("`{column}` is in the key twice"),
                );
            } else if meta::is_meta(column) {
                let message = format!("`{column}` is record metadata, which tables do not have");
                let hint = format!(
                    "give it a name of its own: `let: {{ {}: {column} }}`",
                    column.trim_start_matches('_')
                );
                self.findings
                    .error(&at, codes::RESERVED_NAME, message)
                    .hinted(hint);
            } else {
                self.has_column(&at, &schema, column);
            }
        }
        if let Some(column) = &table.asked_by {
            self.text(&at.to("asked_by"), &schema, column);
        }
        Some(TablePlan {
            name: name.to_owned(),
            from: flow.edge,
            key: table.key.clone(),
            schema,
            asked_by: table.asked_by.clone(),
        })
    }

    /// Reports a column that is not there or holds no text.
    fn text(&mut self, at: &At, schema: &SchemaRef, column: &str) {
        if !self.has_column(at, schema, column) {
            return;
        }
        if let Ok(field) = schema.field_with_name(column)
            && *field.data_type() != DataType::Utf8
        {
            let message = format!("`{column}` is {}, not text", field.data_type());
            self.findings.error(at, codes::WRONG_TYPE, message);
        }
    }

    pub(super) fn views(&mut self, types: &Types) -> Vec<ViewPlan> {
        let spec = self.spec;
        let mut plans = Vec::new();
        for (index, view) in spec.views.iter().enumerate() {
            let at = At::of(&["views"]).to(&index);
            plans.extend(match view {
                Some(ViewSpec::Headline(headline)) => self.headline(&at, headline, types),
                Some(ViewSpec::Grid(grid)) => Some(self.grid(&at, grid, types)),
                None => None,
            });
        }
        plans
    }

    fn headline(&mut self, at: &At, view: &HeadlineSpec, types: &Types) -> Option<ViewPlan> {
        let here = at.to("headline");
        let Some((table, column)) = view.headline.split_once('.') else {
            let message = format!("`{}` names no column", view.headline);
            self.findings
                .error(&here, codes::BAD_VALUE, message)
                .hinted("write `table.column`".to_owned());
            return None;
        };
        let schema = self.shown_type(&here, table, types);
        self.number(&here, schema.as_ref(), column);
        let beside = view
            .beside
            .as_deref()
            .and_then(|beside| self.beside(&at.to("beside"), beside, table, schema.as_ref()));
        for (index, column) in view.by.iter().enumerate() {
            if let Some(schema) = &schema {
                self.has_column(&at.to("by").to(&index), schema, column);
            }
        }
        Some(ViewPlan::Headline {
            table: table.to_owned(),
            column: column.to_owned(),
            by: view.by.clone(),
            beside,
            mark: view.mark.as_ref().map(|mark| mark.0.clone()),
            line: view.line,
            percent: view.percent,
            title: view.title.clone().unwrap_or_else(|| column.to_owned()),
            drill: self.drills(at, &view.drill, table, types),
        })
    }

    /// The second number's column: of the same table.
    fn beside(
        &mut self,
        at: &At,
        beside: &str,
        table: &str,
        schema: Option<&SchemaRef>,
    ) -> Option<String> {
        let Some(column) = beside
            .strip_prefix(table)
            .and_then(|rest| rest.strip_prefix('.'))
        else {
            let message = format!("`{beside}` is no column of the table `{table}`");
            self.findings
                .error(at, codes::BAD_VALUE, message)
                .hinted(format!("write `{table}.column`"));
            return None;
        };
        self.number(at, schema, column);
        Some(column.to_owned())
    }

    fn number(&mut self, at: &At, schema: Option<&SchemaRef>, column: &str) {
        let Some(schema) = schema else { return };
        if !self.has_column(at, schema, column) {
            return;
        }
        if let Ok(field) = schema.field_with_name(column)
            && !field.data_type().is_numeric()
        {
            let message = format!("`{column}` is {}, not a number", field.data_type());
            self.findings.error(at, codes::WRONG_TYPE, message);
        }
    }

    fn grid(&mut self, at: &At, view: &GridSpec, types: &Types) -> ViewPlan {
        let here = at.to("grid");
        if let Some(schema) = self.shown_type(&here, &view.grid, types) {
            for (index, column) in view.columns.iter().enumerate() {
                self.has_column(&at.to("columns").to(&index), &schema, column);
            }
        }
        ViewPlan::Grid {
            table: view.grid.clone(),
            columns: view.columns.clone(),
            title: view.title.clone().unwrap_or_else(|| view.grid.clone()),
            drill: self.drills(at, &view.drill, &view.grid, types),
        }
    }

    /// What is opened from a view of this table: the columns are in both tables.
    fn drills(
        &mut self,
        at: &At,
        drills: &[DrillSpec],
        from: &str,
        types: &Types,
    ) -> Vec<DrillPlan> {
        let drill = |(index, drill): (usize, &DrillSpec)| {
            let at = at.to("drill").to(&index);
            let opened = self.table_type(&at.to("table"), &drill.table, types);
            let shown = types.get(from).cloned().flatten();
            for (index, column) in drill.by.iter().enumerate() {
                let at = at.to("by").to(&index);
                let schemas = [&opened, &shown];
                let mut known = schemas.into_iter().flatten();
                known.all(|schema| self.has_column(&at, schema, column));
            }
            if let Some(asked) = self.asked_by(&drill.table)
                && drill.by != [asked.clone()]
            {
                let message = format!("`{}` is worked out by `{asked}` alone", drill.table);
                self.findings
                    .error(&at.to("by"), codes::BAD_VALUE, message)
                    .hinted(format!("write `by: [{asked}]`"));
            }
            DrillPlan {
                table: drill.table.clone(),
                by: drill.by.clone(),
                title: drill.title.clone().unwrap_or_else(|| drill.table.clone()),
            }
        };
        drills.iter().enumerate().map(drill).collect()
    }

    fn asked_by(&self, table: &str) -> Option<String> {
        let table = self.spec.tables.get(table)?;
        table.asked_by.clone()
    }

    /// The columns of a table that is drawn as it is.
    fn shown_type(&mut self, at: &At, name: &str, types: &Types) -> Option<SchemaRef> {
        if let Some(asked) = self.asked_by(name) {
            let message = format!("`{name}` is worked out by `{asked}`, when a reader asks");
            self.findings
                .error(at, codes::BAD_VALUE, message)
                .hinted("show it by `drill`, from a view that has the column".to_owned());
            return None;
        }
        self.table_type(at, name, types)
    }

    fn table_type(&mut self, at: &At, name: &str, types: &Types) -> Option<SchemaRef> {
        if let Some(schema) = types.get(name) {
            return schema.clone();
        }
        if !self.broken.has("tables", name) {
            let message = format!("there is no table `{name}`");
            let hint = hint(name, types.keys().map(String::as_str));
            self.findings
                .error(at, codes::UNKNOWN_TABLE, message)
                .hinted(hint);
        }
        None
    }
}
