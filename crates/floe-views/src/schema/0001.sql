-- Version 1: channels and their events.
CREATE TABLE state (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE namespaces (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  behind_ms INTEGER NOT NULL DEFAULT 0
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
  last_row INTEGER NOT NULL DEFAULT 0,
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

CREATE TABLE events (
  row INTEGER PRIMARY KEY,
  ns INTEGER NOT NULL,
  channel INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  edited_at INTEGER,
  content TEXT NOT NULL
);
CREATE UNIQUE INDEX events_in_channel ON events(channel, seq);
CREATE INDEX events_of_namespace ON events(ns);
CREATE INDEX events_of_author ON events(author);
CREATE INDEX events_of_author_in_channel ON events(channel, author, seq);

-- Every version of an edited event, the first included; `seq` is that of the event that brought it.
CREATE TABLE versions (
  event INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  channel INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  content TEXT NOT NULL,
  PRIMARY KEY (event, seq)
) WITHOUT ROWID;
CREATE INDEX versions_in_channel ON versions(channel, seq);

CREATE TABLE reactions (
  event INTEGER NOT NULL,
  reaction TEXT NOT NULL,
  author INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  channel INTEGER NOT NULL,
  PRIMARY KEY (event, reaction, author)
) WITHOUT ROWID;
CREATE INDEX reactions_in_channel ON reactions(channel, seq);

-- How many authors gave a reaction, and since when without a break anybody did.
CREATE TABLE reaction_counts (
  event INTEGER NOT NULL,
  reaction TEXT NOT NULL,
  since_seq INTEGER NOT NULL,
  authors INTEGER NOT NULL,
  PRIMARY KEY (event, reaction)
) WITHOUT ROWID;

CREATE TABLE deletions (
  channel INTEGER NOT NULL,
  target INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (channel, target)
) WITHOUT ROWID;

CREATE VIEW channel_metadata AS
SELECT printf('%012x', c.id) AS id, c.name, n.name AS owner_namespace, NULL AS secret,
  c.created_at, c.deleted_at, c.head AS head_seq, c.start AS start_seq
FROM channels c JOIN namespaces n ON n.no = c.ns
WHERE NOT c.purged;

CREATE VIEW channel_events AS
SELECT printf('%012x-%d', c.id, e.seq) AS id, printf('%012x', c.id) AS channel_id, e.seq,
  a.name AS author_id, e.content, e.created_at, e.edited_at, e.deleted_at
FROM events e JOIN channels c ON c.no = e.channel JOIN authors a ON a.no = e.author
WHERE e.deleted_at IS NULL AND c.deleted_at IS NULL AND NOT c.purged AND e.seq >= c.start;
