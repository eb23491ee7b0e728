//! Exit codes, and how a failure becomes one.

use std::io;
use std::process::ExitCode;

use crate::config::ConfigError;

/// The documented list.
pub const LIST: &str = "\
Exit codes:
  0  done
  1  failed: the server refused, could not be reached, or an input could not be read
  2  the command line is wrong
  3  done, but what was checked is not as it must be (bench: errors, gaps or duplicates;
     inspect --verify: damage; import --partial: rows that could not be inserted)";

/// The command ran, but what it checked is not as it must be.
#[derive(Debug)]
pub struct CheckFailed(pub String);

impl std::fmt::Display for CheckFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CheckFailed {}

/// Says what went wrong on stderr and returns the exit code for it.
pub fn code_of(result: anyhow::Result<()>) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    if is_broken_pipe(&error) {
        // Whoever read our output has had enough; `head` is no failure.
        return ExitCode::SUCCESS;
    }
    if let Some(ConfigError::CommandLine(error)) = error.downcast_ref() {
        // A closed stderr is no reason for another code.
        let _ = error.print();
        return ExitCode::from(2);
    }
    eprintln!("floe: {error:#}");
    match error.is::<CheckFailed>() {
        true => ExitCode::from(3),
        false => ExitCode::FAILURE,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_pipe_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(
            code_of(Err(error.context("cannot print"))),
            ExitCode::SUCCESS
        );
        assert_eq!(code_of(Err(anyhow::anyhow!("no"))), ExitCode::FAILURE);
        let check = CheckFailed("1 error".into());
        assert_eq!(code_of(Err(check.into())), ExitCode::from(3));
    }
}
