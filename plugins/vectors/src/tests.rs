//! The project's own file, and files that must fail.

use crate::{run, told};

const VECTORS: &str = include_str!("../../../tests/vectors/lcr-vectors.json");

fn last_line(text: &str) -> String {
    let outcomes = run(text).expect("a file of cases");
    let told = told(&outcomes);
    told.lines().last().unwrap_or_default().to_owned()
}

/// Every case passes.
#[test]
fn all_cases_pass() {
    let outcomes = run(VECTORS).expect("a file of cases");
    assert!(outcomes.len() >= 70);
    let told = told(&outcomes);
    assert!(
        told.ends_with(&format!("{} passed, 0 failed\n", outcomes.len())),
        "{told}"
    );
}

/// A figure that is off, a kind and a figure that nobody answers: each fails its case alone.
#[test]
fn what_is_wrong_fails() {
    let all = run(VECTORS).expect("a file of cases").len();
    for (from, to) in [
        (r#""stock": "122""#, r#""stock": "122.0000000001""#),
        (r#""kind": "us_addon""#, r#""kind": "us_add_on""#),
        (r#""peak": "60""#, r#""peek": "60""#),
        (r#""correct": "122""#, r#""correct": "106.35""#),
    ] {
        assert!(VECTORS.contains(from), "{from}");
        let wanted = format!("{} passed, 1 failed", all - 1);
        assert_eq!(last_line(&VECTORS.replacen(from, to, 1)), wanted, "{to}");
    }
    assert!(run("[]").is_err());
    assert!(run(r#"{"casse": []}"#).is_err());
}
