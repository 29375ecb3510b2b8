//! Numbers, times, sizes and names as people read them.

use std::collections::BTreeMap;

use crate::domain::clock::EpochMs;
pub use crate::operate::words::{bytes, count, counted, duration, rate};

/// Epoch milliseconds, as Redis keeps them in a text, as RFC 3339.
pub fn time(ms: &str) -> String {
    ms.parse::<i64>().map_or_else(|_| ms.to_owned(), |ms| EpochMs(ms).to_rfc3339())
}

/// A bar of `width` characters with its percentage: `[#####-----]  50 %`.
pub fn bar(done: u64, total: u64, width: u64) -> String {
    let part = |of: u64| done.min(total).saturating_mul(of).checked_div(total).unwrap_or(of);
    let filled = usize::try_from(part(width)).unwrap_or(0);
    let empty = usize::try_from(width).unwrap_or(0).saturating_sub(filled);
    format!("[{}{}] {:>3} %", "#".repeat(filled), "-".repeat(empty), part(100))
}

/// A JSON value as a phrase: texts without quotes, counts by name as `7 sent, 1 failed`.
pub fn value(value: &serde_json::Value) -> String {
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    let counts = value.as_object().map(|fields| {
        let each = fields.iter().map(|(name, count)| Some((name.clone(), count.as_u64()?)));
        each.collect::<Option<BTreeMap<_, _>>>()
    });
    match counts.flatten() {
        Some(counts) => summary(&counts),
        None => value.to_string(),
    }
}

/// The warnings of a result or a campaign, each as `code: sentence`.
pub fn warnings(list: Option<&serde_json::Value>) -> Vec<String> {
    let each = list.and_then(serde_json::Value::as_array).into_iter().flatten();
    each.map(|warning| {
        let text = |field: &str| warning.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
        format!("{}: {}", text("code"), text("sentence"))
    })
    .collect()
}

/// Counts by name as a phrase, the largest first: `540 sent, 12 failed`.
pub fn summary(counts: &BTreeMap<String, u64>) -> String {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let words = counts.into_iter().map(|(name, number)| format!("{} {name}", count(*number)));
    words.collect::<Vec<_>>().join(", ")
}

/// A text of at most `max` characters, cut with an ellipsis.
pub fn cut(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(max.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A word, or a dash where there is none.
pub fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { text.to_owned() }
}

/// The known name that a mistaken one was probably meant to be.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known)).min()?;
    (near.0 <= 2.max(name.chars().count() / 3)).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_a_result_are_a_phrase_and_other_values_are_json() {
        let result = serde_json::json!({ "run": "delivery@1", "by": { "a": 1, "b": 20 }, "x": { "y": "z" }, "n": 3 });
        let shown = ["run", "by", "x", "n"].map(|name| value(&result[name]));
        assert_eq!(shown, ["delivery@1", "20 b, 1 a", r#"{"y":"z"}"#, "3"]);
    }

    #[test]
    fn warnings_are_lines_with_code_and_sentence() {
        let result = serde_json::json!([{ "code": "same_source", "sentence": "seen before" }]);
        assert_eq!(warnings(Some(&result)), ["same_source: seen before"]);
        assert!(warnings(None).is_empty());
    }

    #[test]
    fn a_bar_is_full_only_at_the_end() {
        assert_eq!(bar(1, 2, 10), "[#####-----]  50 %");
        assert_eq!(bar(999, 1000, 10), "[#########-]  99 %");
        assert_eq!(bar(3, 3, 4), "[####] 100 %");
        assert_eq!(bar(0, 0, 4), "[####] 100 %");
    }

    #[test]
    fn a_cut_text_is_not_longer_than_asked() {
        assert_eq!((cut("número", 6), cut("número", 4)), ("número".to_owned(), "núm…".to_owned()));
    }

    #[test]
    fn the_nearest_name_is_named_and_nonsense_is_not() {
        let known = ["generate", "control"];
        assert_eq!(nearest("genrate", known), Some("generate"));
        assert_eq!(nearest("qqqqqq", known), None);
    }

    #[test]
    fn times_are_read_from_epoch_milliseconds() {
        assert_eq!(time("1763719200000"), "2025-11-21T10:00:00.000Z");
        assert_eq!(time("soon"), "soon");
    }
}
