//! A table: rows by key, ordered by key, a new version per epoch that shares what did not change.
