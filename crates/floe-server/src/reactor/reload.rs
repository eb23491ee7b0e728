//! New settings while the loop runs.

use std::sync::Arc;

use floe_log::Disk;
use floe_surfaces::access::KeyRing;
use floe_surfaces::channels::Bounds;

use super::Reactor;
use crate::access::{AccessSettings, Turned};
use crate::reload::Reload;
use crate::settings::Limits;
use crate::tables::TableBounds;

impl<D: Disk> Reactor<D> {
    /// Takes over new settings, if there are any. Connections stay, but for those of whom nobody
    /// knows any more, and so does what each of them was promised when it began.
    pub(super) fn take_settings(&mut self) {
        let Some(reload) = self.reloads.take() else {
            return;
        };
        let Reload {
            limits,
            keys,
            access,
            origins,
            public_url,
            quotas,
        } = *reload;
        // Its threads are there from the start on.
        let limits = Arc::new(Limits {
            tables_readers: self.limits.tables_readers,
            ..(*limits).clone()
        });
        self.origins = origins;
        self.public_url = public_url;
        self.bounds = bounds(&limits);
        self.subscriptions.set_limits(&limits);
        self.views
            .set_bounds(limits.query_open_max, limits.query_wait_ms);
        self.tables.set_bounds(TableBounds::of(&limits));
        self.buffers.set_limits(limits.buffer());
        self.gateway.set_limits(&limits);
        self.fan_out.set_threads(limits.fanout_threads);
        self.load.set_limits(&limits);
        self.shard.set_limits(Arc::clone(&limits));
        self.limits = limits;
        self.set_quotas(quotas);
        self.believe(keys, &access);
    }

    /// Believes others than before; those who listen and may not any more are told so, and end.
    fn believe(&mut self, keys: KeyRing, access: &AccessSettings) {
        let tokens_max = self.limits.access_tokens_max;
        self.recogniser.set_tokens_max(tokens_max);
        let set = self.recogniser.set(access, &mut self.access);
        let turned = set.unwrap_or_else(|error| {
            // They were looked at before they came here.
            tracing::error!(%error, "issuers and webhook stay as they were");
            Turned::Same
        });
        if turned == Turned::Changed || keys != self.access.keys {
            self.access.keys = keys;
            self.judge_all();
        }
    }
}

/// Returns the bounds of what is asked of channels.
pub(super) fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        content_chars_max: limits.channel_content_chars_max,
        data_bytes_max: limits.channel_data_bytes_max,
        ..Bounds::default()
    }
}
