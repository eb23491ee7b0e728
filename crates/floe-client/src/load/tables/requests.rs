//! Requests to rooms with tables.

use std::time::Duration;

use crate::load::meter::Kind;
use crate::load::record::Record;
use crate::load::request::Appends;
use crate::load::target::{Target, put_decimal};

/// Makes the table of a run.
pub(crate) const CREATE_TABLE: &str = r#"{"method":"createTable","payload":{"name":"bench","columns":[{"name":"id","type":"INTEGER","primaryKey":true},{"name":"note","type":"TEXT","notNull":true}]}}"#;

/// What is done to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Insert rows.
    Insert {
        /// How many in one request.
        batch: usize,
    },
    /// Update the first row.
    Update,
}

/// Changes the table of rooms.
#[derive(Debug, Clone)]
pub(crate) struct TableAppends {
    /// The request up to the first value, by room.
    starts: Vec<Vec<u8>>,
    between: &'static str,
    end: &'static str,
    value_bytes: usize,
    batch: usize,
    body_bytes: u64,
    kind: Kind,
}

impl TableAppends {
    /// Changes of values of `value_bytes` each in the rooms `names`.
    pub(crate) fn new(
        target: &Target,
        names: &[String],
        change: &Change,
        value_bytes: usize,
    ) -> Self {
        let (batch, opening, between, end) = match change {
            Change::Insert { batch: 0 | 1 } => (
                1,
                r#"{"method":"insertRow","payload":{"table":"bench","values":{"note":""#,
                "",
                r#""}}}"#,
            ),
            Change::Insert { batch } => (
                *batch,
                r#"{"method":"batchInsert","payload":{"table":"bench","rows":[{"note":""#,
                r#""},{"note":""#,
                r#""}]}}"#,
            ),
            Change::Update => (
                1,
                r#"{"method":"updateRow","payload":{"table":"bench","key":1,"values":{"note":""#,
                "",
                r#""}}}"#,
            ),
        };
        let parts = (opening, between, end);
        Self::of(target, names, parts, (value_bytes, batch), Kind::Mutation)
    }

    fn of(
        target: &Target,
        names: &[String],
        (opening, between, end): (&str, &'static str, &'static str),
        (value_bytes, batch): (usize, usize),
        kind: Kind,
    ) -> Self {
        let body_bytes =
            opening.len() + value_bytes * batch + between.len() * (batch - 1) + end.len();
        let start = |name: &String| {
            let path = format!("/v1/rooms/{name}/rpc");
            let mut start = head(&path, &target.fields, body_bytes).into_bytes();
            start.extend_from_slice(opening.as_bytes());
            start
        };
        Self {
            starts: names.iter().map(start).collect(),
            between,
            end,
            value_bytes,
            batch,
            body_bytes: body_bytes as u64,
            kind,
        }
    }
}

impl Appends for TableAppends {
    fn put(&self, out: &mut Vec<u8>, number: u64, put: &mut dyn FnMut(&mut Vec<u8>, usize)) {
        out.extend_from_slice(&self.starts[number as usize]);
        for at in 0..self.batch {
            if at > 0 {
                out.extend_from_slice(self.between.as_bytes());
            }
            put(out, self.value_bytes);
        }
        out.extend_from_slice(self.end.as_bytes());
    }

    fn messages(&self) -> u64 {
        self.batch as u64
    }

    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    fn kind(&self) -> Kind {
        self.kind
    }
}

/// Updates of one value of the write buffer.
#[derive(Debug, Clone)]
pub(crate) struct Updates {
    /// An rpc up to the value, without the brace that opens it.
    opening: String,
    value_bytes: usize,
}

impl Updates {
    pub(crate) fn new(value_bytes: usize, interval: Duration) -> Self {
        let interval = interval.as_millis();
        Self {
            opening: format!(
                r#""method":"updateDebounced","payload":{{"key":"bench","interval":{interval},"value":""#
            ),
            value_bytes,
        }
    }

    /// Appends an rpc without the brace that opens it; the number of the record is its id.
    pub(crate) fn put_rpc(&self, out: &mut Vec<u8>, record: Record) {
        out.extend_from_slice(b"\"requestId\":");
        put_decimal(out, record.sequence);
        out.push(b',');
        out.extend_from_slice(self.opening.as_bytes());
        record.put(out, self.value_bytes);
        out.extend_from_slice(b"\"}}");
    }

    /// The same over HTTP.
    pub(crate) fn over_http(&self, target: &Target, names: &[String]) -> TableAppends {
        let opening = format!("{{{}", self.opening);
        let parts = (opening.as_str(), "", "\"}}");
        TableAppends::of(target, names, parts, (self.value_bytes, 1), Kind::Update)
    }
}

/// Returns a POST of JSON.
pub(crate) fn post(path: &str, fields: &str, body: &str) -> String {
    head(path, fields, body.len()) + body
}

fn head(path: &str, fields: &str, body_bytes: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\n{fields}\r\nContent-Type: application/json\r\n\
         Content-Length: {body_bytes}\r\n\r\n"
    )
}

/// Returns the path of a room's WebSocket.
pub(crate) fn connect_path(room: &str) -> String {
    format!("/connect?room_id={room}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::request::put_filler;

    #[test]
    fn a_body_is_json_of_the_length_that_the_head_says() {
        let target = Target::parse("http://127.0.0.1:1", "r").unwrap();
        let names = ["r-0".to_owned()];
        let updates = Updates::new(7, Duration::from_millis(250));
        let changes = [
            TableAppends::new(&target, &names, &Change::Insert { batch: 1 }, 9),
            TableAppends::new(&target, &names, &Change::Insert { batch: 3 }, 9),
            TableAppends::new(&target, &names, &Change::Update, 9),
            updates.over_http(&target, &names),
        ];
        let mut found = Vec::new();
        for change in &changes {
            let mut out = Vec::new();
            change.put(&mut out, 0, &mut put_filler);
            let text = String::from_utf8(out).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("POST /v1/rooms/r-0/rpc HTTP/1.1\r\n"));
            assert!(
                head.ends_with(&format!("Content-Length: {}", body.len())),
                "{head}"
            );
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            found.push((
                body["method"].as_str().unwrap().to_owned(),
                change.messages(),
            ));
        }
        let expected = [
            ("insertRow", 1),
            ("batchInsert", 3),
            ("updateRow", 1),
            ("updateDebounced", 1),
        ];
        assert_eq!(
            found,
            expected.map(|(method, rows)| (method.to_owned(), rows))
        );
        let mut frame = b"{\"action\":\"rpc\",".to_vec();
        let record = Record {
            writer: 1,
            sequence: 12,
            sent_ns: 0,
        };
        updates.put_rpc(&mut frame, record);
        let frame: serde_json::Value = serde_json::from_slice(&frame).unwrap();
        assert_eq!(frame["requestId"], 12);
        assert_eq!(frame["payload"]["interval"], 250);
        assert!(serde_json::from_str::<serde_json::Value>(CREATE_TABLE).is_ok());
    }
}
