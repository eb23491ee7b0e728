//! What happened, for a person and as one number.

use std::collections::VecDeque;

/// Steps that a failure shows.
const SHOWN: usize = 60;

/// The steps of a run.
#[derive(Debug)]
pub struct Trace {
    hash: u64,
    steps: u64,
    last: VecDeque<String>,
    verbose: bool,
}

impl Trace {
    /// Begins a run; `verbose` prints each step.
    pub fn new(verbose: bool) -> Self {
        Self {
            hash: 0xcbf2_9ce4_8422_2325,
            steps: 0,
            last: VecDeque::new(),
            verbose,
        }
    }

    /// Notes a step.
    pub fn note(&mut self, step: String) {
        self.steps += 1;
        self.mix(step.as_bytes());
        if self.verbose {
            eprintln!("{:6} {step}", self.steps);
        }
        if self.last.len() == SHOWN {
            self.last.pop_front();
        }
        self.last.push_back(format!("{:6} {step}", self.steps));
    }

    /// Mixes bytes into the number (FNV-1a).
    pub fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    /// Returns the number that stands for everything so far.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Returns the last steps.
    pub fn last(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}
