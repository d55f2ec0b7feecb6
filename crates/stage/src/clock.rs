//! The wall clock as an input.

/// Where "now" comes from. Only the assembly (`cli`) makes one that reads the machine's clock.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970, UTC.
    fn now_us(&self) -> i64;
}
