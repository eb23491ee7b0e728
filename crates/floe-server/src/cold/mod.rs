//! Where cold data is kept: a folder, or a bucket of an S3-compatible store.

mod folder;
mod place;
mod s3;
mod sign;

use std::sync::Arc;

use floe_log::ObjectStore;

pub use place::{ColdPlace, PlaceError};

use folder::FolderStore;
use s3::S3Store;
use sign::Secrets;

/// Everything about the cold tier that an operator may set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ColdSettings {
    /// Where sealed segments move; nowhere by default.
    pub place: Option<ColdPlace>,
    /// Address of the S3-compatible store, such as `http://127.0.0.1:9000`; by default what the
    /// environment says, then that of Amazon for the region.
    pub endpoint: Option<String>,
    /// Region of the bucket; by default what the environment says, then `us-east-1`.
    pub region: Option<String>,
    /// Bounds.
    pub options: floe_log::ColdOptions,
}

/// Why the store of cold data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ColdError {
    /// The environment has no credentials.
    #[error("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set")]
    NoCredentials,
    /// The endpoint is no address of a store.
    #[error("the endpoint is not an http or https address")]
    Endpoint,
    /// The system's certificates cannot be used.
    #[error("no certificate of the system can be used to check that of the store")]
    NoCertificates,
}

/// Opens the store that is set; `None` where none is.
///
/// Nothing is asked of the store, so a server starts while it is away.
///
/// # Errors
/// [`ColdError`].
pub fn open_store(settings: &ColdSettings) -> Result<Option<Arc<dyn ObjectStore>>, ColdError> {
    Ok(match &settings.place {
        None => None,
        Some(ColdPlace::Folder(path)) => Some(Arc::new(FolderStore::new(path))),
        Some(ColdPlace::Bucket { bucket, prefix }) => {
            let secrets = Secrets::from_environment().ok_or(ColdError::NoCredentials)?;
            let region = settings.region.clone();
            let region = region.or_else(|| variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
            let region = region.unwrap_or_else(|| "us-east-1".to_owned());
            let endpoint = settings.endpoint.clone();
            let endpoint =
                endpoint.or_else(|| variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]));
            let endpoint = endpoint.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
            let store = S3Store::new(&endpoint, region, bucket.clone(), prefix, secrets)?;
            Some(Arc::new(store))
        }
    })
}

/// Returns the first of these environment variables that is set to something.
fn variable(names: &[&str]) -> Option<String> {
    let mut values = names.iter().filter_map(|name| std::env::var(name).ok());
    values.find(|value| !value.is_empty())
}
