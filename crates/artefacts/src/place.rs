//! Where artefacts are.

use crate::ArtefactError;
use std::{fmt, path::PathBuf, str::FromStr};

/// What is written in place of an address that is none.
const WANTED: &str = "write file:///folder or s3://bucket/prefix";

/// Where artefacts are. It holds no secret: what a bucket wants to know comes from the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder that every program sees.
    Folder(PathBuf),
    /// A bucket that speaks S3.
    Bucket {
        /// Its name.
        bucket: String,
        /// The beginning of all names; empty, or without slashes at its ends.
        prefix: String,
    },
}

impl FromStr for Place {
    type Err = ArtefactError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = |why: &str| ArtefactError::Url(format!("the address of the artefacts {why}"));
        let url = url::Url::parse(text).map_err(|e| bad(&format!("is none ({e}): {WANTED}")))?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(bad(
                "holds a user, a password or settings: these are read from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, \
                 AWS_REGION and AWS_ENDPOINT_URL",
            ));
        }
        match url.scheme() {
            "file" => {
                let path = url.to_file_path();
                let path = path.map_err(|()| {
                    bad("names no folder of this machine: file:///folder has three slashes")
                });
                Ok(Self::Folder(path?))
            }
            "s3" => {
                let bucket = url.host_str().filter(|name| !name.is_empty());
                let bucket =
                    bucket.ok_or_else(|| bad("names no bucket: write s3://bucket/prefix"))?;
                let prefix = url.path().trim_matches('/');
                if !prefix.is_empty() && crate::name::path(prefix).is_err() {
                    return Err(bad(
                        "has a prefix other than letters, digits and -_.= between single slashes",
                    ));
                }
                Ok(Self::Bucket {
                    bucket: bucket.to_owned(),
                    prefix: prefix.to_owned(),
                })
            }
            other => Err(bad(&format!("begins with {other}: {WANTED}"))),
        }
    }
}

impl fmt::Display for Place {
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
    fn an_address_says_where() {
        let at = |text: &str| text.parse::<Place>().unwrap().to_string();
        assert_eq!(at("file:///var/lib/x"), "file:///var/lib/x");
        assert_eq!(at("file:///a%20b"), "file:///a b");
        assert_eq!(at("s3://bucket"), "s3://bucket");
        assert_eq!(at("s3://bucket/"), "s3://bucket");
        assert_eq!(at("s3://bucket/a/b/"), "s3://bucket/a/b");
    }

    #[test]
    fn what_is_no_address_is_refused_and_a_password_not_repeated() {
        for (text, why) in [
            ("/var/lib", "file:///folder"),
            ("", "file:///folder"),
            ("gs://bucket", "begins with gs"),
            ("file://folder/x", "three slashes"),
            ("s3://", "s3://bucket/prefix"),
            ("s3://bucket/a//b", "prefix"),
            ("s3://key:hunter2@bucket", "AWS_SECRET_ACCESS_KEY"),
            ("s3://bucket?secret=hunter2", "AWS_SECRET_ACCESS_KEY"),
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(
                error.contains(why) && !error.contains("hunter2"),
                "{text}: {error}"
            );
        }
    }
}
