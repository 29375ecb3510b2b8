//! Who is the master of which slots, as one node of the cluster tells it (`CLUSTER SLOTS`).

use redis::{RedisResult, Value};

use super::super::sentinel::with_port;

/// The masters of a cluster and their slots.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Topology {
    /// First and last slot with `host:port` of their master, in order.
    ranges: Vec<(u16, u16, String)>,
    /// Each master once, in order of its name: their numbers are those of a scan over all of them.
    masters: Vec<String>,
}

impl Topology {
    /// Reads the answer of the node at `asked`. None: that node knows of no slots.
    pub(super) fn read(answer: Value, asked: &str) -> Option<Self> {
        // A node that does not know its own address gives none: it is the one that was asked.
        let own_host = asked.rsplit_once(':').map_or(asked, |(host, _)| host.trim_matches(['[', ']']));
        let Value::Array(listed) = answer else { return None };
        let mut ranges: Vec<_> = listed.into_iter().filter_map(|range| read_range(range, own_host)).collect();
        ranges.sort();
        let mut masters: Vec<String> = ranges.iter().map(|(_, _, host)| host.clone()).collect();
        masters.sort();
        masters.dedup();
        (!ranges.is_empty()).then_some(Self { ranges, masters })
    }

    /// The master of a slot.
    pub(super) fn master_of(&self, slot: u16) -> RedisResult<&str> {
        let at = self.ranges.partition_point(|(_, last, _)| *last < slot);
        let range = self.ranges.get(at).filter(|(first, _, _)| *first <= slot);
        let Some((_, _, host)) = range else {
            return Err(std::io::Error::other(format!("no master of the cluster serves the slot {slot}")).into());
        };
        Ok(host)
    }

    /// All masters.
    pub(super) fn masters(&self) -> &[String] {
        &self.masters
    }
}

/// `[first, last, [host, port, ...], replicas ...]`
fn read_range(range: Value, own_host: &str) -> Option<(u16, u16, String)> {
    let Value::Array(parts) = range else { return None };
    let mut parts = parts.into_iter();
    let number = |value: Value| redis::from_redis_value::<u16>(value).ok();
    let (first, last) = (number(parts.next()?)?, number(parts.next()?)?);
    let Value::Array(master) = parts.next()? else { return None };
    let mut master = master.into_iter();
    let host: Option<String> = redis::from_redis_value(master.next()?).ok()?;
    let port = number(master.next()?)?;
    let host = host.filter(|host| !host.is_empty() && host != "?");
    Some((first, last, with_port(host.as_deref().unwrap_or(own_host), port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = |host, port| Value::Array(vec![host, Value::Int(port), Value::BulkString(b"id".to_vec())]);
        let replica = node(Value::BulkString(b"10.0.0.99".to_vec()), 1);
        Value::Array(vec![Value::Int(first), Value::Int(last), node(host, port), replica])
    }

    fn host(name: &str) -> Value {
        Value::BulkString(name.as_bytes().to_vec())
    }

    #[test]
    fn slots_lead_to_their_masters_and_a_gap_to_nobody() {
        let answer = Value::Array(vec![
            range(5_461, 10_922, host("10.0.0.2"), 7_001),
            range(0, 5_460, host(""), 7_000),
            range(12_000, 16_383, Value::Nil, 7_002),
        ]);
        let topology = Topology::read(answer, "[::1]:7000").unwrap();
        for (slot, master) in [
            (0, "[::1]:7000"),
            (5_460, "[::1]:7000"),
            (5_461, "10.0.0.2:7001"),
            (12_000, "[::1]:7002"),
            (16_383, "[::1]:7002"),
        ] {
            assert_eq!(topology.master_of(slot).unwrap(), master, "{slot}");
        }
        assert!(topology.master_of(11_000).unwrap_err().to_string().contains("11000"));
        assert_eq!(topology.masters(), ["10.0.0.2:7001", "[::1]:7000", "[::1]:7002"]);
    }

    #[test]
    fn a_node_that_knows_no_slots_is_not_believed() {
        assert_eq!(Topology::read(Value::Array(Vec::new()), "a:1"), None);
        assert_eq!(Topology::read(Value::Nil, "a:1"), None);
    }
}
