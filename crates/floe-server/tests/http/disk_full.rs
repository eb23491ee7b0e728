//! No space: appends are refused with a stable code, reads go on, and all works again by itself.

use std::process::Command;

use floe_server::Settings;

use crate::harness::{TestServer, delete, eventually, get, head, post, put};

/// Settings under which the log is small enough to fill.
fn small_log(settings: &mut Settings) {
    settings.log.wal_bytes_max = 1 << 20;
    settings.log.wal_segment_bytes = 128 << 10;
    settings.log.record_bytes_max = 128 << 10;
    settings.log.flush_bytes = 256 << 10;
}

#[test]
fn a_full_wal_refuses_appends_until_background_work_has_freed_it() {
    let server = TestServer::with(small_log);
    server.expect(201, put("log").content_type("text/plain"));
    let mut writers: Vec<_> = (0..8).map(|_| server.connect()).collect();
    let mut reader = server.connect();
    let body = "x".repeat(60_000);
    let (mut written, mut full) = (0_u64, 0);
    for _ in 0..60 {
        for writer in &mut writers {
            writer.write(post("log").text(&body).bytes());
        }
        for writer in &mut writers {
            let answer = writer.answer_to("POST");
            match answer.status {
                204 => written += body.len() as u64,
                507 => {
                    assert_eq!(answer.code(), "DISK_FULL");
                    assert_eq!(answer.header("retry-after"), Some("1"));
                    assert_eq!(answer.header("connection"), None);
                    full += 1;
                }
                // Too much waits for a flush: the other way of saying not now.
                503 => assert_eq!(answer.code(), "OVERLOADED"),
                _ => panic!("{answer:?}"),
            }
        }
        reader.ask(&get("log?offset=-1")).expect(200);
    }
    println!("refused: {full}");
    // Whether it filled depends on the disk; what it must not do is stay so.
    eventually("appends work again", || {
        let status = server.send(post("log").text("x")).status;
        if status == 204 {
            written += 1;
        }
        status == 204
    });
    assert_eq!(
        server.metric("floe_errors_total{code=\"DISK_FULL\"}"),
        f64::from(full)
    );
    let tail: u64 = server.expect(200, head("log")).next().parse().unwrap();
    assert_eq!(tail, written);
    let server = server.restart();
    assert_eq!(server.read_all("log").len() as u64, written);
}

/// Runs in a mount namespace of its own, on a disk of a few megabytes.
#[test]
#[ignore = "run by a_full_disk_refuses_appends_until_there_is_space_again"]
fn on_a_small_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=12m", "none"])
        .arg(folder.path())
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("no small disk could be mounted");
        return;
    }
    let ballast = folder.path().join("ballast");
    let server = TestServer::with(|settings| {
        small_log(settings);
        settings.log.wal_bytes_max = 4 << 20;
        settings.data = folder.path().join("data");
    });
    server.expect(201, put("log").text("first;"));
    server.expect(201, put("other").text("other"));
    let mut events = server.follow("log", "-1");
    assert_eq!(events.until_up_to_date().0, "first;");
    // Somebody else fills the disk.
    fill(&ballast);
    let body = "x".repeat(50_000);
    let mut written = 6;
    let mut full = None;
    for _ in 0..400 {
        let answer = server.send(post("log").text(&body));
        match answer.status {
            204 => written += body.len(),
            _ => {
                full = Some(answer);
                break;
            }
        }
    }
    full.expect("the disk is full").refused(507, "DISK_FULL");
    server
        .send(put("new").text(&body))
        .refused(507, "DISK_FULL");
    for _ in 0..3 {
        assert_eq!(server.read_all("log").len(), written);
        assert_eq!(server.read_all("other"), b"other");
        server.expect(200, get("/healthz"));
    }
    // A delete takes a little space, and may or may not find it.
    let deleted = server.send(delete("other"));
    assert!(matches!(deleted.status, 204 | 507), "{deleted:?}");
    std::fs::remove_file(&ballast).unwrap();
    eventually("appends work again", || {
        let status = server.send(post("log").text("x")).status;
        if status == 204 {
            written += 1;
        }
        status == 204
    });
    assert_eq!(server.read_all("log").len(), written);
    let server = server.restart();
    assert_eq!(server.read_all("log").len(), written);
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
fn a_full_disk_refuses_appends_until_there_is_space_again() {
    let tests = std::env::current_exe().unwrap();
    let inner = [
        "--exact",
        "disk_full::on_a_small_disk",
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
