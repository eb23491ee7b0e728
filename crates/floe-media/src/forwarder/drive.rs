//! What a peer's connection is given, and what comes of it.

use std::time::Instant;

use str0m::{Event, Input, Output};

use crate::dropped::Dropped;
use crate::forwarder::{Forwarder, Transmit};

impl Forwarder {
    /// Hands something to a peer's connection, and does what comes of it.
    pub(crate) fn drive(
        &mut self,
        now: Instant,
        at: usize,
        input: Input<'_>,
    ) -> Result<(), Dropped> {
        let Some(connection) = self.connection(at) else {
            return Ok(());
        };
        let is_datagram = matches!(input, Input::Receive(..));
        let mut taken = Ok(());
        if let Err(error) = connection.rtc.handle_input(input) {
            // Who can write an address as theirs can write DTLS in clear from there; once there are keys,
            // it changes nothing.
            if !is_datagram || !connection.rtc.is_connected() {
                tracing::debug!(%error, "a peer connection failed");
                self.disconnect(now, at);
                return Err(Dropped::Senseless);
            }
            taken = Err(Dropped::Senseless);
        }
        self.drain(now, at);
        taken
    }

    /// Asks the peer that was given something first what comes of it; `None` where there is none.
    pub(super) fn ask_next(&mut self) -> Option<()> {
        let (now, at) = self.schedule.next_given()?;
        if self.connection(at).is_some_and(|one| one.turn.take()) {
            let _ = self.drive(now, at, Input::Timeout(now));
            self.forward_all(now);
        }
        Some(())
    }

    /// Does what a peer's connection wants done.
    fn drain(&mut self, now: Instant, at: usize) {
        loop {
            let Some(peer) = self.peers.get_mut(at) else {
                return;
            };
            let Some(connection) = peer.connection.as_mut() else {
                return;
            };
            match connection.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    self.counters.datagrams_out += 1;
                    if self.transmits.len() == self.config.transmits_max {
                        self.transmits.pop_front();
                        self.counters.drop_for(Dropped::Unsent);
                    }
                    self.transmits.push_back(Transmit {
                        protocol: transmit.proto,
                        destination: transmit.destination,
                        bytes: transmit.contents,
                    });
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => self.arrived.push_back((at, packet)),
                Ok(Output::Event(Event::Closed)) => return self.disconnect(now, at),
                Ok(Output::Event(Event::KeyframeRequest(request))) => {
                    self.broken.push_back((at, request.mid));
                }
                Ok(Output::Event(Event::EgressBitrateEstimate(kind))) => {
                    connection.budget.hear(&kind);
                }
                Ok(Output::Event(event)) => connection.measure(&event, &mut self.counters),
                Ok(Output::Timeout(due)) => {
                    let due = connection.wake_at(now, due);
                    let alive = connection.rtc.is_alive();
                    connection.turn.take();
                    self.schedule.wake(due, at, &mut connection.turn);
                    if !alive {
                        self.disconnect(now, at);
                    }
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "a peer connection failed");
                    return self.disconnect(now, at);
                }
            }
        }
    }

    pub(super) fn forward_all(&mut self, now: Instant) {
        loop {
            if let Some((from, packet)) = self.arrived.pop_front() {
                self.counters.packets_in += 1;
                self.counters.bytes_in += packet.payload.len() as u64;
                if !self.admit(now, from, &packet) {
                    self.counters.drop_for(Dropped::BitRate);
                } else if self.forward(now, from, &packet).is_none() {
                    self.counters.packets_withheld += 1;
                }
            } else if let Some((to, mid)) = self.broken.pop_front() {
                self.refresh_picture(now, to, mid);
            } else {
                return;
            }
        }
    }

    /// Ends a peer's connection, if there is one; its seat stays.
    pub(super) fn disconnect(&mut self, _: Instant, at: usize) {
        self.arrived.retain(|(from, _)| *from != at);
        self.demux.forget(at);
        let Some(connection) = self
            .peers
            .get_mut(at)
            .and_then(|peer| peer.connection.take())
        else {
            return;
        };
        self.demux.forget_name(&connection.ufrag);
        self.schedule.forget(at, &connection.turn);
        // What comes by another connection is another stream.
        self.unhear(at);
        self.offer_pictures(at);
    }
}
