//! Certificates and keys as PEM files.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use super::TlsSettings;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A file is no PEM, or there is something wrong with what it holds.
    #[error("{} cannot be understood: {reason}", file.display())]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file holds no certificate.
    #[error("{} holds no certificate in PEM form", file.display())]
    NoCertificate {
        /// The file.
        file: PathBuf,
    },
    /// A file holds no private key.
    #[error("{} holds no private key in PEM form without a passphrase", file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
    },
    /// The two do not belong together.
    #[error("the key in {} is not that of the certificate in {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// Encryption cannot be set up on this machine.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[source] Error),
}

/// Bytes that each of the files may have.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a certificate and its key.
pub(super) fn read(
    settings: &TlsSettings,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsError> {
    let file = &settings.certificate;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&contents(file)?).collect();
    let chain = chain.map_err(|error| malformed(file, &error))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { file: file.clone() });
    }
    let file = &settings.key;
    let key = PrivateKeyDer::from_pem_slice(&contents(file)?).map_err(|error| {
        if matches!(error, pem::Error::NoItemsFound) {
            TlsError::NoKey { file: file.clone() }
        } else {
            malformed(file, &error)
        }
    })?;
    let key = provider
        .key_provider
        .load_private_key(key)
        .map_err(|error| malformed(file, &error))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(Error::InconsistentKeys(_)) => Err(TlsError::Mismatch {
            certificate: settings.certificate.clone(),
            key: settings.key.clone(),
        }),
        Err(error) => Err(malformed(&settings.certificate, &error)),
    }
}

fn contents(file: &Path) -> Result<Vec<u8>, TlsError> {
    let mut bytes = Vec::new();
    let opened = File::open(file);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
    match read {
        Ok(len) if len as u64 <= FILE_BYTES_MAX => Ok(bytes),
        Ok(_) => Err(TlsError::Malformed {
            file: file.to_owned(),
            reason: format!("it is larger than {FILE_BYTES_MAX} bytes"),
        }),
        Err(source) => Err(TlsError::Read {
            file: file.to_owned(),
            source,
        }),
    }
}

fn malformed(file: &Path, reason: &dyn std::fmt::Display) -> TlsError {
    TlsError::Malformed {
        file: file.to_owned(),
        reason: reason.to_string(),
    }
}

/// What tells whether the files are still those that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp([Option<FileStamp>; 2]);

/// Device, number, length, and time of the last change.
type FileStamp = (u64, u64, u64, i64, i64);

impl Stamp {
    /// Looks at both files.
    pub(super) fn of(settings: &TlsSettings) -> Self {
        let look = |file: &PathBuf| {
            let found = std::fs::metadata(file).ok()?;
            let changed = (found.mtime(), found.mtime_nsec());
            Some((found.dev(), found.ino(), found.len(), changed.0, changed.1))
        };
        Self([look(&settings.certificate), look(&settings.key)])
    }
}
