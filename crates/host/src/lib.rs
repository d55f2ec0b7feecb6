//! A WASM component as a stage: limits, versions, verdicts.
