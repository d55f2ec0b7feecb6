//! Decimal types made equal before `DataFusion` looks at them, so that nothing rounds or narrows unseen.
//!
//! Integers beside a decimal become decimals of the same width. `+ - %` keep both scales, `*` widens
//! when the scales' sum asks for it, comparisons widen until both sides fit, and the branches of
//! `case`, `coalesce`, `nullif`, `greatest` ... take the largest scale. Whatever is left over is a
//! refusal: a division, a float or a text beside a decimal, a cast that would drop digits.

use super::functions;
use crate::OpError;
use arrow::datatypes::DataType;
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, DataFusionError, Result as DfResult, ScalarValue};
use datafusion_expr::expr::{Between, Case, Cast, InList, ScalarFunction, TryCast};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, Operator, binary_expr};

const NARROW_DIGITS_MAX: u8 = 38;
const WIDE_DIGITS_MAX: u8 = 76;
/// Digits of a 64-bit integer, signed or not.
const INTEGER_DIGITS: u8 = 20;

/// Rewrites an expression bottom-up.
pub(super) fn unify(expr: Expr, schema: &DFSchema) -> Result<Expr, OpError> {
    let mut fault = None;
    let rewritten = expr.transform_up(|node| match rewrite(node, schema) {
        Ok(node) => Ok(Transformed::yes(node)),
        Err(Fault::Ours(error)) => {
            fault = Some(error);
            Err(DataFusionError::Plan(String::new()))
        }
        Err(Fault::Planner(error)) => Err(error),
    });
    match (rewritten, fault) {
        (_, Some(fault)) => Err(fault),
        (Ok(rewritten), None) => Ok(rewritten.data),
        (Err(error), None) => {
            let text = error.strip_backtrace();
            Err(OpError::new(
                "wrong_type",
                text.lines().next().unwrap_or_default(),
            ))
        }
    }
}

enum Fault {
    Ours(OpError),
    Planner(DataFusionError),
}

impl From<DataFusionError> for Fault {
    fn from(error: DataFusionError) -> Self {
        Self::Planner(error)
    }
}

fn rewrite(node: Expr, schema: &DFSchema) -> Result<Expr, Fault> {
    match node {
        Expr::BinaryExpr(binary) => rewrite_binary(binary, schema),
        Expr::Case(case) => rewrite_case(case, schema),
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let [expr, low, high] = unify_compared([*expr, *low, *high], schema)?;
            Ok(Expr::Between(Between::new(
                Box::new(expr),
                negated,
                Box::new(low),
                Box::new(high),
            )))
        }
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) => {
            let mut all = vec![*expr];
            all.extend(list);
            let mut all = unify_all(all, schema, true)?;
            let expr = Box::new(all.remove(0));
            Ok(Expr::InList(InList::new(expr, all, negated)))
        }
        Expr::ScalarFunction(call) => rewrite_call(call, schema),
        Expr::Cast(Cast { expr, field }) => rewrite_cast(*expr, field.data_type(), false, schema),
        Expr::Literal(value, metadata) => Ok(Expr::Literal(plain(value)?, metadata)),
        Expr::TryCast(TryCast { expr, field }) => {
            rewrite_cast(*expr, field.data_type(), true, schema)
        }
        other => Ok(other),
    }
}

/// `1e5` is read as 1 with a scale of -5; a column has no such scale.
fn plain(value: ScalarValue) -> DfResult<ScalarValue> {
    match parts(&value.data_type()) {
        Some((precision, scale @ ..0)) => {
            let precision = precision
                .saturating_add(scale.unsigned_abs())
                .min(WIDE_DIGITS_MAX);
            let wide = precision > NARROW_DIGITS_MAX;
            value.cast_to(
                &Shape {
                    wide,
                    precision,
                    scale: 0,
                }
                .data_type(),
            )
        }
        _ => Ok(value),
    }
}

fn rewrite_binary(binary: BinaryExpr, schema: &DFSchema) -> Result<Expr, Fault> {
    use Operator::{
        Divide, Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, Minus, Modulo, Multiply,
        NotEq, Plus,
    };
    let BinaryExpr { left, op, right } = binary;
    let again = |left, right| Ok(binary_expr(left, op, right));
    match op {
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom => {
            let [left, right] = unify_compared([*left, *right], schema)?;
            again(left, right)
        }
        Plus | Minus | Multiply | Divide | Modulo => {
            let types = [left.get_type(schema)?, right.get_type(schema)?];
            if !types.iter().any(is_decimal) {
                return again(*left, *right);
            }
            check_mixable(&types, &format!("`{op}`"))?;
            if op == Divide {
                return Err(Fault::Ours(division()));
            }
            let shapes = [Shape::of(&left, &types[0]), Shape::of(&right, &types[1])];
            let scale = shapes
                .iter()
                .flatten()
                .map(|shape| i32::from(shape.scale))
                .sum::<i32>();
            let too_fine = op == Multiply && scale > i32::from(NARROW_DIGITS_MAX);
            let wide = too_fine || shapes.iter().flatten().any(|shape| shape.wide);
            let [Some(first), Some(second)] = shapes else {
                return again(*left, *right);
            };
            again(
                cast(*left, &Shape { wide, ..first }.data_type(), schema)?,
                cast(*right, &Shape { wide, ..second }.data_type(), schema)?,
            )
        }
        _ => again(*left, *right),
    }
}

fn rewrite_case(case: Case, schema: &DFSchema) -> Result<Expr, Fault> {
    let Case {
        expr,
        when_then_expr,
        else_expr,
    } = case;
    let (whens, thens): (Vec<_>, Vec<_>) = when_then_expr
        .into_iter()
        .map(|(when, then)| (*when, *then))
        .unzip();
    let has_else = else_expr.is_some();
    let mut values = thens;
    values.extend(else_expr.map(|expr| *expr));
    let mut values = unify_all(values, schema, false)?;
    let else_expr = if has_else {
        values.pop().map(Box::new)
    } else {
        None
    };
    let (expr, whens) = match expr {
        None => (None, whens),
        Some(expr) => {
            let mut all = vec![*expr];
            all.extend(whens);
            let mut all = unify_all(all, schema, true)?;
            (Some(Box::new(all.remove(0))), all)
        }
    };
    let pairs = whens
        .into_iter()
        .map(Box::new)
        .zip(values.into_iter().map(Box::new))
        .collect();
    Ok(Expr::Case(Case::new(expr, pairs, else_expr)))
}

/// Functions that choose among their arguments. Most are spelled as `case`, which they are.
fn rewrite_call(call: ScalarFunction, schema: &DFSchema) -> Result<Expr, Fault> {
    let ScalarFunction { func, args } = call;
    let case = |pairs: Vec<(Expr, Expr)>, last: Expr| {
        let pairs = pairs
            .into_iter()
            .map(|(when, then)| (Box::new(when), Box::new(then)))
            .collect();
        rewrite_case(Case::new(None, pairs, Some(Box::new(last))), schema)
    };
    match (func.name(), args.len()) {
        ("coalesce", 2..) | ("nvl", 2) => {
            let mut args = args;
            let last = args.pop().expect("two arguments or more");
            case(
                args.into_iter()
                    .map(|arg| (arg.clone().is_not_null(), arg))
                    .collect(),
                last,
            )
        }
        ("coalesce", 1) => Ok(args.into_iter().next().expect("one argument")),
        ("nvl2", 3) => {
            let [tested, some, none] = <[Expr; 3]>::try_from(args).expect("three arguments");
            case(vec![(tested.is_not_null(), some)], none)
        }
        ("nullif", 2) => {
            let [value, unwanted] = <[Expr; 2]>::try_from(args).expect("two arguments");
            let equal = BinaryExpr::new(Box::new(value.clone()), Operator::Eq, Box::new(unwanted));
            let null = ScalarValue::try_from(value.get_type(schema)?)?;
            case(
                vec![(rewrite_binary(equal, schema)?, Expr::Literal(null, None))],
                value,
            )
        }
        ("get_field", 2..) if matches!(args[0].get_type(schema)?, DataType::Struct(_)) => {
            let mut args = args.into_iter();
            let first = args.next().expect("two arguments or more");
            args.try_fold(first, |parent, name| match name {
                Expr::Literal(ScalarValue::Utf8(Some(name)), _) => {
                    let field = functions::field(name);
                    Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
                        field,
                        vec![parent],
                    )))
                }
                _ => Err(Fault::Ours(OpError::new(
                    "wrong_type",
                    "a field is named by a text",
                ))),
            })
        }
        ("greatest" | "least", _) => {
            let args = unify_all(args, schema, false)?;
            Ok(Expr::ScalarFunction(ScalarFunction::new_udf(func, args)))
        }
        _ => Ok(Expr::ScalarFunction(ScalarFunction::new_udf(func, args))),
    }
}

/// Casts that keep every digit stay; text becomes a decimal exactly or not at all.
fn rewrite_cast(expr: Expr, to: &DataType, safe: bool, schema: &DFSchema) -> Result<Expr, Fault> {
    let from = expr.get_type(schema)?;
    if from.is_string() && is_decimal(to) {
        let call = functions::parse_decimal(to.clone(), safe);
        return Ok(Expr::ScalarFunction(ScalarFunction::new_udf(
            call,
            vec![expr],
        )));
    }
    if from.is_floating() && is_decimal(to) || to.is_floating() && is_decimal(&from) {
        return Err(Fault::Ours(floating(&format!(
            "a cast from {from} to {to}"
        ))));
    }
    if let (Some((_, from_scale)), Some(scale)) = (parts(&from), scale_of(to))
        && from_scale > scale
    {
        let message = format!("a cast from {from} to {to} would drop digits in silence");
        let fault = OpError::new("cast_drops_digits", message);
        return Err(Fault::Ours(
            fault.hint(format!("round first: `round_even(x, {scale})`")),
        ));
    }
    if safe {
        return Ok(Expr::TryCast(TryCast::new(Box::new(expr), to.clone())));
    }
    Ok(cast(expr, to, schema)?)
}

fn scale_of(to: &DataType) -> Option<i8> {
    parts(to)
        .map(|(_, scale)| scale)
        .or_else(|| to.is_integer().then_some(0))
}

fn unify_compared<const N: usize>(exprs: [Expr; N], schema: &DFSchema) -> Result<[Expr; N], Fault> {
    let unified = unify_all(exprs.into(), schema, true)?;
    Ok(unified.try_into().expect("as many as there were"))
}

/// Brings expressions to one decimal type, if one of them is a decimal.
fn unify_all(exprs: Vec<Expr>, schema: &DFSchema, compared: bool) -> Result<Vec<Expr>, Fault> {
    let types = exprs
        .iter()
        .map(|expr| expr.get_type(schema))
        .collect::<DfResult<Vec<_>>>()?;
    if !types.iter().any(is_decimal) {
        return Ok(exprs);
    }
    check_mixable(
        &types,
        if compared {
            "a comparison"
        } else {
            "a choice of values"
        },
    )?;
    let shapes: Vec<Shape> = exprs
        .iter()
        .zip(&types)
        .filter_map(|(expr, found)| Shape::of(expr, found))
        .collect();
    let target = Shape::common(&shapes, compared).data_type();
    Ok(exprs
        .into_iter()
        .map(|expr| cast(expr, &target, schema))
        .collect::<DfResult<_>>()?)
}

/// A decimal type in parts.
#[derive(Clone, Copy)]
struct Shape {
    wide: bool,
    precision: u8,
    scale: i8,
}

impl Shape {
    /// The decimal that an expression of this type is, if it is a number at all.
    fn of(expr: &Expr, found: &DataType) -> Option<Self> {
        if let Some((precision, scale)) = parts(found) {
            return Some(Self {
                wide: matches!(found, DataType::Decimal256(..)),
                precision,
                scale,
            });
        }
        let precision = match expr {
            Expr::Literal(ScalarValue::Int64(Some(value)), _) => digits(value.unsigned_abs()),
            Expr::Literal(ScalarValue::UInt64(Some(value)), _) => digits(*value),
            _ => INTEGER_DIGITS,
        };
        found.is_integer().then_some(Self {
            wide: false,
            precision,
            scale: 0,
        })
    }

    /// Holds every value of each. Values stay narrow when all are, comparisons widen as far as needed.
    fn common(shapes: &[Self], compared: bool) -> Self {
        let scale = shapes.iter().map(|shape| shape.scale).max().unwrap_or(0);
        let whole = shapes
            .iter()
            .map(|shape| i16::from(shape.precision) - i16::from(shape.scale));
        let needed = whole.max().unwrap_or(0) + i16::from(scale);
        let fits = needed <= i16::from(NARROW_DIGITS_MAX);
        let wide = shapes.iter().any(|shape| shape.wide) || (compared && !fits);
        let most = if wide {
            WIDE_DIGITS_MAX
        } else {
            NARROW_DIGITS_MAX
        };
        let precision = u8::try_from(needed).map_or(most, |needed| needed.min(most));
        Self {
            wide,
            precision,
            scale,
        }
    }

    fn data_type(self) -> DataType {
        if self.wide {
            DataType::Decimal256(self.precision, self.scale)
        } else {
            DataType::Decimal128(self.precision, self.scale)
        }
    }
}

fn digits(value: u64) -> u8 {
    u8::try_from(value.checked_ilog10().unwrap_or(0) + 1).expect("at most 20 digits")
}

fn parts(found: &DataType) -> Option<(u8, i8)> {
    match found {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((*precision, *scale)),
        _ => None,
    }
}

fn is_decimal(found: &DataType) -> bool {
    parts(found).is_some()
}

/// Casts, at once if it is a literal.
fn cast(expr: Expr, to: &DataType, schema: &DFSchema) -> DfResult<Expr> {
    if expr.get_type(schema)? == *to {
        return Ok(expr);
    }
    Ok(match expr {
        Expr::Literal(value, metadata) => Expr::Literal(value.cast_to(to)?, metadata),
        other => Expr::Cast(Cast::new(Box::new(other), to.clone())),
    })
}

fn check_mixable(types: &[DataType], place: &str) -> Result<(), Fault> {
    let odd = types
        .iter()
        .find(|t| !is_decimal(t) && !t.is_integer() && !t.is_null());
    let Some(odd) = odd else { return Ok(()) };
    if odd.is_floating() {
        return Err(Fault::Ours(floating(place)));
    }
    let message = format!("{place} mixes a decimal with a value of type {odd}");
    let fault = OpError::new("wrong_type", message);
    Err(Fault::Ours(
        fault.hint("cast it: `cast(x as decimal(38, 9))`"),
    ))
}

fn floating(place: &str) -> OpError {
    let message = format!("{place} mixes a decimal with a binary floating-point number");
    OpError::new("float_beside_decimal", message).hint("decode the column as a decimal or as text")
}

fn division() -> OpError {
    OpError::new(
        "inexact_division",
        "a quotient of decimals has no exact scale of its own",
    )
    .hint("say where to round: `mul_div_round(a, 1, b, 18)` is a / b with 18 digits")
}
