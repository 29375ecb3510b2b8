//! Which slot of a cluster a command belongs to: its first key, and the hash of that key.
//!
//! Our commands touch keys of one slot each (a campaign's name stands in braces), so the first key says it all. Where
//! the key of a command stands follows Redis' documentation of it; most have it behind their name.

use redis::{Arg, Cmd};

/// Slots of a cluster, by its specification.
const SLOTS: u16 = 16_384;

/// Where a command goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route {
    /// To the master of this slot.
    Slot(u16),
    /// To any master: it has no key.
    Anywhere,
    /// To all masters: what it loads must be everywhere.
    Everywhere,
}

/// Where this command goes.
pub(super) fn route(command: &Cmd) -> Route {
    let mut arguments = command.args_iter().map(|argument| match argument {
        Arg::Simple(bytes) => bytes,
        // Of SCAN alone, which has no key.
        Arg::Cursor | _ => b"",
    });
    let name = arguments.next().unwrap_or_default().to_ascii_uppercase();
    let key = match name.as_slice() {
        b"SCRIPT" => return Route::Everywhere,
        b"INFO" | b"PING" | b"TIME" | b"SCAN" | b"PUBLISH" | b"CONFIG" | b"WAIT" => return Route::Anywhere,
        // `EVALSHA <digest> <number of keys> <key> ...`
        b"EVALSHA" | b"EVAL" => arguments.nth(2),
        // `<command> <word> <key> ...`
        b"XINFO" | b"XGROUP" | b"MEMORY" | b"OBJECT" => arguments.nth(1),
        b"XREAD" | b"XREADGROUP" => arguments.find(|word| word.eq_ignore_ascii_case(b"STREAMS")).and(arguments.next()),
        _ => arguments.next(),
    };
    key.map_or(Route::Anywhere, |key| Route::Slot(slot(key)))
}

/// The slot of a key: of what stands in its first braces, where something does.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let rest = key.get(open + 1..)?;
        let close = rest.iter().position(|byte| *byte == b'}').filter(|close| *close > 0)?;
        rest.get(..close)
    });
    crc16(tag.unwrap_or(key)) % SLOTS
}

/// CRC-16 as the cluster's specification names it (XMODEM: polynomial 0x1021, begun with 0).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(*byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        // The example of the specification, and what `CLUSTER KEYSLOT` answers.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        for (key, number) in [
            ("foo", 12_182),
            ("{user1000}.following", 3_443),
            ("user1000", 3_443),
            ("{}bar", crc16(b"{}bar") % SLOTS),
            ("a{}{b}", crc16(b"a{}{b}") % SLOTS),
        ] {
            assert_eq!(slot(key.as_bytes()), number, "{key}");
        }
        assert_eq!(slot(b"remesa:{nov}:campaign"), slot(b"remesa:{nov}:run:delivery@1:ledger:7"));
    }

    #[test]
    fn the_key_of_a_command_is_found_where_it_stands() {
        let of = |name: &str, arguments: &[&str]| route(redis::cmd(name).arg(arguments));
        let key = Route::Slot(slot(b"key"));
        for (name, arguments) in [
            ("GET", ["key"].as_slice()),
            ("hmget", &["key", "field"]),
            ("EVALSHA", &["digest", "1", "key", "argument"]),
            ("XREADGROUP", &["GROUP", "g", "c", "COUNT", "1", "streams", "key", ">"]),
            ("XREAD", &["COUNT", "1", "STREAMS", "key", "0"]),
            ("XINFO", &["GROUPS", "key"]),
            ("MEMORY", &["USAGE", "key"]),
        ] {
            assert_eq!(of(name, arguments), key, "{name}");
        }
        assert_eq!(of("SCRIPT", &["LOAD", "return 1"]), Route::Everywhere);
        assert_eq!(of("TIME", &[]), Route::Anywhere);
        assert_eq!(of("PUBLISH", &["key", "x"]), Route::Anywhere);
    }
}
