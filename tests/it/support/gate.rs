//! A gate between a daemon and its Redis: it holds the daemon at one script, before or after Redis has run it.
//!
//! It forwards bytes both ways. When the chosen script comes by, it is either kept from Redis, or run by Redis while
//! its answer is kept from the daemon. That connection then stays silent until the daemon is gone (the test kills it)
//! or the gate is opened. The product knows nothing of it; this is a network that stalls at the worst moment.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use redis::aio::MultiplexedConnection;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::redis::Redis;
use super::wait;

/// Asked of Redis behind a held call: when it is answered, the call has been run.
const ECHO: &[u8] = b"*2\r\n$4\r\nECHO\r\n$8\r\nthe-gate\r\n";
const ECHOED: &[u8] = b"$8\r\nthe-gate\r\n";

/// On which side of Redis the daemon is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Redis has not seen the call, and never will.
    Before,
    /// Redis has run it; the daemon does not know.
    After,
}

struct Trap {
    digests: Vec<String>,
    side: Side,
    /// Calls let through first.
    skip: usize,
}

#[derive(Default)]
struct Shared {
    trap: Mutex<Option<Trap>>,
    caught: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

/// The gate. Daemons connect to its [`Gate::url`].
pub(crate) struct Gate {
    folder: TempDir,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl Gate {
    /// An open gate in front of `redis`.
    pub(crate) fn before(redis: &Redis) -> Self {
        let folder = tempfile::Builder::new().prefix("remesa-gate-").tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("gate.sock")).unwrap();
        let (shared, stop) = (Arc::new(Shared::default()), CancellationToken::new());
        let accepting = accept(listener, redis.socket(), Arc::clone(&shared), stop.clone());
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(accepting));
        Self { folder, shared, _stop: stop.drop_guard() }
    }

    /// The address for `redis.url`.
    pub(crate) fn url(&self) -> String {
        format!("unix://{}", self.folder.path().join("gate.sock").display())
    }

    /// Sets the trap: the call of the script `name` that comes after `skip` others, on any connection.
    pub(crate) async fn catch(&self, db: &mut MultiplexedConnection, name: &str, side: Side, skip: usize) {
        let mut digests = Vec::new();
        for source in sources(name) {
            // Redis is to know it, so that the call caught is not the one that is answered NOSCRIPT.
            let loaded: Result<String, _> = redis::cmd("SCRIPT").arg("LOAD").arg(source).query_async(db).await;
            digests.extend(loaded);
        }
        assert!(!digests.is_empty(), "there is no script {name}");
        self.shared.caught.send_replace(false);
        self.shared.open.send_replace(false);
        *self.shared.trap.lock().unwrap() = Some(Trap { digests, side, skip });
    }

    /// Lets go what is held, and catches nothing more.
    pub(crate) fn open(&self) {
        *self.shared.trap.lock().unwrap() = None;
        self.shared.open.send_replace(true);
    }

    /// Waits until a call is held.
    pub(crate) async fn caught(&self, what: &str) {
        let mut caught = self.shared.caught.subscribe();
        wait::within(&format!("{what} is reached"), caught.wait_for(|caught| *caught)).await.unwrap();
    }
}

/// What a script may look like to Redis: with or without the prelude, what else scripts share, and the flag.
fn sources(name: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/lua");
    let body = std::fs::read_to_string(folder.join(format!("{name}.lua"))).expect("the script is there");
    let part = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let prelude = part("prelude.lua");
    let ledger = ["states.lua", "closing.lua", "auto_pause.lua"].map(part).concat();
    let shared = [String::new(), ledger, part("recurring.lua")];
    let before: Vec<String> =
        std::iter::once(String::new()).chain(shared.iter().map(|shared| prelude.clone() + shared)).collect();
    ["#!lua\n", "#!lua flags=allow-oom\n", "#!lua flags=no-writes\n"]
        .iter()
        .flat_map(|first| before.iter().map(move |before| format!("{first}{before}")))
        .map(|before| before + &body)
        .collect()
}

async fn accept(listener: UnixListener, redis: PathBuf, shared: Arc<Shared>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    while let Ok((client, _)) = listener.accept().await {
        let (redis, shared) = (redis.clone(), Arc::clone(&shared));
        let connection = async move {
            // A connection that breaks is the daemon's affair.
            let _ = forward(client, &redis, &shared).await;
        };
        connections.spawn(stop.clone().run_until_cancelled_owned(connection));
    }
}

/// One connection, until one of the sides is gone.
async fn forward(mut client: UnixStream, redis: &Path, shared: &Shared) -> std::io::Result<()> {
    let mut server = UnixStream::connect(redis).await?;
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    // The end of what was forwarded last, in case a digest is cut in two.
    let mut tail = Vec::new();
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let chunk = &asked[..read?];
                if chunk.is_empty() {
                    return Ok(());
                }
                tail.extend_from_slice(chunk);
                let Some(side) = shared.springs(&tail) else {
                    server.write_all(chunk).await?;
                    tail.drain(..tail.len().saturating_sub(39));
                    continue;
                };
                let mut answers = Vec::new();
                if side == Side::After {
                    server.write_all(chunk).await?;
                    server.write_all(ECHO).await?;
                    while !answers.ends_with(ECHOED) {
                        let read = server.read(&mut answered).await?;
                        answers.extend_from_slice(&answered[..read]);
                    }
                    answers.truncate(answers.len() - ECHOED.len());
                }
                let held = chunk.to_vec();
                shared.caught.send_replace(true);
                let mut open = shared.open.subscribe();
                let mut queued = Vec::new();
                loop {
                    tokio::select! {
                        _ = open.wait_for(|open| *open) => break,
                        read = client.read(&mut asked) => match read? {
                            0 => return Ok(()),
                            read => queued.extend_from_slice(&asked[..read]),
                        },
                    }
                }
                client.write_all(&answers).await?;
                if side == Side::Before {
                    server.write_all(&held).await?;
                }
                server.write_all(&queued).await?;
                tail.clear();
            }
            read = server.read(&mut answered) => {
                let chunk = &answered[..read?];
                if chunk.is_empty() {
                    return Ok(());
                }
                client.write_all(chunk).await?;
            }
        }
    }
}

impl Shared {
    /// Whether the trap springs at these bytes; it does so once.
    fn springs(&self, bytes: &[u8]) -> Option<Side> {
        let mut trap = self.trap.lock().unwrap();
        let set = trap.as_mut()?;
        let calls = bytes.windows(40).filter(|window| set.digests.iter().any(|digest| digest.as_bytes() == *window));
        let calls = calls.count();
        if calls <= set.skip {
            set.skip -= calls;
            return None;
        }
        trap.take().map(|trap| trap.side)
    }
}
