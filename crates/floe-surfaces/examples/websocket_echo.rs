//! A WebSocket server that sends every message back: what a conformance suite talks to.
//!
//! `cargo run --example websocket_echo -- 127.0.0.1:9001`

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use floe_surfaces::http::{Envelope, Method};
use floe_surfaces::ws::{
    Decoder, Deflate, Deflater, Item, Offer, Opcode, Role, handshake, write_accept, write_close,
    write_frame, write_reject,
};

/// Bytes of the longest message: the suite sends 16 MiB.
const MESSAGE_BYTES_MAX: u32 = 32 << 20;

const ENVELOPE: Envelope<'_> = Envelope {
    date: "Thu, 01 Jan 1970 00:00:00 GMT",
    cors: floe_surfaces::http::Cors::Unasked,
    close: true,
    head: false,
    pace: floe_surfaces::limits::Pace::NONE,
};

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1);
    let listener = TcpListener::bind(address.as_deref().unwrap_or("127.0.0.1:9001"))?;
    for socket in listener.incoming() {
        let mut socket = socket?;
        std::thread::spawn(move || {
            // A connection that breaks is the end of it, and of nothing else.
            let _ = serve(&mut socket);
        });
    }
    Ok(())
}

fn serve(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut out = Vec::new();
    let deflate = shake_hands(socket, &mut buffer, &mut out)?;
    socket.write_all(&out)?;
    let Some(deflate) = deflate else {
        return Ok(());
    };
    let mut decoder = Decoder::new(Role::Server, MESSAGE_BYTES_MAX).with_deflate(deflate);
    let mut deflater = deflate.map(|agreed| (Deflater::new(1), agreed));
    loop {
        let len = socket.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        out.clear();
        let goes_on = answer(&mut decoder, &mut buffer[..len], &mut out);
        if let Some((deflater, agreed)) = &mut deflater {
            let plain = std::mem::take(&mut out);
            deflater.write_frames(&mut out, &plain, *agreed);
        }
        socket.write_all(&out)?;
        if !goes_on {
            return Ok(());
        }
    }
}

/// Reads the request and writes the answer. If the connection is a WebSocket from here on, says
/// whether its messages are compressed.
fn shake_hands(
    socket: &mut TcpStream,
    buffer: &mut [u8],
    out: &mut Vec<u8>,
) -> std::io::Result<Option<Option<Deflate>>> {
    let mut len = 0;
    while !buffer[..len].ends_with(b"\r\n\r\n") {
        let more = socket.read(&mut buffer[len..])?;
        if more == 0 {
            return Ok(None);
        }
        len += more;
    }
    let head = String::from_utf8_lossy(&buffer[..len]);
    let mut lines = head.split("\r\n");
    let method = lines.next().and_then(|line| line.split(' ').next());
    let fields = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name, value.as_bytes()))
    });
    let method = Method::parse(method.unwrap_or_default());
    let offer = Offer {
        deflate: true,
        ..Offer::default()
    };
    let accepted = handshake(method, fields, &offer);
    match &accepted {
        Ok(accept) => write_accept(out, &ENVELOPE, accept),
        Err(reject) => write_reject(out, &ENVELOPE, reject),
    }
    Ok(accepted.ok().map(|accept| accept.deflate))
}

/// Answers what is in `input`; says whether the connection goes on.
fn answer(decoder: &mut Decoder, input: &mut [u8], out: &mut Vec<u8>) -> bool {
    let mut at = 0;
    loop {
        let step = match decoder.next(&mut input[at..]) {
            Ok(step) => step,
            Err(error) => {
                write_close(out, error.close_code(), &error.to_string());
                return false;
            }
        };
        at += step.used;
        match step.item {
            None => return true,
            Some(Item::Text(text)) => write_frame(out, Opcode::Text, text.as_bytes()),
            Some(Item::Binary(bytes)) => write_frame(out, Opcode::Binary, bytes),
            Some(Item::Ping(bytes)) => write_frame(out, Opcode::Pong, bytes),
            Some(Item::Pong(_)) => {}
            Some(Item::Close(None)) => {
                write_frame(out, Opcode::Close, &[]);
                return false;
            }
            Some(Item::Close(Some((code, _)))) => {
                write_close(out, code, "");
                return false;
            }
        }
    }
}
