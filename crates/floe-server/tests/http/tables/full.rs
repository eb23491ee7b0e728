//! No space, and quotas: calls fail with a stable code, nothing is lost, and all works again.

use std::process::Command;

use floe_server::{CountKind, Quotas, ScopeQuotas};
use serde_json::json;

use super::{Room, note};
use crate::harness::{TestServer, eventually, get};

#[test]
fn rooms_with_tables_count_against_the_quotas_of_their_namespace() {
    let server = TestServer::with(|settings| {
        settings.quotas = Quotas::default();
        settings.quotas.namespace = ScopeQuotas::NONE
            .most(CountKind::Rooms, 2)
            .most(CountKind::StoredBytes, 20_000);
    });
    let room = Room::new(&server, "board").with_notes();
    Room::new(&server, "other").with_notes();
    let third = Room::new(&server, "third");
    third.refused("listTasks", &json!({}), 507, "QUOTA_EXCEEDED");
    let long = "x".repeat(1_000);
    let mut refused = None;
    for written in 0..40 {
        let answer = room.send("insertRow", &note(&long));
        if answer.status != 200 {
            assert_eq!(answer.json()["code"], "QUOTA_EXCEEDED");
            refused = Some(written);
            break;
        }
    }
    let written = refused.expect("the namespace is full");
    // The file has what the log has, and no more.
    assert_eq!(room.number("SELECT count(*) FROM notes"), written);
    let smaller = note("small");
    room.send("insertRow", &smaller);
    server
        .reload(|settings| settings.quotas = Quotas::default())
        .unwrap();
    eventually("there is room again", || {
        room.send("insertRow", &note(&long)).status == 200
    });
    let found = room.number("SELECT count(*) FROM notes");
    let server = server.restart();
    assert_eq!(
        Room::new(&server, "board").number("SELECT count(*) FROM notes"),
        found
    );
}

#[test]
fn a_call_that_is_too_large_for_the_log_takes_no_other_with_it() {
    let server = TestServer::with(|settings| settings.log.record_bytes_max = 64 << 10);
    let room = Room::new(&server, "board").with_notes();
    let mut writers: Vec<_> = (0..12).map(|_| server.connect()).collect();
    for (at, writer) in writers.iter_mut().enumerate() {
        let text = "x".repeat(if at % 4 == 0 { 100_000 } else { 12_000 });
        writer.write(room.request("insertRow", &note(&text)).bytes());
    }
    for (at, writer) in writers.iter_mut().enumerate() {
        let answer = writer.answer_to("POST");
        match at % 4 {
            0 => assert_eq!(answer.expect(413).json()["code"], "BODY_TOO_LARGE"),
            _ => drop(answer.expect(200)),
        }
    }
    assert_eq!(room.number("SELECT count(*) FROM notes"), 9);
}

/// Runs in a mount namespace of its own, where the files of tables are on a small disk of their own.
#[test]
#[ignore = "run by a_full_disk_of_the_files_hurts_no_log"]
fn on_a_small_disk() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("data/tables");
    std::fs::create_dir_all(&tables).unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=4m", "none"])
        .arg(&tables)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("no small disk could be mounted");
        return;
    }
    let server = TestServer::with(|settings| settings.data = folder.path().join("data"));
    let room = Room::new(&server, "board").with_notes();
    room.note("first");
    let ballast = tables.join("ballast");
    fill(&ballast);
    let long = "x".repeat(20_000);
    let mut done = 1;
    let mut full = false;
    for _ in 0..400 {
        let answer = room.send("insertRow", &note(&long));
        if answer.status == 200 {
            done += 1;
            continue;
        }
        let code = answer.json()["code"].as_str().unwrap().to_owned();
        assert!(matches!(&*code, "DISK_FULL" | "VIEW_UNAVAILABLE"), "{code}");
        full = true;
        break;
    }
    assert!(full, "the disk is full");
    // The log is as well as before, and so is all else.
    server.expect(200, get("__room__/board?offset=-1"));
    server.expect(200, get("/healthz"));
    std::fs::remove_file(&ballast).unwrap();
    eventually("calls work again", || {
        let status = room.send("insertRow", &note("again")).status;
        done += i64::from(status == 200);
        status == 200
    });
    assert_eq!(room.number("SELECT count(*) FROM notes"), done);
    let server = server.restart();
    assert_eq!(
        Room::new(&server, "board").number("SELECT count(*) FROM notes"),
        done
    );
    println!("the small disk was full and is not any more");
}

/// Writes a file until nothing more fits.
fn fill(path: &std::path::Path) {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path).unwrap();
    for size in [64 << 10, 4 << 10] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_of_the_files_hurts_no_log() {
    let tests = std::env::current_exe().unwrap();
    let inner = [
        "--exact",
        "tables::full::on_a_small_disk",
        "--ignored",
        "--nocapture",
    ];
    // Namespaces make mounting possible without privileges, where the system allows them.
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(&tests)
        .args(inner)
        .output();
    match ran {
        Ok(output) => {
            let (out, errors) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            let unable = errors.starts_with("unshare:") || out.contains("could be mounted");
            if unable {
                println!("skipped: this system gives no disk of its own");
            } else {
                assert!(output.status.success(), "{out}{errors}");
            }
        }
        Err(error) => println!("skipped: {error}"),
    }
}
