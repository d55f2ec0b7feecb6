//! End-to-end tests: the binary as users run it.

#[path = "main/day.rs"]
mod day;
#[path = "main/demo.rs"]
mod demo;
#[path = "main/services.rs"]
mod services;
#[path = "main/weir.rs"]
mod weir;
