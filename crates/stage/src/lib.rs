//! The contracts between the engine and what it runs: sources, plugins, sinks, the clock, the lock of a folder.
//!
//! `engine`, `kafka` and `host` do not know each other: they meet here.

pub mod clock;
pub mod letter;
pub mod lock;
pub mod plugin;
pub mod sink;
pub mod source;

pub use clock::Clock;
pub use plugin::{
    Group, GroupAnswer, GroupInput, Grouped, Limits, Opening, PluginError, Plugins, Port, Produced,
    RowRefusal, Shape, Transform,
};
pub use sink::Sink;
pub use source::{
    Decoded, Decoder, Fault, Headers, Position, REPLAY_OF, RawBatch, RawRecord, Refused, Source,
    SourceError, refusal_of,
};
