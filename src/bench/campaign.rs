//! The campaign that is measured: rows as people have them, and the message they get.
//!
//! The message is about 125 characters with its link, one SMS part, as in the comparison with other
//! queues in the design.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::Path,
};

use serde_json::{Value, json};

use super::{results::until_state, stage::Stage};

/// The text; the link is added at its end.
pub(super) const TEXT: &str =
    "Hola {{ name }}, tu cuota de noviembre ({{ amount }} EUR) vence el domingo. Puedes pagarla con tarjeta en";

/// First numbers of the recipients, as Spanish mobiles have them.
const FIRST_MOBILE: u64 = 600_000_000;

const NAMES: [&str; 8] = ["Ana", "Luis", "Carmen", "Javier", "Marta", "Pablo", "Elena", "Diego"];

/// Writes a CSV file of so many good rows.
pub(super) fn write_csv(path: &Path, rows: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "reference,concept,amount,SMScontact,name")?;
    for row in 0..rows {
        let name = NAMES.get(usize::try_from(row % 8).unwrap_or(0)).unwrap_or(&"Ana");
        let (amount, mobile) = (1000 + row % 5000, FIRST_MOBILE + row % 99_999_999);
        writeln!(file, "A-{row},Cuota noviembre,{amount},+34{mobile},{name}")?;
    }
    file.flush()
}

/// Writes a CSV file of so many cases; every tenth has the label `label`.
pub(super) fn write_cases(path: &Path, rows: u64, label: &str) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    writeln!(file, "id,first_name,last_name,mobile,email,labels,plan,debt")?;
    for row in 0..rows {
        let name = NAMES.get(usize::try_from(row % 8).unwrap_or(0)).unwrap_or(&"Ana");
        let (debt, mobile) = (1000 + row % 5000, FIRST_MOBILE + row % 99_999_999);
        let label = if row % 10 == 0 { label } else { "new" };
        writeln!(file, "c-{row},{name},Ruiz {row},+34{mobile},client{row}@example.com,north;{label},gold,{debt}")?;
    }
    file.flush()
}

/// The job that generates the orders of such a file and, with `deliver`, sends them.
pub(super) fn job(id: &str, campaign: &str, file: &str, channel: Option<&str>) -> Value {
    let mut job = json!({
        "id": id, "campaign": campaign, "country": "ES", "currency": "EUR", "delivery": "none",
        "rows_from": { "file": file },
    });
    if let (Some(channel), Some(fields)) = (channel, job.as_object_mut()) {
        fields.insert("delivery".to_owned(), "now".into());
        fields.insert("channel".to_owned(), channel.into());
        fields.insert("message".to_owned(), json!({ "text": TEXT, "url": "end" }));
    }
    job
}

/// Imports such a file and waits for the end of the job.
pub(super) async fn import(
    stage: &Stage,
    campaign: &str,
    id: &str,
    file: &str,
) -> anyhow::Result<HashMap<String, String>> {
    let job = json!({ "id": id, "campaign": campaign, "country": "ES", "rows_from": { "file": file } });
    stage.store.add_job("import", job.to_string().as_bytes()).await?;
    until_state(&stage.store, &stage.store.keys.job(id), &["done"]).await
}

/// The body of the request that such a message becomes, for a client without any queue.
pub(super) fn bare_body(row: u64) -> Value {
    let name = NAMES.get(usize::try_from(row % 8).unwrap_or(0)).unwrap_or(&"Ana");
    let amount = 1000 + row % 5000;
    let text = format!(
        "Hola {name}, tu cuota de noviembre ({}.{:02} EUR) vence el domingo. Puedes pagarla con tarjeta en \
         https://pay.example/?p=aB3dE5gH7k",
        amount / 100,
        amount % 100
    );
    json!({
        "to": format!("+34{}", FIRST_MOBILE + row % 99_999_999), "text": text, "from": "REMESA",
        "reference": format!("bare/delivery@1/{row}.0/1.aB3dE5gH7k"), "validity_seconds": 172_800,
    })
}
