//! A headless Chromium, driven over the `WebDriver` protocol.

use crate::served::PATIENCE;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Only what this machine serves may be reached, whatever a page tries. The browser ends with its driver: their pipe does.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// One browser with a fresh profile; gone when dropped.
pub(crate) struct Browser {
    driver: Child,
    session: String,
    http: reqwest::Client,
    _profile: TempDir,
}

impl Browser {
    /// Starts one. Fails when there is no driver, for a test that was left out is no test; only
    /// `WEIR_NO_SERVICES=1` says that it is meant: then there is none.
    pub(crate) async fn start() -> Option<Self> {
        if std::env::var_os("WEIR_NO_SERVICES").is_some_and(|value| value == "1") {
            eprintln!("left out: WEIR_NO_SERVICES is set");
            return None;
        }
        let (driver, base) = start_driver();
        let profile = tempfile::tempdir().expect("a temporary folder");
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()
            .expect("a client without TLS");
        let mut args: Vec<String> = FLAGS.iter().map(ToString::to_string).collect();
        args.push(format!("--user-data-dir={}", profile.path().display()));
        let wanted = json!({ "goog:chromeOptions": { "args": args }, "goog:loggingPrefs": { "browser": "ALL" } });
        let mut browser = Self {
            driver,
            session: base.clone(),
            http,
            _profile: profile,
        };
        let opened = browser
            .post(
                "/session",
                &json!({ "capabilities": { "alwaysMatch": wanted } }),
            )
            .await;
        browser.session = format!(
            "{base}/session/{}",
            opened["sessionId"].as_str().expect("a session id")
        );
        Some(browser)
    }

    /// Opens a page.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
    }

    /// Gives the page a window of this size.
    pub(crate) async fn size(&self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        self.post("/goog/cdp/execute", &command).await;
    }

    /// Runs a script in the page: a function body, whose promise is awaited.
    pub(crate) async fn run(&self, script: &str) -> Value {
        let body = format!("return (async () => {{ {script} }})();");
        self.post("/execute/sync", &json!({ "script": body, "args": [] }))
            .await
    }

    /// What the browser's console has said since it was last asked, errors only.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let entries = self.post("/se/log", &json!({ "type": "browser" })).await;
        let errors = entries
            .as_array()
            .expect("log entries")
            .iter()
            .filter(|entry| entry["level"] == "SEVERE");
        errors.map(|entry| entry["message"].to_string()).collect()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let response = self
            .http
            .post(format!("{}{path}", self.session))
            .json(body)
            .send()
            .await;
        let mut answer: Value = response
            .expect("the driver answers")
            .json()
            .await
            .expect("in JSON");
        assert!(
            answer["value"]["error"].is_null(),
            "{path}: {}",
            answer["value"]["message"]
        );
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser; it may be gone already.
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// The driver picks a free port for one kind of address and may find it taken for the other: then again.
const ATTEMPTS_MAX: usize = 5;

fn start_driver() -> (Child, String) {
    for _ in 0..ATTEMPTS_MAX {
        let mut driver = spawn_driver();
        let stdout = driver.stdout.take().expect("stdout is piped");
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        if let Some(port) = port {
            // Whatever else it writes is read, lest it blocks.
            std::thread::spawn(move || lines.for_each(drop));
            return (driver, format!("http://127.0.0.1:{port}"));
        }
        driver.wait().expect("it ended");
    }
    panic!("the driver ended {ATTEMPTS_MAX} times without saying its port");
}

fn spawn_driver() -> Child {
    let program = std::env::var_os("WEIR_CHROMEDRIVER").unwrap_or_else(|| "chromedriver".into());
    let mut command = Command::new(&program);
    command
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap_or_else(|error| {
        panic!(
            "cannot start {}: {error}; install chromium-driver, or set WEIR_CHROMEDRIVER",
            program.display()
        )
    })
}
