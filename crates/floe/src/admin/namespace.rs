//! `floe namespace`.

use clap::{Args, Subcommand};
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
    },
}

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
        NamespaceCommand::Delete { name } => {
            admin.delete(&format!("/v1/namespaces/{name}")).await?;
            server.print(&json!({ "deleted": name }), String::new)
        }
    }
}
