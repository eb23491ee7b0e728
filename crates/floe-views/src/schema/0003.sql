-- Version 3: answers, data, mentions and pins.

-- `reply_to` is the row of the message that this one answers.
ALTER TABLE events ADD COLUMN reply_to INTEGER;
ALTER TABLE events ADD COLUMN data TEXT;
CREATE INDEX events_by_reply ON events(reply_to) WHERE reply_to IS NOT NULL;

-- How many messages answer one, without those that were deleted.
CREATE TABLE reply_counts (
  event INTEGER PRIMARY KEY,
  replies INTEGER NOT NULL
);

-- Who is mentioned in which message, as its newest version has it; `user` is the number of an author.
CREATE TABLE mentions (
  user INTEGER NOT NULL,
  row INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (user, row)
) WITHOUT ROWID;
CREATE INDEX mentions_by_row ON mentions(row);
CREATE INDEX mentions_by_time ON mentions(user, created_at);

-- What is pinned; `row` is that of the event that pinned it.
CREATE TABLE pins (
  event INTEGER PRIMARY KEY,
  row INTEGER NOT NULL,
  author INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE INDEX pins_by_row ON pins(row);

DROP VIEW channel_events;
CREATE VIEW channel_events AS
SELECT printf('%012x-%d', c.id, e.row & 0x1fffffffff) AS id, printf('%012x', c.id) AS channel_id,
  e.row & 0x1fffffffff AS seq, a.name AS author_id, e.content, e.created_at, e.edited_at,
  n.name AS owner_namespace, e.reply_to & 0x1fffffffff AS reply_to, e.data
FROM channels c
JOIN events e ON e.row > c.no << 37 AND e.row < (c.no + 1) << 37
JOIN authors a ON a.no = e.author
JOIN namespaces n ON n.no = c.ns
WHERE e.deleted_at IS NULL AND c.deleted_at IS NULL AND NOT c.purged
  AND e.row & 0x1fffffffff >= c.start;
