//! Two layouts of a log, measured bare: all streams in one write-ahead log, and the same log with a
//! file per stream beside it.
//!
//! Each turn takes one event of every waiting writer, writes them with one write to space that was
//! filled before, and syncs. The second layout also writes each event to the file of its stream,
//! which it need not sync, and syncs all files at the end, as a checkpoint would.
//!
//! `cargo run --release -p floe-log --example layouts -- [FOLDER]`

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const EVENT_BYTES: usize = 200;
const HEADER_BYTES: usize = 64;
const LOG_BYTES: u64 = 64 << 20;
const RUN: Duration = Duration::from_secs(1);
const ROUNDS: usize = 5;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let temporary = tempfile::tempdir()?;
    let folder = folder.unwrap_or_else(|| temporary.path().to_owned());
    fs::create_dir_all(&folder)?;
    let log = prepare(&folder.join("log"))?;
    println!("layout streams writers appends/s p50_us p99_us cpu_us/append checkpoint_ms");
    for streams in [1, 1_000, 10_000] {
        for writers in [1, 64, 256] {
            let mut results = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                results[0].push(run(&log, None, writers)?);
                let files = Files::create(&folder, streams)?;
                results[1].push(run(&log, Some(&files), writers)?);
                files.remove()?;
            }
            for (layout, mut results) in ["interleaved", "files"].into_iter().zip(results) {
                results.sort_by(|a, b| a.rate.total_cmp(&b.rate));
                let Figures {
                    rate,
                    p50,
                    p99,
                    cpu,
                    checkpoint,
                } = results[ROUNDS / 2];
                println!(
                    "{layout} {streams} {writers} {rate:.0} {p50:.0} {p99:.0} {cpu:.2} {checkpoint:.1}"
                );
            }
        }
    }
    fs::remove_file(folder.join("log"))
}

#[derive(Debug, Clone, Copy)]
struct Figures {
    rate: f64,
    p50: f64,
    p99: f64,
    cpu: f64,
    checkpoint: f64,
}

struct Files {
    folder: PathBuf,
    files: Vec<File>,
}

impl Files {
    fn create(folder: &Path, count: usize) -> io::Result<Self> {
        let folder = folder.join("streams");
        fs::create_dir_all(&folder)?;
        let create = |number| File::create(folder.join(format!("{number}")));
        let files = (0..count).map(create).collect::<io::Result<_>>()?;
        Ok(Self { folder, files })
    }

    fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(self.folder)
    }
}

fn prepare(path: &Path) -> io::Result<File> {
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .clone();
    let file = options.open(path)?;
    let zeros = vec![0; 1 << 20];
    for at in (0..LOG_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    Ok(file)
}

fn run(log: &File, files: Option<&Files>, writers: usize) -> io::Result<Figures> {
    let event = [b'x'; EVENT_BYTES];
    let mut ends = vec![0u64; files.map_or(0, |files| files.files.len())];
    let (mut at, mut random) = (0, 1u64);
    let (mut took, mut count) = (Vec::new(), 0u64);
    let mut batch = Vec::new();
    let (start, cpu) = (Instant::now(), cpu());
    while start.elapsed() < RUN {
        let turn = Instant::now();
        batch.clear();
        for _ in 0..writers {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            batch.extend_from_slice(&[0; HEADER_BYTES]);
            batch.extend_from_slice(&event);
            let crc = crc32c::crc32c(&event);
            let len = batch.len();
            batch[len - EVENT_BYTES - 4..][..4].copy_from_slice(&crc.to_le_bytes());
            if let Some(files) = files {
                let stream = (random >> 33) as usize % files.files.len();
                files.files[stream].write_all_at(&event, ends[stream])?;
                ends[stream] += EVENT_BYTES as u64;
            }
        }
        if at + batch.len() as u64 > LOG_BYTES {
            at = 0;
        }
        log.write_all_at(&batch, at)?;
        log.sync_data()?;
        at += batch.len() as u64;
        count += writers as u64;
        took.push(turn.elapsed().as_nanos() as f64 / 1e3);
    }
    let seconds = start.elapsed().as_secs_f64();
    let checkpoint = Instant::now();
    for file in files.iter().flat_map(|files| &files.files) {
        file.sync_data()?;
    }
    let checkpoint = checkpoint.elapsed().as_secs_f64() * 1e3;
    let cpu = (self::cpu() - cpu).as_secs_f64() * 1e6 / count as f64;
    took.sort_by(f64::total_cmp);
    Ok(Figures {
        rate: count as f64 / seconds,
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
        cpu,
        checkpoint,
    })
}

/// CPU time of the process so far.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = fields.split(' ').skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
