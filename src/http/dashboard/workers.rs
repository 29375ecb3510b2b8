//! The daemons that beat lately, and the Redis they share.

use serde_json::{Value, json};

use super::{
    Desk,
    depth::Depth,
    page::{Page, Shown, Title},
};

/// The page.
pub(super) async fn page(desk: &Desk) -> Shown {
    let store = &desk.state.store;
    let now = store.now_ms().await?;
    let found = store.workers().await?;
    let digests: std::collections::BTreeSet<_> =
        found.iter().filter_map(|(_, fields)| fields.get("channels_digest")).collect();
    let versions: std::collections::BTreeSet<_> =
        found.iter().filter_map(|(_, fields)| fields.get("version")).collect();
    let workers: Vec<Value> = found
        .iter()
        .map(|(incarnation, fields)| {
            let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
            let number = |name: &str| fields.get(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
            let channels = text("channels");
            json!({
                "incarnation": incarnation,
                "instance": text("instance"),
                "version": text("version"),
                "pid": text("pid"),
                "http": text("http"),
                "channels": channels.split(',').filter(|name| !name.is_empty()).collect::<Vec<_>>(),
                "in_hand": number("in_hand"),
                "beat_at": number("beat_at"),
            })
        })
        .collect();
    let (info, depth) = (store.server_info().await?, Depth::load(store).await?);
    let context = json!({
        "now": now,
        "workers": workers,
        "versions_differ": versions.len() > 1,
        "channels_differ": digests.len() > 1,
        "queues": depth.queues,
        "redis": {
            "version": info.version,
            "used": info.used_memory_bytes,
            "max": info.maxmemory_bytes,
            "policy": info.maxmemory_policy,
            "append_only": info.append_only,
            "full": depth.memory.2,
        },
    });
    Ok(Page::live("workers.html", "workers", Title::Word("workers"), context))
}
