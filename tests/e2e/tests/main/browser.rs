//! The page in a real browser.

use crate::driver::Browser;
use crate::served::{Served, day, eventually};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

/// What the cards show: name, number, the number beside, and whether they differ.
const CARDS: &str = "return [...document.querySelectorAll('.card')].map((card) => ({
    name: card.getAttribute('aria-label'),
    value: card.querySelector('.figure').textContent,
    exact: card.querySelector('.figure').value,
    differs: card.dataset.differs === 'true',
}));";

async fn cards(browser: &Browser) -> Vec<Value> {
    browser.run(CARDS).await.as_array().expect("cards").clone()
}

/// A ratio as the page must show it: percent, two decimals, rounded down.
fn percent(ratio: &str) -> String {
    let (whole, fraction) = ratio.split_once('.').unwrap_or((ratio, ""));
    let digits = format!("{whole}{fraction:0<4.4}");
    let number: u64 = digits.parse().expect("a ratio above zero");
    assert!(
        number < 100_000_000,
        "no thousands of thousands in the sample"
    );
    let grouped = match number / 100 {
        small @ ..1_000 => small.to_string(),
        large => format!("{},{:03}", large / 1_000, large % 1_000),
    };
    format!("{grouped}.{:02} %", number % 100)
}

/// Goal: the page shows the day as it happens and the truth at its end, and talks to its own server only.
/// Method: open it while a day is replayed; watch the ratios move, then an override move one away from the
/// unadjusted ratio; at the end compare every card with the expected tables; no foreign request, no error.
#[tokio::test]
async fn the_page_follows_the_day() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(
        &day("sample-core"),
        &["--speed", "400", "--until", "2026-03-02T09:00:00Z"],
    );
    served.until("/readyz", |status, _| status == 200).await;
    browser.open(&served.origin).await;
    let first = eventually("the cards", async || {
        Some(cards(&browser).await).filter(|cards| !cards.is_empty())
    })
    .await;
    assert!(
        first.iter().all(|card| card["differs"] == false),
        "the page opens before any override: {first:?}"
    );
    eventually("a ratio moves", async || {
        (cards(&browser).await != first).then_some(())
    })
    .await;
    eventually("an override moves a ratio", async || {
        cards(&browser)
            .await
            .iter()
            .any(|card| card["differs"] == true)
            .then_some(())
    })
    .await;
    let ended = served.ended().await;
    eventually("the last epoch is shown", async || {
        let shown = browser
            .run("return document.getElementById('epoch').textContent.replace(',', '');")
            .await;
        (shown.as_str() == Some(&ended["epoch"].to_string())).then_some(())
    })
    .await;
    check_cards(&cards(&browser).await);
    check_origin(&browser, &served).await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

fn check_cards(cards: &[Value]) {
    let text =
        std::fs::read_to_string(day("sample-core").join("expected.json")).expect("expectations");
    let expected: Value = serde_json::from_str(&text).expect("JSON");
    let rows = expected["instants"][0]["tables"]["lcr"]
        .as_array()
        .expect("rows");
    let name = |row: &Value| {
        let text = |column: &str| row[column].as_str().expect("a text").to_owned();
        format!("{} {} {}", text("entity"), text("regime"), text("scope"))
    };
    let mut rows: Vec<&Value> = rows.iter().collect();
    rows.sort_by_key(|row| name(row));
    assert_eq!(cards.len(), rows.len());
    for (card, row) in cards.iter().zip(rows) {
        assert_eq!(card["name"], name(row));
        let shown = row["lcr"].as_str().map_or_else(|| "–".to_owned(), percent);
        assert_eq!(card["value"], shown.as_str(), "{row}");
        assert_eq!(
            card["differs"],
            json!(row["lcr"] != row["base_lcr"]),
            "{row}"
        );
    }
}

/// Nothing was loaded from elsewhere, and nothing can be.
async fn check_origin(browser: &Browser, served: &Served) {
    let loaded = browser
        .run("return performance.getEntriesByType('resource').map((entry) => entry.name);")
        .await;
    let loaded: BTreeSet<&str> = loaded
        .as_array()
        .expect("names")
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect();
    assert!(loaded.len() > 8, "{loaded:?}");
    assert!(
        loaded.iter().all(|name| name.starts_with(&served.origin)),
        "{loaded:?}"
    );
}

/// Goal: the page cannot reach another origin even when told to. Method: a script in it tries.
#[tokio::test]
async fn no_request_leaves_the_origin() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(&day("sample-core"), &["--until", "2026-03-02T06:30:00Z"]);
    served.ended().await;
    browser.open(&served.origin).await;
    let blocked = browser
        .run(
            "const seen = [];
             document.addEventListener('securitypolicyviolation', (event) => seen.push(event.effectiveDirective));
             await fetch('http://127.0.0.1:9/').catch(() => {});
             const image = new Image();
             image.src = 'http://127.0.0.1:9/x.png';
             const style = document.createElement('div');
             style.setAttribute('style', 'color: red');
             const script = document.createElement('script');
             script.textContent = 'window.injected = true';
             document.body.append(image, style, script);
             await new Promise((done) => setTimeout(done, 200));
             return [...new Set(seen)].sort().concat([String(window.injected)]);",
        )
        .await;
    assert_eq!(
        blocked,
        json!([
            "connect-src",
            "img-src",
            "script-src-elem",
            "style-src-attr",
            "undefined"
        ])
    );
}

/// Goal: a lost connection is said at once and mended without a hand, also when the pipeline was started anew.
/// Method: stop the binary, look, start it again at the same address.
#[tokio::test]
async fn a_lost_connection_is_told_and_mended() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(&day("sample-core"), &["--until", "2026-03-02T09:00:00Z"]);
    served.ended().await;
    browser.open(&served.origin).await;
    eventually("the cards", async || {
        (!cards(&browser).await.is_empty()).then_some(())
    })
    .await;
    let (before, address) = (cards(&browser).await, served.address().to_owned());
    drop(served);
    let banner = |name: &'static str| {
        let browser = &browser;
        async move {
            browser
                .run(&format!(
                    "return document.querySelector('[data-name={name}]') !== null;"
                ))
                .await
        }
    };
    eventually("the loss is told", async || {
        (banner("lost").await == true).then_some(())
    })
    .await;
    eventually("old numbers look old", async || {
        (browser.run("return document.body.dataset.stale;").await == "true").then_some(())
    })
    .await;
    assert_eq!(
        cards(&browser).await,
        before,
        "what was known stays readable"
    );

    let served = Served::replay_at(
        &address,
        &day("sample-core"),
        &["--until", "2026-03-02T12:00:00Z"],
    );
    let ended = served.ended().await;
    eventually("the new run is shown", async || {
        let shown = browser.run("return [document.getElementById('as-of').textContent, document.body.dataset.stale];").await;
        (shown == json!(["2026-03-02 12:00:00 UTC", "false"])).then_some(())
    })
    .await;
    assert_eq!(banner("lost").await, false);
    assert_eq!(banner("restarted").await, true, "{ended}");
}

/// Goal: the grid draws what is on the screen, sorts as numbers, filters, and copies exact amounts.
#[tokio::test]
async fn the_grid_is_exact() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(&day("sample-core"), &["--until", "2026-03-02T09:00:00Z"]);
    served.ended().await;
    let (_, views) = served.get("/api/v1/views").await;
    let views = views["views"].as_array().expect("views");
    let positions = views
        .iter()
        .position(|view| view["kind"] == "grid" && view["table"] == "positions")
        .expect("a grid");
    let grids = views[..positions]
        .iter()
        .filter(|view| view["kind"] == "grid")
        .count();
    browser
        .open(&format!("{}/#view{grids}", served.origin))
        .await;
    let panel = format!("document.getElementById('panel-view{grids}')");
    let rows = format!("[...{panel}.querySelectorAll('.row:not([hidden])')]");
    eventually("the rows", async || {
        let count = browser
            .run(&format!("return {rows}.length;"))
            .await
            .as_u64()
            .expect("a count");
        (count > 5).then_some(())
    })
    .await;

    let (_, expected) = served
        .get("/api/v1/tables/positions/rows?cells=text&sort=-settled&limit=2")
        .await;
    let total = expected["total"].as_u64().expect("a total");
    let drawn = browser
        .run(&format!("return {rows}.length;"))
        .await
        .as_u64()
        .expect("a count");
    assert!(drawn < total, "{drawn} of {total} rows are elements");

    let sort = format!(
        "const head = [...{panel}.querySelectorAll('[role=columnheader]')].find((cell) => cell.title === 'settled');
         head.click(); head.click();
         return head.getAttribute('aria-sort');"
    );
    assert_eq!(browser.run(&sort).await, "descending");
    let copy = format!(
        "const grid = {panel}.querySelector('[role=grid]');
         grid.focus();
         const press = (key, more) => grid.dispatchEvent(new KeyboardEvent('keydown', {{ key, bubbles: true, ...more }}));
         press('Home', {{ ctrlKey: true }});
         press('ArrowDown', {{ shiftKey: true }});
         press('End', {{ shiftKey: true }});
         const data = new DataTransfer();
         grid.dispatchEvent(new ClipboardEvent('copy', {{ clipboardData: data, bubbles: true, cancelable: true }}));
         return data.getData('text/plain');"
    );
    let copied = browser.run(&copy).await;
    let cell = |cell: &Value| cell.as_str().unwrap_or_default().to_owned();
    let line = |row: &Value| {
        row.as_array()
            .expect("cells")
            .iter()
            .map(cell)
            .collect::<Vec<_>>()
            .join("\t")
    };
    let lines: Vec<String> = expected["rows"]
        .as_array()
        .expect("rows")
        .iter()
        .map(line)
        .collect();
    assert_eq!(copied, lines.join("\n"));

    let (_, few) = served
        .get("/api/v1/tables/positions/rows?where=status%20%3D%20'incomplete'&limit=0")
        .await;
    let filter = format!(
        "const input = {panel}.querySelector('input');
         input.value = 'status=incomplete';
         input.dispatchEvent(new Event('input'));
         return {panel}.querySelector('.count').textContent;"
    );
    assert_eq!(
        browser.run(&filter).await,
        format!("{} of {total} rows", few["total"])
    );
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// Goal: from a number to its working and its cells, from a cell to the records, without a mouse and back.
#[tokio::test]
async fn a_number_opens_to_its_records() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(&day("sample-core"), &["--until", "2026-03-02T12:00:00Z"]);
    served.ended().await;
    browser.open(&served.origin).await;
    eventually("the cards", async || {
        (!cards(&browser).await.is_empty()).then_some(())
    })
    .await;
    let opened = async |script: &str| {
        browser.run(script).await;
        eventually("the sections are filled", async || {
            let filled = "const sections = [...document.querySelectorAll('.drill section')];
                return sections.length > 0 && sections.every((section) => section.querySelector('tbody tr'));";
            (browser.run(filled).await == true).then_some(())
        })
        .await;
        let told = "return [...document.querySelectorAll('.drill section')].map((section) =>
            [...section.querySelectorAll('tbody tr')].map((row) => row.textContent));";
        browser.run(told).await
    };
    let ratio = opened("document.querySelector('.card button.opens').click();").await;
    let lines = ratio[0].as_array().expect("the working");
    assert!(lines.len() > 10, "{lines:?}");
    assert!(ratio[1].as_array().expect("cells").len() > 10, "{ratio}");
    let press =
        "const row = document.querySelectorAll('.drill section')[1].querySelector('tbody tr');
        row.focus();
        row.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', bubbles: true }));
        return document.querySelectorAll('.drill .trail button').length;";
    let records = opened(press).await;
    let first = records[0][0].as_str().expect("a record").to_owned();
    let served_first = "const row = document.querySelector('.drill tbody tr');
        return [...row.querySelectorAll('td')].slice(-3).map((cell) => cell.textContent);";
    let place = browser.run(served_first).await;
    let is_topic = place[0]
        .as_str()
        .is_some_and(|topic| topic.contains(['.', 'a', 'b']));
    assert!(is_topic && place[2] != "", "{first}: {place}");
    let back = opened("document.querySelector('.drill .trail button').click();").await;
    assert_eq!(back, ratio);
    browser
        .run("document.querySelector('.drill').close();")
        .await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// Goal: the ratio of a currency opens to its own cells, not to those of all currencies; their records are not asked for.
#[tokio::test]
async fn a_currency_opens_to_its_own_cells() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let until = ["--until", "2026-03-02T12:00:00Z"];
    let served = Served::replay_by(
        ("SIGNIFICANT_CURRENCIES", "USD"),
        &day("sample-core"),
        &until,
    );
    served.ended().await;
    let (_, of_currency) = served
        .get("/api/v1/tables/scope_cells/rows?where=entity%20=%20'BANK-CH'%20AND%20scope%20=%20'USD'%20AND%20regime%20=%20'basel'")
        .await;
    browser.open(&served.origin).await;
    eventually("the cards", async || {
        (!cards(&browser).await.is_empty()).then_some(())
    })
    .await;
    let open =
        "const is_it = (button) => button.getAttribute('aria-label') === 'Open BANK-CH basel USD';
        [...document.querySelectorAll('.card button.opens')].find(is_it).click();";
    browser.run(open).await;
    let rows = "const section = document.querySelectorAll('.drill section')[1];
        return section ? section.querySelectorAll('tbody tr').length : 0;";
    let shown = eventually("the cells", async || {
        let count = browser.run(rows).await;
        (count != 0).then_some(count)
    })
    .await;
    assert_eq!(shown, of_currency["total"]);
    let opening = "return document.querySelectorAll('.drill section')[1].querySelectorAll('tr.opens').length;";
    assert_eq!(browser.run(opening).await, 0);
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

const LARGE_PIPELINE: &str = "weir: 1
name: large
clusters: { main: { bootstrap.servers: 'localhost:9092' } }
sources:
  items: { kafka: { cluster: main, topic: items }, decode: { json: { schema: item.json } } }
tables:
  items: { from: items, key: [item] }
views:
  - { grid: items, title: Items }
";
const LARGE_SCHEMA: &str = r#"{ "type": "object", "required": ["item", "amount"],
    "properties": { "item": { "type": "string" }, "amount": { "type": "number", "x-decimal": [38, 2] } } }"#;
/// One more than a snapshot holds.
const LARGE_ROWS: usize = 50_001;

fn large(folder: &Path) -> Served {
    let record = |n: usize| {
        let value = json!({ "item": format!("I{n:06}"), "amount": n });
        json!({ "partition": 0, "offset": n, "timestamp_ms": 1_772_452_800_000_u64, "key": null, "value": value })
    };
    let lines: Vec<String> = (0..LARGE_ROWS).map(|n| record(n).to_string()).collect();
    for (name, text) in [
        ("large.yaml", LARGE_PIPELINE),
        ("item.json", LARGE_SCHEMA),
        ("items.jsonl", &lines.join("\n")),
    ] {
        std::fs::write(folder.join(name), text).expect("a temporary folder takes files");
    }
    Served::start(&folder.join("large.yaml"), "127.0.0.1:0", folder, &[])
}

/// Goal: a table too large for a snapshot is read in windows, filtered and sorted by the server, and a bad condition
/// is told. Method: one of one row more than the limit.
#[tokio::test]
async fn a_large_table_is_read_in_windows() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let served = large(folder.path());
    served.ended().await;
    browser.open(&served.origin).await;
    let first = "document.querySelector('.row:not([hidden]) [role=gridcell]')?.textContent";
    let shows = async |row: &str, count: &str| {
        let look =
            format!("return [{first}, document.querySelector('#panel-view0 .count').textContent];");
        eventually(count, async || {
            (browser.run(&look).await == json!([row, count])).then_some(())
        })
        .await;
    };
    shows("I000000", "50,001 rows").await;
    browser
        .run("[...document.querySelectorAll('[role=columnheader]')].at(-1).click();")
        .await;
    browser
        .run("[...document.querySelectorAll('[role=columnheader]')].at(-1).click();")
        .await;
    shows("I050000", "50,001 rows").await;
    let filter = |condition: &str| {
        format!(
            "const input = document.querySelector('#panel-view0 input');
             input.value = {};
             input.dispatchEvent(new Event('input'));",
            json!(condition)
        )
    };
    browser.run(&filter("amount < 20000")).await;
    shows("I019999", "20,000 of 50,001 rows").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.run(&filter("amont < 20000")).await;
    eventually("the refusal", async || {
        let told = browser
            .run("return document.querySelector('#panel-view0 .trouble')?.textContent ?? '';")
            .await;
        told.as_str()
            .is_some_and(|told| told.contains("amont"))
            .then_some(())
    })
    .await;
}

/// Goal: amounts never pass through binary numbers on their way to the eye. Method: the page's own functions over
/// amounts that would not survive it.
#[tokio::test]
async fn amounts_are_text() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(&day("sample-core"), &["--until", "2026-03-02T06:30:00Z"]);
    browser.open(&served.origin).await;
    let answers = browser
        .run(
            "const exact = await import('/page/exact.js');
             return [
               exact.grouped('90071992547409930000000000000000.000000000000000001'),
               exact.grouped('-1234.5'), exact.grouped('999'), exact.grouped('not a number'),
               exact.percent('0.99999999999999999999'), exact.percent('1'), exact.percent('-0.00001'),
               exact.percent('12345.678'), exact.percent('x'),
               exact.minus('0.3', '0.1'), exact.minus('1.1', '1.10'), exact.minus('-1', '0.000000000000000000001'),
               exact.points('0.0000001'), exact.points('-0.05349'), exact.points('0'),
               Math.sign(exact.compare('10', '9.99999999999999999999')), Math.sign(exact.compare('-2', '-10')),
               Math.sign(exact.compare('0.10', '0.1')), Math.sign(exact.compare('-1', '0.5')),
             ];",
        )
        .await;
    assert_eq!(
        answers,
        json!([
            "90,071,992,547,409,930,000,000,000,000,000.000000000000000001",
            "−1,234.5",
            "999",
            "not a number",
            "99.99",
            "100.00",
            "−0.01",
            "1,234,567.80",
            null,
            "0.2",
            "0.00",
            "-1.000000000000000000001",
            "+<0.01",
            "−5.34",
            null,
            1,
            1,
            0,
            -1
        ])
    );
}
