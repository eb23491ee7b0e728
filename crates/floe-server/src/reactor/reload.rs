//! New settings while the loop runs.

use std::sync::Arc;

use floe_log::Disk;
use floe_surfaces::channels::Bounds;

use super::Reactor;
use crate::reload::Reload;
use crate::settings::Limits;

impl<D: Disk> Reactor<D> {
    /// Takes over new settings, if there are any. Connections stay, and so does what each of them
    /// was promised when it began.
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
        self.access.keys = keys;
        if let Err(error) = self.recogniser.set(&access, &mut self.access) {
            // They were looked at before they came here.
            tracing::error!(%error, "issuers and webhook stay as they were");
        }
        self.recogniser.set_tokens_max(limits.access_tokens_max);
        self.judge_all();
        self.origins = origins;
        self.public_url = public_url;
        self.bounds = bounds(&limits);
        self.subscriptions.set_limits(&limits);
        self.views
            .set_bounds(limits.query_open_max, limits.query_wait_ms);
        self.gateway.set_limits(&limits);
        self.shard.set_limits(Arc::clone(&limits));
        self.limits = limits;
        self.set_quotas(quotas);
    }
}

/// Returns the bounds of what is asked of channels.
pub(super) fn bounds(limits: &Limits) -> Bounds {
    Bounds {
        content_chars_max: limits.channel_content_chars_max,
        ..Bounds::default()
    }
}
