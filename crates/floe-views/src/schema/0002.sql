-- Version 2: search.

-- What the full-text index calls an event: its time, and below that, in 12 bits, what tells it from
-- others of the same moment. So the newest events are those with the largest numbers.
CREATE TABLE documents (
  doc INTEGER PRIMARY KEY,
  row INTEGER NOT NULL
);

CREATE VIRTUAL TABLE words USING fts5(
  terms, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii'
);

-- Words by their beginning.
CREATE TABLE dictionary (
  ns INTEGER NOT NULL,
  word TEXT NOT NULL,
  PRIMARY KEY (ns, word)
) WITHOUT ROWID;

-- Parts of three characters; empty unless they are switched on.
CREATE VIRTUAL TABLE parts USING fts5(
  terms, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii'
);

INSERT INTO words (words, rank) VALUES ('hashsize', 16777216);
INSERT INTO parts (parts, rank) VALUES ('hashsize', 16777216);
