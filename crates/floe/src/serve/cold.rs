//! The settings of the cold tier as arguments and environment variables.

use clap::Args;
use floe_log::ColdOptions;
use floe_server::{ColdPlace, ColdSettings};

/// Which store cold data is in.
#[derive(Debug, Args)]
pub struct StoreArguments {
    /// Where old data moves: `s3://bucket/prefix`, or `file:///path` for a folder.
    ///
    /// Nowhere by default. Credentials for S3 come from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    /// AWS_SESSION_TOKEN. Data that has moved is read from there, so the place must stay set.
    #[arg(
        long,
        env = "FLOE_COLD",
        value_name = "URL",
        help_heading = "Cold tier"
    )]
    cold: Option<ColdPlace>,
    /// Address of an S3-compatible store, such as http://127.0.0.1:9000
    ///
    /// By default AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, else that of Amazon for the region.
    #[arg(
        long,
        env = "FLOE_COLD_ENDPOINT",
        value_name = "URL",
        help_heading = "Cold tier"
    )]
    cold_endpoint: Option<String>,
    /// Region of the bucket; by default AWS_REGION or AWS_DEFAULT_REGION, else us-east-1.
    #[arg(
        long,
        env = "FLOE_COLD_REGION",
        value_name = "REGION",
        help_heading = "Cold tier"
    )]
    cold_region: Option<String>,
}

/// Everything about the cold tier.
#[derive(Debug, Args)]
pub struct ColdArguments {
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    bounds: BoundArguments,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Cold tier")]
struct BoundArguments {
    /// Bytes of segments that stay on the disk. What is beyond moves, oldest data first.
    #[arg(long, env = "FLOE_COLD_HOT_BYTES_MAX", value_name = "N",
          default_value_t = ColdOptions::default().hot_bytes_max)]
    cold_hot_bytes_max: u64,
    /// Milliseconds since its youngest record that a segment stays on the disk.
    #[arg(long, env = "FLOE_COLD_AGE_MIN_MS", value_name = "N",
          default_value_t = ColdOptions::default().age_min_ms)]
    cold_age_min_ms: u64,
    /// Bytes from which a segment may move. Smaller ones are merged with others first.
    #[arg(long, env = "FLOE_COLD_SEGMENT_BYTES_MIN", value_name = "N",
          default_value_t = ColdOptions::default().segment_bytes_min)]
    cold_segment_bytes_min: u64,
    /// Bytes of fetched data kept on the disk; four times record_bytes_max at least.
    #[arg(long, env = "FLOE_COLD_CACHE_BYTES_MAX", value_name = "N",
          default_value_t = ColdOptions::default().cache_bytes_max)]
    cold_cache_bytes_max: u64,
    /// Bytes of one object; a segment is stored as several.
    #[arg(long, env = "FLOE_COLD_PART_BYTES", value_name = "N",
          default_value_t = ColdOptions::default().part_bytes)]
    cold_part_bytes: u32,
    /// Bytes that are fetched at least. Less makes the first read of a small stream quicker, and
    /// that of a large one slower.
    #[arg(long, env = "FLOE_COLD_BLOCK_BYTES", value_name = "N",
          default_value_t = ColdOptions::default().block_bytes)]
    cold_block_bytes: u32,
    /// Fetches that may wait at once. Above: 503 COLD_UNAVAILABLE.
    #[arg(long, env = "FLOE_COLD_FETCHES_MAX", value_name = "N",
          default_value_t = ColdOptions::default().fetches_max)]
    cold_fetches_max: usize,
}

impl StoreArguments {
    /// Which store it is.
    pub fn settings(&self) -> ColdSettings {
        ColdSettings {
            place: self.cold.clone(),
            endpoint: self.cold_endpoint.clone(),
            region: self.cold_region.clone(),
            options: ColdOptions::default(),
        }
    }
}

impl ColdArguments {
    pub fn settings(&self) -> ColdSettings {
        ColdSettings {
            options: ColdOptions {
                hot_bytes_max: self.bounds.cold_hot_bytes_max,
                age_min_ms: self.bounds.cold_age_min_ms,
                segment_bytes_min: self.bounds.cold_segment_bytes_min,
                cache_bytes_max: self.bounds.cold_cache_bytes_max,
                part_bytes: self.bounds.cold_part_bytes,
                block_bytes: self.bounds.cold_block_bytes,
                fetches_max: self.bounds.cold_fetches_max,
            },
            ..self.store.settings()
        }
    }
}
