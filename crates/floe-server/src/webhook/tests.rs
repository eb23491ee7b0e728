use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use floe_core::subscription::{Effect, Input, Outcome, Put, Reply, Request, Subscriptions, Target};
use floe_proto::{Millis, Namespace};

use super::connect::{Connector, Names};
use super::*;

const WAIT: Duration = Duration::from_secs(10);

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&[7; SigningKey::SEED_LEN]).unwrap())
}

fn limits() -> Limits {
    Limits {
        development: true,
        ..Limits::default()
    }
}

fn delivery(url: &str) -> Delivery {
    Delivery {
        url: url.into(),
        body: br#"{"wake_id":"w_1"}"#.to_vec(),
        namespace: Namespace::default(),
        id: "s".into(),
        wake_id: "w_1".into(),
        generation: 3,
        timeout: Duration::from_secs(5),
    }
}

/// Accepts one connection, reads one request, and hands the stream to `answer`.
fn receiver(
    answer: impl FnOnce(TcpStream) + Send + 'static,
) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, received) = mpsc::channel();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        requests.send(read_request(&mut stream)).unwrap();
        answer(stream);
    });
    (address, received)
}

fn read_request(stream: &mut impl std::io::Read) -> String {
    let mut text = String::new();
    let mut chunk = [0; 4_096];
    while !text.contains("\r\n\r\n") || !text.ends_with('}') {
        let len = stream.read(&mut chunk).unwrap();
        assert!(len > 0, "the request ends early: {text}");
        text.push_str(std::str::from_utf8(&chunk[..len]).unwrap());
    }
    text
}

fn write(answer: &'static str) -> impl FnOnce(TcpStream) + Send {
    move |mut stream| stream.write_all(answer.as_bytes()).unwrap()
}

fn send_with(limits: Limits, connector: Connector, delivery: Delivery) -> Answer {
    let (answers, answered) = mpsc::channel();
    let on_answer = move |answer| answers.send(answer).unwrap();
    let mut sender = WebhookSender::with_connector(key(), limits, connector, on_answer);
    sender.send(delivery);
    answered.recv_timeout(WAIT).unwrap()
}

fn send(limits: Limits, delivery: Delivery) -> Outcome {
    let connector = Connector::new(&limits);
    send_with(limits, connector, delivery).outcome
}

#[test]
fn a_request_is_signed_over_time_and_body() {
    let (address, received) = receiver(write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"));
    let sent = delivery(&format!("http://{address}/hook?x=1"));
    let connector = Connector::new(&limits());
    let answer = send_with(limits(), connector, sent.clone());
    let expected = Answer {
        namespace: Namespace::default(),
        id: "s".into(),
        wake_id: "w_1".into(),
        generation: 3,
        outcome: Outcome::Accepted,
    };
    assert_eq!(answer, expected);
    let request = received.recv().unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(body.as_bytes(), sent.body);
    assert!(head.starts_with("POST /hook?x=1 HTTP/1.1\r\n"), "{head}");
    assert!(
        head.contains(&format!("host: {address}"))
            && head.contains("content-type: application/json")
    );
    let signature = head
        .lines()
        .find_map(|line| line.strip_prefix("webhook-signature: "))
        .unwrap();
    let mut parts = signature.split(',');
    let mut part = |name: &str| {
        parts
            .next()
            .and_then(|part| part.strip_prefix(name))
            .unwrap()
    };
    let (time, kid, signature) = (part("t="), part("kid="), part("ed25519="));
    assert_eq!(kid, key().public().id());
    let jwks = key().public().jwks();
    let jwks: serde_json::Value = serde_json::from_str(&jwks).unwrap();
    assert_eq!(jwks["keys"][0]["kid"], kid);
    let public = URL_SAFE_NO_PAD
        .decode(jwks["keys"][0]["x"].as_str().unwrap())
        .unwrap();
    let signed = format!("{time}.{body}");
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let verified = UnparsedPublicKey::new(&ED25519, public).verify(signed.as_bytes(), &signature);
    assert!(verified.is_ok());
}

#[test]
fn a_known_seed_gives_the_key_of_the_standard() {
    // RFC 8032, section 7.1, test 1.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let bytes = |hex: &str| -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    };
    let key = SigningKey::from_seed(&bytes(seed)).unwrap();
    let jwks: serde_json::Value = serde_json::from_str(&key.public().jwks()).unwrap();
    assert_eq!(jwks["keys"][0]["x"], URL_SAFE_NO_PAD.encode(bytes(public)));
    assert_eq!(
        SigningKey::from_seed(b"short").unwrap_err(),
        super::key::KeyError::NotASeed
    );
    assert_ne!(
        SigningKey::draw_seed().unwrap(),
        SigningKey::draw_seed().unwrap()
    );
}

#[test]
fn the_answer_decides() {
    for (answer, outcome) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"done\":true}",
            Outcome::Done,
        ),
        (
            "HTTP/1.1 202 Accepted\r\nContent-Length: 14\r\n\r\n{\"done\":false}",
            Outcome::Accepted,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", Outcome::Accepted),
        (
            "HTTP/1.1 200 OK\r\n\r\nnot json, until the end",
            Outcome::Accepted,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{\"done\":true}",
            Outcome::Accepted,
        ),
        (
            "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 13\r\n\r\n{\"done\":true}",
            Outcome::Failed,
        ),
        (
            "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
            Outcome::Failed,
        ),
        ("nonsense\r\n\r\n", Outcome::Failed),
        ("", Outcome::Failed),
    ] {
        let (address, _received) = receiver(write(answer));
        assert_eq!(
            send(limits(), delivery(&format!("http://{address}/"))),
            outcome,
            "{answer}"
        );
    }
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let target = elsewhere.local_addr().unwrap();
    let (address, _received) = receiver(move |mut stream| {
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{target}/\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
    });
    assert_eq!(
        send(limits(), delivery(&format!("http://{address}/"))),
        Outcome::Failed
    );
    assert_eq!(
        elsewhere.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[test]
fn private_addresses_are_not_connected_to() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    // Outside of development this machine is private, too.
    let production = || Limits {
        development: false,
        ..limits()
    };
    for url in [
        format!("http://{address}/"),
        format!("https://{address}/"),
        "https://10.0.0.1/".into(),
    ] {
        assert_eq!(send(production(), delivery(&url)), Outcome::Failed);
    }
    // A public name that resolves to this machine, whatever it resolved to before.
    for development in [false, true] {
        let limits = Limits {
            development,
            ..limits()
        };
        let connector = Connector::with_names(&limits, Names::Fixed(address.ip()));
        let url = format!("https://rebound.example:{}/", address.port());
        assert_eq!(
            send_with(limits, connector, delivery(&url)).outcome,
            Outcome::Failed
        );
    }
    assert_eq!(
        listener.accept().unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );
}

#[test]
fn a_slow_receiver_times_out() {
    for answer in ["", "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{"] {
        let (hold, held) = mpsc::channel::<()>();
        let (address, _received) = receiver(move |mut stream| {
            stream.write_all(answer.as_bytes()).unwrap();
            let _ = held.recv_timeout(WAIT);
        });
        let began = Instant::now();
        let timeout = Duration::from_millis(200);
        let slow = Delivery {
            timeout,
            ..delivery(&format!("http://{address}/"))
        };
        assert_eq!(send(limits(), slow), Outcome::Failed);
        assert!(began.elapsed() >= timeout && began.elapsed() < WAIT / 2);
        drop(hold);
    }
}

#[test]
fn an_oversized_answer_is_cut() {
    let (ended, end) = mpsc::channel();
    let (address, _received) = receiver(move |mut stream| {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n";
        stream.write_all(head).unwrap();
        let chunk = [b' '; 4_096];
        let sent = std::iter::repeat_with(|| stream.write_all(&chunk)).take_while(Result::is_ok);
        ended.send(sent.count() * chunk.len()).unwrap();
    });
    assert_eq!(
        send(limits(), delivery(&format!("http://{address}/"))),
        Outcome::Accepted
    );
    assert!(end.recv_timeout(WAIT).unwrap() < 100_000_000);
    let head = "HTTP/1.1 200 OK\r\nX: ".to_owned() + &"x".repeat(100_000);
    let (address, _received) = receiver(move |mut stream| {
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.read(&mut [0]);
    });
    assert_eq!(
        send(limits(), delivery(&format!("http://{address}/"))),
        Outcome::Failed
    );
}

#[test]
fn one_too_many_fails_at_once_and_nothing_runs_before_the_first() {
    let (address, received) = receiver(|mut stream| {
        let _ = stream.read(&mut [0]);
    });
    let (answers, answered) = mpsc::channel();
    let limits = Limits {
        in_flight_max: 1,
        ..limits()
    };
    let mut sender = WebhookSender::new(key(), limits, move |answer| answers.send(answer).unwrap());
    assert!(!sender.is_running());
    sender.send(delivery(&format!("http://{address}/")));
    received.recv_timeout(WAIT).unwrap();
    assert_eq!(sender.in_flight(), 1);
    sender.send(delivery("https://example.com/"));
    assert_eq!(
        answered.recv_timeout(WAIT).unwrap().outcome,
        Outcome::Failed
    );
    let began = Instant::now();
    drop(sender);
    assert!(began.elapsed() < WAIT / 2);
    assert_eq!(answered.try_recv(), Err(mpsc::TryRecvError::Disconnected));
}

#[test]
fn many_requests_are_out_at_once() {
    const COUNT: usize = 50;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        // Nobody is answered before everybody has come.
        let mut streams: Vec<_> = (0..COUNT).map(|_| listener.accept().unwrap().0).collect();
        for stream in &mut streams {
            read_request(stream);
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .unwrap();
        }
    });
    let (answers, answered) = mpsc::channel();
    let mut sender =
        WebhookSender::new(key(), limits(), move |answer| answers.send(answer).unwrap());
    for _ in 0..COUNT {
        sender.send(delivery(&format!("http://{address}/")));
    }
    for _ in 0..COUNT {
        assert_eq!(
            answered.recv_timeout(WAIT).unwrap().outcome,
            Outcome::Accepted
        );
    }
    assert_eq!(sender.in_flight(), 0);
}

#[test]
fn a_subscription_is_woken_and_acked_by_what_the_receiver_says() {
    let done = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"done\":true}";
    let (address, received) = receiver(write(done));
    let mut set = Subscriptions::new(Default::default());
    let target = Target::Webhook {
        url: format!("http://{address}/").into(),
        base: "http://floe.example".into(),
    };
    let pattern = Some("events/*".into());
    let request = Request::Put(Put {
        target,
        pattern,
        ..Put::default()
    });
    let id: Arc<str> = "s".into();
    let put = Input::Request {
        ticket: 1,
        id: id.clone(),
        request,
    };
    let found = Input::Found {
        backfill: 1,
        streams: Vec::new(),
        done: true,
    };
    let created = Input::StreamCreated {
        path: "events/a",
        tail: 2,
    };
    for input in [put, found, created] {
        set.handle(Millis(1), &mut || 5, input);
    }
    let effects: Vec<_> = std::iter::from_fn(|| set.poll_effect()).collect();
    let Some(Effect::SendWebhook(notification)) = effects.last() else {
        panic!("no webhook: {effects:?}")
    };
    let connector = Connector::new(&limits());
    let answer = send_with(
        limits(),
        connector,
        Delivery::new(Namespace::default(), notification),
    );
    let request = received.recv().unwrap();
    assert!(request.contains(
        "\"callback_url\":\"http://floe.example/v1/stream/__ds/subscriptions/s/callback\""
    ));
    assert!(request.contains("\"tail_offset\":\"0000000000000002\",\"has_pending\":true"));
    let Answer {
        namespace: _,
        id,
        wake_id,
        generation,
        outcome,
    } = answer;
    let answered = Input::WebhookAnswered {
        id: id.clone(),
        wake_id,
        generation,
        outcome,
    };
    let get = Input::Request {
        ticket: 2,
        id,
        request: Request::Get,
    };
    for input in [answered, get] {
        set.handle(Millis(2), &mut || 6, input);
    }
    let last = std::iter::from_fn(|| set.poll_effect()).last();
    let Some(Effect::Reply {
        ticket: 2,
        reply: Reply::Found(view),
    }) = last
    else {
        panic!("no reply: {last:?}")
    };
    assert_eq!(view.streams[0].acked.to_string(), "0000000000000002");
}

#[test]
fn https_needs_a_certificate_that_is_trusted() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = made.cert.der().to_vec();
    for trusted in [true, false] {
        let address = tls_receiver(certificate.clone(), made.signing_key.serialize_der());
        let extra_roots = if trusted {
            vec![certificate.clone()]
        } else {
            Vec::new()
        };
        let limits = Limits {
            extra_roots,
            ..limits()
        };
        let url = format!("https://localhost:{}/", address.port());
        let expected = if trusted {
            Outcome::Done
        } else {
            Outcome::Failed
        };
        assert_eq!(send(limits, delivery(&url)), expected);
    }
}

fn tls_receiver(certificate: Vec<u8>, key: Vec<u8>) -> SocketAddr {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::try_from(key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(connection, stream);
        let mut chunk = [0; 4_096];
        let mut text = Vec::new();
        while !text.ends_with(b"}") {
            match stream.read(&mut chunk) {
                Ok(len) if len > 0 => text.extend_from_slice(&chunk[..len]),
                Ok(_) | Err(_) => return,
            }
        }
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"done\":true}";
        stream.write_all(answer).unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
    });
    address
}
