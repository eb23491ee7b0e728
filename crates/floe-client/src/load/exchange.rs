//! One request and its answer, waited for: what a run needs before and after its load.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::response::{Piece, ResponseParser};
use super::target::Target;
use super::wire::Wire;

/// Returns the offset at the tail of a stream.
pub(crate) fn fetch_tail(target: &Target, stream: u64) -> io::Result<Vec<u8>> {
    let mut path = Vec::new();
    target.put_path(&mut path, stream);
    fetch_tail_at(target, &path)
}

/// Returns the offset at the tail of the stream at a path.
pub(crate) fn fetch_tail_at(target: &Target, path: &[u8]) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    super::request::put_get_path(&mut request, target, path, b"now", &[]);
    let mut connection = Wire::connect(target, TIMEOUT)?;
    connection.write_all(&request)?;
    let (mut parser, mut answer) = (ResponseParser::default(), Vec::new());
    loop {
        let mut buffer = [0; 4096];
        let len = connection.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..len]);
        let mut input = &answer[..];
        match parser.poll_piece(&mut input).map_err(io::Error::other)? {
            Some(Piece::Head(head)) if head.status == 200 => return Ok(head.next_offset.to_vec()),
            Some(Piece::Head(head)) => {
                let status = head.status;
                return Err(io::Error::other(format!("tail answered {status}")));
            }
            Some(Piece::Body(_) | Piece::End) | None if len == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Some(Piece::Body(_) | Piece::End) | None => {}
        }
    }
}

/// Sends one request and returns the status of its answer.
pub(crate) fn exchange(target: &Target, request: &str) -> io::Result<u16> {
    let mut connection = Wire::connect(target, TIMEOUT)?;
    connection.write_all(request.as_bytes())?;
    let (mut parser, mut answer) = (ResponseParser::default(), Vec::new());
    loop {
        let mut buffer = [0; 4096];
        let len = connection.read(&mut buffer)?;
        answer.extend_from_slice(&buffer[..len]);
        let piece = parser.poll_piece(&mut &answer[..]);
        match piece.map_err(io::Error::other)? {
            Some(Piece::Head(head)) => return Ok(head.status),
            Some(Piece::Body(_) | Piece::End) | None if len == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Some(Piece::Body(_) | Piece::End) | None => {}
        }
    }
}

const TIMEOUT: Duration = Duration::from_secs(10);
