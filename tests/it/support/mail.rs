//! A mail server that others wrote: `tests/it/support/mail/server.py`, with a certificate of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::CertifiedKey;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::wait;

/// What to do where it is not there.
const INSTALL: &str = "the mail server does not start: run `scripts/setup mail`";

/// The running server; it is killed when this is dropped.
pub(crate) struct MailServer {
    /// Where it listens.
    pub(crate) port: u16,
    folder: TempDir,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

/// The text form of a certificate or key (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

impl MailServer {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("remesa-mail-").tempdir().unwrap();
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, pem("CERTIFICATE", cert.der())).unwrap();
        std::fs::write(&key, pem("PRIVATE KEY", &signing_key.serialize_der())).unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(root.join("target/tests/it/support/mail/bin/python"))
            .arg(root.join("tests/it/support/mail/server.py"))
            .args([&certificate, &key])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect(INSTALL);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = wait::within("the port of the mail server", lines.next_line()).await.unwrap().expect(INSTALL);
        Self { port: port.parse().unwrap(), folder, lines, _child: child }
    }

    /// The certificate that it shows, as a file.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// The next e-mail that it took.
    pub(crate) async fn mail(&mut self) -> Value {
        let line = wait::within("an e-mail", self.lines.next_line()).await.unwrap().unwrap();
        serde_json::from_str(&line).unwrap()
    }
}
