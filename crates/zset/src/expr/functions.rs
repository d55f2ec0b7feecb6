//! The functions that expressions may call: those of `DataFusion`, and our exact ones.

use crate::nearest::nearest;
use crate::nested::masked;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Decimal128Array, Decimal256Array,
    NullBufferBuilder, PrimitiveArray,
};
use arrow::datatypes::{DataType, Decimal128Type, Decimal256Type, Field, FieldRef, Fields, i256};
use arrow::error::ArrowError;
use datafusion_common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use weir_exact::{Decimal, ExactError, Factor, I256};

const NARROW_DIGITS: u8 = 38;
const WIDE_DIGITS: u8 = 76;

/// The function of this name, if there is one.
pub(super) fn find(name: &str) -> Option<Arc<ScalarUDF>> {
    FUNCTIONS.get(name).cloned()
}

/// All names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.keys().map(String::as_str)
}

/// The names of those that an expression may call, sorted: what they answer hangs on their arguments alone.
pub fn usable() -> impl Iterator<Item = &'static str> {
    let immutable = FUNCTIONS
        .iter()
        .filter(|(_, function)| function.signature().volatility == Volatility::Immutable);
    immutable.map(|(name, _)| name.as_str())
}

/// Text to a decimal of this type, exactly; text that is none is an error of the row, or null if `safe`.
pub(super) fn parse_decimal(target: DataType, safe: bool) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::from(ParseDecimal {
        signature,
        target,
        safe,
    }))
}

/// The field of this name of a struct; null where the struct is (`get_field` looks through to the child).
pub(super) fn field(name: String) -> Arc<ScalarUDF> {
    let signature = Signature::any(1, Volatility::Immutable);
    Arc::new(ScalarUDF::from(FieldOf {
        signature,
        field: name,
    }))
}

/// Those that would go round the rules of `decimals`, tell of the process instead of the row, or make much of little.
const LEFT_OUT: [&str; 8] = [
    "arrow_cast",
    "arrow_try_cast",
    "cast_to_type",
    "try_cast_to_type",
    "file_row_index",
    "input_file_name",
    "repeat",
    "version",
];

static FUNCTIONS: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let own = [
        ScalarUDF::from(MulDivRound {
            signature: Signature::user_defined(Volatility::Immutable),
        }),
        ScalarUDF::from(RoundEven {
            signature: Signature::user_defined(Volatility::Immutable),
        }),
        ScalarUDF::from(Abs {
            signature: Signature::user_defined(Volatility::Immutable),
        }),
    ];
    // By name, so that a build with more of DataFusion's features does not know more functions.
    let all = datafusion_functions::core::functions()
        .into_iter()
        .chain(datafusion_functions::string::functions())
        .chain(datafusion_functions::datetime::functions());
    let mut functions = BTreeMap::new();
    for function in all.chain(own.map(Arc::new)) {
        if !LEFT_OUT.contains(&function.name()) {
            for alias in function.aliases() {
                functions.insert(alias.clone(), Arc::clone(&function));
            }
            functions.insert(function.name().to_owned(), function);
        }
    }
    functions
});

/// `mul_div_round(a, b, c, scale)`: `a * b / c`, exact inside, rounded half-even once.
#[derive(Debug, PartialEq, Eq, Hash)]
struct MulDivRound {
    signature: Signature,
}

impl ScalarUDFImpl for MulDivRound {
    fn name(&self) -> &'static str {
        "mul_div_round"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        with_scale_last(self.name(), "a, b, c, scale", types, 4)
    }

    fn return_type(&self, _types: &[DataType]) -> DfResult<DataType> {
        unreachable!("return_field_from_args is there")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let scale = scale_argument(self.name(), args.scalar_arguments, WIDE_DIGITS)?;
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            DataType::Decimal256(WIDE_DIGITS, scale),
            nullable,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scale = scale_of(args.return_type());
        let [a, b, c] = [0, 1, 2].map(|index| one_or_all(&args.args[index], args.number_rows));
        let columns = [a?, b?, c?];
        let [a, b, c] = [0, 1, 2].map(|index| Numbers::of(&columns[index]));
        if let (1, 1, Some(b), Some(c)) = (columns[1].len(), columns[2].len(), b.get(0), c.get(0))
            && columns[0].len() > 1
        {
            let factor = Factor::new(b, c, scale_of(columns[0].data_type()), scale);
            return map(args.number_rows, args.return_type(), |row| {
                let value = a.get(row).map(|number| factor.times(number.value));
                value.transpose().map_err(failed)
            });
        }
        map(args.number_rows, args.return_type(), |row| {
            let (Some(a), Some(b), Some(c)) = (a.get(row), b.get(row), c.get(row)) else {
                return Ok(None);
            };
            let value = weir_exact::mul_div_round(a, b, c, scale).map_err(failed)?;
            Ok(Some(value.value))
        })
    }
}

/// `round_even(x, scale)`: `x` with that many fraction digits, rounded half-even.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RoundEven {
    signature: Signature,
}

impl ScalarUDFImpl for RoundEven {
    fn name(&self) -> &'static str {
        "round_even"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        with_scale_last(self.name(), "x, scale", types, 2)
    }

    fn return_type(&self, _types: &[DataType]) -> DfResult<DataType> {
        unreachable!("return_field_from_args is there")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let narrow = matches!(args.arg_fields[0].data_type(), DataType::Decimal128(..));
        let digits = if narrow { NARROW_DIGITS } else { WIDE_DIGITS };
        let scale = scale_argument(self.name(), args.scalar_arguments, digits)?;
        let to = if narrow {
            DataType::Decimal128(digits, scale)
        } else {
            DataType::Decimal256(digits, scale)
        };
        Ok(Arc::new(Field::new(
            self.name(),
            to,
            args.arg_fields[0].is_nullable(),
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let scale = scale_of(args.return_type());
        let column = args.args[0].to_array(args.number_rows)?;
        let numbers = Numbers::of(&column);
        map(column.len(), args.return_type(), |row| {
            numbers
                .get(row)
                .map(|number| number.round(scale))
                .transpose()
                .map_err(failed)
        })
    }
}

/// `abs(x)` of a decimal or an integer.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Abs {
    signature: Signature,
}

impl ScalarUDFImpl for Abs {
    fn name(&self) -> &'static str {
        "abs"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> DfResult<Vec<DataType>> {
        let [found] = types else {
            return Err(usage(self.name(), "x"));
        };
        Ok(vec![decimal_type(self.name(), found)?])
    }

    fn return_type(&self, types: &[DataType]) -> DfResult<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let column = args.args[0].to_array(args.number_rows)?;
        let numbers = Numbers::of(&column);
        map(column.len(), args.return_type(), |row| {
            Ok(numbers.get(row).map(|x| x.value.abs()))
        })
    }
}

/// See [`parse_decimal`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct ParseDecimal {
    signature: Signature,
    target: DataType,
    safe: bool,
}

impl ScalarUDFImpl for ParseDecimal {
    fn name(&self) -> &'static str {
        "parse_decimal"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> DfResult<DataType> {
        Ok(self.target.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let column = args.args[0].to_array(args.number_rows)?;
        let column = arrow::compute::cast(&column, &DataType::Utf8)?;
        let texts = column.as_string::<i32>();
        let (digits, scale) = match self.target {
            DataType::Decimal128(digits, scale) | DataType::Decimal256(digits, scale) => {
                (digits, u8::try_from(scale).unwrap_or(0))
            }
            _ => (WIDE_DIGITS, 0),
        };
        map(column.len(), &self.target, |row| {
            if texts.is_null(row) {
                return Ok(None);
            }
            let parsed = weir_exact::parse(texts.value(row)).and_then(|number| number.at(scale));
            match parsed {
                Ok(value) if weir_exact::fits(value, digits) => Ok(Some(value)),
                _ if self.safe => Ok(None),
                _ => Err(ArrowError::CastError("not a decimal of this type".to_owned()).into()),
            }
        })
    }
}

/// See [`field`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct FieldOf {
    signature: Signature,
    field: String,
}

impl ScalarUDFImpl for FieldOf {
    fn name(&self) -> &'static str {
        "field_of"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> DfResult<DataType> {
        unreachable!("return_field_from_args is there")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let parent = &args.arg_fields[0];
        let fields = match parent.data_type() {
            DataType::Struct(fields) => fields.clone(),
            _ => Fields::empty(),
        };
        let Some((_, child)) = fields.find(&self.field) else {
            let near = nearest(
                &self.field,
                fields.iter().map(|field| field.name().as_str()),
            );
            let near = near
                .map(|near| format!("; did you mean `{near}`?"))
                .unwrap_or_default();
            let message = format!("there is no field `{}`{near}", self.field);
            return Err(DataFusionError::Plan(message));
        };
        let nullable = parent.is_nullable() || child.is_nullable();
        Ok(Arc::new(child.as_ref().clone().with_nullable(nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let column = args.args[0].to_array(args.number_rows)?;
        let parent = column.as_struct();
        let child = parent
            .column_by_name(&self.field)
            .expect("the field was found when typed");
        Ok(ColumnarValue::Array(masked(parent, child)))
    }
}

/// The values of an argument: one, if it is the same for all rows.
fn one_or_all(argument: &ColumnarValue, rows: usize) -> DfResult<ArrayRef> {
    let is_one = matches!(argument, ColumnarValue::Scalar(_));
    argument.to_array(if is_one { 1 } else { rows })
}

/// A column of decimals of either width; one of a single value has it in every row.
enum Numbers<'a> {
    Narrow(&'a Decimal128Array, u8),
    Wide(&'a Decimal256Array, u8),
    Null,
}

impl<'a> Numbers<'a> {
    fn of(column: &'a ArrayRef) -> Self {
        let scale = scale_of(column.data_type());
        match column.data_type() {
            DataType::Decimal128(..) => Self::Narrow(column.as_primitive(), scale),
            DataType::Decimal256(..) => Self::Wide(column.as_primitive(), scale),
            _ => Self::Null,
        }
    }

    #[inline]
    fn get(&self, row: usize) -> Option<Decimal> {
        match self {
            Self::Narrow(column, scale) => {
                let row = if column.len() == 1 { 0 } else { row };
                column
                    .is_valid(row)
                    .then(|| Decimal::from_i128(column.value(row), *scale))
            }
            Self::Wide(column, scale) => {
                let row = if column.len() == 1 { 0 } else { row };
                column.is_valid(row).then(|| {
                    let bytes = column.value(row).to_le_bytes();
                    Decimal::new(weir_exact::from_le_bytes(bytes), *scale)
                })
            }
            Self::Null => None,
        }
    }
}

fn map(
    rows: usize,
    to: &DataType,
    value: impl Fn(usize) -> DfResult<Option<I256>>,
) -> DfResult<ColumnarValue> {
    if matches!(to, DataType::Decimal256(..)) {
        return column::<Decimal256Type>(rows, to, |row| Ok(value(row)?.map(to_i256)));
    }
    let narrow =
        |value: I256| weir_exact::to_i128(value).ok_or_else(|| failed(ExactError::Overflow));
    column::<Decimal128Type>(rows, to, |row| value(row)?.map(narrow).transpose())
}

/// A column of these values, of which mostly none is null.
fn column<T: ArrowPrimitiveType>(
    rows: usize,
    to: &DataType,
    value: impl Fn(usize) -> DfResult<Option<T::Native>>,
) -> DfResult<ColumnarValue> {
    let (mut values, mut nulls) = (Vec::with_capacity(rows), NullBufferBuilder::new(rows));
    for row in 0..rows {
        let value = value(row)?;
        values.push(value.unwrap_or_default());
        nulls.append(value.is_some());
    }
    let values = PrimitiveArray::<T>::new(values.into(), nulls.finish());
    Ok(ColumnarValue::Array(Arc::new(
        values.with_data_type(to.clone()),
    )))
}

fn to_i256(value: I256) -> i256 {
    i256::from_le_bytes(weir_exact::to_le_bytes(value))
}

fn scale_of(found: &DataType) -> u8 {
    match found {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => {
            u8::try_from(*scale).unwrap_or(0)
        }
        _ => 0,
    }
}

/// The type that a number is passed to one of our functions as.
fn decimal_type(name: &str, found: &DataType) -> DfResult<DataType> {
    match found {
        DataType::Decimal128(_, 0..) | DataType::Decimal256(_, 0..) => Ok(found.clone()),
        DataType::Null => Ok(DataType::Decimal128(1, 0)),
        found if found.is_integer() => Ok(DataType::Decimal128(20, 0)),
        found => Err(DataFusionError::Plan(format!(
            "`{name}` takes decimals and integers, not {found}"
        ))),
    }
}

fn with_scale_last(
    name: &str,
    arguments: &str,
    types: &[DataType],
    count: usize,
) -> DfResult<Vec<DataType>> {
    if types.len() != count {
        return Err(usage(name, arguments));
    }
    let mut coerced = types[..count - 1]
        .iter()
        .map(|found| decimal_type(name, found))
        .collect::<DfResult<Vec<_>>>()?;
    coerced.push(DataType::Int64);
    Ok(coerced)
}

fn scale_argument(name: &str, literals: &[Option<&ScalarValue>], digits: u8) -> DfResult<i8> {
    let literal = match literals.last() {
        Some(Some(ScalarValue::Int64(Some(scale)))) => i8::try_from(*scale).ok(),
        _ => None,
    };
    literal
        .filter(|scale| (0..=i16::from(digits)).contains(&i16::from(*scale)))
        .ok_or_else(|| {
            let message = format!("the scale of `{name}` is a whole number from 0 to {digits}");
            DataFusionError::Plan(message)
        })
}

fn usage(name: &str, arguments: &str) -> DataFusionError {
    DataFusionError::Plan(format!("`{name}` is called as `{name}({arguments})`"))
}

fn failed(error: ExactError) -> DataFusionError {
    match error {
        ExactError::DivisionByZero => ArrowError::DivideByZero.into(),
        other => ArrowError::ArithmeticOverflow(other.to_string()).into(),
    }
}
