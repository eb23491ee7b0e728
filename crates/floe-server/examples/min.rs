fn main() {
    let mut settings = floe_server::Settings::default();
    let mut args = std::env::args().skip(1);
    while let Some(a) = args.next() {
        let v = args.next().unwrap();
        match a.as_str() {
            "--listen" => settings.listen = v.parse().unwrap(),
            "--data" => settings.data = v.into(), "--lp" => settings.limits.long_poll_timeout_ms = v.parse().unwrap(),
            _ => panic!(),
        }
    }
    let server = floe_server::Server::open(&settings).unwrap();
    eprintln!("listening {} {:?}", server.address(), server.recovery());
    server.run().unwrap();
}
