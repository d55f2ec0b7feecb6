//! Decoders against bytes that nobody meant: good records cut, flipped and mixed, by a seed. `WEIR_FUZZ=1000000` sets how
//! many; without it a few, so that the test command stays quick.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use std::sync::Arc;
use weir_codec::avro::OneSchema;
use weir_codec::{
    AvroDecoder, AvroReader, Beside, Decoder, Headers, JsonDecoder, RawRecord, TextDecoder,
};

/// Records of one batch.
const BATCH: u64 = 100;

/// Numbers that a seed gives (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// One of these, damaged at a few places.
    fn damaged(&mut self, good: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = good[self.below(good.len())].clone();
        for _ in 0..self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.byte()),
                2 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                3 if at < bytes.len() => {
                    bytes[at] = [0, 0xff, b'"', b'{', b'}', b'9', b'-'][self.below(7)];
                }
                4 if at < bytes.len() => drop(bytes.remove(at)),
                _ => {
                    let other = &good[self.below(good.len())];
                    let (from, to) = (self.below(other.len()), self.below(other.len() + 1));
                    let part = other.get(from..to).unwrap_or_default();
                    bytes.splice(at..at, part.iter().copied());
                }
            }
        }
        bytes
    }
}

fn inputs() -> u64 {
    std::env::var("WEIR_FUZZ").map_or(20_000, |text| text.parse().expect("a whole number"))
}

/// Every record gives a row or is refused, with a code and words, and nothing panics.
fn check(decoder: &dyn Decoder, good: &[Vec<u8>], seed: u64) {
    let mut random = Random(seed);
    let (mut rows, mut refused) = (0, 0);
    for batch in 0..inputs().div_ceil(BATCH) {
        let mut record = |offset| RawRecord {
            partition: 0,
            offset,
            timestamp_us: 0,
            key: Some(Bytes::from(random.damaged(good))),
            value: Some(Bytes::from(random.damaged(good))),
            headers: Headers::from_packed(random.damaged(good).into()),
        };
        let records: Vec<RawRecord> = (0..100).map(&mut record).collect();
        let decoded = decoder.decode(&records);
        assert_eq!(decoded.batch.schema(), decoder.schema());
        assert_eq!(decoded.batch.num_rows(), decoded.rows.len());
        assert!(decoded.stalled.is_none());
        let mut told: Vec<u32> = decoded.refused.iter().map(|(index, _)| *index).collect();
        told.extend(&decoded.rows);
        told.sort_unstable();
        assert!(told.into_iter().eq(0..100), "batch {batch} of seed {seed}");
        for (_, why) in &decoded.refused {
            assert!(!why.code.is_empty() && !why.message.is_empty());
        }
        rows += decoded.rows.len();
        refused += decoded.refused.len();
    }
    assert!(
        rows > 0 && refused > 0,
        "{rows} rows, {refused} refused: both are looked for"
    );
}

const JSON: &str = r#"{"type":"object","required":["id"],"properties":{
    "id":{"type":"string"},"amount":{"type":["number","string"]},"day":{"type":"string","format":"date"},
    "at":{"type":"string","format":"date-time"},"flag":{"type":"boolean"},"count":{"type":"integer"},
    "any":{"type":["number","string","boolean"]},
    "flows":{"type":"array","items":{"type":"object","properties":{"ccy":{"type":"string"},"n":{"type":"integer"}}}}}}"#;

fn json() -> Vec<Vec<u8>> {
    let good = [
        r#"{"id":"T-1","amount":"12.5","day":"2026-03-02","at":"2026-03-02T12:00:00Z","flag":true,"count":7}"#,
        r#"{"id":"T\u00e9\ud83d\ude00","any":1.25E+3,"flows":[{"ccy":"USD","n":1},{"ccy":"EUR","n":-2}],"x":[[[{"y":null}]]]}"#,
        r#"{"id":"","amount":-99999999999999999999999999999999.999999,"count":9223372036854775807,"flows":[]}"#,
    ];
    good.map(|text| text.as_bytes().to_vec()).to_vec()
}

#[test]
fn json_takes_anything() {
    check(&JsonDecoder::new(JSON, false).unwrap(), &json(), 1);
}

const AVRO: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"id","type":"string"},{"name":"n","type":"long"},{"name":"flag","type":["null","boolean"],"default":null},
    {"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":6}},
    {"name":"day","type":{"type":"int","logicalType":"date"}},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
    {"name":"side","type":{"type":"enum","name":"S","symbols":["B","S"]}},
    {"name":"legs","type":{"type":"array","items":{"type":"record","name":"L","fields":[{"name":"ccy","type":"string"}]}}}]}"#;

#[test]
fn avro_takes_anything() {
    let reader = AvroReader::new(AVRO, false).unwrap();
    let day = r#"{"id":"T-1","n":7,"flag":true,"amount":"12.5","day":"2026-03-02","at":"2026-03-02T12:00:00Z","side":"B",
        "legs":[{"ccy":"USD"},{"ccy":"EUR"}]}"#;
    let least = r#"{"id":"","n":-1,"flag":null,"amount":"-0.000001","day":"1970-01-01","at":"1970-01-01T00:00:00Z",
        "side":"S","legs":[]}"#;
    let good = [day, least]
        .map(|json| reader.encode(1, json).unwrap())
        .to_vec();
    let one = OneSchema::new(&reader, AVRO).unwrap();
    check(&AvroDecoder::new(reader, one, false), &good, 2);
}

#[test]
fn text_takes_anything() {
    let good = [
        "35=AE|55=US547019A346|54=1\u{1}",
        "a;b;\"c d\";\r\n",
        "é€😀",
    ];
    let good = good.map(|text| text.as_bytes().to_vec()).to_vec();
    check(&TextDecoder::new(false), &good, 3);
}

/// Keys and headers, too: damaged ones of headers end where they make no sense.
#[test]
fn keys_and_headers_take_anything() {
    let key = r#"{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}"#;
    let key = Arc::new(JsonDecoder::new(key, false).unwrap());
    let mut good = json();
    let headers = Headers::of([
        ("trace", Some(&b"abc"[..])),
        ("null", None),
        ("weir.replay-of", Some(b"0:1")),
    ]);
    good.push(headers.packed().to_vec());
    let shown =
        ["trace", "weir.replay-of"].map(|name| (name.replace(['.', '-'], "_"), name.to_owned()));
    let decoder = Beside::new(Arc::new(TextDecoder::new(false)), Some(key), shown.to_vec());
    check(&decoder, &good, 4);
}
