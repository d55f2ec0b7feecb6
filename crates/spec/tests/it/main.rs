//! The check as its users see it: files in, findings and plans out; and the tree beside `serde_yaml`.

#![expect(
    clippy::needless_raw_string_hashes,
    reason = "expect-test writes its texts with them"
)]

mod broken;
mod tree;
mod valid;
mod world;
