//! What the readers promise, on real files of a temporary spool folder.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::RowFault::{FieldCount, LineTooLong, NotUtf8};
use super::*;

struct Spool {
    dir: TempDir,
    limits: SourceLimits,
}

impl Spool {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let limits = SourceLimits {
            table: &crate::domain::column::ORDERS,
            spool_dir: dir.path().join("spool"),
            max_rows: 1000,
            max_line_bytes: 100,
            max_bytes: 4 << 30,
            stop: CancellationToken::new(),
        };
        fs::create_dir(&limits.spool_dir).unwrap();
        Self { dir, limits }
    }

    fn with(name: &str, content: impl AsRef<[u8]>) -> Self {
        let spool = Self::new();
        fs::write(spool.limits.spool_dir.join(name), content).unwrap();
        spool
    }

    fn open(&self, name: &str) -> Result<Reader, SourceError> {
        open(&file(name), &self.limits, None)
    }

    fn read(&self, name: &str) -> Vec<Result<Row, ReadError>> {
        self.open(name).unwrap().collect()
    }

    fn refusal(&self, name: &str) -> &'static str {
        self.open(name).map(|_| ()).unwrap_err().code()
    }
}

fn file(path: &str) -> SourceSpec {
    SourceSpec::File { path: path.to_owned(), format: None }
}

fn columns(read: &Result<Row, ReadError>) -> Value {
    Value::Object(read.as_ref().unwrap().columns.clone())
}

fn fault(read: &Result<Row, ReadError>) -> (RowFault, u64, u64) {
    match read {
        Err(ReadError::Row(bad)) => (bad.fault, bad.row, bad.line),
        other => panic!("not a bad row: {other:?}"),
    }
}

#[test]
fn known_columns_match_in_any_case_and_the_others_keep_their_names() {
    let spool = Spool::with("a.csv", "Reference,AMOUNT,smscontact,Name\r\nA-1,1250,+34600123456,Ana\r\n");
    let rows = spool.read("a.csv");
    let expected = json!({"reference":"A-1","amount":"1250","SMScontact":"+34600123456","Name":"Ana"});
    assert_eq!(columns(&rows[0]), expected);
    assert_eq!((rows[0].as_ref().unwrap().row, rows[0].as_ref().unwrap().line, rows.len()), (1, 2, 1));
}

#[test]
fn the_delimiter_is_found_out_from_the_header() {
    for delimiter in [",", ";", "\t", "|"] {
        let spool = Spool::with("a.CSV", format!("amount{delimiter}\"na,me;\"\n5{delimiter}x\n"));
        assert_eq!(columns(&spool.read("a.CSV")[0]), json!({"amount":"5","na,me;":"x"}), "{delimiter:?}");
    }
    assert_eq!(columns(&Spool::with("a.csv", "amount\n7").read("a.csv")[0]), json!({"amount":"7"}));
}

#[test]
fn a_byte_order_mark_blank_lines_and_empty_cells_are_no_data() {
    let spool = Spool::with("a.csv", "\u{feff}\namount,name,\n\n1,,x\n  \r\n2,b,\n\n");
    let rows = spool.read("a.csv");
    assert_eq!(rows.len(), 2);
    assert_eq!(columns(&rows[0]), json!({"amount":"1"}));
    let second = rows[1].as_ref().unwrap();
    assert_eq!((second.row, second.line, columns(&rows[1])), (2, 6, json!({"amount":"2","name":"b"})));
}

#[test]
fn a_quoted_field_may_hold_line_ends_quotes_and_delimiters() {
    let spool = Spool::with("a.csv", "amount,text\n1,\"a \"\"b\"\",\r\nc\"\n2,5\" pipe\n");
    let rows = spool.read("a.csv");
    assert_eq!(columns(&rows[0]), json!({"amount":"1","text":"a \"b\",\r\nc"}));
    assert_eq!(columns(&rows[1]), json!({"amount":"2","text":"5\" pipe"}));
    assert_eq!(rows[1].as_ref().unwrap().line, 4);
}

#[test]
fn a_quote_that_never_closes_costs_one_line_only() {
    for tail in ["3,c\n", &"3,c\n".repeat(60)] {
        let spool = Spool::with("a.csv", format!("amount,text\n1,\"a\n2,b\n{tail}"));
        let rows = spool.read("a.csv");
        assert_eq!(fault(&rows[0]), (RowFault::BadQuoting, 1, 2));
        assert_eq!(columns(&rows[1]), json!({"amount":"2","text":"b"}));
        assert_eq!(rows.len(), 2 + tail.lines().count());
    }
    let spool = Spool::with("a.csv", "amount,text\n1,\"a\"b\n2,b\n");
    assert_eq!(fault(&spool.read("a.csv")[0]), (RowFault::BadQuoting, 1, 2));
}

#[test]
fn a_bad_row_does_not_stop_the_file() {
    let mut content = "amount,ñame\n1,a,b\n2\n".as_bytes().to_vec();
    content.extend(b"3,\xff\n4,x\0\n");
    content.extend(format!("5,{}\n6,ok", "x".repeat(300)).into_bytes());
    let spool = Spool::with("a.csv", content);
    let rows: Vec<_> = open(&file("a.csv"), &spool.limits, Some(Encoding::Utf8)).unwrap().collect();
    let faults: Vec<_> = rows[..5].iter().map(|row| fault(row).0).collect();
    assert_eq!(faults, [FieldCount, FieldCount, NotUtf8, NotUtf8, LineTooLong]);
    assert_eq!(columns(&rows[5]), json!({"amount":"6","ñame":"ok"}));
    let Err(ReadError::Row(bad)) = &rows[0] else { panic!() };
    assert_eq!(
        (bad.sentence.as_str(), bad.input.as_slice()),
        ("the line has 3 fields, the header has 2", "1,a,b".as_bytes())
    );
}

#[test]
fn ndjson_keeps_json_types_and_refuses_what_is_no_object() {
    let content = "{\"Amount\":1250,\"vip\":true}\n[1]\n{\"a\":\n{\"amount\":1,\"AMOUNT\":2}\n\n{\"amount\":12.50}";
    let spool = Spool::with("a.jsonl", content);
    let rows = spool.read("a.jsonl");
    assert_eq!(columns(&rows[0]), json!({"amount":1250,"vip":true}));
    assert_eq!(fault(&rows[1]), (RowFault::NotAnObject, 2, 2));
    assert_eq!(fault(&rows[2]), (RowFault::NotJson, 3, 3));
    assert_eq!(fault(&rows[3]), (RowFault::DuplicateColumn, 4, 4));
    assert_eq!((columns(&rows[4]), rows[4].as_ref().unwrap().line), (json!({"amount":12.5}), 6));
    let Err(ReadError::Row(bad)) = &rows[3] else { panic!() };
    assert_eq!(bad.sentence, "the object has the column \"amount\" twice, perhaps by two names");
}

#[test]
fn inline_rows_are_read_like_lines() {
    let rows = [json!({"AMOUNT":1}), json!({"amount":1,"Amount":2})];
    let spec = SourceSpec::Inline(rows.iter().map(|row| row.as_object().unwrap().clone()).collect());
    let read: Vec<_> = open(&spec, &Spool::new().limits, None).unwrap().collect();
    assert_eq!(columns(&read[0]), json!({"amount":1}));
    assert_eq!(fault(&read[1]), (RowFault::DuplicateColumn, 2, 2));
    assert_eq!(open(&SourceSpec::Inline(Vec::new()), &Spool::new().limits, None).unwrap_err().code(), "source_empty");
}

#[test]
fn nothing_outside_the_spool_folder_is_opened() {
    let spool = Spool::with("in.csv", "amount\n1\n");
    fs::write(spool.dir.path().join("secret.csv"), "amount\n1\n").unwrap();
    symlink(spool.dir.path().join("secret.csv"), spool.limits.spool_dir.join("link.csv")).unwrap();
    symlink(spool.dir.path(), spool.limits.spool_dir.join("up")).unwrap();
    symlink("in.csv", spool.limits.spool_dir.join("inner.csv")).unwrap();
    let absolute = spool.limits.spool_dir.join("in.csv");
    for path in
        ["../secret.csv", "up/secret.csv", "link.csv", "a/../in.csv", "", "in.csv\0", absolute.to_str().unwrap()]
    {
        assert_eq!(spool.refusal(path), "path_outside_spool", "{path:?}");
    }
    assert_eq!(spool.read("inner.csv").len(), 1);
    assert_eq!(spool.read("./in.csv").len(), 1);
    assert_eq!(digest(&file("link.csv"), &spool.limits).unwrap_err().code(), "path_outside_spool");
}

#[test]
fn a_source_that_cannot_be_read_is_refused_before_the_first_row() {
    let cases: [(&str, &[u8], &str); 17] = [
        ("empty.csv", b"", "source_empty"),
        ("blank.ndjson", b"\xEF\xBB\xBF\n \n", "source_empty"),
        ("header.csv", b"amount,name\n\n", "source_empty"),
        ("no-amount.csv", b"reference,total\n1,2\n", "missing_column"),
        ("twice.csv", b"amount,Amount\n1,2\n", "duplicate_column"),
        ("damaged.csv", b"\x1f\x8b\x08\x00abc", "source_unsupported"),
        ("page.csv", b" \n<!DOCTYPE html><html>\n", "source_unsupported"),
        ("old-sheet.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\n", "source_unsupported"),
        ("letter.csv", b"%PDF-1.7\nx", "source_unsupported"),
        ("aliases.csv", b"importe,monto\n1,2\n", "duplicate_column"),
        ("sheet.csv", b"PK\x03\x04abc", "source_unsupported"),
        ("utf16.csv", b"\xff\xfea\0m\0", "source_unsupported"),
        ("binary.csv", b"\x7fELF\0\0\0\n\n", "source_unsupported"),
        ("quotes.csv", b"amount,\"a\"b\n1,2\n", "source_unsupported"),
        ("rows.txt", b"amount\n1\n", "source_unsupported"),
        ("rows", b"amount\n1\n", "source_unsupported"),
        ("long.csv", &[b'x'; 200], "line_too_long"),
    ];
    for (name, content, code) in cases {
        assert_eq!(Spool::with(name, content).refusal(name), code, "{name}");
    }
    let spool = Spool::new();
    fs::create_dir(spool.limits.spool_dir.join("dir.csv")).unwrap();
    assert_eq!(spool.refusal("dir.csv"), "source_unsupported");
    assert_eq!(spool.refusal("none.csv"), "source_missing");
    let named = SourceSpec::File { path: "rows.txt".to_owned(), format: Some(Format::Csv) };
    assert_eq!(open(&named, &Spool::with("rows.txt", "amount\n1\n").limits, None).unwrap().count(), 1);
}

#[test]
fn a_line_of_three_gigabytes_is_refused_without_being_held() {
    const THREE_GB: u64 = 3 << 30;
    let spool = Spool::new();
    let path = spool.limits.spool_dir.join("sparse.csv");
    File::create(&path).unwrap().set_len(THREE_GB).unwrap();
    assert_eq!(spool.refusal("sparse.csv"), "line_too_long");

    // as a row the line is skipped; the reader's buffer cannot grow, so a smaller hole shows the same
    let mut sparse = File::create(&path).unwrap();
    sparse.write_all(b"amount\n1\n").unwrap();
    sparse.seek(SeekFrom::Start(8 << 20)).unwrap();
    sparse.write_all(b"\n2\n").unwrap();
    let rows = spool.read("sparse.csv");
    assert_eq!(fault(&rows[1]), (RowFault::LineTooLong, 2, 3));
    assert_eq!((columns(&rows[2]), rows.len()), (json!({"amount":"2"}), 3));
}

#[test]
fn a_csv_file_in_latin_1_is_read_as_windows_1252() {
    let spool = Spool::with("a.csv", b"importe;A\xf1o;nota\n5;\x80 9;\x93hola\x94\n6;x;caf\xe9\n");
    let mut reader = spool.open("a.csv").unwrap();
    assert_eq!(reader.by_ref().count(), 2);
    assert_eq!((reader.encoding(), reader.seen().other), (Encoding::Latin1, 3));
    let rows: Vec<_> = open(&file("a.csv"), &spool.limits, Some(Encoding::Latin1)).unwrap().collect();
    assert_eq!(columns(&rows[0]), json!({"amount":"5","Año":"€ 9","nota":"“hola”"}));
    assert_eq!(rows[1].as_ref().unwrap().input, "6;x;café".as_bytes());
}

#[test]
fn a_file_of_two_encodings_is_not_guessed() {
    let spool = Spool::with("a.csv", b"amount,name\n1,Mu\xc3\xb1oz\n2,Mu\xf1oz\n3,Ana\n");
    let mut reader = spool.open("a.csv").unwrap();
    assert_eq!(reader.by_ref().count(), 3);
    assert!(reader.seen().is_mixed() && reader.encoding() == Encoding::Utf8);
    let rows: Vec<_> = open(&file("a.csv"), &spool.limits, Some(Encoding::Utf8)).unwrap().collect();
    assert_eq!(fault(&rows[1]), (NotUtf8, 2, 3));
    let Err(ReadError::Row(bad)) = &rows[1] else { panic!() };
    assert_eq!(bad.input, b"2,Mu\xf1oz");
    assert_eq!(columns(&rows[2]), json!({"amount":"3","name":"Ana"}));
    // A byte order mark says it, whatever the lines look like.
    let marked = Spool::with("a.csv", b"\xEF\xBB\xBFamount,name\n2,Mu\xf1oz\n");
    assert_eq!(marked.open("a.csv").unwrap().encoding(), Encoding::Utf8);
    assert_eq!(fault(&marked.read("a.csv")[0]).0, NotUtf8);
}

#[test]
fn what_a_spreadsheet_leaves_behind_is_passed_over() {
    let spool = Spool::with("a.csv", "Importe;Móvil;;\n1;600000001;;\n2;600000002;;;;\n3;600000003\n4;;; x;y\n");
    let rows = spool.read("a.csv");
    assert_eq!(columns(&rows[0]), json!({"amount":"1","SMScontact":"600000001"}));
    assert_eq!(columns(&rows[1]), json!({"amount":"2","SMScontact":"600000002"}));
    assert_eq!(columns(&rows[2]), json!({"amount":"3","SMScontact":"600000003"}));
    assert_eq!(fault(&rows[3]), (FieldCount, 4, 5));
}

#[test]
fn the_header_once_more_is_a_row_with_a_code_of_its_own() {
    let spool = Spool::with("a.csv", "amount,name\r\n1,a\r\namount,name\r\n2,b\r\n");
    let rows = spool.read("a.csv");
    assert_eq!(fault(&rows[1]), (RowFault::RepeatedHeader, 2, 3));
    assert_eq!((columns(&rows[2]), rows.len()), (json!({"amount":"2","name":"b"}), 3));
}

#[test]
fn a_mended_error_file_is_a_source_again() {
    let spool = Spool::with("a.csv", "error_line,error_code,error_sentence,amount,n\n3,amount,\"no \"\"x\"\"\",7,a\n");
    assert_eq!(columns(&spool.read("a.csv")[0]), json!({"amount":"7","n":"a"}));
    let spool =
        Spool::with("a.ndjson", "{\"error_line\":1,\"error_code\":\"x\",\"error_sentence\":\"y\",\"amount\":7}");
    assert_eq!(columns(&spool.read("a.ndjson")[0]), json!({"amount":7}));
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(content).unwrap();
    packer.finish().unwrap()
}

#[test]
fn gzip_is_known_by_its_bytes_and_read_on_the_way() {
    let mut packed = gzip(b"amount,name\n1,a\n");
    packed.extend(gzip(b"2,b\n"));
    for name in ["a.csv", "a.csv.gz", "a.CSV.GZ"] {
        let rows = Spool::with(name, &packed).read(name);
        assert_eq!((columns(&rows[1]), rows.len()), (json!({"amount":"2","name":"b"}), 2), "{name}");
    }
    assert_eq!(Spool::with("a.ndjson.gz", gzip(b"{\"amount\":1}\n")).read("a.ndjson.gz").len(), 1);
    assert_eq!(Spool::with("a.csv", gzip(&gzip(b"amount\n1\n"))).refusal("a.csv"), "source_unsupported");
}

#[test]
fn what_unpacks_to_more_than_allowed_is_refused_and_so_is_a_file_that_is_larger() {
    let mut spool = Spool::with("bomb.csv.gz", gzip(&[&b"amount\n"[..], &b"1\n".repeat(4_000_000)].concat()));
    spool.limits.max_rows = 100_000_000;
    spool.limits.max_bytes = 1 << 20;
    let last = spool.open("bomb.csv.gz").unwrap().last().unwrap();
    assert!(matches!(&last, Err(ReadError::Source(error)) if error.code() == "source_too_big"), "{last:?}");
    fs::write(spool.limits.spool_dir.join("big.csv"), vec![b'x'; (1 << 20) + 1]).unwrap();
    assert_eq!(spool.refusal("big.csv"), "source_too_big");
}

#[test]
fn gzip_cut_short_ends_the_stream_with_its_reason() {
    let packed = gzip(&[&b"amount\n"[..], &b"12345\n".repeat(100_000)].concat());
    let mut spool = Spool::with("a.csv.gz", &packed[..packed.len() / 2]);
    spool.limits.max_rows = 1_000_000;
    let last = spool.open("a.csv.gz").unwrap().last().unwrap();
    assert!(matches!(&last, Err(ReadError::Source(error)) if error.code() == "source_unsupported"), "{last:?}");
}

#[test]
fn reading_ends_when_nobody_wants_it_any_more() {
    let spool = Spool::with("a.csv", "amount\n1\n");
    let mut reader = spool.open("a.csv").unwrap();
    spool.limits.stop.cancel();
    // What is in the buffer may still come; a further read of the file does not.
    let stopped = reader
        .find_map(Result::err)
        .is_none_or(|error| matches!(error, ReadError::Source(SourceError::Stopped { .. })));
    assert!(stopped);
    assert_eq!(digest(&file("a.csv"), &spool.limits).unwrap_err().code(), "stopped");
    assert_eq!(spool.refusal("a.csv"), "stopped");
}

#[test]
fn more_rows_than_allowed_end_the_stream() {
    let mut spool = Spool::with("a.csv", "amount\n1\n2\n3\n");
    assert_eq!(spool.read("a.csv").len(), 3);
    spool.limits.max_rows = 2;
    let rows = spool.read("a.csv");
    assert_eq!(rows.len(), 3);
    assert!(matches!(&rows[2], Err(ReadError::Source(error)) if error.code() == "too_many_rows"));
}

#[test]
fn a_reader_resumed_at_any_row_reads_the_rest_alike() {
    let csv = "\u{feff}amount,t\n1,a\n\n2,\"x\ny\"\n3,\"bad\n4,c,d\n5,e";
    let ndjson = "{\"amount\":1}\r\n\r\nnope\r\n{\"amount\":3}";
    let packed = gzip(csv.as_bytes());
    let cases = [("a.csv", csv.as_bytes()), ("a.ndjson", ndjson.as_bytes()), ("a.csv.gz", packed.as_slice())];
    for (name, content) in cases {
        let spool = Spool::with(name, content);
        let all = spool.read(name);
        for (index, read) in all.iter().enumerate() {
            let next = match read {
                Ok(row) => row.next,
                Err(ReadError::Row(bad)) => bad.next,
                Err(ReadError::Source(error)) => panic!("{error}"),
            };
            let rest: Vec<_> = spool.open(name).unwrap().resume(next).unwrap().collect();
            assert_eq!(rest, all[index + 1..], "{name} after row {}", index + 1);
        }
        let beyond = Checkpoint { row: 9, line: 9, offset: 9000 };
        assert_eq!(spool.open(name).unwrap().resume(beyond).unwrap_err().code(), "source_changed");
    }
}

#[test]
fn the_digest_is_sha256_of_the_file_and_of_the_rows() {
    let spool = Spool::with("a.csv", "abc");
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest(&file("a.csv"), &spool.limits).unwrap(), expected);
    let inline = |text: &str| SourceSpec::Inline(vec![serde_json::from_str(text).unwrap()]);
    let one = digest(&inline(r#"{"a":1,"b":2}"#), &spool.limits).unwrap();
    assert_eq!(one, digest(&inline(r#"{ "a": 1, "b": 2 }"#), &spool.limits).unwrap());
    assert_ne!(one, digest(&inline(r#"{"a":1,"b":3}"#), &spool.limits).unwrap());
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic_or_stand_still(content in proptest::collection::vec(any::<u8>(), 0..400), ndjson: bool) {
        let name = if ndjson { "a.ndjson" } else { "a.csv" };
        let mut bytes = if ndjson { Vec::new() } else { b"amount,x\n".to_vec() };
        bytes.extend(content);
        let spool = Spool::with(name, bytes);
        if let Ok(reader) = spool.open(name) {
            prop_assert!(reader.count() <= 401);
        }
    }

    #[test]
    fn what_is_quoted_as_rfc_4180_says_is_read_back(cells in proptest::collection::vec("[a\",;\n\r]{0,6}", 1..5)) {
        let quote = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let header: Vec<_> = (0..cells.len()).map(|index| format!("c{index}")).collect();
        let text = format!("amount,{}\n1,{}\n", header.join(","), cells.iter().map(quote).collect::<Vec<_>>().join(","));
        let rows = Spool::with("a.csv", text).read("a.csv");
        prop_assert_eq!(rows.len(), 1);
        let read = &rows[0].as_ref().unwrap().columns;
        for (name, cell) in header.iter().zip(&cells) {
            prop_assert_eq!(read.get(name).and_then(Value::as_str).unwrap_or_default(), cell.as_str());
        }
    }
}
