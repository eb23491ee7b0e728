//! `floe namespace`.

use std::time::Duration;

use clap::{Args, Subcommand};
use floe_client::{Admin, AdminError};
use serde_json::json;

use super::{ServerArguments, list, segment, text};

/// Make, list and delete namespaces of a server. It takes a key of all namespaces with `admin`.
#[derive(Debug, Args)]
pub struct NamespaceArguments {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    command: NamespaceCommand,
}

#[derive(Debug, Subcommand)]
enum NamespaceCommand {
    /// Make a namespace.
    Create {
        /// What it is called.
        #[arg(value_parser = segment)]
        name: String,
        /// Origin whose pages may open live connections there; may be repeated.
        #[arg(long = "origin", value_name = "ORIGIN")]
        origins: Vec<String>,
    },
    /// List namespaces.
    List,
    /// Delete a namespace that has no rooms, and end its keys.
    Delete {
        /// Which.
        #[arg(value_parser = segment)]
        name: String,
        /// Delete its streams, channels and subscriptions as well, and wait until they are gone.
        /// That goes on if this is interrupted, or the server is restarted.
        #[arg(long)]
        with_rooms: bool,
    },
    /// Give a namespace a new secret for the tokens that the server signs; those signed before end.
    RotateSecret {
        /// Which.
        #[arg(value_parser = segment)]
        name: String,
        /// Seconds that tokens signed with the old secret are good for besides.
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        old_expires_in: u64,
    },
}

/// Waits until there is nothing at a path any more.
async fn until_gone(admin: &Admin, path: &str) -> anyhow::Result<()> {
    let mut pause = PAUSE_MIN;
    loop {
        match admin.get(path).await {
            Err(AdminError::Refused(refusal)) if refusal.code == "NOT_FOUND" => return Ok(()),
            found => found?,
        };
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// Time between two looks, at first.
const PAUSE_MIN: Duration = Duration::from_millis(50);
/// Time between two looks, in the end.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Does what is asked.
pub async fn run(arguments: &NamespaceArguments) -> anyhow::Result<()> {
    let server = &arguments.server;
    let admin = server.admin()?;
    match &arguments.command {
        NamespaceCommand::Create { name, origins } => {
            let body = json!({ "name": name, "origins": origins });
            let made = admin.post("/v1/namespaces", &body).await?;
            server.print(&made, || format!("{name}\n"))
        }
        NamespaceCommand::List => {
            let all = list(&admin, "/v1/namespaces", "namespaces").await?;
            let lines = || {
                let lines = all.iter();
                lines
                    .map(|one| format!("{}\n", text(one, "name")))
                    .collect()
            };
            server.print(&json!(all), lines)
        }
        NamespaceCommand::Delete { name, with_rooms } => {
            let path = format!("/v1/namespaces/{name}");
            if *with_rooms {
                admin.delete(&format!("{path}?rooms=delete")).await?;
                until_gone(&admin, &path).await?;
            } else {
                admin.delete(&path).await?;
            }
            server.print(&json!({ "deleted": name }), String::new)
        }
        NamespaceCommand::RotateSecret {
            name,
            old_expires_in,
        } => {
            let body = json!({ "oldExpiresInSeconds": old_expires_in });
            let path = format!("/v1/namespaces/{name}/rotate-secret");
            let made = admin.post(&path, &body).await?;
            server.print(&made, || format!("{}\n", text(&made, "secretId")))
        }
    }
}
