//! Avro bytes by a plan, straight into columns. The input's end is an error wherever a value is expected,
//! and so is anything after the record.

use super::encode::push_default;
use super::plan::{Op, RecordOp, Skip, Step, WriterPlan};
use crate::column::{Column, Table, Values};
use crate::record::Refused;
use arrow::datatypes::i256;

/// Deepest nesting of values that are passed over: their schema may contain itself.
const DEPTH_MAX: usize = 64;
/// Most items of one list or map. Items may take no bytes at all, so that five bytes could claim billions.
const ITEMS_MAX: u64 = 1 << 20;

/// Why a value is refused.
#[derive(Debug)]
struct Bad {
    code: &'static str,
    what: &'static str,
}

type Read<T> = Result<T, Bad>;

fn bad<T>(what: &'static str) -> Read<T> {
    Err(Bad {
        code: "invalid_avro",
        what,
    })
}

/// Reads one record as one row.
pub(super) fn record(plan: &WriterPlan, body: &[u8], table: &mut Table) -> Result<(), Refused> {
    let mut reader = Reader {
        plan,
        bytes: body,
        left: body,
        path: Vec::new(),
    };
    let result = reader.record(&plan.record, table);
    let result = result.and_then(|()| {
        if reader.left.is_empty() {
            Ok(())
        } else {
            bad("more after the record")
        }
    });
    result.map_err(|bad| reader.refusal(&bad))
}

struct Reader<'a> {
    plan: &'a WriterPlan,
    bytes: &'a [u8],
    left: &'a [u8],
    /// Names from the field at fault outwards.
    path: Vec<&'a str>,
}

impl<'a> Reader<'a> {
    fn refusal(&self, bad: &Bad) -> Refused {
        let path: Vec<&str> = self.path.iter().rev().copied().collect();
        let field = if path.is_empty() {
            None
        } else {
            Some(path.join("."))
        };
        let at = self.bytes.len() - self.left.len();
        Refused {
            code: bad.code,
            message: format!("{} at byte {at} of the body", bad.what),
            field,
        }
    }

    fn record(&mut self, record: &'a RecordOp, table: &mut Table) -> Read<()> {
        for step in &record.steps {
            match step {
                Step::Skip(skip) => self.skip(skip, 0)?,
                Step::Read(column, op) => {
                    let result = self.value(op, &mut table.columns[*column]);
                    if result.is_err() {
                        self.path.push(&record.names[*column]);
                    }
                    result?;
                }
            }
        }
        for (column, node, default) in &record.defaults {
            push_default(node, default, &mut table.columns[*column])
                .expect("tried when the plan was made");
        }
        Ok(())
    }

    fn value(&mut self, op: &'a Op, column: &mut Column) -> Read<()> {
        match (op, &mut column.values) {
            (Op::Union(branches), _) => {
                let branch = self.branch(branches)?;
                return self.value(branch, column);
            }
            (Op::Null, _) => {
                column.push_null();
                return Ok(());
            }
            (Op::Mismatch, _) => {
                return Err(Bad {
                    code: "wrong_type",
                    what: "a value that the reader's schema has no place for",
                });
            }
            (Op::Bool, Values::Bool(values)) => values.append(self.boolean()?),
            (Op::Int, Values::Int32(values)) | (Op::Date, Values::Date(values)) => {
                values.push(self.int()?);
            }
            (Op::Int, Values::Int64(values)) => values.push(i64::from(self.int()?)),
            (Op::Long, Values::Int64(values)) => values.push(self.long()?),
            (Op::Instant(unit), Values::Instant(values)) => {
                let out_of_range = Bad {
                    code: "number_range",
                    what: "an instant outside of the calendar",
                };
                values.push(self.long()?.checked_mul(*unit).ok_or(out_of_range)?);
            }
            (Op::Float, Values::Float32(values)) => values.push(f32::from_le_bytes(self.chunk()?)),
            (Op::FloatToDouble, Values::Float64(values)) => {
                values.push(f64::from(f32::from_le_bytes(self.chunk()?)));
            }
            (Op::Double, Values::Float64(values)) => values.push(f64::from_le_bytes(self.chunk()?)),
            (Op::Text, Values::Text(spans)) => {
                spans.data.extend_from_slice(self.text()?.as_bytes());
                spans.close();
            }
            (Op::Bytes, Values::Bytes(spans)) => {
                spans.data.extend_from_slice(self.sized()?);
                spans.close();
            }
            (Op::Fixed(size), Values::Bytes(spans)) => {
                spans.data.extend_from_slice(self.take(*size)?);
                spans.close();
            }
            (Op::Enum(symbols), Values::Text(spans)) => {
                spans
                    .data
                    .extend_from_slice(self.symbol(symbols)?.as_bytes());
                spans.close();
            }
            (
                Op::Decimal { size, shift },
                Values::Decimal128 {
                    values, precision, ..
                },
            ) => {
                let value = self.decimal(*size, *shift, *precision)?;
                values.push(value.to_i128().expect("38 digits fit into 128 bits"));
            }
            (
                Op::Decimal { size, shift },
                Values::Decimal256 {
                    values, precision, ..
                },
            ) => {
                values.push(self.decimal(*size, *shift, *precision)?);
            }
            (Op::Record(record), Values::Struct { table, .. }) => {
                self.record(record, table)?;
                table.rows += 1;
            }
            (Op::List(item), Values::List { column: items, .. }) => {
                self.list(item, items)?;
                column.close_list();
                return Ok(());
            }
            _ => unreachable!("the plan was made for these columns"),
        }
        column.close();
        Ok(())
    }

    fn list(&mut self, item: &'a Op, items: &mut Column) -> Read<()> {
        let mut all = 0;
        while let Some(count) = self.block(&mut all)? {
            for _ in 0..count {
                self.value(item, items)?;
            }
        }
        Ok(())
    }

    /// The number of items in the next block of a list or map.
    fn block(&mut self, all: &mut u64) -> Read<Option<u64>> {
        let count = self.long()?;
        if count < 0 {
            // The block's size in bytes follows, for readers that skip.
            self.long()?;
        }
        *all = all.saturating_add(count.unsigned_abs());
        match count {
            0 => Ok(None),
            _ if *all > ITEMS_MAX => Err(Bad {
                code: "too_large",
                what: "a list of too many items",
            }),
            count => Ok(Some(count.unsigned_abs())),
        }
    }

    fn branch<T>(&mut self, branches: &'a [T]) -> Read<&'a T> {
        let index = usize::try_from(self.long()?).ok();
        index
            .and_then(|index| branches.get(index))
            .map_or_else(|| bad("a union's branch that its schema does not have"), Ok)
    }

    fn symbol(&mut self, symbols: &'a [Option<String>]) -> Read<&'a str> {
        let index = usize::try_from(self.int()?).ok();
        match index.and_then(|index| symbols.get(index)) {
            Some(Some(symbol)) => Ok(symbol),
            Some(None) => Err(Bad {
                code: "wrong_type",
                what: "a symbol that the reader's schema does not have",
            }),
            None => bad("a symbol that the writer's schema does not have"),
        }
    }

    fn decimal(&mut self, size: Option<usize>, shift: u8, precision: u8) -> Read<i256> {
        let bytes = match size {
            Some(size) => self.take(size)?,
            None => self.sized()?,
        };
        decimal(bytes, shift, precision).ok_or(Bad {
            code: "number_range",
            what: "a decimal with more digits than the column has",
        })
    }

    fn take(&mut self, size: usize) -> Read<&'a [u8]> {
        let Some((bytes, left)) = self.left.split_at_checked(size) else {
            return bad("the end inside a value");
        };
        self.left = left;
        Ok(bytes)
    }

    fn chunk<const N: usize>(&mut self) -> Read<[u8; N]> {
        let Some((bytes, left)) = self.left.split_first_chunk() else {
            return bad("the end inside a value");
        };
        self.left = left;
        Ok(*bytes)
    }

    fn sized(&mut self) -> Read<&'a [u8]> {
        match usize::try_from(self.long()?) {
            Ok(size) => self.take(size),
            Err(_) => bad("a negative length"),
        }
    }

    fn text(&mut self) -> Read<&'a str> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).or_else(|_| bad("a text that is no UTF-8"))
    }

    fn boolean(&mut self) -> Read<bool> {
        match self.chunk()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => bad("a boolean that is neither 0 nor 1"),
        }
    }

    fn int(&mut self) -> Read<i32> {
        i32::try_from(self.long()?).or_else(|_| bad("an int of more than 32 bits"))
    }

    /// A zigzag varint.
    fn long(&mut self) -> Read<i64> {
        let mut value = 0_u64;
        for (index, byte) in (0_u32..10).zip(self.left) {
            let bits = u64::from(byte & 0x7F);
            if index == 9 && bits > 1 {
                break;
            }
            value |= bits << (7 * index);
            if byte & 0x80 == 0 {
                self.left = &self.left[index as usize + 1..];
                return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        bad("a number that does not end")
    }

    fn skip(&mut self, skip: &'a Skip, depth: usize) -> Read<()> {
        if depth > DEPTH_MAX {
            return Err(Bad {
                code: "too_deep",
                what: "values nested too deep",
            });
        }
        match skip {
            Skip::Nothing => Ok(()),
            Skip::Varint => self.long().map(|_| ()),
            Skip::Bytes => self.sized().map(|_| ()),
            Skip::Fixed(size) => self.take(*size).map(|_| ()),
            Skip::Bool => self.boolean().map(|_| ()),
            Skip::Union(branches) => {
                let branch = self.branch(branches)?;
                self.skip(branch, depth + 1)
            }
            Skip::Items(item) => self.skip_items(None, item, depth),
            Skip::Entries(item) => self.skip_items(Some(&Skip::Bytes), item, depth),
            Skip::Record(fields) => fields
                .iter()
                .try_for_each(|field| self.skip(field, depth + 1)),
            Skip::Named(name) => {
                let target = self
                    .plan
                    .skips
                    .get(name)
                    .expect("every named skip is in the plan");
                self.skip(target, depth + 1)
            }
        }
    }

    fn skip_items(&mut self, key: Option<&'a Skip>, item: &'a Skip, depth: usize) -> Read<()> {
        let mut all = 0;
        while let Some(count) = self.block(&mut all)? {
            for _ in 0..count {
                if let Some(key) = key {
                    self.skip(key, depth + 1)?;
                }
                self.skip(item, depth + 1)?;
            }
        }
        Ok(())
    }
}

/// Big-endian two's complement of any length, times `10^shift`, below `10^precision`.
pub(super) fn decimal(bytes: &[u8], shift: u8, precision: u8) -> Option<i256> {
    let fill = if bytes.first().is_some_and(|b| b & 0x80 != 0) {
        0xFF
    } else {
        0
    };
    let start = bytes.len().saturating_sub(32);
    let (surplus, bytes) = bytes.split_at(start);
    let mut wide = [fill; 32];
    wide[32 - bytes.len()..].copy_from_slice(bytes);
    // Bytes beyond 256 bits must repeat the sign.
    if surplus.iter().any(|b| *b != fill) || (wide[0] ^ fill) & 0x80 != 0 {
        return None;
    }
    let ten = i256::from_i128(10);
    let value = i256::from_be_bytes(wide).checked_mul(ten.checked_pow(u32::from(shift))?)?;
    let limit = ten.checked_pow(u32::from(precision))?;
    (value < limit && value > limit.checked_neg()?).then_some(value)
}
