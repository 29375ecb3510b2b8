//! A real browser: headless Chromium, told what to do over a pipe, in the protocol of its developer tools.
//!
//! It clicks where an element is, presses keys, and hears what the page complains of: errors of scripts, of the console, of
//! the network, and breaches of the content policy. It has a folder of its own and is gone with its value.

use std::process::Stdio;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::wait;

/// Where Chromium is, on Debian and on Ubuntu.
const PROGRAMS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page.
pub(crate) struct Browser {
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _folder: TempDir,
    session: Option<String>,
    calls: u64,
    complaints: Vec<String>,
}

impl Browser {
    /// Starts one; its page is empty.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("remesa-browser-").tempdir().unwrap();
        let profile = format!("--user-data-dir={}", folder.path().display());
        let program = PROGRAMS.iter().find(|name| is_there(name)).expect("a browser: scripts/setup browser");
        // The pipe is on 3 and 4: the shell puts our two there. As root it has no sandbox to go into.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 0</dev/null 1>/dev/null"#;
        let flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"];
        let quiet =
            ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
        let mut command = Command::new("sh");
        command.args(["-c", script, program]).args(flags).args(quiet).arg("--remote-debugging-pipe").arg(profile);
        command.env("HOME", folder.path()).arg("about:blank");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut browser =
            Self { _child: child, input, output, _folder: folder, session: None, calls: 0, complaints: Vec::new() };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true })).await;
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({})).await;
        }
        browser.window(1280, 900).await;
        browser.speak("en").await;
        browser
    }

    /// What a command of the protocol returns.
    pub(crate) async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.try_call(method, parameters).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_call(&mut self, method: &str, parameters: Value) -> Result<Value, Value> {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.input.write_all(&bytes).await.unwrap();
        wait::within(method, async {
            loop {
                let mut line = Vec::new();
                self.output.read_until(0, &mut line).await.unwrap();
                line.pop();
                let mut message: Value = serde_json::from_slice(&line).expect("the browser is there");
                if message["id"] == id {
                    return if message["error"].is_null() { Ok(message["result"].take()) } else { Err(message) };
                }
                self.hear(&message);
            }
        })
        .await
    }

    fn hear(&mut self, event: &Value) {
        let parameters = &event["params"];
        let complaint = match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => Some(parameters["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled"
                if ["error", "warning", "assert"].contains(&parameters["type"].as_str().unwrap()) =>
            {
                Some(parameters["args"].to_string())
            }
            "Log.entryAdded" if parameters["entry"]["level"] == "error" => Some(parameters["entry"].to_string()),
            _ => None,
        };
        self.complaints.extend(complaint);
    }

    /// What the pages complained of since the last time.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    /// The size of the window.
    pub(crate) async fn window(&mut self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Whether the system is dark.
    pub(crate) async fn darkness(&mut self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// The language it asks for.
    pub(crate) async fn speak(&mut self, language: &str) {
        let headers = json!({ "Accept-Language": language });
        self.call("Network.setExtraHTTPHeaders", json!({ "headers": headers })).await;
    }

    /// Whether scripts run.
    pub(crate) async fn scripts(&mut self, run: bool) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": !run })).await;
    }

    /// Goes to an address, and waits until the page is there.
    pub(crate) async fn open(&mut self, address: &str) {
        let gone = self.call("Page.navigate", json!({ "url": address })).await;
        assert!(gone["errorText"].is_null(), "{address}: {gone}");
        self.settled().await;
    }

    /// Waits until the page is there.
    pub(crate) async fn settled(&mut self) {
        self.until("the page is loaded", "document.readyState === 'complete'").await;
    }

    /// The value of an expression in the page.
    pub(crate) async fn eval(&mut self, expression: &str) -> Value {
        self.try_eval(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    async fn try_eval(&mut self, expression: &str) -> Result<Value, Value> {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut found = self.try_call("Runtime.evaluate", asked).await?;
        if found["exceptionDetails"].is_null() { Ok(found["result"]["value"].take()) } else { Err(found) }
    }

    /// Waits until an expression is true; while a page is being left there is none.
    pub(crate) async fn until(&mut self, what: &str, expression: &str) {
        let asked = format!("Boolean({expression})");
        let mut looks = 0_u32;
        let waited = async {
            while self.try_eval(&asked).await != Ok(Value::Bool(true)) {
                looks += 1;
                tokio::task::yield_now().await;
                let _ = self.try_eval("new Promise((done) => setTimeout(done, 20))").await;
            }
        };
        wait::within(what, waited).await;
    }

    /// Waits until the page says this somewhere.
    pub(crate) async fn until_it_says(&mut self, text: &str) {
        let text = Value::from(text);
        self.until(&format!("the page says {text}"), &format!("document.body?.innerText.includes({text})")).await;
    }

    /// What the page says, as a person reads it.
    pub(crate) async fn text(&mut self) -> String {
        self.eval("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks in the middle of the first element that the selector finds.
    pub(crate) async fn click(&mut self, selector: &str) {
        let found = Value::from(selector);
        let middle = self
            .eval(&format!(
                "(() => {{ const it = document.querySelector({found}); it.scrollIntoView({{ block: 'center', behavior: \
                 'instant' }}); const box = it.getClientRects()[0]; return [box.x + box.width / 2, box.y + box.height / \
                 2]; }})()"
            ))
            .await;
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({ "type": kind, "x": middle[0], "y": middle[1], "button": "left", "clickCount": 1 });
            self.call("Input.dispatchMouseEvent", event).await;
        }
    }

    /// Clicks on the link or button that says this, and waits for the page it leads to.
    pub(crate) async fn follow(&mut self, selector: &str) {
        self.eval("window.left = true").await;
        self.click(selector).await;
        self.until(&format!("{selector} leads on"), "window.left !== true && document.readyState === 'complete'").await;
    }

    /// Presses a key: `Tab`, `Enter`, `/`.
    pub(crate) async fn press(&mut self, key: &str) {
        let (code, number, text) = match key {
            "Enter" => ("Enter", 13, "\r"),
            "Tab" => ("Tab", 9, ""),
            " " => ("Space", 32, " "),
            "Escape" => ("Escape", 27, ""),
            other => ("", 0, other),
        };
        let down =
            json!({ "type": "keyDown", "key": key, "code": code, "text": text, "windowsVirtualKeyCode": number });
        self.call("Input.dispatchKeyEvent", down).await;
        let up = json!({ "type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": number });
        self.call("Input.dispatchKeyEvent", up).await;
    }

    /// Writes a text where the cursor is.
    pub(crate) async fn write(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text })).await;
    }

    /// A picture of the whole page (PNG).
    pub(crate) async fn picture(&mut self) -> Vec<u8> {
        let shot = self.call("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        STANDARD.decode(shot["data"].as_str().unwrap()).unwrap()
    }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
