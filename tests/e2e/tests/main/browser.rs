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
    format!("{grouped}.{:02}\u{a0}%", number % 100)
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

/// Goal: the filter finds what a person means by what is typed, and says what it cannot understand beside the box.
/// Method: conditions on the ratios of a day, each also put to the server in SQL.
#[tokio::test]
async fn the_filter_understands_or_says_why_not() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(&day("sample-day"), &["--until", "2026-03-02T12:00:00Z"]);
    served.ended().await;
    browser.open(&served.origin).await;
    eventually("the rows", async || {
        let drawn = browser
            .run("return document.querySelector('.row:not([hidden])') !== null;")
            .await;
        (drawn == true).then_some(())
    })
    .await;
    let typed = async |text: &str| {
        let script = format!(
            "const input = document.querySelector('.sheet input');
             input.value = {};
             input.dispatchEvent(new Event('input'));
             return [document.querySelector('.sheet .count').textContent, input.getAttribute('aria-invalid'),
                     Number(document.querySelector('.sheet [role=grid]').getAttribute('aria-rowcount')) - 1];",
            json!(text)
        );
        browser.run(&script).await
    };
    for (text, condition) in [
        ("lcr<100%", "lcr < 1"),
        ("lcr < 100 %", "lcr < 1"),
        ("lcr > 1", "lcr > 1"),
        ("hqla>1bn", "hqla > 1000000000"),
        ("hqla > 100 m", "hqla > 100000000"),
        ("hqla>100.5MN", "hqla > 100500000"),
        ("hqla>=55,725,484.485435", "hqla >= 55725484.485435"),
        ("outflow<80000k", "outflow < 80000000"),
        ("base lcr>1", "base_lcr > 1"),
        ("BASE_LCR > 1 lcr<1", "base_lcr > 1 AND lcr < 1"),
        ("net outflow>1", "net_outflow > 1"),
        ("adj l1<0", "adj_l1 < 0"),
        ("state!=ok", "state <> 'ok'"),
        (
            "bank-de entity=bank-de lcr>1",
            "entity = 'BANK-DE' AND lcr > 1",
        ),
        ("eu", "regime = 'eu'"),
        ("lcr:zero", ""),
        ("nope>1", ""),
        ("entity>1", ""),
        ("hqla>1,5", ""),
        ("lcr>", ""),
        ("0.5<lcr", ""),
        ("\"lcr>1\"", "entity = 'lcr>1'"),
    ] {
        let path = reqwest::Url::parse_with_params(
            &format!("{}/api/v1/tables/lcr/rows?limit=0", served.origin),
            (!condition.is_empty()).then_some(("where", condition)),
        )
        .expect("an address");
        let path = format!("{}?{}", path.path(), path.query().expect("a limit"));
        let (_, expected) = served.get(&path).await;
        let shown = typed(text).await;
        assert_eq!(shown[2], expected["total"], "{text}: {shown}");
        let is_understood = !condition.is_empty();
        assert_eq!(shown[1] == "false", is_understood, "{text}: {shown}");
        let told = shown[0].as_str().expect("a text");
        assert_eq!(told.ends_with(" rows"), is_understood, "{text}: {told}");
        if !is_understood {
            assert!(told.contains("write"), "no cure for {text}: {told}");
        }
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// What of the cards is outside of them or under something else. Each piece of text is looked at where it is drawn.
const CUT: &str = "const cut = [];
    for (const card of document.querySelectorAll('.card')) {
      card.scrollIntoView({ block: 'center' });
      const box = card.getBoundingClientRect();
      for (const piece of card.querySelectorAll('h3 > *, .figure, .beside > *, figcaption > *')) {
        const range = document.createRange();
        range.selectNodeContents(piece);
        const drawn = range.getBoundingClientRect();
        if (drawn.width === 0) continue;
        const isIn = drawn.left >= box.left && drawn.right <= Math.min(box.right, innerWidth)
          && drawn.top >= box.top && drawn.bottom <= box.bottom;
        const isCut = getComputedStyle(piece).overflow !== 'visible' && piece.scrollWidth > piece.clientWidth;
        const at = document.elementFromPoint((drawn.left + drawn.right) / 2, (drawn.top + drawn.bottom) / 2);
        if (!isIn || isCut || !piece.contains(at)) cut.push(`${card.getAttribute('aria-label')}: ${piece.textContent}`);
      }
    }
    return cut;";
const LONG: &str = "for (const card of document.querySelectorAll('.card')) {
      const write = (selector, text) => {
        const piece = card.querySelector(selector);
        piece.hidden = false;
        piece.textContent = text;
      };
      write('h3 b', 'BANK-OF-THE-NORTH-AND-SOUTH-HOLDING');
      write('.badge', 'waiting for market data');
      write('.figure', '−1,234,567,890.12\u{a0}%');
      write('.beside data', '1,234,567,890.12\u{a0}%');
      write('.effect', '−1,234,567,890.12\u{a0}pp');
    }";

/// Goal: nothing of a card is cut, and its button can be pressed, in a window of any size. Method: the day with badges
/// and large effects, then longer names and numbers than any day has, at four sizes.
#[tokio::test]
async fn nothing_of_a_card_is_cut() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let served = Served::replay(&day("sample-day"), &["--until", "2026-03-02T12:00:00Z"]);
    served.ended().await;
    for (width, height) in [(390, 844), (1_280, 720), (1_440, 900), (1_920, 1_080)] {
        browser.size(width, height).await;
        browser.open(&served.origin).await;
        let badges = "return document.querySelectorAll('.card .badge:not([hidden])').length;";
        eventually("the badges", async || {
            (browser.run(badges).await != 0).then_some(())
        })
        .await;
        assert_eq!(browser.run(CUT).await, json!([]), "{width}");
        browser.run(LONG).await;
        assert_eq!(browser.run(CUT).await, json!([]), "{width}, longer");
        let cut = "return [...document.querySelectorAll('.row:not([hidden]) .number')]
            .filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent);";
        assert_eq!(browser.run(cut).await, json!([]), "{width}: cells");
    }
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
    let crumbs = "return [...document.querySelectorAll('.drill .trail button')].map((step) => step.textContent);";
    let crumbs = browser.run(crumbs).await;
    for crumb in crumbs.as_array().expect("crumbs") {
        let parts: Vec<&str> = crumb.as_str().expect("a name").split(" · ").collect();
        let is_plain = |part: &&str| !part.trim().is_empty() && !part.contains('|');
        assert!(parts.len() > 2 && parts.iter().all(is_plain), "{crumbs}");
    }
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

/// What the panel says: of which moment, and of each part the rest of its heading and its rows.
const PARTS: &str = "return [document.querySelector('.drill header .count').textContent,
    ...[...document.querySelectorAll('.drill section')].map((section) => section.querySelector('h3 .count')?.textContent)];";

/// Goal: parts that are shown under one moment are of one cut. Method: answers of a server that goes on between them,
/// first once, then always.
#[tokio::test]
async fn parts_are_of_one_cut_or_say_so() {
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
    let opened = async |changed: &str| {
        let script = format!(
            "window.plainly ??= window.fetch;
             document.querySelector('.drill').close();
             let asked = 0;
             window.fetch = async (path, more) => {{
               const answer = await (await plainly(path, more)).json();
               const isChanged = path.includes('/workings/') && {changed};
               if (isChanged) Object.assign(answer, {{ epoch: 7, as_of: '2026-03-02T08:00:00Z' }});
               return new Response(JSON.stringify(answer));
             }};
             document.querySelector('.card button.opens').click();"
        );
        browser.run(&script).await;
        eventually("the parts", async || {
            let parts = browser.run(PARTS).await;
            (parts.as_array().expect("parts").len() == 3).then_some(parts)
        })
        .await
    };
    let once = opened("(asked += 1) === 1").await;
    let is_one = |told: &Value| {
        told.as_str()
            .is_some_and(|told| told.starts_with("as of 2026-03-02 09:00:00 UTC, epoch "))
    };
    assert!(
        is_one(&once[0]) && once[1].is_null() && once[2].is_null(),
        "{once}"
    );
    let always = opened("true").await;
    assert!(!is_one(&always[0]), "{always}");
    assert_eq!(always[1], "as of 2026-03-02 08:00:00 UTC, epoch 7");
    assert!(is_one(&always[2]), "{always}");
    assert_eq!(browser.errors().await, Vec::<String>::new());
}

/// Goal: when the server is gone, the panel says so in the page's words, and shows the rows when it is back.
#[tokio::test]
async fn a_panel_tells_that_the_server_is_gone() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let until = ["--until", "2026-03-02T09:00:00Z"];
    let served = Served::replay(&day("sample-core"), &until);
    served.ended().await;
    browser.open(&served.origin).await;
    eventually("the cards", async || {
        (!cards(&browser).await.is_empty()).then_some(())
    })
    .await;
    let address = served.address().to_owned();
    drop(served);
    browser
        .run("document.querySelector('.card button.opens').click();")
        .await;
    let told = "return document.querySelector('.drill .opened .trouble')?.textContent ?? null;";
    let told = eventually("the loss", async || {
        Some(browser.run(told).await).filter(|told| !told.is_null())
    })
    .await;
    assert_eq!(told, "Connection lost: the server does not answer.");
    let served = Served::replay_at(&address, &day("sample-core"), &until);
    served.ended().await;
    browser
        .run("document.querySelector('.drill .opened button').click();")
        .await;
    eventually("the parts", async || {
        let parts = browser.run(PARTS).await;
        (parts.as_array().expect("parts").len() == 3).then_some(())
    })
    .await;
}

const PARTS_PIPELINE: &str = "weir: 1
name: parts
clusters: { main: { bootstrap.servers: 'localhost:9092' } }
sources:
  items: { kafka: { cluster: main, topic: items }, decode: { json: { schema: item.json } } }
stages:
  sums: { from: items, aggregate: { by: [sum], values: { amount: { sum: amount } } } }
tables:
  sums: { from: sums, key: [sum] }
  parts: { from: items, key: [item], asked_by: sum }
views:
  - { grid: sums, title: Sums, drill: [{ table: parts, by: [sum], title: Parts }] }
";
const PARTS_SCHEMA: &str = r#"{ "type": "object", "required": ["item", "sum"],
    "properties": { "item": { "type": "string" }, "sum": { "type": "string" },
                    "amount": { "type": ["number", "null"], "x-decimal": [38, 2] } } }"#;
/// Parts of each sum: more than two pages.
const PARTS_ROWS: usize = 1_201;

/// Goal: of many records those come first that make the most of the number, those without an amount last, and all can
/// be reached. Method: a sum above and one below zero, of more parts than two pages, every other without an amount.
#[tokio::test]
async fn the_largest_records_come_first_and_all_can_be_reached() {
    let Some(browser) = Browser::start().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let record = |n: usize| {
        let size = i64::try_from(n / 2).expect("a small number");
        let (sum, size) = if n.is_multiple_of(2) {
            ("above", size)
        } else {
            ("below", -size)
        };
        let amount = (size % 2 != 0).then_some(size);
        let value = json!({ "item": format!("I{n:04}"), "sum": sum, "amount": amount });
        json!({ "partition": 0, "offset": n, "timestamp_ms": 1_772_452_800_000_u64, "key": null, "value": value })
    };
    let lines: Vec<String> = (0..2 * PARTS_ROWS).map(|n| record(n).to_string()).collect();
    for (name, text) in [
        ("parts.yaml", PARTS_PIPELINE),
        ("item.json", PARTS_SCHEMA),
        ("items.jsonl", &lines.join("\n")),
    ] {
        std::fs::write(folder.path().join(name), text).expect("a temporary folder takes files");
    }
    let served = Served::start(
        &folder.path().join("parts.yaml"),
        "127.0.0.1:0",
        folder.path(),
        &[],
    );
    served.ended().await;
    browser.open(&served.origin).await;
    let row = "[...document.querySelectorAll('.row:not([hidden])')]";
    eventually("the sums", async || {
        (browser.run(&format!("return {row}.length;")).await == 2).then_some(())
    })
    .await;
    let look = "const amounts = [...document.querySelectorAll('.drill tbody tr')].map((row) => row.lastChild.textContent);
        return [document.querySelector('.drill section .count').textContent, amounts[0], amounts.at(-1), amounts.length];";
    let shows = async |expected: Value| {
        eventually(&expected.to_string(), async || {
            let filled = browser
                .run("return document.querySelector('.drill tbody tr') !== null;")
                .await;
            (filled == true && browser.run(look).await == expected).then_some(())
        })
        .await;
    };
    let press = async |at: usize| {
        browser
            .run(&format!(
                "document.querySelectorAll('.drill section button')[{at}].click();"
            ))
            .await;
    };
    for (at, sign) in ["", "−"].iter().enumerate() {
        browser
            .run(&format!(
                "document.querySelector('.drill').close();
                 const line = {row}[{at}].firstChild;
                 line.dispatchEvent(new PointerEvent('pointerdown', {{ bubbles: true, button: 0 }}));
                 line.dispatchEvent(new MouseEvent('dblclick', {{ bubbles: true }}));"
            ))
            .await;
        let of = |from: &str| format!("{from} of 1,201 rows");
        shows(json!([
            of("1–500") + ", 701 more",
            format!("{sign}1,199"),
            format!("{sign}201"),
            500
        ]))
        .await;
        press(1).await;
        shows(json!([
            of("501–1,000") + ", 201 more",
            format!("{sign}199"),
            "",
            500
        ]))
        .await;
        press(1).await;
        shows(json!([of("1,001–1,201"), "", "", 201])).await;
        press(0).await;
        shows(json!([
            of("501–1,000") + ", 201 more",
            format!("{sign}199"),
            "",
            500
        ]))
        .await;
    }
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
               Math.sign(exact.compare('0.10', '0.1')),
               ...[['1.5', 9, '1500000000'], ['-0.005', 3, '-5'], ['100', -2, '1'], ['90071992547409930.1', -2, '900719925474099.301']]
                 .map(([value, digits, times]) => exact.compare(exact.shifted(value, digits), times)),
               Math.sign(exact.compare('-1', '0.5')),
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
            0,
            0,
            0,
            0,
            -1
        ])
    );
}
