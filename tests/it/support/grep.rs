//! The whole Redis and whole folders, searched for a text: nothing that holds it is overlooked because nobody thought
//! of it. Every key of every type is read, and every file.

use std::path::Path;

use redis::AsyncCommands as _;
use redis::aio::MultiplexedConnection;

/// Where the digits stand: keys with the place within, whatever signs stand between the digits.
pub(crate) async fn redis(db: &mut MultiplexedConnection, digits: &str) -> Vec<String> {
    let keys: Vec<Vec<u8>> = redis::cmd("KEYS").arg("*").query_async(db).await.unwrap();
    let mut found = Vec::new();
    for key in keys {
        let name = String::from_utf8_lossy(&key).into_owned();
        let kind: String = redis::cmd("TYPE").arg(&key).query_async(db).await.unwrap();
        let value: redis::Value = match kind.as_str() {
            "string" => db.get(&key).await.unwrap(),
            "hash" => db.hgetall(&key).await.unwrap(),
            "list" => db.lrange(&key, 0, -1).await.unwrap(),
            "set" => db.smembers(&key).await.unwrap(),
            "zset" => db.zrange(&key, 0, -1).await.unwrap(),
            "stream" => db.xrange_all(&key).await.map(|reply: redis::Value| reply).unwrap(),
            other => panic!("a key of the type {other}: {name}"),
        };
        let mut texts = vec![key];
        texts_of(&value, &mut texts);
        found.extend(
            texts
                .into_iter()
                .filter(|text| holds(text, digits))
                .map(|text| format!("{name}: {}", String::from_utf8_lossy(&text))),
        );
    }
    found
}

fn texts_of(value: &redis::Value, texts: &mut Vec<Vec<u8>>) {
    if let redis::Value::Array(values) | redis::Value::Set(values) = value {
        for value in values {
            texts_of(value, texts);
        }
    } else if let redis::Value::Map(pairs) = value {
        for (name, value) in pairs {
            texts_of(name, texts);
            texts_of(value, texts);
        }
    } else if let Ok(bytes) = redis::from_redis_value(value.clone()) {
        texts.push(bytes);
    }
}

/// Files below a folder that hold the digits.
pub(crate) fn folder(folder: &Path, digits: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(self::folder(&entry.path(), digits));
        } else if kind.is_file() && holds(&std::fs::read(entry.path()).unwrap_or_default(), digits) {
            found.push(entry.path().display().to_string());
        }
    }
    found
}

/// Whether the digits stand in a text, whatever signs are between them: more is found than anybody could mean.
pub(crate) fn holds(text: &[u8], digits: &str) -> bool {
    let plain = |text: &str| text.chars().filter(|c| !" -./()\t\u{a0}".contains(*c)).collect::<String>();
    let text = String::from_utf8_lossy(text);
    plain(&text.replace("\\u00a0", "")).contains(digits)
}
