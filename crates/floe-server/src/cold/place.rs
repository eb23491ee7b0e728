//! Where cold data goes, as an operator writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A place for cold data: `s3://bucket/prefix` or `file:///path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColdPlace {
    /// A folder, made if it is not there.
    Folder(PathBuf),
    /// A bucket of an S3-compatible store.
    Bucket {
        /// The bucket's name.
        bucket: String,
        /// What all keys begin with; empty, or without `/` at either end.
        prefix: String,
    },
}

/// Why a text names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It starts like neither kind.
    #[error("it must look like s3://bucket/prefix or file:///path")]
    Scheme,
    /// There is no bucket, or the name is not one.
    #[error("a bucket has 3 to 63 lower-case letters, digits, dots and hyphens")]
    Bucket,
    /// The prefix has characters that are not the same in every store.
    #[error("a prefix has letters, digits, dots, hyphens, underscores and single slashes")]
    Prefix,
    /// The path is not absolute.
    #[error("the path must be absolute, as in file:///var/lib/floe-cold")]
    Relative,
}

impl FromStr for ColdPlace {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if let Some(path) = text.strip_prefix("file://") {
            let path = PathBuf::from(path);
            return match path.is_absolute() {
                true => Ok(Self::Folder(path)),
                false => Err(PlaceError::Relative),
            };
        }
        let rest = text.strip_prefix("s3://").ok_or(PlaceError::Scheme)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let in_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(in_bucket) {
            return Err(PlaceError::Bucket);
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let in_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_word = |word: &str| !word.is_empty() && word.chars().all(in_word);
        let is_sound = |word: &str| is_word(word) && word != "." && word != "..";
        if !prefix.is_empty() && !prefix.split('/').all(is_sound) {
            return Err(PlaceError::Prefix);
        }
        Ok(Self::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for ColdPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for (text, written) in [
            ("file:///var/cold", "file:///var/cold"),
            ("s3://floe", "s3://floe"),
            ("s3://floe/", "s3://floe"),
            ("s3://my.bucket-1/a/b_c.d/", "s3://my.bucket-1/a/b_c.d"),
        ] {
            let place: ColdPlace = text.parse().unwrap();
            assert_eq!(place.to_string(), written);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (text, error) in [
            ("", PlaceError::Scheme),
            ("/var/cold", PlaceError::Scheme),
            ("gs://floe", PlaceError::Scheme),
            ("file://var/cold", PlaceError::Relative),
            ("s3://", PlaceError::Bucket),
            ("s3://Floe/x", PlaceError::Bucket),
            ("s3://key:secret@floe", PlaceError::Bucket),
            ("s3://floe//x", PlaceError::Prefix),
            ("s3://floe/a/../b", PlaceError::Prefix),
            ("s3://floe/a b", PlaceError::Prefix),
        ] {
            assert_eq!(text.parse::<ColdPlace>(), Err(error), "{text}");
        }
    }
}
