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
        Batch, Buffers, Description, Failure, Opening, Origin, Port, Produced, Property,
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
        let Buffers::Varlen(values) = &batch.columns[0].data else {
            return String::new();
        };
        let end = u32::from_le_bytes(values.offsets[4..8].try_into().unwrap()) as usize;
        String::from_utf8_lossy(&values.bytes[..end]).into_owned()
    }

    fn spoil(say: &str, produced: &mut Produced) {
        let output = &mut produced.output;
        match say {
            "missing_column" => _ = output.columns.pop(),
            "other_name" => output.columns[0].name = "other".to_owned(),
            "other_kind" => output.columns[1].kind = "int64".to_owned(),
            "rows" => output.rows += 1,
            "null" => output.columns[0].validity = Some(vec![0; output.rows.div_ceil(8) as usize]),
            "bits_behind" => {
                output.columns[1].validity = Some(vec![0xff; output.rows.div_ceil(8) as usize])
            }
            "bits_short" => output.columns[1].validity = Some(Vec::new()),
            "no_values" => output.columns[0].data = Buffers::None,
            "other_buffers" => output.columns[1].data = Buffers::Bits(vec![0]),
            "nested" => output.columns[1].children = 1,
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
                if let Buffers::Fixed(bytes) = &mut output.columns[1].data {
                    bytes[15] = 0x10;
                }
            }
            "width" => {
                if let Buffers::Fixed(bytes) = &mut output.columns[1].data {
                    bytes.push(0);
                }
            }
            _ => spoil_text(say, output),
        }
    }

    fn spoil_text(say: &str, output: &mut Batch) {
        let Buffers::Varlen(values) = &mut output.columns[0].data else {
            return;
        };
        match say {
            "utf8" => values.bytes[0] = 0xff,
            "offset_first" => values.offsets[0] = 1,
            "offset_falls" => values.offsets[4..8].copy_from_slice(&1000u32.to_le_bytes()),
            "offset_negative" => values.offsets[4..8].copy_from_slice(&u32::MAX.to_le_bytes()),
            "offset_last" => values.bytes.push(b'x'),
            "offset_short" => values.offsets.truncate(4),
            _ => {}
        }
    }
}
