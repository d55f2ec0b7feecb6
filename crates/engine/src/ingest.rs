//! Records into rows: decoding on all workers, metadata in front, refusals told by record.

use arrow::array::{
    ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{FieldRef, SchemaRef};
use std::sync::Arc;
use weir_stage::{Decoded, Decoder, RawRecord, SourceError, refusal_of};
use weir_zset::{Delta, Refusal, meta};

/// Records below which a second worker costs more than it saves.
const RECORDS_PER_WORKER_MIN: usize = 1_024;

/// One source's decoder with what its rows look like.
pub(crate) struct Ingest {
    pub(crate) topic: String,
    /// The columns that somebody wants.
    pub(crate) schema: SchemaRef,
    pub(crate) decoder: Arc<dyn Decoder>,
}

/// What became of a batch of records.
pub(crate) struct Ingested {
    pub(crate) delta: Delta,
    pub(crate) refusals: Vec<Refusal>,
    /// From this record on nothing was decoded; they are to be tried again.
    pub(crate) stalled: Option<(usize, SourceError)>,
}

impl Ingest {
    /// Decodes these records on up to so many threads.
    pub(crate) fn decode(&self, records: &[RawRecord], workers: usize) -> Ingested {
        let workers = workers
            .min(records.len().div_ceil(RECORDS_PER_WORKER_MIN))
            .max(1);
        let share = records.len().div_ceil(workers).max(1);
        let parts: Vec<Ingested> = if workers == 1 {
            vec![self.decode_part(records)]
        } else {
            std::thread::scope(|scope| {
                let calls: Vec<_> = records
                    .chunks(share)
                    .map(|part| scope.spawn(move || self.decode_part(part)))
                    .collect();
                calls
                    .into_iter()
                    .map(|call| call.join().expect("decoders do not panic"))
                    .collect()
            })
        };
        self.together(parts, share)
    }

    /// Puts the parts together; what stands behind a stalled part is left for the next time.
    fn together(&self, parts: Vec<Ingested>, share: usize) -> Ingested {
        let mut batches = Vec::with_capacity(parts.len());
        let (mut refusals, mut stalled) = (Vec::new(), None);
        for (index, part) in parts.into_iter().enumerate() {
            batches.push(part.delta.batch);
            refusals.extend(part.refusals);
            if let Some((at, error)) = part.stalled {
                stalled = Some((index * share + at, error));
                break;
            }
        }
        let batch = match batches.as_slice() {
            [only] => only.clone(),
            _ => concat_batches(&self.schema, &batches).expect("parts have one schema"),
        };
        Ingested {
            delta: Delta::inserts(batch),
            refusals,
            stalled,
        }
    }

    fn decode_part(&self, records: &[RawRecord]) -> Ingested {
        let Decoded {
            batch,
            rows,
            refused,
            stalled,
        } = self.decoder.decode(records);
        let batch = self.with_meta(records, &batch, &rows);
        let refusal =
            |(index, why): (u32, _)| refusal_of(&self.topic, &records[index as usize], why);
        let refusals = refused.into_iter().map(refusal).collect();
        let stalled = stalled.map(|(index, error)| (index as usize, error));
        Ingested {
            delta: Delta::inserts(batch),
            refusals,
            stalled,
        }
    }

    /// The wanted metadata columns, then the wanted ones of the decoder.
    fn with_meta(&self, records: &[RawRecord], decoded: &RecordBatch, rows: &[u32]) -> RecordBatch {
        let good: Vec<&RawRecord> = rows.iter().map(|&row| &records[row as usize]).collect();
        let column = |field: &FieldRef| match decoded.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => self.meta(field.name(), &good),
        };
        let columns = self.schema.fields().iter().map(column).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .expect("the plan's source schema")
    }

    fn meta(&self, name: &str, records: &[&RawRecord]) -> ArrayRef {
        let records = records.iter();
        match name {
            meta::TOPIC => Arc::new(StringArray::new_repeated(&self.topic, records.len())),
            meta::PARTITION => Arc::new(Int32Array::from_iter_values(
                records.map(|record| record.partition),
            )),
            meta::OFFSET => Arc::new(Int64Array::from_iter_values(
                records.map(|record| record.place()),
            )),
            meta::TIMESTAMP => {
                let timestamps = records.map(|record| record.timestamp_us);
                let timestamps = TimestampMicrosecondArray::from_iter_values(timestamps);
                Arc::new(timestamps.with_timezone("UTC"))
            }
            meta::KEY => {
                let keys = records.map(|record| record.key.as_deref());
                let text = keys.map(|key| std::str::from_utf8(key?).ok());
                Arc::new(text.collect::<StringArray>())
            }
            other => unreachable!("a source has no column {other}"),
        }
    }
}
