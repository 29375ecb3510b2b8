//! Files of rows: CSV and NDJSON, plain and packed, whole and gone on with from a checkpoint in the middle.
//!
//! The first byte of an input says how it is read, the rest is the file. Each row that can be read is judged as an order
//! or a case is. A reader that goes on at any checkpoint reads what the first one read there.

use std::cell::RefCell;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use remesa::domain::column::{CASES, ORDERS};
use remesa::domain::contact::Country;
use remesa::domain::money::Currency;
use remesa::job::{CaseRow, OrderRow, RowRules};
use remesa::source::{Encoding, Format, Reader, SourceLimits, SourceSpec, digest, open};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::Target;

const LINE_BYTES: usize = 2_000;
const UNPACKED_BYTES: u64 = 256 * 1024;

/// Bits of the first byte.
const NDJSON: u8 = 1;
const PACKED_BY_US: u8 = 2;
const NAMED_PACKED: u8 = 4;
const ENCODING_SAID: u8 = 8;
const LATIN1: u8 = 16;
const OF_CASES: u8 = 32;

pub(super) const TARGET: Target = Target {
    name: "csv",
    seeds,
    words: &[
        "amount",
        "concept",
        "SMScontact",
        "reference",
        "key",
        "currency",
        "id",
        "mobile",
        "email",
        "labels",
        "first_name",
        ",",
        ";",
        "\t",
        "|",
        "\"",
        "\"\"",
        "\n",
        "\r\n",
        "\r",
        "\u{feff}",
        "+34600123456",
        "1250",
        "12,50",
        "EUR",
        "\u{e9}",
        "{\"amount\":1}",
        "{",
        "}",
        "null",
        "=1+1",
        "\0",
        "error_line,error_code,error_sentence",
        "\u{1f}\u{8b}",
    ],
    read,
};

fn seeds() -> Vec<Vec<u8>> {
    let files: [(u8, &str); 9] = [
        (0, "reference,concept,amount,SMScontact,name\nA-1,Cuota,1250,+34600123456,Ana\nA-2,\"Cuota, nov\",900,,Eva\n"),
        (
            0,
            "referencia;concepto;importe;m\u{f3}vil\r\nA-1;Cuota;1250;600123456\r\n\r\nA-2;\"uno \"\"dos\"\"\";900;\r\n",
        ),
        (NAMED_PACKED | PACKED_BY_US, "amount\tname\n1\tAna\n2\tEva\n"),
        (ENCODING_SAID | LATIN1, "amount|name\n1|Jos\u{e9}\n"),
        (ENCODING_SAID, "amount,name\n1,\"open\n2,Ana\n3,Eva\n"),
        (
            NDJSON,
            "{\"amount\":1250,\"SMScontact\":\"+34600123456\"}\n\n{\"amount\":\"900\",\"a\":{\"b\":[1,2]}}\nnonsense\n",
        ),
        (NDJSON | PACKED_BY_US | NAMED_PACKED, "{\"amount\":1}\n{\"amount\":2}\n"),
        (
            OF_CASES,
            "id,first_name,mobile,mobile2,email,labels\nc-1,Ana,+34600123456,+34600123457,ana@example.com,vip\n",
        ),
        (
            OF_CASES | NDJSON,
            "{\"id\":\"c-1\",\"contacts\":[{\"type\":\"mobile\",\"value\":\"+34600123456\"}],\"labels\":[\"vip\"]}\n",
        ),
    ];
    files.iter().map(|(how, file)| [&[*how], file.as_bytes()].concat()).collect()
}

thread_local! {
    static FOLDER: RefCell<TempDir> = RefCell::new(tempfile::tempdir().expect("a folder for files of rows"));
}

fn read(input: &[u8]) -> String {
    let Some((how, file)) = input.split_first() else { return String::new() };
    let says = |bit: u8| how & bit != 0;
    let name = match (says(NDJSON), says(NAMED_PACKED)) {
        (false, false) => "rows.csv",
        (false, true) => "rows.csv.gz",
        (true, false) => "rows.ndjson",
        (true, true) => "rows.ndjson.gz",
    };
    FOLDER.with_borrow(|folder| {
        let content = if says(PACKED_BY_US) { packed(file) } else { file.to_vec() };
        std::fs::write(folder.path().join(name), content).expect("the file is written");
        let limits = SourceLimits {
            table: if says(OF_CASES) { &CASES } else { &ORDERS },
            spool_dir: folder.path().to_owned(),
            max_rows: 5_000,
            max_line_bytes: LINE_BYTES,
            max_bytes: UNPACKED_BYTES,
            stop: CancellationToken::new(),
        };
        let spec = SourceSpec::File { path: name.to_owned(), format: says(NDJSON).then_some(Format::Ndjson) };
        let encoding = says(ENCODING_SAID).then_some(if says(LATIN1) { Encoding::Latin1 } else { Encoding::Utf8 });
        let _ = digest(&spec, &limits);
        read_all(&spec, &limits, encoding)
    })
}

fn packed(file: &[u8]) -> Vec<u8> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::fast());
    packing.write_all(file).expect("memory takes what is written");
    packing.finish().expect("memory takes what is written")
}

fn read_all(spec: &SourceSpec, limits: &SourceLimits, encoding: Option<Encoding>) -> String {
    let reader = match open(spec, limits, encoding) {
        Ok(reader) => reader,
        Err(error) => return format!("refused {}", error.code()),
    };
    let mut told = vec![format!("{:?}", reader.encoding())];
    // What was read, and where one can go on behind it.
    let (mut shown, mut places) = (Vec::new(), Vec::new());
    for row in reader {
        shown.push(format!("{row:?}"));
        let (kind, next) = match row {
            Ok(row) => {
                assert!(row.input.len() <= LINE_BYTES * 2, "a row of {} bytes is held", row.input.len());
                (judged(row.columns, limits), Some(row.next))
            }
            Err(error) => (format!("{:?}", std::mem::discriminant(&error)), None),
        };
        places.extend(next.map(|next| (next, shown.len())));
        if !told.contains(&kind) {
            told.push(kind);
        }
    }
    // Where nobody said the encoding, a line is judged by those before it.
    if encoding.is_some()
        && let Some((place, behind)) = places.get(places.len() / 2)
    {
        let again: Vec<String> = open(spec, limits, encoding)
            .and_then(|reader| Reader::resume(reader, *place))
            .map(|reader| reader.map(|row| format!("{row:?}")).collect())
            .expect("it could be opened before");
        assert_eq!(again, shown[*behind..], "going on at {place:?}");
    }
    told.sort();
    told.join(" ")
}

/// What the job makes of a row.
fn judged(columns: serde_json::Map<String, serde_json::Value>, limits: &SourceLimits) -> String {
    let country = Country::parse("ES").ok();
    let refusal = if std::ptr::eq(limits.table, &raw const CASES) {
        CaseRow::decode(columns, country).err()
    } else {
        let currency = Currency::parse("EUR").ok();
        let rules = RowRules { country, currency, currencies: Vec::new(), max_amount_minor: 9_999_999 };
        OrderRow::decode(columns, &rules).err()
    };
    refusal.map_or_else(
        || "good".to_owned(),
        |refusal| {
            let sentence = &refusal.sentence;
            assert!(sentence.len() <= 4_096, "a sentence of {} bytes", sentence.len());
            assert!(!sentence.chars().any(char::is_control), "a sentence with control characters: {sentence:?}");
            refusal.code.as_str().to_owned()
        },
    )
}
