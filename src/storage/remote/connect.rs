//! From settings to a client of the service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, ObjectStore, RetryConfig};

use super::settings::RemoteSettings;

const MAX_CONNECT: Duration = Duration::from_secs(5);

/// A client for the bucket in the settings; nothing is sent yet.
///
/// # Errors
/// What is wrong with the settings or the environment, in words.
pub(super) fn connect(settings: &RemoteSettings) -> Result<Arc<dyn ObjectStore>, String> {
    let options = ClientOptions::new()
        .with_allow_http(settings.allow_http)
        .with_timeout(settings.timeout)
        .with_connect_timeout(settings.timeout.min(MAX_CONNECT));
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(2),
            base: 2.0,
        },
        max_retries: 3,
        retry_timeout: settings.timeout,
    };
    // Keys, and what is left out here, come from the environment by AWS' names.
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(settings.bucket.as_deref().unwrap_or_default())
        .with_virtual_hosted_style_request(!settings.path_style)
        .with_client_options(options)
        .with_retry(retry);
    if let Some(region) = &settings.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some(path) = &settings.credentials_file {
        // Now as well, so that a typing mistake is told at the start.
        read_keys(path)?;
        builder = builder.with_credentials(Arc::new(KeysFile { path: path.clone() }));
    }
    let store = builder.build().map_err(|error| error.to_string())?;
    Ok(Arc::new(store))
}

/// Keys in a file that may be replaced at any time.
#[derive(Debug)]
struct KeysFile {
    path: PathBuf,
}

#[async_trait::async_trait]
impl CredentialProvider for KeysFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        // A few lines on a local disk: not worth a thread.
        let keys = read_keys(&self.path);
        keys.map(Arc::new).map_err(|reason| object_store::Error::Unauthenticated {
            path: self.path.display().to_string(),
            source: reason.into(),
        })
    }
}

/// Reads the section `[default]` of a file as AWS' programs write it. What is in it never gets into an error.
fn read_keys(path: &Path) -> Result<AwsCredential, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("credentials_file: {} cannot be read: {error}", path.display()))?;
    parse_keys(&text).ok_or_else(|| {
        format!(
            "credentials_file: {} has no aws_access_key_id and aws_secret_access_key in its section [default]",
            path.display()
        )
    })
}

fn parse_keys(text: &str) -> Option<AwsCredential> {
    let (mut is_meant, mut key_id, mut secret_key, mut token) = (true, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_meant = section.trim_end_matches(']').trim() == "default";
        } else if let (true, Some((name, value))) = (is_meant, line.split_once('=')) {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim().to_ascii_lowercase().as_str() {
                "aws_access_key_id" => key_id = value,
                "aws_secret_access_key" => secret_key = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(AwsCredential { key_id: key_id?, secret_key: secret_key?, token })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_from_the_section_default() {
        let text = "[other]\naws_access_key_id = no\n[default]\naws_access_key_id = id\naws_secret_access_key=a=b\n\n[x]\naws_session_token = no\n";
        let keys = parse_keys(text).unwrap();
        assert_eq!((keys.key_id.as_str(), keys.secret_key.as_str(), keys.token), ("id", "a=b", None));
        assert!(parse_keys("aws_access_key_id = id\n").is_none());
        let keys = parse_keys("aws_access_key_id = id\naws_secret_access_key = s\naws_session_token = t").unwrap();
        assert_eq!(keys.token.as_deref(), Some("t"));
    }

    #[test]
    fn a_file_without_keys_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        std::fs::write(&path, "aws_secret_access_key = hunter2\n").unwrap();
        let settings = RemoteSettings {
            bucket: Some("metrics".into()),
            credentials_file: Some(path.clone()),
            ..RemoteSettings::default()
        };
        let error = connect(&settings).unwrap_err();
        assert!(error.contains(&path.display().to_string()) && !error.contains("hunter2"), "{error}");
    }
}
