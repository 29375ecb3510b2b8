//! A front with TLS before a provider: it terminates TLS and passes everything on, or breaks the handshake.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Listens on a free port of this machine; a certificate of its own for `localhost`.
pub(crate) struct Front {
    port: u16,
    broken: Arc<AtomicBool>,
    folder: TempDir,
    _accepting: JoinSet<()>,
}

impl Front {
    /// Before the provider at `behind`; its handshakes fail until [`Front::mend`].
    pub(crate) async fn broken(behind: SocketAddr) -> Self {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), super::mail::pem("CERTIFICATE", cert.der())).unwrap();
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![CertificateDer::from(cert.der().to_vec())], key.into())
            .unwrap();
        let (acceptor, broken) = (TlsAcceptor::from(Arc::new(config)), Arc::new(AtomicBool::new(true)));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_broken = Arc::clone(&broken);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut inbound, _)) = listener.accept().await {
                if is_broken.load(Ordering::SeqCst) {
                    // Not TLS at all, as of a port that is another service's.
                    let _ = inbound.write_all(b"220 ready\r\n").await;
                    continue;
                }
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let mut inbound = acceptor.accept(inbound).await?;
                    let mut outbound = TcpStream::connect(behind).await?;
                    tokio::io::copy_bidirectional(&mut inbound, &mut outbound).await
                });
            }
        });
        Self { port, broken, folder, _accepting: accepting }
    }

    /// `https://localhost:<port>`.
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Its certificate, as PEM.
    pub(crate) fn certificate(&self) -> PathBuf {
        Path::new(self.folder.path()).join("ca.pem")
    }

    /// From now on handshakes are good.
    pub(crate) fn mend(&self) {
        self.broken.store(false, Ordering::SeqCst);
    }
}
