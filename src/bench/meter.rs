//! What Redis did between two looks: commands, bytes, scripts, and what its memory holds.
//!
//! Commands that scripts call are counted as Redis counts them, one by one; the calls of scripts
//! themselves (`EVALSHA`) are also shown alone, because they are what a client waits for.

use std::collections::HashMap;

use redis::cmd;

use crate::store::Store;

/// One look.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    commands: u64,
    scripts: u64,
    bytes_in: u64,
    bytes_out: u64,
}

/// What lies between two looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Load {
    /// Commands, those inside scripts included.
    pub(super) commands: u64,
    /// Calls of scripts.
    pub(super) scripts: u64,
    /// Bytes that clients sent and received.
    pub(super) bytes: u64,
}

impl Look {
    /// Looks now.
    pub(super) async fn at(store: &Store) -> anyhow::Result<Self> {
        let fields = info(store, "everything").await?;
        let field = |name: &str| fields.get(name).and_then(|v| v.parse().ok()).unwrap_or(0);
        // cmdstat_evalsha:calls=15,usec=1500,...
        let calls = |name: &str| {
            let stat = fields.get(&format!("cmdstat_{name}")).and_then(|v| v.strip_prefix("calls="));
            stat.and_then(|v| v.split(',').next()?.parse().ok()).unwrap_or(0)
        };
        Ok(Self {
            commands: field("total_commands_processed"),
            scripts: calls("evalsha"),
            bytes_in: field("total_net_input_bytes"),
            bytes_out: field("total_net_output_bytes"),
        })
    }

    /// What was done since `before`.
    pub(super) fn since(&self, before: &Self) -> Load {
        let bytes = |look: &Self| look.bytes_in + look.bytes_out;
        Load {
            commands: self.commands.saturating_sub(before.commands),
            scripts: self.scripts.saturating_sub(before.scripts),
            bytes: bytes(self).saturating_sub(bytes(before)),
        }
    }
}

/// Memory that Redis uses for data, without its clients' buffers and the capped streams.
pub(super) async fn data_bytes(store: &Store) -> anyhow::Result<u64> {
    let fields = info(store, "memory").await?;
    let field = |name: &str| fields.get(name).and_then(|v| v.parse::<u64>().ok()).unwrap_or(0);
    let buffers = field("mem_clients_normal") + field("mem_aof_buffer");
    let mut capped = 0;
    for stream in [store.keys.results(), store.keys.rejected(), store.keys.dead()] {
        let mut usage = cmd("MEMORY");
        usage.arg("USAGE").arg(stream).arg("SAMPLES").arg(0);
        capped += store.connection.query::<Option<u64>>(&usage).await?.unwrap_or(0);
    }
    Ok(field("used_memory").saturating_sub(buffers + capped))
}

async fn info(store: &Store, section: &str) -> anyhow::Result<HashMap<String, String>> {
    let text: String = store.connection.query(cmd("INFO").arg(section)).await?;
    Ok(text
        .lines()
        .filter_map(|line| line.trim_end().split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}
