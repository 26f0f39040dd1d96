//! From a place to a store that can be used.

use crate::{ArtefactError, Place};
use object_store::{
    ClientConfigKey, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey},
    local::LocalFileSystem,
    prefix::PrefixStore,
};
use std::{path::Path, sync::Arc, time::Duration};

/// Names and values of environment variables.
pub type Variables = Vec<(String, String)>;

/// How often a request that failed is made again; callers that can wait longer do so themselves.
const RETRIES: usize = 3;
/// When no request is made again any more.
const RETRY_LIMIT: Duration = Duration::from_secs(10);
/// What holds unless the environment says otherwise.
const DEFAULTS: [(ClientConfigKey, &str); 2] = [
    (ClientConfigKey::Timeout, "30 seconds"),
    (ClientConfigKey::ConnectTimeout, "5 seconds"),
];

/// A store at a place, set up by these variables.
pub fn store(place: &Place, variables: &Variables) -> Result<Arc<dyn ObjectStore>, ArtefactError> {
    let failed = |why: String| ArtefactError::Failed {
        place: place.clone(),
        why,
    };
    match place {
        Place::Folder(path) => folder(path).map_err(failed),
        Place::Bucket { bucket, prefix } => {
            let store = bucket_store(bucket, variables).map_err(|e| failed(e.to_string()))?;
            Ok(match prefix.as_str() {
                "" => Arc::new(store),
                prefix => Arc::new(PrefixStore::new(store, prefix)),
            })
        }
    }
}

fn folder(path: &Path) -> Result<Arc<dyn ObjectStore>, String> {
    std::fs::create_dir_all(path).map_err(|e| format!("the folder cannot be made: {e}"))?;
    let store = LocalFileSystem::new_with_prefix(path);
    Ok(Arc::new(store.map_err(|e| e.to_string())?))
}

/// Credentials, region and endpoint come from the variables that all programs of this kind read, `AWS_…`.
fn bucket_store(bucket: &str, variables: &Variables) -> object_store::Result<AmazonS3> {
    // An error means that a provider is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::new();
    for (key, value) in DEFAULTS {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (name, value) in variables {
        let key = name
            .starts_with("AWS_")
            .then(|| name.to_ascii_lowercase().parse());
        let Some(Ok(key)) = key else {
            continue;
        };
        let endpoint = matches!(
            key,
            AmazonS3ConfigKey::Endpoint | AmazonS3ConfigKey::S3Endpoint
        );
        if endpoint && value.starts_with("http://") {
            // Whoever writes this wants it: object_store would refuse.
            let plain = AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp);
            builder = builder.with_config(plain, "true");
        }
        builder = builder.with_config(key, value);
    }
    builder
        .with_bucket_name(bucket)
        // One request for each file: not everything that speaks S3 deletes many at once.
        .with_disable_bulk_delete(true)
        .with_retry(RetryConfig {
            max_retries: RETRIES,
            retry_timeout: RETRY_LIMIT,
            ..RetryConfig::default()
        })
        .build()
}
