//! What a plugin author uses.
