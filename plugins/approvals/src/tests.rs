//! Messages as rows, one adjustment per case, and the phases they give.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

use crate::Approvals;
use expect_test::{Expect, expect};
use std::fmt::Write as _;
use weir_sdk::{Data, harness};

/// Messages as `version action user at`, a day's hours; a `SUBMIT` is in force from 10 to 16 unless it says otherwise.
fn check(messages: &str, expected: &Expect) {
    let rows: Vec<String> = messages.split(", ").map(row).collect();
    let inputs = [("messages", rows.join("\n"))];
    let inputs = inputs.each_ref().map(|(name, rows)| (*name, rows.as_str()));
    let ran = harness::group::<Approvals>(
        "{}",
        &Data::default(),
        "2026-03-02T12:00:00Z",
        &["adjustment_id"],
        &inputs,
    )
    .unwrap();
    let mut text = String::new();
    for phase in ran
        .output("phases")
        .records::<crate::Phase<'_>>()
        .map(|(_, phase)| phase)
    {
        let hour = |at: Option<i64>| {
            at.map_or("..".to_owned(), |at| (at / 3_600_000_000 % 24).to_string())
        };
        let (from, until) = (hour(phase.valid_from), hour(phase.valid_until));
        let approver = phase.approver.unwrap_or("-");
        let (state, user) = (phase.state, phase.user.unwrap());
        writeln!(text, "{state} {from}-{until} by {user} and {approver}").unwrap();
    }
    for refusal in ran.refusals {
        writeln!(text, "refused {}: {}", refusal.row, refusal.code).unwrap();
    }
    expected.assert_eq(&text);
}

fn row(message: &str) -> String {
    let mut words = message.split(' ');
    let mut word = || words.next().unwrap();
    let (version, action, user, hour) = (word(), word(), word().replace('_', " "), word());
    let at = format!("2026-03-02T{hour}:00:00Z");
    let key = user.trim().to_lowercase();
    let who =
        format!(r#""user": "{user}", "user_key": "{key}", "at": "{at}", "_timestamp": "{at}""#);
    let terms = r#""scope": "issuer", "key": "I", "hqla_class": "NON",
        "effective_from": "2026-03-02T10:00:00Z", "effective_to": "2026-03-02T16:00:00Z""#;
    let terms = if action == "SUBMIT" {
        terms.replace('\n', "") + ","
    } else {
        String::new()
    };
    format!(
        r#"{{"adjustment_id": "A", "version": {version}, "action": "{action}", {terms} {who}}}"#
    )
}

/// The usual way: in force between its instants.
#[test]
fn approved_in_time() {
    check(
        "1 SUBMIT alice 08, 2 APPROVE bob 09",
        &expect![[r#"
        approved ..-10 by alice and bob
        active 10-16 by alice and bob
        expired 16-.. by alice and bob
    "#]],
    );
}

/// An approval that comes late counts from when it was recorded; after the end, it never was in force.
#[test]
fn approved_late() {
    check(
        "1 SUBMIT alice 08, 2 APPROVE bob 13",
        &expect![[r#"
        approved ..-13 by alice and bob
        active 13-16 by alice and bob
        expired 16-.. by alice and bob
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 2 APPROVE bob 17",
        &expect![[r#"
        approved ..-16 by alice and bob
        expired 16-.. by alice and bob
    "#]],
    );
}

/// Version order counts, not arrival; users are compared without case and outer spaces.
#[test]
fn four_eyes() {
    check(
        "2 APPROVE Alice_ 09, 1 SUBMIT alice 08",
        &expect![[r#"
        submitted ..-.. by alice and -
        refused 0: four_eyes
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 2 APPROVE bob 09, 3 REVOKE ALICE 11",
        &expect![[r#"
        approved ..-10 by alice and bob
        active 10-16 by alice and bob
        expired 16-.. by alice and bob
        refused 2: four_eyes
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 2 APPROVE alice 09, 3 APPROVE bob 11",
        &expect![[r#"
        approved ..-11 by alice and bob
        active 11-16 by alice and bob
        expired 16-.. by alice and bob
        refused 1: four_eyes
    "#]],
    );
}

/// What ends an adjustment, and who may.
#[test]
fn ends() {
    check(
        "1 SUBMIT alice 08, 2 REJECT alice 09",
        &expect![[r#"
        rejected ..-.. by alice and -
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 2 WITHDRAW bob 09",
        &expect![[r#"
        submitted ..-.. by alice and -
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 2 WITHDRAW Alice 09",
        &expect![[r#"
        withdrawn ..-.. by alice and -
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 2 APPROVE bob 09, 3 REVOKE carol 11",
        &expect![[r#"
        revoked ..-.. by alice and bob
    "#]],
    );
}

/// A new submission begins anew, from any state; its approval is another one.
#[test]
fn submitted_again() {
    check(
        "1 SUBMIT alice 08, 2 APPROVE bob 09, 3 SUBMIT bob 10",
        &expect![[r#"
        submitted ..-.. by bob and -
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 2 REJECT bob 09, 3 SUBMIT alice 10, 4 APPROVE carol 11",
        &expect![[r#"
        approved ..-11 by alice and carol
        active 11-16 by alice and carol
        expired 16-.. by alice and carol
    "#]],
    );
    check(
        "1 SUBMIT alice 08, 3 APPROVE alice 09, 2 SUBMIT bob 10",
        &expect![[r#"
        approved ..-10 by bob and alice
        active 10-16 by bob and alice
        expired 16-.. by bob and alice
    "#]],
    );
}

/// What the state does not allow changes nothing.
#[test]
fn out_of_order() {
    check("1 APPROVE bob 08", &expect![]);
    check(
        "1 SUBMIT alice 08, 2 REVOKE bob 09, 3 APPROVE bob 09, 4 REJECT bob 10, 5 APPROVE alice 11",
        &expect![[r#"
        approved ..-10 by alice and bob
        active 10-16 by alice and bob
        expired 16-.. by alice and bob
    "#]],
    );
}
