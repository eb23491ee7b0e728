//! Sockets that are bound, before there is a thread for them.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use floe_media::{Config, Local, Protocol};
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use super::addresses::announced;
use super::settings::{MediaSettings, PublicAddress};
use crate::recordings::Tap;

/// Sockets for media, and what browsers are told of them.
#[derive(Debug)]
pub struct Bound {
    pub(super) sockets: Vec<UdpSocket>,
    pub(super) config: Config,
    /// Who is given what is said in recorded rooms.
    pub(super) tap: Option<Tap>,
}

/// Why media cannot be carried as the settings say.
#[derive(Debug, thiserror::Error)]
#[error("cannot receive media on {address}: {source}")]
pub struct MediaStartError {
    /// The UDP address asked for.
    pub address: SocketAddr,
    /// What the operating system says.
    pub source: io::Error,
}

/// Bytes that the system is asked to keep of what comes, and of what goes; it may keep fewer.
const SYSTEM_BUFFER_BYTES: usize = 4 << 20;

impl Bound {
    /// Binds what the settings name, or else the address `http` that requests come to; none where
    /// media are off.
    ///
    /// Where the operator named nothing, and the port is taken, there are no media either, and the log
    /// says so.
    ///
    /// # Errors
    /// When an address that the settings name cannot be bound.
    pub fn of(settings: &MediaSettings, http: SocketAddr) -> Result<Option<Self>, MediaStartError> {
        if !settings.on {
            return Ok(None);
        }
        let sockets = match bind_all(&settings.listen, http) {
            Ok(sockets) => sockets,
            Err(error) if settings.listen.is_empty() => {
                tracing::warn!(%error, "voice rooms are silent; name a port with media_listen");
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let bound: Vec<SocketAddr> = sockets.iter().map(|(address, _)| *address).collect();
        let udp = announced(&bound, &settings.public_address);
        let tcp = announced(&[http], &tcp_addresses(settings));
        let udp = udp.into_iter().map(|address| (Protocol::Udp, address));
        let tcp = tcp.into_iter().map(|address| (Protocol::Tcp, address));
        let locals = udp.chain(tcp);
        let locals = locals.map(|(protocol, address)| Local { protocol, address });
        let config = Config {
            locals: locals.collect(),
            audio_slots: settings.audio_slots,
            video_slots: settings.video_slots,
            bitrate_max: settings.bitrate_max,
            tracks_max: settings.tracks_max,
            rooms_max: settings.rooms_max,
            ..Config::default()
        };
        let sockets = sockets.into_iter().map(|(_, socket)| socket).collect();
        Ok(Some(Self {
            sockets,
            config,
            tap: None,
        }))
    }

    /// Has what is said in recorded rooms handed over.
    pub fn record(&mut self, tap: Tap) {
        self.config.recording = true;
        self.tap = Some(tap);
    }

    /// Returns where browsers are told to send datagrams.
    pub fn told(&self) -> Vec<SocketAddr> {
        let locals = self.config.locals.iter();
        let locals = locals.filter(|local| local.protocol == Protocol::Udp);
        locals.map(|local| local.address).collect()
    }
}

/// Returns what browsers are told instead of where HTTP is listened on.
fn tcp_addresses(settings: &MediaSettings) -> Vec<PublicAddress> {
    if !settings.public_tcp_address.is_empty() {
        return settings.public_tcp_address.clone();
    }
    let same = settings.public_address.iter();
    let same = same.map(|address| PublicAddress {
        ip: address.ip,
        port: None,
    });
    same.collect()
}

fn bind_all(
    named: &[SocketAddr],
    http: SocketAddr,
) -> Result<Vec<(SocketAddr, UdpSocket)>, MediaStartError> {
    let own = [http];
    let wanted = if named.is_empty() { &own } else { named };
    // One socket for all of a machine's addresses takes those of both kinds, unless another does.
    let both = !wanted.iter().any(SocketAddr::is_ipv4);
    let bound = wanted.iter().map(|&address| {
        let bound = bind_one(address, both).and_then(|socket| Ok((socket.local_addr()?, socket)));
        bound.map_err(|source| MediaStartError { address, source })
    });
    bound.collect()
}

fn bind_one(address: SocketAddr, both: bool) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let made = socket(family, SocketType::DGRAM, None)?;
    rustix::io::fcntl_setfd(&made, rustix::io::FdFlags::CLOEXEC)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&made, !both)?;
    }
    for set in [
        sockopt::set_socket_recv_buffer_size,
        sockopt::set_socket_send_buffer_size,
    ] {
        if let Err(error) = set(&made, SYSTEM_BUFFER_BYTES) {
            tracing::debug!(%error, "a socket for media keeps little");
        }
    }
    bind(&made, &address)?;
    let made = UdpSocket::from(made);
    made.set_nonblocking(true)?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(listen: &[SocketAddr]) -> MediaSettings {
        MediaSettings {
            listen: listen.to_vec(),
            ..MediaSettings::default()
        }
    }

    #[test]
    fn without_a_named_address_it_is_that_of_requests() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert!(Bound::of(&settings(&[]), address).unwrap().is_none());
        drop(taken);
        let bound = Bound::of(&settings(&[]), address).unwrap().unwrap();
        assert_eq!(bound.told(), [address]);
    }

    #[test]
    fn an_address_that_is_named_and_taken_is_an_error() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let http = "127.0.0.1:1".parse().unwrap();
        let error = Bound::of(&settings(&[address]), http).unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("cannot receive media on {address}: ")));
        assert!(Bound::of(&MediaSettings::off(), http).unwrap().is_none());
    }
}
