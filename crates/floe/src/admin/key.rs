//! `floe key`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{GrantArguments, ServerArguments, list, put, segment, text};

/// Make, list, rotate and delete API keys of a server. It takes a key with `admin`.
#[derive(Debug, Args)]
pub struct KeyArguments {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key, and print it: the server shows it this once.
    ///
    /// The first key of a server needs `--namespace '*' --rights admin,…`, and closes the server to
    /// all who have none.
    Create {
        #[command(flatten)]
        grants: GrantArguments,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
    },
    /// List keys: id, namespace, user, name.
    List {
        /// Only those of this namespace.
        #[arg(long, value_parser = segment)]
        namespace: Option<String>,
    },
    /// Give a key a new secret, and print it.
    Rotate {
        /// Its id.
        #[arg(value_parser = segment)]
        id: String,
        /// Seconds that the old secret is good for besides.
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        old_expires_in: u64,
    },
    /// End a key, and all that listens by it.
    Delete {
        /// Its id.
        #[arg(value_parser = segment)]
        id: String,
    },
}

/// Does what is asked.
pub async fn run(arguments: &KeyArguments) -> anyhow::Result<()> {
    let server = &arguments.server;
    let admin = server.admin()?;
    match &arguments.command {
        KeyCommand::Create { grants, name } => {
            let mut body = grants.body();
            put(&mut body, "name", name.as_deref());
            let made = admin.post("/v1/keys", &body).await?;
            server.print(&made, || format!("{}\n", text(&made, "secret")))
        }
        KeyCommand::List { namespace } => {
            let path = match namespace {
                Some(namespace) => format!("/v1/keys?namespace={namespace}"),
                None => "/v1/keys".to_owned(),
            };
            let all = list(&admin, &path, "keys").await?;
            server.print(&json!(all), || all.iter().map(line).collect())
        }
        KeyCommand::Rotate { id, old_expires_in } => {
            let body = json!({ "oldExpiresInSeconds": old_expires_in });
            let made = admin.post(&format!("/v1/keys/{id}/rotate"), &body).await?;
            server.print(&made, || format!("{}\n", text(&made, "secret")))
        }
        KeyCommand::Delete { id } => {
            admin.delete(&format!("/v1/keys/{id}")).await?;
            server.print(&json!({ "deleted": id }), String::new)
        }
    }
}

fn line(key: &Value) -> String {
    let parts = ["id", "namespace", "user", "name"].map(|name| match text(key, name) {
        "" => "-",
        text => text,
    });
    format!("{}\n", parts.join("\t"))
}
