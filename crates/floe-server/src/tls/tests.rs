//! Certificates made on the spot.

use super::*;
use std::fs;
use tempfile::TempDir;

/// Two files in a folder of their own.
fn files() -> (TempDir, TlsSettings) {
    let folder = tempfile::tempdir().unwrap();
    let settings = TlsSettings {
        certificate: folder.path().join("cert.pem"),
        key: folder.path().join("key.pem"),
    };
    (folder, settings)
}

/// Writes a new pair; returns the certificate.
fn issue(settings: &TlsSettings) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = |tag: &str, der: &[u8]| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {tag}-----\n{text}\n-----END {tag}-----\n")
    };
    fs::write(&settings.certificate, pem("CERTIFICATE", made.cert.der())).unwrap();
    let key = pem("PRIVATE KEY", made.signing_key.serialized_der());
    fs::write(&settings.key, key).unwrap();
    made.cert.der().to_vec()
}

fn shown(certificates: &Certificates) -> Vec<u8> {
    certificates.shared.current.read().unwrap().cert[0].to_vec()
}

fn refused(settings: &TlsSettings) -> String {
    Certificates::open(settings).unwrap_err().to_string()
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let (_folder, settings) = files();
    let certificate = settings.certificate.display().to_string();
    let key = settings.key.display().to_string();
    let message = refused(&settings);
    assert!(
        message.starts_with(&format!("cannot read {certificate}: ")),
        "{message}"
    );
    issue(&settings);
    let good_key = fs::read(&settings.key).unwrap();
    fs::remove_file(&settings.key).unwrap();
    let message = refused(&settings);
    assert!(
        message.starts_with(&format!("cannot read {key}: ")),
        "{message}"
    );
    fs::write(&settings.key, "no key").unwrap();
    assert!(refused(&settings).starts_with(&format!("{key} holds no private key")));
    fs::write(
        &settings.key,
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    assert!(refused(&settings).starts_with(&format!("{key} cannot be understood")));
    issue(&settings);
    fs::write(&settings.key, good_key).unwrap();
    let message = format!("the key in {key} is not that of the certificate in {certificate}");
    assert_eq!(refused(&settings), message);
    fs::write(&settings.certificate, "").unwrap();
    let message = format!("{certificate} holds no certificate in PEM form");
    assert_eq!(refused(&settings), message);
    fs::write(&settings.certificate, vec![b'x'; 2 << 20]).unwrap();
    assert!(refused(&settings).contains("larger than 1048576 bytes"));
}

#[test]
fn changed_files_are_taken_once_they_are_at_rest() {
    let (_folder, settings) = files();
    let first = issue(&settings);
    let certificates = Certificates::open(&settings).unwrap();
    certificates.shared.look();
    assert_eq!(shown(&certificates), first);
    let second = issue(&settings);
    certificates.shared.look();
    assert_eq!(shown(&certificates), first);
    certificates.shared.look();
    assert_eq!(shown(&certificates), second);
}

#[test]
fn a_broken_file_keeps_the_old_certificate_and_is_read_once() {
    let (_folder, settings) = files();
    let first = issue(&settings);
    let certificates = Certificates::open(&settings).unwrap();
    fs::write(&settings.key, "broken").unwrap();
    for _ in 0..2 {
        certificates.shared.look();
        assert_eq!(shown(&certificates), first);
    }
    let broken = Stamp::of(&settings);
    assert_eq!(lock(&certificates.shared.looked).read, broken);
    assert!(certificates.reload().is_err());
    assert_eq!(shown(&certificates), first);
    let second = issue(&settings);
    certificates.reload().unwrap();
    assert_eq!(shown(&certificates), second);
}
