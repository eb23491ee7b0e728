//! Floe's native host: connections, the shard, its log on a real disk, limits and metrics.
//!
//! ```no_run
//! use floe_server::{Server, Settings};
//!
//! let server = Server::open(&Settings::default())?;
//! println!("listening on {}", server.address());
//! server.run()?;
//! # Ok::<(), floe_server::StartError>(())
//! ```

mod access;
mod buffers;
mod clock;
mod cold;
mod directory;
mod gateway;
mod ice_servers;
mod identity_hash;
mod limiter;
mod live_queries;
mod media;
mod memory;
mod metrics;
mod proxy;
mod quotas;
pub mod reaction_counts;
mod reactor;
mod recordings;
mod reload;
mod replica;
mod room_schemas;
mod server;
mod settings;
pub mod shard;
mod subscriptions;
mod tables;
mod tls;
mod views;
mod watch;
mod webhook;
mod workers;

pub use access::{
    AccessError, AccessSettings, AccessWebhookSettings, IssuerSettings, JwksSettings,
};
pub use cold::{ColdError, ColdPlace, ColdSettings, PlaceError, open_store};
pub use floe_surfaces::limits::{CountKind, RateKind, Scope};
pub use ice_servers::{IceSettings, IceUrl, IceUrlError, TurnSecret};
pub use media::{MediaSettings, MediaStartError, PublicAddress, PublicAddressError};
pub use proxy::{NetworkError, ProxySettings, TrustedProxies};
pub use quotas::{QuotaError, Quotas, ScopeQuotas};
pub use recordings::RecordingSettings;
pub use reload::{ReloadError, Reloader};
pub use replica::{PostgresUrl, ReplicaSettings, ReplicaUrlError};
pub use server::{Server, StartError, Stopper};
pub use settings::{Limits, SettingError, Settings};
pub use tls::{Certificates, Roots, RootsError, TlsError, TlsSettings};
