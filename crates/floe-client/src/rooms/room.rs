//! A room, and what can be asked of it.

use std::collections::BTreeMap;

use floe_proto::table::{OnConflict, Table};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::answer::{Changed, Failed, Found, Inserted, SchemaColumn};
use super::{Backup, RoomError};
use crate::client::{UrlError, check, escape};
use crate::retry::RetryPolicy;
use crate::stream::Stream;
use crate::transport::{Ask, Failure, Transport, wait};

/// The rooms of a server, or of a namespace of it.
#[derive(Debug, Clone)]
pub struct Rooms {
    transport: Transport,
    /// URL of the server, without a slash at its end.
    root: String,
}

/// A room with tables; a handle costs nothing until it is used.
#[derive(Debug, Clone)]
pub struct Room {
    transport: Transport,
    /// `…/v1/rooms/<name>`.
    url: String,
    /// URL of the stream that is the room's log.
    log: String,
}

/// Rows that are to be inserted together.
#[derive(Debug, Clone)]
pub struct Insert<'a> {
    /// The table.
    pub table: &'a str,
    /// The rows: an array of objects.
    pub rows: &'a RawValue,
    /// How many there are.
    pub rows_count: u64,
    /// What happens where one is there already.
    pub on_conflict: OnConflict,
    /// Whether those that can be inserted are, whatever becomes of the others.
    pub partial: bool,
    /// What the change is called: its messages in the log have it as their `txid`. No other change of the
    /// room has the same.
    pub update_id: &'a str,
}

impl Rooms {
    /// Makes a client for `http[s]://host[:port]`, or `…/n/namespace`; nothing is sent yet.
    ///
    /// # Errors
    /// When this is no such URL.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        check(url)?;
        Ok(Self {
            transport: Transport::new(RetryPolicy::default()),
            root: url.trim_end_matches('/').to_owned(),
        })
    }

    /// Shows an API key or token with every request; `None` where it cannot stand in a header.
    #[must_use]
    pub fn with_bearer(mut self, bearer: &str) -> Option<Self> {
        self.transport = self.transport.with_bearer(bearer)?;
        Some(self)
    }

    /// Replaces the retry policy for all rooms that are made from this from now on.
    #[must_use]
    pub fn with_retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.transport = self.transport.with_policy(policy);
        self
    }

    /// Returns the room of a name; nothing is sent yet.
    #[must_use]
    pub fn room(&self, name: &str) -> Room {
        let (root, name) = (&self.root, escape(name));
        Room {
            transport: self.transport.clone(),
            url: format!("{root}/v1/rooms/{name}"),
            log: format!("{root}/v1/stream/__room__/{name}"),
        }
    }
}

impl Room {
    /// Runs one statement that only reads; `params` is an array of values, or an object of values by name.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn execute_sql(
        &self,
        sql: &str,
        params: &(impl Serialize + ?Sized),
    ) -> Result<Found, RoomError> {
        let payload = json!({"sql": sql, "params": params, "readonly": true});
        read(&self.ask_again("executeSQL", &payload).await?)
    }

    /// Returns the columns of every table.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn schema(&self) -> Result<BTreeMap<String, Vec<SchemaColumn>>, RoomError> {
        let ask = Ask::new(Method::GET, &format!("{}/schema", self.url));
        read(&self.transport.send_again(&ask).await?.body)
    }

    /// Makes a table.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn create_table(&self, table: &Table, update_id: &str) -> Result<(), RoomError> {
        self.change("createTable", table, update_id).await.map(drop)
    }

    /// Inserts rows, all or none unless it is `partial`; durable on return.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn insert(&self, insert: &Insert<'_>) -> Result<Inserted, RoomError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload<'a> {
            table: &'a str,
            rows: &'a RawValue,
            partial: bool,
            on_conflict: &'static str,
        }
        #[derive(Deserialize)]
        struct Data {
            rows: u64,
            #[serde(default)]
            failed: Vec<Failed>,
        }
        let payload = Payload {
            table: insert.table,
            rows: insert.rows,
            partial: insert.partial,
            on_conflict: match insert.on_conflict {
                OnConflict::Fail => "fail",
                OnConflict::Update => "update",
            },
        };
        let changed = self.change("batchInsert", &payload, insert.update_id);
        Ok(match changed.await? {
            Changed::Answered { data } => {
                let Data { rows, failed } =
                    serde_json::from_str(data.get()).map_err(RoomError::Answer)?;
                Inserted {
                    rows,
                    failed,
                    unknown: 0,
                }
            }
            // One that is as it was before leaves no message, and is there.
            Changed::Settled { .. } if !insert.partial => Inserted {
                rows: insert.rows_count,
                ..Inserted::default()
            },
            Changed::Settled { messages } => Inserted {
                rows: messages,
                unknown: insert.rows_count.saturating_sub(messages),
                ..Inserted::default()
            },
        })
    }

    /// Calls any method with any payload, once, and returns the whole answer.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn call(
        &self,
        method: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<serde_json::Value, RoomError> {
        let ask = self.rpc(method, payload, None)?;
        read(&self.transport.send(&ask).await?.body)
    }

    /// Asks for the room's tables as a SQLite file.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn backup(&self) -> Result<Backup, RoomError> {
        let ask = Ask::new(Method::GET, &format!("{}/backup", self.url));
        let mut tries = self.transport.tries();
        loop {
            match self
                .transport
                .open(&ask, self.transport.answer_timeout())
                .await
            {
                Ok(response) => {
                    let body = response.into_body();
                    return Ok(Backup { body });
                }
                Err(failure) => wait(&mut tries, failure).await?,
            }
        }
    }

    /// Makes a change once, however often it has to be sent.
    ///
    /// `update_id` is what its messages in the log have as their `txid`; no other change of the room has
    /// the same.
    ///
    /// # Errors
    /// See [`RoomError`].
    pub async fn change(
        &self,
        method: &str,
        payload: &(impl Serialize + ?Sized),
        update_id: &str,
    ) -> Result<Changed, RoomError> {
        #[derive(Deserialize)]
        struct Answer {
            data: Box<RawValue>,
        }
        let ask = self.rpc(method, payload, Some(update_id))?;
        let since = self.log_end().await;
        let mut tries = self.transport.tries();
        loop {
            let failure = match self.transport.send(&ask).await {
                Ok(answer) => {
                    let Answer { data } = read(&answer.body)?;
                    return Ok(Changed::Answered { data });
                }
                Err(failure) => failure,
            };
            if is_in_doubt(&failure) {
                let Some(since) = since.clone() else {
                    return Err(failure.into());
                };
                match self.settle(update_id, since).await {
                    Ok(0) => {}
                    Ok(messages) => return Ok(Changed::Settled { messages }),
                    // What broke the connection says more.
                    Err(_) => return Err(failure.into()),
                }
            }
            wait(&mut tries, failure).await?;
        }
    }

    /// Asks for something that changes nothing, or cannot be done.
    pub(super) async fn ask_again(
        &self,
        method: &str,
        payload: &serde_json::Value,
    ) -> Result<bytes::Bytes, RoomError> {
        let ask = self.rpc(method, payload, None)?;
        Ok(self.transport.send_again(&ask).await?.body)
    }

    /// Returns the stream that is the room's log.
    pub(super) fn log(&self) -> Stream {
        Stream::new(self.transport.clone(), self.log.clone())
    }

    fn rpc(
        &self,
        method: &str,
        payload: &(impl Serialize + ?Sized),
        update_id: Option<&str>,
    ) -> Result<Ask, RoomError> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Rpc<'a, P: ?Sized> {
            method: &'a str,
            payload: &'a P,
            #[serde(skip_serializing_if = "Option::is_none")]
            update_id: Option<&'a str>,
        }
        let rpc = Rpc {
            method,
            payload,
            update_id,
        };
        let mut ask = Ask::new(Method::POST, &format!("{}/rpc", self.url))
            .header("content-type", "application/json");
        ask.body = serde_json::to_vec(&rpc).map_err(RoomError::Answer)?.into();
        Ok(ask)
    }
}

/// Returns whether nobody knows if a call was done.
fn is_in_doubt(failure: &Failure) -> bool {
    match failure {
        Failure::Refused { refusal, .. } => {
            // A gateway may have passed the call on.
            refusal.status >= 500 && refusal.code.starts_with("HTTP_")
        }
        Failure::Unreachable(_) => true,
    }
}

fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, RoomError> {
    serde_json::from_slice(body).map_err(RoomError::Answer)
}
