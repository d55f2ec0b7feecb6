//! SQL expressions over Arrow columns (DataFusion), typed ahead, immutable functions only, exact decimals.
