//! The check as its users see it: files in, findings and plans out; and the tree beside `serde_yaml`.

mod broken;
mod tree;
mod valid;
mod world;
