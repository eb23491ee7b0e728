//! The tables of a room from the command line: `floe sql`, `import`, `export`, `bench tables`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

#[test]
fn a_file_of_cells_comes_back_as_it_went_in() {
    let room = Room::start();
    let cells = "id,title,done,score,zip\n1,\"buy, milk\",true,1.5,01234\n2,\"two\nlines\",false,,98765\n3,\"say \"\"ho\"\"\",true,-3.0,\n";
    let file = room.file("tasks.csv", cells);
    let imported = room.floe(&["import", "--table=notes", "--create", &file]);
    assert_eq!(text(&imported), "3 rows inserted\n");
    let shown = room.floe(&[
        "sql",
        "SELECT id, title, done, score, zip FROM notes ORDER BY id",
    ]);
    let expected = "\
id  title       done  score  zip
--  ----------  ----  -----  -----
 1  buy, milk      1    1.5  01234
 2  two\\nlines     0  NULL   98765
 3  say \"ho\"       1   -3.0  NULL
";
    assert_eq!(text(&shown), expected);
    let exported = room.floe(&["export", "--table", "notes"]);
    let expected = cells.replace("true", "1").replace("false", "0");
    assert_eq!(text(&exported), expected);
    // What was exported is imported over itself, and changes nothing.
    let again = room.file("again.csv", &expected);
    room.floe(&["import", "--table=notes", "--on-conflict=update", &again]);
    assert_eq!(text(&room.floe(&["export", "--table", "notes"])), expected);
}

#[test]
fn questions_have_values_and_are_printed_as_asked() {
    let room = Room::start();
    let file = room.file(
        "t.ndjson",
        "{\"id\":1,\"a\":\"x\"}\n{\"id\":2,\"a\":\"7\"}\n{\"id\":3}\n",
    );
    room.floe(&["import", "--table=t", "--create", &file]);
    let sql = "SELECT a, id FROM t WHERE id > ? ORDER BY id";
    let json = room.floe(&["sql", sql, "--param", "1", "--json"]);
    let rows: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        rows,
        serde_json::json!([{"a": "7", "id": 2}, {"a": null, "id": 3}])
    );
    let named = "SELECT id FROM t WHERE a = :a";
    let csv = room.floe(&["sql", named, "--param", ":a=\"7\"", "--csv"]);
    assert_eq!(text(&csv), "id\n2\n");
    let stdin = room.run(&["sql", "-", "--csv"], "SELECT count(*) AS n FROM t");
    assert_eq!(text(&stdin), "n\n3\n");
    for (arguments, code, said) in [
        (&["sql", "DELETE FROM t"][..], 1, "SQL_REJECTED"),
        (&["sql", "SELECT nope FROM t"], 1, "SQL_REJECTED"),
        (
            &["sql", "SELECT 1", "--param=1", "--param=:a=2"],
            1,
            "others without",
        ),
        (
            &["sql", "SELECT 1", "--csv", "--json"],
            2,
            "cannot be used with",
        ),
        (&["export", "--table=nope"], 1, "no table `nope`"),
        (&["import", "--table=nope", &file], 1, "no table `nope`"),
    ] {
        let output = room.run(arguments, "");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
}

#[test]
fn what_cannot_be_inserted_is_named_by_its_line() {
    let room = Room::start();
    let mut good = String::from("id,n\n");
    for id in 1..=25 {
        writeln!(good, "{id},{id}").unwrap();
    }
    // The key 7 is there twice; the second time in the batch of the rows 21 to 30.
    let bad = format!("{good}7,26\n27,27\nx,28\n29,29\n");
    let bad = room.file("bad.csv", &bad);
    room.floe(&[
        "import",
        "--table=t",
        "--create",
        "--key=id",
        &room.file("no.json", r#"[{"id":100,"n":1}]"#),
    ]);
    let stopped = room.run(&["import", "--table=t", "--batch=10", &bad], "");
    assert_eq!(stopped.status.code(), Some(1));
    let said = String::from_utf8_lossy(&stopped.stderr);
    assert!(
        said.contains("line 29: column `id`: `x` is not a whole number"),
        "{said}"
    );
    assert!(said.contains("--skip 20"), "{said}");
    assert_eq!(room.count("t"), 21);
    // The batch that has the key twice is refused as a whole.
    let stopped = room.run(&["import", "--table=t", "--batch=7", "--skip=20", &bad], "");
    let said = String::from_utf8_lossy(&stopped.stderr);
    assert!(
        said.contains("line 27: ") && said.contains("CONSTRAINT"),
        "{said}"
    );
    assert!(said.contains("--skip 20"), "{said}");
    assert_eq!(room.count("t"), 21);
    // In part, all others are inserted.
    let options = [
        "import",
        "--table=t",
        "--batch=10",
        "--skip=20",
        "--partial",
    ];
    let partly = room.run(&[&options[..], &[&bad]].concat(), "");
    assert_eq!(partly.status.code(), Some(3), "{partly:?}");
    assert_eq!(text(&partly), "7 rows inserted\n");
    let said = String::from_utf8_lossy(&partly.stderr);
    assert!(
        said.contains("line 27: ") && said.contains("line 29: "),
        "{said}"
    );
    assert_eq!(room.count("t"), 28);
}

#[test]
fn all_rows_are_exported_with_a_key_and_without() {
    let room = Room::start();
    let mut keyed = String::new();
    let mut plain = String::new();
    for number in 0..2_500 {
        writeln!(
            keyed,
            "{{\"a\":\"k{}\",\"b\":{number},\"c\":{{\"deep\":[1]}}}}",
            number % 3
        )
        .unwrap();
        writeln!(plain, "{{\"note\":\"row {number}\"}}").unwrap();
    }
    let options = ["import", "--create", "--batch=900"];
    let keyed_file = room.file("keyed.ndjson", &keyed);
    room.floe(&[&options[..], &["--table=keyed", "--key=a,b", &keyed_file]].concat());
    let plain_file = room.file("plain.ndjson", &plain);
    room.floe(&[&options[..], &["--table=plain", &plain_file]].concat());

    let exported = room.floe(&["export", "--table=plain", "--format=ndjson"]);
    assert_eq!(text(&exported), plain);
    let exported = room.floe(&["export", "--format=json"]);
    let all: serde_json::Value = serde_json::from_slice(&exported.stdout).unwrap();
    let rows = all["keyed"].as_array().unwrap();
    assert_eq!(
        (rows.len(), all["plain"].as_array().unwrap().len()),
        (2_500, 2_500)
    );
    let key = |row: &serde_json::Value| (row["a"].as_str().unwrap().to_owned(), row["b"].as_u64());
    assert!(rows.is_sorted_by(|one, next| key(one) < key(next)));

    let to = room.folder.path().join("room.sqlite");
    room.floe(&[
        "export",
        "--format=sqlite",
        "--output",
        to.to_str().unwrap(),
    ]);
    let file = std::fs::read(&to).unwrap();
    assert!(file.starts_with(b"SQLite format 3\0"));
    assert!(!room.folder.path().join("room.sqlite.part").exists());
}

#[test]
fn bench_uses_the_tables_of_rooms() {
    let room = Room::start();
    let common = ["--warm-up=0.1", "--duration=0.5", "--json"];
    for (work, operation, own) in [
        ("mutate", "mutation", &["--connections=4", "--rooms=3"][..]),
        ("sql", "query", &["--connections=2", "--rows=1000"]),
        ("buffer", "update", &["--http", "--interval=100"]),
        (
            "replica-lag",
            "replica_lag",
            &["--connections=2", "--readers=1"],
        ),
    ] {
        let what = ["bench", "tables", &room.url, "--work", work];
        let output = command(&[&what, own, &common].concat()).output().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let count = report["operations"][operation]["count"].as_u64();
        assert!(count.is_some_and(|count| count > 0), "{work}: {report}");
        assert_eq!(report["errors"], serde_json::json!({}), "{work}");
        assert!(output.status.success(), "{work}: {output:?}");
    }
}

/// A room of a server of its own.
struct Room {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Room {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_floe"))
            .args([
                "serve",
                "--listen=127.0.0.1:0",
                "--log-format=json",
                "--data",
            ])
            .arg(folder.path().join("data"))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        log.read_line(&mut line).unwrap();
        let first: serde_json::Value = serde_json::from_str(&line).unwrap();
        Self {
            child,
            url: format!("http://{}", first["address"].as_str().unwrap()),
            folder,
        }
    }

    /// Writes a file and returns its path.
    fn file(&self, name: &str, content: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        let (first, rest) = arguments.split_first().unwrap();
        let room = [first, "--room=board", "--server", self.url.as_str()];
        let mut child = command(&[&room[..], rest].concat()).spawn().unwrap();
        // A tool that fails at once does not read its input.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn floe(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments, "");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    fn count(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) AS n FROM {table}");
        let counted = text(&self.floe(&["sql", &sql, "--csv"]));
        counted.lines().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_floe"));
    command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}
