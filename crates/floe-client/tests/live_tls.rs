//! Live rooms over TLS, with a certificate of the test's own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod real_server;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use floe_client::live::{Join, Live, LiveError, LiveOptions, News};
use floe_client::{Client, CreateOptions, RetryPolicy};
use floe_server::TlsSettings;
use real_server::RealServer;
use serde_json::json;

/// Where the client's half of the test finds its server.
const SERVER: &str = "FLOE_TEST_SERVER";
/// What it says when it does not trust it.
const UNTRUSTED: &str = "the certificate is nobody's";

/// What a process trusts is settled when it first looks, so the client is one of its own.
#[test]
fn live_rooms_speak_tls_with_whom_the_system_trusts() {
    if let Ok(port) = std::env::var(SERVER) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        return runtime.block_on(speak(&port));
    }
    let folder = tempfile::tempdir().unwrap();
    let (ours, others) = (folder.path().join("cert.pem"), folder.path().join("other"));
    let key = folder.path().join("key.pem");
    let made = certificate();
    std::fs::write(&ours, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::write(&others, certificate().cert.pem()).unwrap();
    let server = RealServer::with(|settings| {
        settings.tls = Some(TlsSettings {
            certificate: ours.clone(),
            key,
        });
    });
    let trusting = client(&server, &ours);
    assert!(trusting.status.success(), "{trusting:?}");
    let doubting = client(&server, &others);
    assert!(!doubting.status.success(), "{doubting:?}");
    let told = String::from_utf8_lossy(&doubting.stderr).into_owned();
    assert!(told.contains(UNTRUSTED), "{told}");
}

async fn speak(port: &str) {
    let options = LiveOptions {
        retry: RetryPolicy {
            tries_max: 2,
            ..RetryPolicy::default()
        },
        ..LiveOptions::default()
    };
    let live = options.open(&format!("wss://localhost:{port}")).unwrap();
    let joined = live.join(Join::stream("none")).await;
    // It is not there, which only a server that was understood can say.
    match joined {
        Err(LiveError::Refused(_)) => {}
        Err(LiveError::Unreachable(error)) => panic!("{UNTRUSTED}: {error:?}"),
        other => panic!("{other:?}"),
    }

    let url = format!("https://localhost:{port}");
    let client = Client::new(&url).unwrap();
    let news = client.stream("news").with_content_type("application/json");
    news.create(&CreateOptions::default()).await.unwrap();
    let writer = live.join(Join::stream("news").as_user("ann")).await;
    let writer = writer.unwrap();
    // More than one record of TLS, both ways.
    let long = "x".repeat(100_000);
    for number in 0..20 {
        let message = json!({ "number": number, "text": long });
        writer.append_json(&message).await.unwrap();
    }
    let other = Live::new(&url).unwrap();
    let reader = other.join(Join::stream("news").from_start()).await;
    let mut reader = reader.unwrap();
    let (mut count, mut bytes) = (0, 0);
    while count < 20 {
        let next = tokio::time::timeout(Duration::from_secs(30), reader.next());
        if let News::Events(events) = next.await.unwrap().unwrap().unwrap() {
            count += events.events.len();
            bytes += events
                .events
                .iter()
                .map(|event| event.to_string().len())
                .sum::<usize>();
        }
    }
    assert_eq!(count, 20);
    assert!(bytes > 20 * long.len(), "{bytes}");
}

fn client(server: &RealServer, trusted: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "live_rooms_speak_tls_with_whom_the_system_trusts",
        ])
        .arg("--nocapture")
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
        .env(SERVER, server.address().port().to_string())
        .output()
        .unwrap()
}

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}
