//! Redis under TLS (`rediss://`): with an authority of one's own, and with a certificate on both sides.

use rcgen::CertifiedKey;

use super::came_to_its_end;
use crate::support::mail::pem;
use crate::support::redis::{Redis, free_port};
use crate::support::scene::{Scene, people, send_job};

#[tokio::test]
async fn redis_is_spoken_to_under_tls_and_shown_our_certificate() {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let folder = tempfile::Builder::new().prefix("remesa-tls-").tempdir().unwrap();
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (
        file("certificate.pem", pem("CERTIFICATE", cert.der())),
        file("key.pem", pem("PRIVATE KEY", &signing_key.serialize_der())),
    );
    let port = free_port().to_string();
    let files = ["--tls-cert-file", &certificate, "--tls-key-file", &key, "--tls-ca-cert-file", &certificate];
    let redis =
        Redis::start_as(&[&["--tls-port", &port, "--tls-auth-clients", "yes"], files.as_slice()].concat()).await;
    let mut scene = Scene::through(&format!("rediss://localhost:{port}"), redis, "", |_| {}).await;
    scene.settings = scene.settings.set("redis.tls_ca_file", &certificate);
    let check = scene.settings.command(&["check"]).output().unwrap();
    assert!(!check.status.success(), "without our certificate the server does not speak to us");
    scene.settings = scene.settings.set("redis.tls_certificate_file", &certificate).set("redis.tls_key_file", &key);
    let _daemon = scene.daemon().await;
    scene.enqueue("generate", &send_job("c", people(20))).await;
    came_to_its_end(&mut scene, 20, 0).await;
}
