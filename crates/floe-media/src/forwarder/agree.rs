//! What is agreed on with a browser.

use std::sync::Arc;
use std::time::Instant;

use floe_core::voice::{MediaError, MediaOutput, SeatId, Signal, Source};
use str0m::bwe::Bitrate;
use str0m::net::Protocol;
use str0m::{Candidate, Input, Rtc};

use crate::connection::Connection;
use crate::forwarder::Forwarder;
use crate::intake::Intake;
use crate::offer::Offer;
use crate::video::{NETWORK_UNKNOWN, PictureCodec};

impl Forwarder {
    /// Agrees to what a browser offers.
    pub(super) fn offer(
        &mut self,
        now: Instant,
        seat: SeatId,
        sdp: &str,
        sources: Box<[(Box<str>, Source)]>,
    ) -> Result<(), MediaError> {
        let gone = || MediaError::Signal("the seat is gone".into());
        let at = *self.seats.get(&seat).ok_or_else(gone)?;
        self.admit_offer(now, at)?;
        let offer = Offer::read(sdp, &self.config)?;
        let is_same = self
            .connection(at)
            .is_some_and(|connection| connection.is_with(&offer.fingerprint));
        if !is_same {
            self.disconnect(now, at);
            let rtc = self.new_rtc(now, offer.has_pictures());
            let intake = Intake::new(&self.config, now);
            let connection = Connection::new(rtc, &offer.fingerprint, intake);
            self.peers[at].connection = Some(Box::new(connection));
        }
        let connection = self.connection(at).ok_or_else(gone)?;
        connection.intake.renew(now);
        let before = std::mem::take(&mut connection.ufrag);
        let agreed = connection.agree(offer, sources);
        let named = connection.ufrag.clone();
        self.demux.forget_name(&before);
        let answer = match agreed {
            Ok(answer) => answer,
            Err(error) => {
                self.disconnect(now, at);
                return Err(MediaError::Signal(error.to_string().into()));
            }
        };
        self.demux.name(&named, at);
        // What fails closes the connection, and it is told so.
        let _ = self.drive(now, at, Input::Timeout(now));
        let pictures_max = self.config.video_slots.into();
        if let Some(connection) = self.connection(at) {
            connection.refresh(pictures_max);
        }
        self.outputs.push_back(MediaOutput::Signal {
            seat,
            signal: Signal::Answer(answer),
        });
        self.offer_pictures(at);
        self.tell_tracks(at);
        Ok(())
    }

    fn new_rtc(&self, now: Instant, has_pictures: bool) -> Rtc {
        let config = Rtc::builder()
            .set_crypto_provider(Arc::clone(&self.crypto))
            .set_dtls_cert(self.certificate.clone())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .set_stats_interval(Some(self.config.measure_interval))
            .clear_codecs()
            .enable_opus(true, false);
        let mut rtc = PictureCodec::enable_all(config)
            .enable_bwe(has_pictures.then(|| Bitrate::bps(NETWORK_UNKNOWN)))
            .build(now);
        for local in &self.config.locals {
            let candidate = match local.protocol {
                Protocol::Udp => Candidate::host(local.address, "udp"),
                Protocol::Tcp | Protocol::SslTcp | Protocol::Tls => Candidate::builder()
                    .tcp()
                    .host(local.address)
                    .tcptype(str0m::net::TcpType::Passive)
                    .build(),
            };
            match candidate {
                Ok(candidate) => {
                    rtc.add_local_candidate(candidate);
                }
                Err(error) => tracing::warn!(%error, address = %local.address, "no candidate"),
            }
        }
        rtc
    }
}
