//! End-to-end tests: the binary as users run it.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what a binary said is shown with a failing test"
)]

#[path = "main/bad_input.rs"]
mod bad_input;
#[path = "main/books.rs"]
mod books;
#[path = "main/browser.rs"]
mod browser;
#[path = "main/command.rs"]
mod command;
#[path = "main/day.rs"]
mod day;
#[path = "main/demo.rs"]
mod demo;
#[path = "main/driver.rs"]
mod driver;
#[path = "main/files.rs"]
mod files;
#[path = "main/http.rs"]
mod http;
#[path = "main/kept.rs"]
mod kept;
#[path = "main/random.rs"]
mod random;
#[path = "main/served.rs"]
mod served;
#[path = "main/services.rs"]
mod services;
#[path = "main/weir.rs"]
mod weir;
