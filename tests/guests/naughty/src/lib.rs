//! Does what no plugin should, on rows that say so: traps, loops, takes memory, answers nonsense.

use weir_sdk::{Batch, Data, Description, Failure, Json, Output, Record, Shape, Transform, record};

record! {
    /// In.
    pub struct Asked<'a> {
        /// What to do.
        say: utf8 required,
        /// Carried through.
        amount: decimal128(10, 2),
    }
}

record! {
    /// Out.
    pub struct Answer<'a> {
        /// The same.
        say: utf8 required,
        /// The same.
        amount: decimal128(10, 2),
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Naughty {
    mark: String,
}

impl Transform for Naughty {
    fn description() -> Description {
        Description {
            name: "naughty",
            version: env!("CARGO_PKG_VERSION"),
            config_schema: r#"{"type":"object","properties":{"open":{"type":"string"},"mark":{"type":"string"}},"additionalProperties":false}"#,
            shapes: vec![Shape::transform(Asked::fields(), Answer::fields())],
        }
    }

    fn open(config: &Json, data: &Data) -> Result<Self, Failure> {
        match config.get("open").and_then(Json::as_str) {
            Some("trap") => panic!("asked to"),
            Some("fail") => Err(Failure::new("no_luck", "asked to")),
            Some("data") => Ok(Self {
                mark: data.text("mark")?.to_owned(),
            }),
            _ => Ok(Self {
                mark: String::new(),
            }),
        }
    }

    fn transform(&self, rows: &Batch, out: &mut Output) {
        for (row, asked) in rows.records::<Asked<'_>>() {
            match asked.say {
                "trap" => panic!("asked to"),
                "loop" => loop {
                    std::hint::black_box(row);
                },
                "memory" => take_memory(),
                "stack" => _ = std::hint::black_box(deep(u64::from(row))),
                "refuse" => {
                    out.refuse_field(row, "say", "asked", "asked to");
                    continue;
                }
                "drop" => continue,
                "twice" => out.push(
                    row,
                    &Answer {
                        say: asked.say,
                        amount: asked.amount,
                    },
                ),
                "mark" => {
                    out.push(
                        row,
                        &Answer {
                            say: &self.mark,
                            amount: None,
                        },
                    );
                    continue;
                }
                _ => {}
            }
            out.push(
                row,
                &Answer {
                    say: asked.say,
                    amount: asked.amount,
                },
            );
        }
    }
}

fn take_memory() {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

/// Deeper than any stack.
fn deep(level: u64) -> u64 {
    let below = std::hint::black_box(level + 1);
    if below == 0 {
        0
    } else {
        deep(below) + std::hint::black_box(level)
    }
}

#[cfg(target_arch = "wasm32")]
mod wasm {
    //! The border itself, with answers made wrong by what the batch's first row says.

    use super::Naughty;
    use weir_sdk::bindings::transform::exports::weir::plugin::transformer::{
        Guest, GuestInstance, Instance,
    };
    use weir_sdk::bindings::transform::weir::plugin::types::{
        Batch, Description, Failure, Layout, Opening, Origin, Port, Produced, Property, Span,
    };
    use weir_sdk::bindings::{TransformExport, TransformInstance};

    struct Export;
    struct Wrong {
        own: TransformInstance<Naughty>,
    }

    weir_sdk::bindings::transform::export!(Export with_types_in weir_sdk::bindings::transform);

    impl Guest for Export {
        type Instance = Wrong;

        fn describe() -> Description {
            <TransformExport<Naughty> as Guest>::describe()
        }
    }

    impl GuestInstance for Wrong {
        fn open(opening: Opening) -> Result<Instance, Failure> {
            Ok(Instance::new(Self {
                own: TransformInstance::opened(opening)?,
            }))
        }

        fn outputs(&self) -> Vec<Port> {
            self.own.outputs()
        }

        fn transform(&self, batch: Batch, properties: Vec<Property>) -> Result<Produced, Failure> {
            let say = first(&batch);
            if say == "fail" {
                return Err(Failure {
                    code: "no_luck".to_owned(),
                    message: "asked to".to_owned(),
                    transient: true,
                    properties: Vec::new(),
                });
            }
            let mut produced = self.own.transform(batch, properties)?;
            spoil(&say, &mut produced);
            Ok(produced)
        }
    }

    fn first(batch: &Batch) -> String {
        let Layout::Varlen(values) = batch.columns[0].data else {
            return String::new();
        };
        let bytes = |span: Span| {
            let at = span.at as usize;
            &batch.buffers[span.of as usize][at..at + span.len as usize]
        };
        let end = u32::from_le_bytes(bytes(values.offsets)[4..8].try_into().unwrap()) as usize;
        String::from_utf8_lossy(&bytes(values.bytes)[..end]).into_owned()
    }

    /// A buffer of its own.
    fn buffer(output: &mut Batch, bytes: Vec<u8>) -> Span {
        let span = Span {
            of: output.buffers.len() as u32,
            at: 0,
            len: bytes.len() as u32,
        };
        output.buffers.push(bytes);
        span
    }

    fn spoil(say: &str, produced: &mut Produced) {
        let output = &mut produced.output;
        match say {
            "missing_column" => _ = output.columns.pop(),
            "rows" => output.rows += 1,
            "null" => output.columns[0].validity = Some(bits(output, 0)),
            "bits_behind" => output.columns[1].validity = Some(bits(output, 0xff)),
            "bits_short" => output.columns[1].validity = Some(buffer(output, Vec::new())),
            "no_values" => output.columns[0].data = Layout::None,
            "other_layout" => output.columns[1].data = Layout::Bits(buffer(output, vec![0])),
            "no_buffer" => output.buffers.clear(),
            "span_behind" => {
                if let Layout::Fixed(span) = &mut output.columns[1].data {
                    span.at = u32::MAX;
                }
            }
            "origin" => {
                produced.origin = Origin::Rows(u32::MAX.to_le_bytes().repeat(output.rows as usize))
            }
            "origin_short" => produced.origin = Origin::Rows(Vec::new()),
            "origin_group" => produced.origin = Origin::Group,
            "refusal" => {
                produced.refusals.push(
                    weir_sdk::bindings::transform::weir::plugin::types::Refusal {
                        row: u32::MAX,
                        code: "x".to_owned(),
                        message: String::new(),
                        field: None,
                    },
                );
            }
            "digits" => {
                if let Layout::Fixed(span) = output.columns[1].data {
                    output.buffers[span.of as usize][15] = 0x10;
                }
            }
            "width" => {
                if let Layout::Fixed(span) = &mut output.columns[1].data {
                    output.buffers[span.of as usize].push(0);
                    span.len += 1;
                }
            }
            _ => spoil_text(say, output),
        }
    }

    fn bits(output: &mut Batch, byte: u8) -> Span {
        buffer(output, vec![byte; output.rows.div_ceil(8) as usize])
    }

    fn spoil_text(say: &str, output: &mut Batch) {
        let Layout::Varlen(values) = &mut output.columns[0].data else {
            return;
        };
        let [offsets, bytes] = [&mut values.offsets, &mut values.bytes];
        let buffers = &mut output.buffers;
        match say {
            "utf8" => buffers[bytes.of as usize][0] = 0xff,
            "offset_first" => buffers[offsets.of as usize][0] = 1,
            "offset_falls" => {
                buffers[offsets.of as usize][4..8].copy_from_slice(&1000u32.to_le_bytes())
            }
            "offset_negative" => {
                buffers[offsets.of as usize][4..8].copy_from_slice(&u32::MAX.to_le_bytes())
            }
            "offset_last" => {
                buffers[bytes.of as usize].push(b'x');
                bytes.len += 1;
            }
            "offset_short" => offsets.len = 4,
            _ => {}
        }
    }
}
