-- What a replica keeps of one namespace. Names begin with `_`, which no table of a room's does.
CREATE TABLE _rooms (
  no INTEGER PRIMARY KEY,
  id INTEGER NOT NULL UNIQUE,
  name TEXT NOT NULL,
  -- 0: tables, 1: a channel.
  kind INTEGER NOT NULL,
  -- Whether it has rules of its own about who may read it.
  ruled INTEGER NOT NULL,
  -- Number of the newest message that is in here.
  applied INTEGER NOT NULL
) STRICT;
CREATE INDEX _rooms_by_name ON _rooms (name);

CREATE TABLE _tables (
  no INTEGER PRIMARY KEY,
  room INTEGER NOT NULL,
  name TEXT NOT NULL COLLATE NOCASE,
  -- The JSON of what it looks like.
  definition TEXT NOT NULL,
  UNIQUE (room, name)
) STRICT;
CREATE INDEX _tables_by_name ON _tables (name);

CREATE TABLE _rows (
  tbl INTEGER NOT NULL,
  key TEXT NOT NULL,
  -- Number of the message that made it so.
  seq INTEGER NOT NULL,
  -- Its JSON.
  row TEXT NOT NULL,
  PRIMARY KEY (tbl, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE _events (
  room INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  kind TEXT NOT NULL,
  author TEXT NOT NULL,
  -- None of a deletion, and of what was deleted.
  content TEXT,
  target INTEGER,
  removed INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
