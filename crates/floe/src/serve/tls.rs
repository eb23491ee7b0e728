//! The settings of TLS and of proxies in front, as arguments.

use std::path::PathBuf;

use clap::Args;
use floe_server::{ProxySettings, TlsSettings, TrustedProxies};

/// TLS and proxies.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS and proxies")]
pub struct TlsArguments {
    /// PEM file of the certificate for TLS, and behind it those that lead to an authority.
    ///
    /// With it the port speaks HTTPS alone, HTTP/1.1 and HTTP/2. The files are read again when they
    /// change; while what is in them cannot be used, the old certificate stays.
    #[arg(long, env = "FLOE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// PEM file of the certificate's private key.
    #[arg(long, env = "FLOE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Addresses and networks of proxies that are believed, such as `10.0.0.0/8,fd00::/8`.
    ///
    /// X-Forwarded-For and X-Forwarded-Proto count only in requests from them.
    #[arg(
        long,
        env = "FLOE_TRUSTED_PROXIES",
        value_name = "NETWORKS",
        value_parser = TrustedProxies::parse,
        default_value = "",
        hide_default_value = true
    )]
    trusted_proxies: TrustedProxies,
    /// Whether each connection begins with a header of the PROXY protocol, version 1 or 2.
    ///
    /// Only trusted proxies can connect then.
    #[arg(
        long,
        env = "FLOE_PROXY_PROTOCOL",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value_t = false
    )]
    proxy_protocol: bool,
}

impl TlsArguments {
    /// Where the certificate is, if there is to be TLS.
    pub fn tls(&self) -> Option<TlsSettings> {
        Some(TlsSettings {
            certificate: self.tls_cert.clone()?,
            key: self.tls_key.clone()?,
        })
    }

    /// Which proxies are believed.
    pub fn proxies(&self) -> ProxySettings {
        ProxySettings {
            trusted: self.trusted_proxies.clone(),
            protocol: self.proxy_protocol,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        tls: TlsArguments,
    }

    fn parse(arguments: &[&str]) -> Result<TlsArguments, String> {
        let all = std::iter::once("floe").chain(arguments.iter().copied());
        let parsed = Program::try_parse_from(all);
        parsed
            .map(|program| program.tls)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_certificate_and_its_key_come_together() {
        assert_eq!(parse(&[]).unwrap().tls(), None);
        let both = parse(&["--tls-cert", "a.pem", "--tls-key", "b.pem"]).unwrap();
        let expected = TlsSettings {
            certificate: "a.pem".into(),
            key: "b.pem".into(),
        };
        assert_eq!(both.tls(), Some(expected));
        let missing = parse(&["--tls-cert", "a.pem"]).unwrap_err();
        assert!(missing.contains("--tls-key <FILE>"), "{missing}");
        let missing = parse(&["--tls-key", "b.pem"]).unwrap_err();
        assert!(missing.contains("--tls-cert <FILE>"), "{missing}");
    }

    #[test]
    fn proxies_are_networks() {
        let none = parse(&[]).unwrap().proxies();
        assert_eq!(none, ProxySettings::default());
        let some = parse(&["--trusted-proxies=10.0.0.0/8,::1", "--proxy-protocol"]).unwrap();
        let expected = ProxySettings {
            trusted: TrustedProxies::parse("10.0.0.0/8,::1").unwrap(),
            protocol: true,
        };
        assert_eq!(some.proxies(), expected);
        assert!(
            !parse(&["--proxy-protocol=false"])
                .unwrap()
                .proxies()
                .protocol
        );
        let refused = parse(&["--trusted-proxies=10.0.0.1/8"]).unwrap_err();
        assert!(
            refused.contains("`10.0.0.1/8` has bits beyond its prefix"),
            "{refused}"
        );
    }
}
