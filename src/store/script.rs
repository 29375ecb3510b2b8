//! One Lua script: its source, its digest, and how it is called.
//!
//! A script is called by digest; where Redis has forgotten it (`SCRIPT FLUSH`, a restart, a
//! failover) it is sent whole, once. Scripts that record what already happened carry
//! `flags=allow-oom`; those that take on new work do not, and are refused over `maxmemory`.

use redis::{Cmd, FromRedisValue, ToRedisArgs};
use sha2::Digest as _;

use super::connection::{Connection, StoreError};

/// A script with its digest.
#[derive(Debug)]
pub struct Script {
    source: String,
    sha1: String,
}

impl Script {
    /// Joins the parts of a script; the first line is its shebang with the flags.
    pub fn new(flags: &str, parts: &[&str]) -> Self {
        let shebang = if flags.is_empty() { "#!lua\n".to_owned() } else { format!("#!lua flags={flags}\n") };
        let source = shebang + &parts.concat();
        let sha1 = redis::Script::new(&source).get_hash().to_owned();
        Self { source, sha1 }
    }

    /// Runs calls of this script in one round trip, each over its own keys; the answers come in their order. Not atomic.
    pub async fn run_all<T: FromRedisValue>(
        &self,
        calls: Vec<Call<'_>>,
        connection: &Connection,
    ) -> Result<Vec<T>, StoreError> {
        let mut pipeline = redis::pipe();
        for call in calls {
            pipeline.add_command(call.command);
        }
        match connection.pipeline(&pipeline).await {
            Err(StoreError::UnknownScript) => {
                self.load(connection).await?;
                connection.pipeline(&pipeline).await
            }
            answer => answer,
        }
    }

    async fn load(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(&self.source);
        connection.query::<String>(&load).await.map(|_| ())
    }

    /// Starts a call over `keys`.
    pub fn call(&self, keys: &[&str]) -> Call<'_> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.sha1).arg(keys.len()).arg(keys);
        Call { script: self, command }
    }
}

/// A call under construction. Arguments are flat byte strings: scripts take no nested values.
#[derive(Debug)]
pub struct Call<'a> {
    script: &'a Script,
    command: Cmd,
}

impl Call<'_> {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl ToRedisArgs) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds an argument in place.
    pub fn push(&mut self, arg: impl ToRedisArgs) {
        self.command.arg(arg);
    }

    /// Runs the script; where Redis does not know it, loads it and runs it then.
    pub async fn run<T: FromRedisValue>(self, connection: &Connection) -> Result<T, StoreError> {
        match connection.query(&self.command).await {
            Err(StoreError::UnknownScript) => {
                self.script.load(connection).await?;
                connection.query(&self.command).await
            }
            answer => answer,
        }
    }
}

/// SHA-256 of `bytes` as hex, the digest used for payloads.
pub fn digest(bytes: &[u8]) -> String {
    let hash = sha2::Sha256::digest(bytes);
    hash.iter().fold(String::with_capacity(64), |mut hex, byte| {
        use std::fmt::Write as _;
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
