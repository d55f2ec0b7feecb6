//! How free memory is kept.

use std::ffi::c_int;

/// `M_ARENA_MAX`.
const ARENAS: c_int = -8;
/// One would keep least, but then all threads wait for one lock.
const ARENAS_MAX: c_int = 2;

/// Lets threads share what is free. By default glibc gives a thread free memory of its own: after a book was read, the
/// threads of fifteen sources kept some megabytes each, where nobody else could have them. `MALLOC_ARENA_MAX` in the
/// environment decides otherwise.
#[expect(
    unsafe_code,
    reason = "nothing in Rust's library sets what the C library keeps"
)]
pub(crate) fn share() {
    unsafe extern "C" {
        fn mallopt(what: c_int, value: c_int) -> c_int;
    }
    if std::env::var_os("MALLOC_ARENA_MAX").is_none() {
        // SAFETY: glibc has this function of two numbers, and no other thread runs yet. Where it refuses, more is kept.
        unsafe { mallopt(ARENAS, ARENAS_MAX) };
    }
}
