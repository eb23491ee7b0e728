//! The tables that say whom the server believes besides its API keys: `[[jwt]]`, `[access_webhook]`.
//!
//! Secrets stand in files and variables that the tables name, so the tables can be shown.

use std::path::{Path, PathBuf};

use floe_proto::Rights;
use floe_server::{AccessSettings, AccessWebhookSettings, IssuerSettings, JwksSettings, Roots};
use floe_surfaces::access::jwt::{Algorithm, Issuer, KeySet, Secret};
use serde::{Deserialize, Serialize};

use super::FileTables;

/// An issuer of signed tokens.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct JwtTable {
    issuer: String,
    /// A namespace, or `*` where each token says it.
    namespace: String,
    #[serde(default)]
    audience: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithms: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    skew_seconds: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<String>,
    #[serde(default)]
    rights: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    #[serde(default)]
    keys: Vec<KeyTable>,
}

/// A key of an issuer: one of the four.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key_file: Option<PathBuf>,
}

/// Somebody who is asked about credentials that nothing else knows.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccessWebhookTable {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_file: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_env: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_entries_max: Option<usize>,
    #[serde(default)]
    anonymous: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
}

impl FileTables {
    /// Reads whom the server believes, with the files and variables that the tables name; hands each
    /// problem to `problem` with the name of its table.
    pub fn access(&self, mut problem: impl FnMut(&str, String)) -> AccessSettings {
        let mut access = AccessSettings::default();
        for table in &self.jwt {
            match table.read() {
                Ok(issuer) => access.issuers.push(issuer),
                Err(error) => problem("jwt", format!("jwt: {}: {error}", table.issuer)),
            }
        }
        match self.access_webhook.as_ref().map(AccessWebhookTable::read) {
            Some(Ok(webhook)) => access.webhook = Some(webhook),
            Some(Err(error)) => problem("access_webhook", format!("access_webhook: {error}")),
            None => {}
        }
        access
    }
}

impl JwtTable {
    fn read(&self) -> anyhow::Result<IssuerSettings> {
        let mut keys = KeySet::default();
        for key in &self.keys {
            key.add_to(&mut keys)?;
        }
        let algorithm = |word: &String| {
            Algorithm::of_word(word).ok_or_else(|| anyhow::anyhow!("{word:?} is no algorithm"))
        };
        let algorithms = match &self.algorithms {
            Some(words) => words.iter().map(algorithm).collect::<Result<_, _>>()?,
            None => Algorithm::ALL.into(),
        };
        let namespace = match self.namespace.as_str() {
            "*" => None,
            name => Some(name.parse()?),
        };
        let rights = self.rights.iter().map(|word| {
            Rights::of_word(word).ok_or_else(|| anyhow::anyhow!("{word:?} is no right"))
        });
        let mut granted = Rights::NONE;
        for right in rights {
            granted = granted.with(right?);
        }
        let roots = read_roots(&self.ca_file)?;
        if self.jwks_url.is_none() && self.ca_file.is_some() {
            anyhow::bail!("ca_file is for jwks_url, and there is none");
        }
        let jwks = self.jwks_url.as_deref().map(|url| {
            let usual = JwksSettings::new(url);
            JwksSettings {
                roots,
                refresh_seconds: self.refresh_seconds.unwrap_or(usual.refresh_seconds),
                keep_seconds: self.keep_seconds.unwrap_or(usual.keep_seconds),
                ..usual
            }
        });
        Ok(IssuerSettings {
            issuer: Issuer {
                audience: self
                    .audience
                    .iter()
                    .map(|one| one.as_str().into())
                    .collect(),
                algorithms,
                skew_seconds: self.skew_seconds.unwrap_or(Issuer::SKEW_SECONDS),
                namespace,
                claim: self.claim.as_deref().unwrap_or(Issuer::CLAIM).into(),
                rights: granted,
                ..Issuer::new(&self.issuer, keys)
            },
            jwks,
        })
    }
}

impl KeyTable {
    fn add_to(&self, keys: &mut KeySet) -> anyhow::Result<()> {
        let id = self.kid.as_deref();
        let public = match (&self.public_key, &self.public_key_file) {
            (Some(key), None) => Some(key.clone()),
            (None, Some(path)) => Some(read_text(path)?),
            (None, None) => None,
            (Some(_), Some(_)) => anyhow::bail!(ONE_KEY),
        };
        match (public, read_secret(&self.secret_file, &self.secret_env)?) {
            (Some(public), None) => keys.add_public(id, &public)?,
            (None, Some(secret)) => keys.add_secret(Secret::new(id, secret.as_bytes())?)?,
            (None, None) | (Some(_), Some(_)) => anyhow::bail!(ONE_KEY),
        }
        Ok(())
    }
}

impl AccessWebhookTable {
    fn read(&self) -> anyhow::Result<AccessWebhookSettings> {
        let usual = AccessWebhookSettings::new(&self.url);
        Ok(AccessWebhookSettings {
            secret: read_secret(&self.secret_file, &self.secret_env)?,
            timeout_ms: self.timeout_ms.unwrap_or(usual.timeout_ms),
            cache_seconds: self.cache_seconds.unwrap_or(usual.cache_seconds),
            cache_entries_max: self.cache_entries_max.unwrap_or(usual.cache_entries_max),
            anonymous: self.anonymous,
            roots: read_roots(&self.ca_file)?,
            ..usual
        })
    }
}

const ONE_KEY: &str = "a key has one of secret_file, secret_env, public_key and public_key_file";

/// Reads a secret from where a table says, without white space around it.
fn read_secret(
    file: &Option<PathBuf>,
    variable: &Option<String>,
) -> anyhow::Result<Option<String>> {
    let secret = match (file, variable) {
        (None, None) => return Ok(None),
        (Some(path), None) => read_text(path)?,
        (None, Some(name)) => {
            std::env::var(name).map_err(|_| anyhow::anyhow!("the variable {name} is not set"))?
        }
        (Some(_), Some(_)) => anyhow::bail!("secret_file and secret_env are both there"),
    };
    Ok(Some(secret.trim().to_owned()))
}

/// Reads whose certificates are believed besides those that the system knows.
fn read_roots(file: &Option<PathBuf>) -> anyhow::Result<Roots> {
    let Some(path) = file else {
        return Ok(Roots::default());
    };
    Roots::parse(read_text(path)?.as_bytes())
        .map_err(|error| anyhow::anyhow!("ca_file: {}: {error}", path.display()))
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (AccessSettings, Vec<String>) {
        let tables: FileTables = toml::from_str(text).unwrap();
        let mut problems = Vec::new();
        let access = tables.access(|_, problem| problems.push(problem));
        (access, problems)
    }

    #[test]
    fn tables_become_settings_and_show_no_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, format!("{}\n", "s".repeat(32))).unwrap();
        let text = format!(
            r#"
            [[jwt]]
            issuer = "https://id.example.com/"
            namespace = "acme"
            audience = ["floe"]
            algorithms = ["RS256"]
            rights = ["read", "append"]
            jwks_url = "https://id.example.com/keys"
            [[jwt]]
            issuer = "own"
            namespace = "*"
            keys = [{{ kid = "one", secret_file = {path:?} }}]
            [access_webhook]
            url = "http://localhost:1/ask"
            secret_file = {path:?}
            cache_seconds = 5
            "#
        );
        let (access, problems) = read(&text);
        assert_eq!(problems, [""; 0]);
        assert!(access.issuers().is_ok());
        let [first, second] = &access.issuers[..] else {
            panic!("{access:?}");
        };
        assert_eq!(first.issuer.algorithms, [Algorithm::Rs256]);
        assert_eq!(first.issuer.rights, Rights::READ.with(Rights::APPEND));
        assert_eq!(first.issuer.namespace, "acme".parse().ok());
        assert_eq!(
            first.jwks,
            Some(JwksSettings::new("https://id.example.com/keys"))
        );
        assert_eq!((second.issuer.keys.len(), &second.jwks), (1, &None));
        let webhook = access.webhook.as_ref().unwrap();
        assert_eq!(webhook.secret.as_deref(), Some(&*"s".repeat(32)));
        assert_eq!((webhook.cache_seconds, webhook.timeout_ms), (5, 2_000));
        assert!(!format!("{access:?}").contains("sss"));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, why) in [
            ("keys = [{}]", "a key has one of"),
            (
                "keys = [{ secret_env = \"FLOE_NOT_THERE\" }]",
                "FLOE_NOT_THERE is not set",
            ),
            (
                "keys = [{ secret_file = \"/not/there\" }]",
                "cannot be read",
            ),
            ("ca_file = \"/not/there\"", "cannot be read"),
            (
                "jwks_url = \"https://a\"\nca_file = \"Cargo.toml\"",
                "ca_file: Cargo.toml: there is no certificate",
            ),
            ("keys = [{ public_key = \"x\" }]", "BEGIN PUBLIC KEY"),
            ("algorithms = [\"none\"]", "\"none\" is no algorithm"),
            ("rights = [\"fly\"]", "\"fly\" is no right"),
        ] {
            let (_, problems) = read(&format!(
                "[[jwt]]\nissuer = \"i\"\nnamespace = \"a\"\n{text}"
            ));
            assert_eq!(problems.len(), 1, "{text}");
            assert!(problems[0].starts_with("jwt: i: "), "{problems:?}");
            assert!(problems[0].contains(why), "{problems:?}");
        }
    }
}
