//! `floe sql`, `floe import` and `floe export`: the tables of a room from the command line.

mod cell;
pub mod export;
pub mod import;
mod print;
pub mod sql;

use anyhow::Context;
use clap::Args;
use floe_client::rooms::{Room, Rooms};

/// Which room is meant, and who asks.
#[derive(Debug, Args)]
pub struct RoomArguments {
    /// The room.
    #[arg(long, value_name = "NAME", value_parser = room_name)]
    room: String,
    /// The server.
    #[arg(
        long,
        env = "FLOE_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:4437"
    )]
    server: String,
    /// The namespace that the room is in; by default that of the key, or of the URL.
    #[arg(long, value_name = "NAME", value_parser = crate::admin::segment)]
    namespace: Option<String>,
    /// API key or token to show.
    #[arg(long, env = "FLOE_BEARER", value_name = "KEY", hide_env_values = true)]
    bearer: Option<String>,
}

impl RoomArguments {
    fn rooms(&self) -> anyhow::Result<Rooms> {
        let server = self.server.trim_end_matches('/');
        let url = match &self.namespace {
            Some(namespace) => format!("{server}/n/{namespace}"),
            None => server.to_owned(),
        };
        let mut rooms = Rooms::new(&url).with_context(|| format!("cannot use {url}"))?;
        if let Some(bearer) = &self.bearer {
            rooms = rooms
                .with_bearer(bearer)
                .context("--bearer cannot stand in a header")?;
        }
        Ok(rooms)
    }

    /// Returns the room, for somebody who waits for one answer and wants to know at once.
    fn first_contact(&self) -> anyhow::Result<Room> {
        let rooms = self.rooms()?;
        let rooms = rooms.with_retry_policy(crate::tail::FIRST_CONTACT);
        Ok(rooms.room(&self.room))
    }

    /// Returns the room, for work that is worth waiting for.
    fn patient(&self) -> anyhow::Result<Room> {
        Ok(self.rooms()?.room(&self.room))
    }
}

fn room_name(name: &str) -> Result<String, String> {
    match floe_surfaces::tables::TableRoom::parse(name) {
        Ok(_) => Ok(name.to_owned()),
        Err(reject) => Err(reject.message.into()),
    }
}

/// Returns a name as SQL has it, whatever is in it.
fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
