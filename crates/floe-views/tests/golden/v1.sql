PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE state (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE namespaces (
  no INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
);
INSERT INTO namespaces VALUES(1,'acme');
INSERT INTO namespaces VALUES(2,'rival');
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
INSERT INTO channels VALUES(1,1099511627777,1,'channel 1',1000,NULL,6,1,NULL,NULL,NULL,0,6,1,10060,0);
INSERT INTO channels VALUES(2,2199023255554,2,'channel 2',1000,NULL,1,1,NULL,NULL,NULL,0,1,1,10010,0);
CREATE TABLE authors (
  no INTEGER PRIMARY KEY,
  ns INTEGER NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (ns, name)
);
INSERT INTO authors VALUES(1,1,'ann');
INSERT INTO authors VALUES(2,1,'bob');
INSERT INTO authors VALUES(3,1,'cy');
INSERT INTO authors VALUES(4,2,'ann');
CREATE TABLE events (
  row INTEGER PRIMARY KEY,
  ns INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  edited_at INTEGER,
  content TEXT NOT NULL
);
INSERT INTO events VALUES(137438953473,1,1,10010,NULL,10030,'hello world');
INSERT INTO events VALUES(137438953474,1,2,10020,10050,NULL,'a secret');
INSERT INTO events VALUES(137438953478,1,3,10060,NULL,NULL,'東京 ''quoted'' 100%');
INSERT INTO events VALUES(274877906945,2,4,10010,NULL,NULL,'hello rival');
CREATE TABLE versions (
  event INTEGER NOT NULL,
  row INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  deleted_at INTEGER,
  content TEXT NOT NULL,
  PRIMARY KEY (event, row)
) WITHOUT ROWID;
INSERT INTO versions VALUES(137438953473,137438953473,1,10010,NULL,'hello wrold');
INSERT INTO versions VALUES(137438953473,137438953475,1,10030,NULL,'hello world');
CREATE TABLE reactions (
  event INTEGER NOT NULL,
  reaction TEXT NOT NULL,
  author INTEGER NOT NULL,
  row INTEGER NOT NULL,
  PRIMARY KEY (event, reaction, author)
) WITHOUT ROWID;
INSERT INTO reactions VALUES(137438953473,'+1',2,137438953476);
CREATE TABLE reaction_counts (
  event INTEGER NOT NULL,
  reaction TEXT NOT NULL,
  since INTEGER NOT NULL,
  authors INTEGER NOT NULL,
  PRIMARY KEY (event, reaction)
) WITHOUT ROWID;
INSERT INTO reaction_counts VALUES(137438953473,'+1',137438953476,1);
CREATE TABLE deletions (
  target INTEGER PRIMARY KEY,
  row INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);
INSERT INTO deletions VALUES(137438953474,137438953477,2,10050);
CREATE INDEX channels_of_namespace ON channels(ns, created_at, id);
CREATE INDEX channels_to_trim ON channels(no) WHERE purged OR trimmed < start;
CREATE INDEX events_by_time ON events(ns, created_at);
CREATE INDEX events_by_author ON events(author);
CREATE INDEX events_by_author_and_time ON events(author, created_at);
CREATE INDEX versions_by_row ON versions(row);
CREATE INDEX reactions_by_row ON reactions(row);
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
COMMIT;
PRAGMA user_version = 1;
PRAGMA application_id = 1718382437;
