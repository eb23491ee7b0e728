//! `floe namespace`, `floe key` and `floe token`: administration of a running server over HTTP.

pub mod key;
pub mod namespace;
pub mod token;

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use floe_client::Admin;
use serde_json::Value;

/// Which server is meant, and who asks.
#[derive(Debug, Args)]
pub struct ServerArguments {
    /// The server, such as http://127.0.0.1:4437, or with a namespace: http://host/n/acme
    #[arg(
        long,
        env = "FLOE_URL",
        default_value = "http://127.0.0.1:4437",
        global = true
    )]
    url: String,
    /// File with the API key or token to show. The environment variable FLOE_KEY holds it as well;
    /// with neither the server must be open.
    #[arg(long, value_name = "FILE", global = true)]
    key_file: Option<PathBuf>,
    /// Print the server's answer as JSON.
    #[arg(long, global = true)]
    json: bool,
}

impl ServerArguments {
    /// Returns a client that shows what there is to show.
    fn admin(&self) -> anyhow::Result<Admin> {
        let key = match &self.key_file {
            Some(file) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                Some(text.trim().to_owned())
            }
            None => match std::env::var("FLOE_KEY") {
                Ok(key) => Some(key.trim().to_owned()),
                Err(std::env::VarError::NotPresent) => None,
                Err(std::env::VarError::NotUnicode(_)) => bail!("FLOE_KEY is not text"),
            },
        };
        let key = key.filter(|key| !key.is_empty());
        Admin::new(&self.url, key.as_deref()).with_context(|| format!("cannot use {}", self.url))
    }

    /// Prints the answer as JSON if that was asked for, and as lines otherwise.
    fn print(&self, answer: &Value, lines: impl FnOnce() -> String) -> anyhow::Result<()> {
        let text = match self.json {
            true => format!("{answer}\n"),
            false => lines(),
        };
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }
}

/// Returns every entry of a list that is answered in pages.
async fn list(admin: &Admin, path: &str, name: &str) -> anyhow::Result<Vec<Value>> {
    let mut all = Vec::new();
    let mut after = String::new();
    loop {
        let separator = if path.contains('?') { '&' } else { '?' };
        let page = format!("{path}{separator}limit=1000&after={after}");
        let mut page = admin.get(&page).await?;
        if let Some(Value::Array(entries)) = page.get_mut(name).map(Value::take) {
            all.extend(entries);
        }
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return Ok(all),
        }
    }
}

/// Reads `PATTERN=RIGHT,RIGHT`.
fn room_grant(text: &str) -> Result<(String, Vec<String>), String> {
    let (pattern, rights) = text
        .split_once('=')
        .ok_or("a grant is PATTERN=RIGHT,RIGHT, such as stream/news/**=read,append")?;
    let rights = rights.split(',').map(str::to_owned).collect();
    Ok((pattern.to_owned(), rights))
}

/// Rights, as `key create` and `token create` take them.
#[derive(Debug, Args)]
pub struct GrantArguments {
    /// Rights in all rooms of the namespace, separated by commas: read, append, read:deleted,
    /// delete:own, delete:any, presence, create, manage, admin.
    #[arg(long, value_delimiter = ',', value_name = "RIGHTS")]
    rights: Vec<String>,
    /// Rights in some rooms, such as stream/news/**=read,append or channel/*=read; may be repeated.
    #[arg(long = "room", value_name = "PATTERN=RIGHTS", value_parser = room_grant)]
    rooms: Vec<(String, Vec<String>)>,
    /// As whom its bearer speaks; without it they say so themselves, or only read.
    #[arg(long)]
    user: Option<String>,
    /// Seconds until it ends.
    #[arg(long, value_name = "SECONDS")]
    expires_in: Option<u64>,
    /// The namespace; by default that of the key, or of the URL.
    #[arg(long)]
    namespace: Option<String>,
}

impl GrantArguments {
    /// Returns the body of a request that grants this.
    fn body(&self) -> Value {
        let mut body = serde_json::json!({ "rights": self.rights });
        if !self.rooms.is_empty() {
            let rooms = self.rooms.iter();
            let rooms = rooms.map(|(pattern, rights)| (pattern.clone(), rights.clone().into()));
            body["rooms"] = Value::Object(rooms.collect());
        }
        put(&mut body, "user", self.user.as_deref());
        put(&mut body, "namespace", self.namespace.as_deref());
        if let Some(seconds) = self.expires_in {
            body["expiresInSeconds"] = seconds.into();
        }
        body
    }
}

fn put(body: &mut Value, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        body[name] = text.into();
    }
}

/// Returns a member as text; nothing where there is none.
fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Refuses what would be another path than it seems.
pub fn segment(name: &str) -> Result<String, String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    match !name.is_empty() && name.bytes().all(plain) {
        true => Ok(name.to_owned()),
        false => Err("it has other characters than letters, digits, `-`, `_` and `.`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_as_they_are_written() {
        let (pattern, rights) = room_grant("stream/a/**=read,append").unwrap();
        assert_eq!(
            (&*pattern, &*rights),
            ("stream/a/**", &["read".into(), "append".into()][..])
        );
        assert!(room_grant("stream/a").is_err());
        assert!(segment("acme").is_ok() && segment("a/b").is_err() && segment("").is_err());
    }
}
