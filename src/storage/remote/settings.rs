//! Whether blocks are kept in a bucket, in which one, and what stays here.

use std::path::PathBuf;
use std::time::Duration;

use crate::series::{HOUR, Millis};

/// S3-compatible storage for blocks. Without a bucket there is none, and nothing here has an effect.
///
/// Which key to use is never part of it: keys come from the environment (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`), from a file, or from the machine's role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
    /// The bucket; default none: blocks stay on this machine.
    pub bucket: Option<String>,
    /// Where the service is, as `https://host:port`; default: `AWS_ENDPOINT_URL`, or AWS.
    pub endpoint: Option<String>,
    /// The region; default: `AWS_REGION`, or `us-east-1`.
    pub region: Option<String>,
    /// What the names of all objects begin with, so that several stores can share a bucket; default: nothing.
    pub prefix: String,
    /// Whether requests name the bucket in the path rather than in the host; default true, which all services take.
    pub path_style: bool,
    /// Whether an endpoint may be plain `http`, where keys and samples can be read on the way; default false.
    pub allow_http: bool,
    /// A file with keys as AWS writes them (`aws_access_key_id = ..` below `[default]`), read anew at every request
    /// so that keys can be changed; default: the environment.
    pub credentials_file: Option<PathBuf>,
    /// How long after it was written a block is uploaded, if it was not merged meanwhile; default 2 h.
    pub upload_after: Millis,
    /// Age of the newest sample from which a block's file is kept in the bucket only; default: for ever here as well.
    pub keep_local: Option<Millis>,
    /// Bytes of blocks on this machine beyond which the oldest are kept in the bucket only; default: no limit.
    pub keep_local_size: Option<u64>,
    /// Bytes that the local cache of the bucket's blocks may take; default 1 GiB.
    pub cache_size: u64,
    /// How long one request may take, retries included; default 10 s.
    pub timeout: Duration,
}

impl Default for RemoteSettings {
    fn default() -> Self {
        RemoteSettings {
            bucket: None,
            endpoint: None,
            region: None,
            prefix: String::new(),
            path_style: true,
            allow_http: false,
            credentials_file: None,
            upload_after: 2 * HOUR,
            keep_local: None,
            keep_local_size: None,
            cache_size: 1 << 30,
            timeout: Duration::from_secs(10),
        }
    }
}

impl RemoteSettings {
    /// What cannot work, beginning with the field's name.
    pub fn problem(&self) -> Option<String> {
        let text = |name: &str, value: &Option<String>, is_good: &dyn Fn(&str) -> bool, wanted: &str| {
            let value = value.as_ref()?;
            (!is_good(value)).then(|| format!("{name}: `{value}` is not {wanted}"))
        };
        let is_bucket = |name: &str| {
            let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'_');
            (3..=63).contains(&name.len()) && name.bytes().all(is_letter)
        };
        let wanted = "a bucket's name: 3 to 63 small letters, digits, dots and dashes, without s3://";
        if let Some(problem) = text("bucket", &self.bucket, &is_bucket, wanted) {
            return Some(problem);
        }
        let is_url = |url: &str| url.starts_with("https://") || url.starts_with("http://");
        if let Some(problem) =
            text("endpoint", &self.endpoint, &is_url, "an address; write it like https://s3.example.com")
        {
            return Some(problem);
        }
        if self.endpoint.as_ref().is_some_and(|url| url.starts_with("http://")) && !self.allow_http {
            return Some(
                "endpoint: it is plain http; use https, or set allow_http: true for a service on this machine"
                    .to_owned(),
            );
        }
        let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
        let is_clean = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '=');
        let prefix = self.prefix.trim_end_matches('/');
        if !prefix.is_empty() && (!prefix.chars().all(is_clean) || !prefix.split('/').all(is_part)) {
            return Some(format!(
                "prefix: `{}` may have letters, digits, `-`, `_`, `.`, `=`, and `/` between its parts",
                self.prefix
            ));
        }
        if self.upload_after < 0 {
            return Some("upload_after: it must not be negative".to_owned());
        }
        if self.keep_local.is_some_and(|keep| keep < 0) {
            return Some("keep_local: it must not be negative".to_owned());
        }
        if self.cache_size < 16 << 20 {
            return Some("cache_size: it must be at least 16MiB".to_owned());
        }
        if self.timeout.is_zero() {
            return Some("timeout: it must be longer than zero".to_owned());
        }
        None
    }

    /// `s3://bucket/prefix`, for people.
    pub(in crate::storage) fn place(&self) -> String {
        let bucket = self.bucket.as_deref().unwrap_or_default();
        match self.prefix.trim_matches('/') {
            "" => format!("s3://{bucket}"),
            prefix => format!("s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_named() {
        let check = |change: &dyn Fn(&mut RemoteSettings), expected: Option<&str>| {
            let mut settings = RemoteSettings { bucket: Some("metrics".into()), ..RemoteSettings::default() };
            change(&mut settings);
            let problem = settings.problem();
            match expected {
                None => assert_eq!(problem, None),
                Some(words) => assert!(problem.as_deref().is_some_and(|text| text.contains(words)), "{problem:?}"),
            }
        };
        check(&|_| {}, None);
        check(&|settings| settings.bucket = Some("s3://metrics".into()), Some("bucket: `s3://metrics`"));
        check(&|settings| settings.endpoint = Some("localhost:9000".into()), Some("endpoint: `localhost:9000`"));
        check(&|settings| settings.endpoint = Some("http://localhost:9000".into()), Some("allow_http"));
        check(
            &|settings| {
                settings.endpoint = Some("http://localhost:9000".into());
                settings.allow_http = true;
            },
            None,
        );
        check(&|settings| settings.prefix = "site-a/db=1/".into(), None);
        check(&|settings| settings.prefix = "/site-a".into(), Some("prefix"));
        check(&|settings| settings.prefix = "a/../b".into(), Some("prefix"));
        check(&|settings| settings.cache_size = 1, Some("16MiB"));
        check(&|settings| settings.timeout = Duration::ZERO, Some("timeout"));
    }
}
