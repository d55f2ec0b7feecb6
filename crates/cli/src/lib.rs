//! The weir command: parses arguments, fills the registry of stages, starts everything, prints diagnostics.
