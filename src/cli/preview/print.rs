//! The report of a preview as text: first the verdict, then numbers, then what is wrong, then the messages themselves.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    domain::clock::EpochMs,
    handler::{
        preview::report::{AudienceReport, Contacts, Messages, Report, RowCounts, Sending, Verdict},
        tally::Sample,
    },
};

use super::super::{
    format,
    output::{self, Column, Rows},
};

/// Characters of a long list that are shown; `--json` has the rest.
const LISTED: usize = 20;

/// Prints a report.
pub(super) fn report(report: &Report) -> anyhow::Result<()> {
    let mut pairs = vec![("job", verdict(&report.verdict))];
    if !report.campaign.is_empty() {
        pairs.push(("campaign", report.campaign.clone()));
    }
    pairs.extend(report.rows.as_ref().map(|counts| ("rows", rows(counts))));
    pairs.extend(report.contacts.as_ref().filter(|_| report.rows.is_some()).map(|c| ("contacts", contacts(c))));
    if !report.coming.is_empty() {
        let coming: Vec<String> = report.coming.iter().map(ToString::to_string).collect();
        pairs.push(("due", coming.join(", ")));
    }
    pairs.extend(report.audience.as_ref().map(|found| ("audience", audience(found))));
    if let Some(messages) = &report.messages {
        pairs.push(("messages", fates(messages)));
        pairs.push(("parts", parts(messages)));
        pairs.push(("encoding", encoding(messages)));
    }
    if let Some(sending) = &report.sending {
        pairs.push(("channel", channel(sending)));
        pairs.push(("starts", format!("{}{}", sending.estimated_start, from(report, sending))));
        pairs.push(("ends", end(sending)));
    }
    pairs.extend(report.expires_at.map(|at| ("expiry", expiry(at, report.expires_in_seconds))));
    output::pairs(pairs)?;
    for warning in &report.warnings {
        output::line(format_args!("\nwarning {}: {}", warning.code, warning.sentence))?;
    }
    if let Some(rows) = &report.rows {
        refused(rows)?;
    }
    if let Some(found) = &report.messages {
        let number = numbered_by(report);
        failing(found, number)?;
        characters(found, number)?;
        samples(found, number)?;
    }
    Ok(())
}

fn verdict(verdict: &Verdict) -> String {
    let why = match (&verdict.error_code, &verdict.error) {
        (Some(code), Some(error)) => format!("{code}: {error}"),
        (code, error) => code.clone().or_else(|| error.clone()).unwrap_or_default(),
    };
    match (verdict.accepted, verdict.state.as_str()) {
        (true, "done") => "would be accepted".to_owned(),
        (true, state) => format!("would be accepted and end {state}: {why}"),
        (false, _) => format!("would be refused: {why}"),
    }
}

fn rows(rows: &RowCounts) -> String {
    let orders = rows.orders.map(|orders| format::counted(orders, "order"));
    let cases = rows.cases.map(|cases| format::counted(cases, "case"));
    let made = orders.or(cases).unwrap_or_default();
    format!("{} read: {made}, {} refused", format::count(rows.read), format::count(rows.refused))
}

fn audience(found: &AudienceReport) -> String {
    let mut parts =
        vec![format!("{} of {} {}", format::count(found.matched), format::count(found.recipients), found.of)];
    let left_out: u64 = found.left_out.values().sum();
    if left_out > 0 {
        parts.push(format!("{} left out ({})", format::count(left_out), format::summary(&found.left_out)));
    }
    if found.further > 0 {
        parts.push(format!("{} to further contacts", format::count(found.further)));
    }
    parts.join(", ")
}

fn contacts(contacts: &Contacts) -> String {
    let counts = [(contacts.valid, "valid"), (contacts.missing, "missing"), (contacts.invalid, "not valid")];
    let shown = counts.iter().enumerate().filter(|(at, (number, _))| *at == 0 || *number > 0);
    let shown: Vec<String> = shown.map(|(_, (number, word))| format!("{} {word}", format::count(*number))).collect();
    let named: Vec<String> = contacts.first_without.iter().take(5).map(ToString::to_string).collect();
    let more = if contacts.missing + contacts.invalid > named.len() as u64 { " ..." } else { "" };
    let rows = if named.is_empty() { String::new() } else { format!(" (rows {}{more})", named.join(", ")) };
    shown.join(", ") + &rows
}

fn fates(messages: &Messages) -> String {
    let mut parts = vec![format!("{} to send", format::count(messages.send))];
    let skipped: u64 = messages.skip.values().sum();
    if skipped > 0 {
        parts.push(format!("{} skipped ({})", format::count(skipped), format::summary(&messages.skip)));
    }
    let failing: u64 = messages.fail.values().map(|failing| failing.messages).sum();
    if failing > 0 {
        parts.push(format!("{} fail", format::count(failing)));
    }
    parts.join(", ")
}

fn parts(messages: &Messages) -> String {
    let all = format::counted(messages.parts, "SMS part");
    if messages.by_parts.len() < 2 {
        return format!("{all}, {} a message", messages.max_parts);
    }
    let each = messages.by_parts.iter().map(|(parts, number)| format!("{} of {parts}", format::count(*number)));
    format!(
        "{all}, {} to {} a message: {}",
        messages.min_parts,
        messages.max_parts,
        each.collect::<Vec<_>>().join(", ")
    )
}

fn encoding(messages: &Messages) -> String {
    let counts = BTreeMap::from([("GSM-7".to_owned(), messages.gsm7), ("UCS-2".to_owned(), messages.ucs2)]);
    format::summary(&counts.into_iter().filter(|(_, number)| *number > 0).collect())
}

fn channel(sending: &Sending) -> String {
    let rate = match sending.rate_per_second {
        Some(0) => "no rate limit".to_owned(),
        Some(rate) => format!("{} a second", format::counted(rate.into(), "part")),
        None => "rate not known here".to_owned(),
    };
    let waiting = match sending.parts_waiting {
        Some(0) => "nothing waits".to_owned(),
        Some(parts) => format!("{} wait already", format::counted(parts, "part")),
        None => "what waits is not known".to_owned(),
    };
    let still = sending.stands_still.as_ref().map(|why| format!("; now {why}")).unwrap_or_default();
    format!("{}, {rate}, {waiting}{still}", sending.channel)
}

/// What the start depends on.
fn from(report: &Report, sending: &Sending) -> &'static str {
    match (&sending.stands_still, &report.audience) {
        (Some(_), _) => ", once the channel sends again",
        (None, None) => ", once the orders are generated",
        (None, Some(_)) => "",
    }
}

/// What a message is numbered by.
fn numbered_by(report: &Report) -> &str {
    match report.audience.as_ref().map(|audience| audience.of.as_str()) {
        Some("cases") => "case",
        Some(_) => "order",
        None => "row",
    }
}

fn end(sending: &Sending) -> String {
    match (sending.estimated_end, sending.in_flight) {
        (Some(end), _) => {
            let lasts = end.since(sending.estimated_start);
            format!("{end}, {} later at that rate", format::duration(lasts))
        }
        (None, Some(in_flight)) if sending.rate_per_second == Some(0) => format!(
            "not known: as fast as the provider answers, up to {} at once in each daemon",
            format::counted(in_flight.into(), "message")
        ),
        (None, _) => "not known".to_owned(),
    }
}

fn expiry(at: EpochMs, in_seconds: Option<u64>) -> String {
    match in_seconds {
        Some(seconds) => {
            format!(
                "{} after its generation each order, the first at {at}",
                format::duration(Duration::from_secs(seconds))
            )
        }
        None => format!("{at}, all orders"),
    }
}

fn refused(rows: &RowCounts) -> anyhow::Result<()> {
    if rows.first_refused.is_empty() {
        return Ok(());
    }
    let mut table = Rows::new(&[
        Column::Number("ROWS"),
        Column::Text("REFUSED"),
        Column::Number("LINE"),
        Column::Text("FOR EXAMPLE"),
    ]);
    let mut first: Vec<_> = rows.first_refused.iter().collect();
    let number = |code: &str| rows.refused_by_code.get(code).copied().unwrap_or(0);
    first.sort_by_key(|row| std::cmp::Reverse(number(&row.code)));
    for row in first {
        table.add([format::count(number(&row.code)), row.code.clone(), format::count(row.line), row.error.clone()]);
    }
    output::line("")?;
    Ok(table.print()?)
}

fn failing(messages: &Messages, number: &str) -> anyhow::Result<()> {
    if messages.fail.is_empty() {
        return Ok(());
    }
    let mut table = Rows::new(&[Column::Number("MESSAGES"), Column::Text("FAIL"), Column::Number(first_of(number))]);
    let mut failing: Vec<_> = messages.fail.iter().collect();
    failing.sort_by_key(|(_, failing)| std::cmp::Reverse(failing.messages));
    for (reason, failing) in failing.into_iter().take(LISTED) {
        table.add([format::count(failing.messages), reason.clone(), format::count(failing.first_row)]);
    }
    output::line("")?;
    Ok(table.print()?)
}

fn characters(messages: &Messages, number: &str) -> anyhow::Result<()> {
    if !messages.forcing.is_empty() {
        let mut table = Rows::new(&[
            Column::Number("MESSAGES"),
            Column::Text("FORCED TO UCS-2 BY"),
            Column::Text("IN"),
            Column::Number(first_of(number)),
        ]);
        for forcing in messages.forcing.iter().take(LISTED) {
            let shown = format!("{}  {}", visible(forcing.character), forcing.code_point);
            let places = forcing.places.keys().map(|place| place_name(place)).collect::<Vec<_>>().join(", ");
            table.add([format::count(forcing.messages), shown, places, format::count(forcing.first_row)]);
        }
        output::line("")?;
        table.print()?;
    }
    if !messages.replaced.is_empty() {
        let mut table = Rows::new(&[Column::Number("MESSAGES"), Column::Text("REPLACED"), Column::Text("BY")]);
        for replaced in messages.replaced.iter().take(LISTED) {
            let with =
                if replaced.with.trim().is_empty() { format!("{:?}", replaced.with) } else { replaced.with.clone() };
            table.add([format::count(replaced.messages), visible(replaced.character).to_string(), with]);
        }
        output::line("")?;
        table.print()?;
    }
    Ok(())
}

fn first_of(number: &str) -> &'static str {
    match number {
        "case" => "FIRST CASE",
        "order" => "FIRST ORDER",
        _ => "FIRST ROW",
    }
}

/// A character that takes up room on a line.
fn visible(c: char) -> char {
    let is_seen = !c.is_control()
        && !c.is_whitespace()
        && !matches!(c, '\u{AD}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}');
    if is_seen { c } else { '·' }
}

fn place_name(place: &str) -> String {
    if place == "text" { "the text".to_owned() } else { format!("{{{{ {place} }}}}") }
}

fn samples(messages: &Messages, number: &str) -> anyhow::Result<()> {
    for sample in &messages.samples {
        print_sample(number, sample)?;
    }
    if let Some(longest) = messages.longest.as_ref().filter(|longest| !messages.samples.contains(longest)) {
        print_sample(&format!("the longest, {number}"), longest)?;
    }
    Ok(())
}

fn print_sample(what: &str, sample: &Sample) -> anyhow::Result<()> {
    let encoding = match sample.encoding {
        crate::domain::sms::Encoding::Gsm7 => "GSM-7",
        crate::domain::sms::Encoding::Ucs2 => "UCS-2",
    };
    let fails = sample.fails.as_ref().map(|reason| format!(", not sent: {reason}")).unwrap_or_default();
    let head = format!(
        "\n{what} {} to {}: {encoding}, {}, {} left in the last{fails}",
        format::count(sample.row),
        sample.contact,
        format::counted(sample.parts as u64, "part"),
        format::counted(sample.units_left as u64, "unit"),
    );
    output::line(head)?;
    for line in sample.text.lines() {
        output::line(format_args!("  {}", printable(line)))?;
    }
    Ok(())
}

/// A line of a text without what would command the terminal.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '·' } else { c }).collect()
}
