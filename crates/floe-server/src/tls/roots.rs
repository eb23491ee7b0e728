//! Certificates that are trusted besides the system's, for addresses of a private authority.

use std::fmt;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};

/// Certificates that are trusted besides the system's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Roots {
    der: Vec<Vec<u8>>,
}

/// Why certificates cannot be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// Name a file of certificates in PEM.
    #[error("no certificates in PEM: {0}")]
    Pem(#[source] pem::Error),
    /// Name a file with at least one.
    #[error("there is no certificate in it")]
    None,
    /// Name those alone that are needed.
    #[error("there are more than {} certificates in it", Roots::MAX)]
    TooMany,
    /// Leave out what is no certificate of an authority.
    #[error("certificate {number} cannot be trusted: {source}")]
    Unusable {
        /// Its number in the file, from 1.
        number: usize,
        /// Why.
        source: rustls::Error,
    },
}

impl Roots {
    /// Certificates of one file.
    pub const MAX: usize = 100;

    /// Reads certificates in PEM.
    ///
    /// # Errors
    /// See [`RootsError`].
    pub fn parse(pem: &[u8]) -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        let mut der = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(RootsError::Pem)?;
            if der.len() == Self::MAX {
                return Err(RootsError::TooMany);
            }
            der.push(certificate.to_vec());
            let number = der.len();
            let added = store.add(certificate);
            added.map_err(|source| RootsError::Unusable { number, source })?;
        }
        if der.is_empty() {
            return Err(RootsError::None);
        }
        Ok(Self { der })
    }

    /// Returns each certificate, in DER.
    pub(crate) fn into_der(self) -> Vec<Vec<u8>> {
        self.der
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.der.len())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn pem(der: &[u8]) -> String {
        let text = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn certificates_are_read_and_anything_else_is_refused() {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let one = pem(made.cert.der());
        assert_eq!(Roots::parse(one.as_bytes()).unwrap().der.len(), 1);
        let some = format!("a private CA\n{one}{one}");
        assert_eq!(Roots::parse(some.as_bytes()).unwrap().der.len(), 2);
        for (text, why) in [
            (String::new(), "there is no certificate"),
            ("no pem".to_owned(), "there is no certificate"),
            (pem(b"no certificate"), "certificate 1 cannot be trusted"),
            (
                format!("{one}{}", pem(b"x")),
                "certificate 2 cannot be trusted",
            ),
            (
                one.replace("-----END CERTIFICATE-----", ""),
                "no certificates in PEM",
            ),
            (one.repeat(101), "more than 100"),
        ] {
            let refused = Roots::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
