//! `remesa status --watch`: on a real terminal of 80 by 24, with Redis going away and coming back, ended by Ctrl-C.

use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::support::redis::Redis;
use crate::support::scene::{Scene, people, send_job};
use crate::support::wait;

/// A command on a terminal of its own, made by script(1).
struct Terminal {
    child: Child,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(command: &Command) -> Self {
        let line: Vec<String> = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--flush", "--return", "--command"]);
        script.arg(format!("stty cols 80 rows 24; exec {}", line.join(" "))).arg("/dev/null");
        script.env_clear().env("TERM", "xterm").env("PATH", std::env::var_os("PATH").unwrap());
        script.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script(1) starts");
        let written: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (kept, mut output) = (Arc::clone(&written), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                kept.lock().unwrap().extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, written }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().unwrap()).into_owned()
    }

    /// The screen as it stands: what was written since the last look began at the top.
    fn screen(&self) -> String {
        let text = self.text();
        let frame = text.rsplit("\u{1b}[H").find(|frame| frame.contains("\u{1b}[J")).unwrap_or_default();
        console::strip_ansi_codes(frame).replace('\r', "")
    }

    async fn shows(&self, what: &str) -> String {
        wait::until(&format!("the screen shows {what}"), async || {
            let screen = self.screen();
            screen.contains(what).then_some(screen)
        })
        .await
    }

    fn press(&mut self, key: u8) {
        self.child.stdin.as_mut().unwrap().write_all(&[key]).unwrap();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const CTRL_C: u8 = 3;

#[tokio::test]
async fn the_live_status_fits_80_by_24_and_gives_the_terminal_back_at_ctrl_c() {
    let mut scene = Scene::with("in_flight = 2\n", |sandbox| sandbox.hold = true).await;
    let _daemon = scene.daemon().await;
    for campaign in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        scene.run("generate", &send_job(campaign, people(5))).await;
    }
    let mut terminal = Terminal::start(&scene.settings.command(&["status", "--watch"]));
    let screen = terminal.shows("RECIPIENTS WAITING").await;
    for section in ["Redis 7", "QUEUE", "RUN", "CHANNEL", "DAEMON", "0 rejected", "runs more"] {
        assert!(screen.contains(section), "{section}\n{screen}");
    }
    assert!(screen.trim_end().lines().count() <= 24, "{screen}");
    assert!(screen.lines().all(|line| line.chars().count() <= 80), "{screen}");
    terminal.press(CTRL_C);
    let status = wait::until("it ends", async || terminal.child.try_wait().unwrap()).await;
    assert!(status.success(), "{status}");
    let text = terminal.text();
    let (entered, left) = (text.find("\u{1b}[?1049h").unwrap(), text.rfind("\u{1b}[?1049l").unwrap());
    assert!(entered < left, "the other screen is left");
    let after = &text[left..];
    assert!(
        after.contains("\u{1b}[?25h") && after.contains("QUEUE"),
        "the cursor is back, the last look stays: {after}"
    );
}

#[tokio::test]
async fn the_live_status_says_when_redis_is_away_and_goes_on_when_it_is_back() {
    let scene = Scene::over(Redis::start().await, "", |_| {}).await;
    let mut redis = scene.redis;
    let mut terminal = Terminal::start(&scene.settings.command(&["status", "--watch"]));
    terminal.shows("no daemon is running").await;
    redis.kill();
    let screen = terminal.shows("Redis is away for").await;
    assert!(screen.contains("QUEUE"), "what was known stays: {screen}");
    redis.restart().await;
    wait::until("it is back", async || {
        let screen = terminal.screen();
        (screen.contains("QUEUE") && !screen.contains("is away")).then_some(())
    })
    .await;
    terminal.press(CTRL_C);
    wait::until("it ends", async || terminal.child.try_wait().unwrap()).await;
}
