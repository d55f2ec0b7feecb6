//! What the normalisers share.
