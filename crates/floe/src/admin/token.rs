//! `floe token`.

use anyhow::bail;
use clap::{Args, Subcommand};

use super::{GrantArguments, ServerArguments, put, text};

/// Have a server sign tokens. It takes a key with `manage` in the rooms, or with `admin`.
#[derive(Debug, Args)]
pub struct TokenArguments {
    #[command(flatten)]
    server: ServerArguments,
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Sign a token, and print it; of a share link its address.
    Create {
        #[command(flatten)]
        grants: GrantArguments,
        /// Make a share link: who has it reads, and needs nothing else.
        #[arg(long)]
        share: bool,
        /// Make an invitation to one room, such as stream/news or channel/3f9ac2017b5e.
        #[arg(long, value_name = "ROOM", conflicts_with_all = ["share", "rights", "rooms", "user"])]
        invite: Option<String>,
        /// What the guest becomes: reader, member, moderator or owner.
        #[arg(long, requires = "invite", default_value = "member")]
        role: String,
    },
}

/// Does what is asked.
pub async fn run(arguments: &TokenArguments) -> anyhow::Result<()> {
    let server = &arguments.server;
    let admin = server.admin()?;
    let TokenCommand::Create {
        grants,
        share,
        invite,
        role,
    } = &arguments.command;
    let mut body = grants.body();
    if *share {
        body["use"] = "share".into();
    }
    if let Some(room) = invite {
        body["use"] = "invite".into();
        put(&mut body, "room", Some(room));
        put(&mut body, "role", Some(role));
    }
    let signed = admin.post("/v1/tokens", &body).await?;
    let shown = match text(&signed, "url") {
        "" => text(&signed, "token"),
        url => url,
    };
    if shown.is_empty() {
        bail!("the server answered without a token");
    }
    server.print(&signed, || format!("{shown}\n"))
}
