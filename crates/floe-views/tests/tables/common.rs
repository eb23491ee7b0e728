//! A room with tables and its log, as the host has them.

use floe_proto::table::{Applied, Call, Mutation, OnConflict, Params, Row, Table, TableError};
use floe_proto::{Millis, RoomId};
use floe_views::tables::{
    Messages, RoomFile, RoomReader, Rows, SqlLimits, TableFolder, TableOptions,
};

/// The number of the room.
pub const ROOM: RoomId = RoomId(7);
/// When the first call comes.
pub const START: Millis = Millis(1_767_225_600_000);

/// A room, whose log is in memory.
pub struct Room {
    pub _temporary: tempfile::TempDir,
    pub folder: TableFolder,
    pub options: TableOptions,
    pub log: Messages,
    pub file: RoomFile,
    pub now: Millis,
}

impl Room {
    pub fn new() -> Self {
        Self::with(TableOptions::default())
    }

    pub fn with(options: TableOptions) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let folder = TableFolder::new(temporary.path().join("tables"));
        let file = RoomFile::open(&folder, ROOM, 0, &options).unwrap();
        Self {
            _temporary: temporary,
            folder,
            options,
            log: Messages::default(),
            file,
            now: START,
        }
    }

    /// Runs one call as a batch of its own.
    pub fn call(&mut self, mutations: Vec<Mutation>) -> Result<Applied, TableError> {
        self.run(&Call {
            mutations,
            user: Some("ann".into()),
            ..Call::default()
        })
    }

    pub fn run(&mut self, call: &Call) -> Result<Applied, TableError> {
        self.now = self.now.plus(1);
        self.file.begin().unwrap();
        let done = self.file.run(call, self.now, &mut self.log);
        self.file.commit().unwrap();
        assert_eq!(self.file.applied(), self.log.len() as u64);
        done
    }

    pub fn create(&mut self, table: &str) {
        self.call(vec![Mutation::CreateTable(self::table(table))])
            .unwrap();
    }

    pub fn insert(&mut self, table: &str, rows: &str) -> Result<Applied, TableError> {
        self.call(vec![insert(table, rows)])
    }

    /// Returns the messages from one on, as the log has them.
    pub fn messages(&self, from: u64) -> Vec<serde_json::Value> {
        let text = std::str::from_utf8(&self.log.bytes).unwrap();
        let json = format!("[{}]", text.trim_end_matches(','));
        let all: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        all.into_iter().skip(from as usize - 1).collect()
    }

    pub fn reader(&self) -> RoomReader {
        RoomReader::open(&self.folder, ROOM, &self.options).unwrap()
    }

    /// Asks, and returns the rows as JSON.
    pub fn ask(&self, sql: &str) -> String {
        let rows = self.query(sql).unwrap();
        String::from_utf8(rows.data).unwrap()
    }

    pub fn query(&self, sql: &str) -> Result<Rows, TableError> {
        self.reader()
            .query(sql, &Params::default(), &SqlLimits::default())
    }
}

pub fn table(json: &str) -> Table {
    serde_json::from_str(json).unwrap()
}

pub fn row(json: &str) -> Row {
    serde_json::from_str(json).unwrap()
}

pub fn insert(table: &str, rows: &str) -> Mutation {
    Mutation::Insert {
        table: table.into(),
        rows: serde_json::from_str(rows).unwrap(),
        on_conflict: OnConflict::Fail,
        each: false,
    }
}
