-- Version 1: channels and their events.
CREATE TABLE state (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE namespaces (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);

CREATE TABLE channels (
  no INTEGER PRIMARY KEY,
  id INTEGER NOT NULL UNIQUE,
  ns INTEGER NOT NULL,
  name TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  head INTEGER NOT NULL,
  start INTEGER NOT NULL,
  max_age_ms INTEGER,
  max_events INTEGER,
  max_bytes INTEGER,
  purged INTEGER NOT NULL DEFAULT 0,
  applied INTEGER NOT NULL DEFAULT 0,
  trimmed INTEGER NOT NULL DEFAULT 1,
  last_at INTEGER NOT NULL DEFAULT 0,
  behind_ms INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX channels_of_namespace ON channels(ns, created_at, id);
CREATE INDEX channels_to_trim ON channels(no) WHERE purged OR trimmed < start;

-- Authors are of a namespace, so that no number of one can name a row of another.
CREATE TABLE authors (
  no INTEGER PRIMARY KEY,
  ns INTEGER NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (ns, name)
);

-- `row` is the channel's number and below it, in 37 bits, the event's: events of a channel lie side
-- by side in their order, and none can be there twice.
CREATE TABLE events (
  row INTEGER PRIMARY KEY,
  ns INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  edited_at INTEGER,
  content TEXT NOT NULL
);
CREATE INDEX events_by_time ON events(ns, created_at);
CREATE INDEX events_by_author ON events(author);
CREATE INDEX events_by_author_and_time ON events(author, created_at);

-- Every version of an edited event, the first included; `row` is that of the event that brought it.
CREATE TABLE versions (
  event INTEGER NOT NULL,
  row INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  content TEXT NOT NULL,
  PRIMARY KEY (event, row)
) WITHOUT ROWID;
CREATE INDEX versions_by_row ON versions(row);

-- Who gives which reaction; `row` is that of the event that brought it.
CREATE TABLE reactions (
  event INTEGER NOT NULL,
  reaction TEXT NOT NULL,
  author INTEGER NOT NULL,
  row INTEGER NOT NULL,
  PRIMARY KEY (event, reaction, author)
) WITHOUT ROWID;
CREATE INDEX reactions_by_row ON reactions(row);

-- How many authors give a reaction, and since which event without a break anybody does.
CREATE TABLE reaction_counts (
  event INTEGER NOT NULL,
  reaction TEXT NOT NULL,
  since INTEGER NOT NULL,
  authors INTEGER NOT NULL,
  PRIMARY KEY (event, reaction)
) WITHOUT ROWID;

-- Who deleted what: `target` is the row of the deleted event, `row` that of the deletion.
CREATE TABLE deletions (
  target INTEGER PRIMARY KEY,
  row INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE VIEW channel_metadata AS
SELECT printf('%012x', c.id) AS id, c.name, n.name AS owner_namespace, NULL AS secret,
  c.created_at, c.deleted_at, c.head AS head_seq, c.start AS start_seq
FROM channels c JOIN namespaces n ON n.no = c.ns
WHERE NOT c.purged;

CREATE VIEW channel_events AS
SELECT printf('%012x-%d', c.id, e.row & 0x1fffffffff) AS id, printf('%012x', c.id) AS channel_id,
  e.row & 0x1fffffffff AS seq, a.name AS author_id, e.content, e.created_at, e.edited_at,
  n.name AS owner_namespace
FROM channels c
JOIN events e ON e.row > c.no << 37 AND e.row < (c.no + 1) << 37
JOIN authors a ON a.no = e.author
JOIN namespaces n ON n.no = c.ns
WHERE e.deleted_at IS NULL AND c.deleted_at IS NULL AND NOT c.purged
  AND e.row & 0x1fffffffff >= c.start;
