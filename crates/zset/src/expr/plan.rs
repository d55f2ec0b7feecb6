//! From text to a physical expression, with every refusal explained.

use super::{OPERATORS_MAX, decimals, functions};
use crate::OpError;
use crate::meta;
use crate::nearest::nearest;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion_common::{
    DFSchema, DataFusionError, Result as DfResult, SchemaError, TableReference,
};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::planner::{ContextProvider, ExprPlanner};
use datafusion_expr::{
    AggregateUDF, Expr, HigherOrderUDF, ScalarUDF, TableSource, Volatility, WindowUDF,
};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion_physical_expr::expressions::{BinaryExpr, Column};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::parser::DFParser;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::sync::{Arc, LazyLock};

/// The answer of [`plan`].
pub(super) struct Planned {
    pub(super) physical: Arc<dyn PhysicalExpr>,
    /// The type of the values after the last cast: one that columns may have.
    pub(super) data_type: DataType,
    pub(super) nullable: bool,
}

/// How many operators, brackets and words with a meaning of their own an expression has: it nests no deeper.
pub(super) fn operators(sql: &str, schema: &SchemaRef) -> Result<usize, OpError> {
    if column(sql, schema).is_some() {
        return Ok(0);
    }
    let tokens = Tokenizer::new(&GenericDialect {}, sql).tokenize();
    // What is no SQL at all is the parser's to tell.
    let tokens = tokens.unwrap_or_default();
    let nests = |token: &&Token| match token {
        Token::Word(word) => word.keyword != Keyword::NoKeyword,
        Token::Whitespace(_) | Token::Comma | Token::RParen => false,
        Token::Number(..) | Token::SingleQuotedString(_) => false,
        _ => true,
    };
    let operators = tokens.iter().filter(nests).count();
    if operators > OPERATORS_MAX {
        let message = format!(
            "the expression has {operators} operators, brackets and the like; at most {OPERATORS_MAX} are allowed"
        );
        let fault = OpError::new("invalid_expression", message);
        return Err(fault.hint(
            "write `x IN (...)` for many comparisons, or share it out among several stages",
        ));
    }
    Ok(operators)
}

/// Parses, resolves, types and lowers an expression.
pub(super) fn plan(sql: &str, schema: &SchemaRef) -> Result<Planned, OpError> {
    let Some(index) = column(sql, schema) else {
        return plan_any(sql, schema);
    };
    let field = schema.field(index);
    Ok(Planned {
        physical: Arc::new(Column::new(field.name(), index)),
        data_type: column_type(field.data_type())?,
        nullable: field.is_nullable(),
    })
}

/// The column whose quoted name the whole of an expression is: most are, and nothing need be parsed for that.
fn column(sql: &str, schema: &SchemaRef) -> Option<usize> {
    let name = sql.strip_prefix('"')?.strip_suffix('"')?;
    let index = schema.index_of(name).ok();
    index.filter(|_| !name.contains('"'))
}

fn plan_any(sql: &str, schema: &SchemaRef) -> Result<Planned, OpError> {
    let df_schema = DFSchema::try_from(Arc::clone(schema)).map_err(|e| refusal(&e, schema))?;
    let expr = resolve(sql, &df_schema).map_err(|error| refusal(&error, schema))?;
    check_pure(&expr)?;
    let expr = decimals::unify(expr, &df_schema)?;
    let lower = || -> DfResult<Arc<dyn PhysicalExpr>> {
        let expr = expr
            .rewrite(&mut TypeCoercionRewriter::new(&df_schema))?
            .data;
        let properties = ExecutionProps::new();
        let context = PhysicalPlanningContext::default();
        checked(create_physical_expr(
            &expr,
            &df_schema,
            &properties,
            &context,
        )?)
    };
    let physical = lower().map_err(|error| refusal(&error, schema))?;
    let found = physical
        .data_type(schema)
        .map_err(|error| refusal(&error, schema))?;
    let nullable = physical
        .nullable(schema)
        .map_err(|error| refusal(&error, schema))?;
    Ok(Planned {
        physical,
        data_type: column_type(&found)?,
        nullable,
    })
}

fn resolve(sql: &str, schema: &DFSchema) -> DfResult<Expr> {
    let parsed = DFParser::parse_sql_into_expr(sql)?;
    if let Some(alias) = parsed.alias {
        let message = format!("`as {alias}` has no place here: the key names the column");
        return Err(ours(OpError::new("invalid_expression", message)));
    }
    let options = ParserOptions::new()
        .with_parse_float_as_decimal(true)
        .with_enable_ident_normalization(false)
        .with_map_string_types_to_utf8view(false);
    let planner = SqlToRel::new_with_options(&*CONTEXT, options);
    planner.sql_to_expr(parsed.expr, schema, &mut PlannerContext::new())
}

/// Integer arithmetic that overflows is an error of the row, never a wrapped number.
fn checked(physical: Arc<dyn PhysicalExpr>) -> DfResult<Arc<dyn PhysicalExpr>> {
    let rewritten = physical.transform_up(|node| match node.downcast_ref::<BinaryExpr>() {
        Some(binary) => {
            let checked: Arc<dyn PhysicalExpr> =
                Arc::new(binary.clone().with_fail_on_overflow(true));
            Ok(Transformed::yes(checked))
        }
        None => Ok(Transformed::no(node)),
    })?;
    Ok(rewritten.data)
}

/// Only immutable functions: the same row gives the same value for ever.
fn check_pure(expr: &Expr) -> Result<(), OpError> {
    let mut fault = None;
    let walked = expr.apply(|node| {
        fault = impurity(node);
        Ok(if fault.is_some() {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    walked.expect("the visitor does not fail");
    fault.map_or(Ok(()), Err)
}

fn impurity(node: &Expr) -> Option<OpError> {
    match node {
        Expr::ScalarFunction(call) => {
            let changing = call.func.signature().volatility != Volatility::Immutable;
            changing.then(|| {
                let message = format!(
                    "`{}` does not give the same answer each time, so a replay would differ",
                    call.func.name()
                );
                let hint = "time comes from columns such as `_timestamp`, or from a `valid` stage";
                OpError::new("not_immutable", message).hint(hint)
            })
        }
        Expr::Placeholder(_) | Expr::ScalarVariable(..) => Some(OpError::new(
            "invalid_expression",
            "parameters and variables have no value here",
        )),
        Expr::ScalarSubquery(_)
        | Expr::Exists(_)
        | Expr::InSubquery(_)
        | Expr::SetComparison(_) => {
            let fault = OpError::new(
                "invalid_expression",
                "a query has no place in an expression",
            );
            Some(fault.hint("use a `join` stage"))
        }
        _ => None,
    }
}

/// The column type that values of this type are stored as.
fn column_type(found: &DataType) -> Result<DataType, OpError> {
    Ok(match found {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == "UTC" => {
            found.clone()
        }
        DataType::Timestamp(..) => meta::instant_type(),
        DataType::Date64 => DataType::Date32,
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Null => {
            let fault = OpError::new("untyped_null", "the type of this null is not known");
            return Err(fault.hint("name it: `cast(null as varchar)`"));
        }
        DataType::Interval(_)
        | DataType::Duration(_)
        | DataType::Time32(_)
        | DataType::Time64(_) => {
            let message = format!("a column cannot hold values of type {found}");
            return Err(OpError::new("wrong_type", message));
        }
        _ => found.clone(),
    })
}

/// What to tell of an error of the parser or the planner.
fn refusal(error: &DataFusionError, schema: &SchemaRef) -> OpError {
    match error.find_root() {
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { field, .. } => unknown_name(field.name(), schema),
            _ => OpError::new("invalid_expression", first_line(&inner.to_string())),
        },
        DataFusionError::SQL(inner, _) => {
            OpError::new("invalid_expression", first_line(&inner.to_string()))
        }
        DataFusionError::Plan(text) => planning_refusal(text, schema),
        DataFusionError::External(inner) if inner.is::<OpError>() => {
            inner.downcast_ref::<OpError>().expect("just asked").clone()
        }
        other => {
            let text = other.strip_backtrace();
            // A function's own complaint comes wrapped in the planner's.
            match text.rsplit_once("Error during planning: ") {
                Some((_, complaint)) => OpError::new("wrong_type", first_line(complaint)),
                None => OpError::new("invalid_expression", first_line(&text)),
            }
        }
    }
}

/// A bare word that is no column: misspelt, or meant as text.
fn unknown_name(name: &str, schema: &SchemaRef) -> OpError {
    let fault = OpError::unknown_column(name, schema);
    match &fault.hint {
        Some(columns) if columns.starts_with("the columns") => {
            let hint = format!("text stands in single quotes, '{name}'; {columns}");
            fault.hint(hint)
        }
        _ => fault,
    }
}

fn ours(error: OpError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn query() -> OpError {
    OpError::new(
        "invalid_expression",
        "a query has no place in an expression",
    )
    .hint("use a `join` stage")
}

fn planning_refusal(text: &str, schema: &SchemaRef) -> OpError {
    let Some(name) = text
        .strip_prefix("Invalid function '")
        .and_then(|rest| rest.split('\'').next())
    else {
        return OpError::new("wrong_type", first_line(text));
    };
    let fault = OpError::new("unknown_function", format!("there is no function `{name}`"));
    if schema.index_of(name).is_ok() {
        return fault.hint(format!(
            "the column of this name is written `\"{name}\"`, in quotes"
        ));
    }
    if ["sum", "count", "min", "max", "avg"].contains(&name) {
        return fault.hint("aggregates belong in an `aggregate` stage");
    }
    match nearest(name, functions::names()) {
        Some(known) => fault.hint(format!("did you mean `{known}`?")),
        None => fault,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What the SQL planner may look up: functions, and nothing else.
struct Context {
    options: ConfigOptions,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

static CONTEXT: LazyLock<Context> = LazyLock::new(|| Context {
    options: ConfigOptions::new(),
    planners: vec![
        Arc::new(CoreFunctionPlanner::default()),
        Arc::new(DatetimeFunctionPlanner),
    ],
});

impl ContextProvider for Context {
    fn get_table_source(&self, _name: TableReference) -> DfResult<Arc<dyn TableSource>> {
        Err(ours(query()))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        functions::find(name)
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        functions::names().map(str::to_owned).collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}
