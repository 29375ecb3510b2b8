//! A server behind TLS: whom the client trusts, and that a request arrives over it.
//!
//! The certificate is made for each test. The client itself trusts the system's authorities only, so the good case
//! goes through the connection layer with a trust store of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use rcgen::CertifiedKey;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::failure::{Rules, Trouble};
use super::line::Line;
use super::pool::Pool;
use super::socket::Endpoint;
use super::{Client, DeliverError, Patience};
use crate::domain::failure::Failure;

/// A server for `localhost` that answers one request a connection, its port, and its certificate.
async fn server() -> (u16, CertificateDer<'static>, JoinSet<()>) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der()).into();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut chunk = [0; 4096];
            while stream.read(&mut chunk).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 10\r\n\r\n{\"id\":\"t\"}").await.unwrap();
            }
        }
    });
    (port, cert.der().clone(), tasks)
}

fn endpoint(port: u16, name: &'static str, trusted: CertificateDer<'static>) -> Endpoint {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Some((Arc::new(config), ServerName::try_from(name).unwrap()));
    Endpoint { host: "127.0.0.1".to_owned(), port, tls }
}

#[tokio::test]
async fn requests_arrive_over_a_kept_tls_connection() {
    let (port, certificate, _tasks) = server().await;
    let minute = Duration::from_mins(1);
    let pool = Pool::new(endpoint(port, "localhost", certificate), 4, minute, minute);
    for _ in 0..3 {
        let mut line = pool.line(Instant::now() + minute, &Rules::default()).await.unwrap();
        let reply = line.ask(Request::new(Full::new(Bytes::from_static(b"{}")))).await.ok().unwrap();
        assert_eq!((reply.status, reply.body.as_deref()), (StatusCode::ACCEPTED, Some(&b"{\"id\":\"t\"}"[..])));
        assert!(line.is_reusable(&reply));
        pool.put_back(line);
    }
}

#[tokio::test]
async fn a_certificate_for_another_name_or_of_an_unknown_authority_ends_before_anything_is_sent() {
    let (port, certificate, _tasks) = server().await;
    let other = Line::open(&endpoint(port, "other.example", certificate)).await;
    assert_eq!(other.err(), Some(Trouble::Tls));
    let minute = Duration::from_mins(1);
    let patience = Patience { most_idle: 1, pool_idle: minute, connect_timeout: minute, timeout: minute };
    let address = format!("https://localhost:{port}/").parse().unwrap();
    let client = Client::build(&address, patience, Rules::default()).unwrap();
    let refused = client.ask(Request::new(Full::new(Bytes::from_static(b"{}"))), Instant::now() + minute).await;
    assert_eq!(refused.err(), Some(DeliverError::Failure(Failure::Transient { code: "tls_failed".into() })));
}
