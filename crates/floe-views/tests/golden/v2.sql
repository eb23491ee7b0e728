-- What a file of version 2 has beside that of version 1: the search of 0002.sql, and one message
-- with what would be a mention later.
CREATE TABLE documents (
  doc INTEGER PRIMARY KEY,
  row INTEGER NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(
  terms, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii'
);
CREATE TABLE dictionary (
  ns INTEGER NOT NULL,
  word TEXT NOT NULL,
  PRIMARY KEY (ns, word)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE parts USING fts5(
  terms, content = '', contentless_delete = 1, detail = 'none', tokenize = 'ascii'
);
INSERT INTO words (words, rank) VALUES ('hashsize', 16777216);
INSERT INTO parts (parts, rank) VALUES ('hashsize', 16777216);
UPDATE events SET content = 'hello <@bob> world' WHERE content = 'hello world';
PRAGMA user_version = 2;
