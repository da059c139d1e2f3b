//! What can go wrong with a bucket, told apart by what it means for the caller.

/// Why the bucket did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no such object, or no such bucket.
    #[error("{object} is not there: {reason}")]
    Missing {
        /// Which one, as `s3://bucket/name`.
        object: String,
        /// What the service said.
        reason: String,
    },
    /// The service does not let these keys do that.
    #[error("{object}: the service refuses: {reason}; check the keys and what they may do")]
    Refused {
        /// Which object.
        object: String,
        /// What the service said.
        reason: String,
    },
    /// No answer, or one that says to come back later. Trying again makes sense.
    #[error(
        "{object}: the service cannot be reached: {reason}; what is on this machine is served, and it is tried again"
    )]
    Unreachable {
        /// Which object.
        object: String,
        /// What happened.
        reason: String,
    },
    /// The object is not what was put there.
    #[error("{object} is not what was uploaded: {reason}")]
    Damaged {
        /// Which object.
        object: String,
        /// What is different.
        reason: String,
    },
    /// The block is in a bucket, and none is configured.
    #[error("block {block} is in a bucket only, and the configuration names none: set store.s3.bucket")]
    NotConfigured {
        /// The block's name.
        block: String,
    },
    /// The bucket's prefix belongs to another data directory.
    #[error(
        "{place} belongs to the data directory with the id {owner}, and this one is {ours}: two must not share it. \
         Choose another store.s3.prefix; or, if the other is gone for good, delete the object {place}/owner.json, and \
         the next start takes it over"
    )]
    Owned {
        /// Bucket and prefix.
        place: String,
        /// Whose it is.
        owner: String,
        /// What this data directory is called.
        ours: String,
    },
}

impl RemoteError {
    /// Whether it is about the way to the service rather than about one object.
    pub(in crate::storage) fn is_outage(&self) -> bool {
        matches!(self, RemoteError::Refused { .. } | RemoteError::Unreachable { .. })
    }
}

/// What `error` means for `object`.
pub(super) fn told(object: &str, error: object_store::Error) -> RemoteError {
    use object_store::Error;
    let object = object.to_owned();
    // The chain of causes, with the service's own words last; no header and so no key is in it.
    let mut reason = error.to_string();
    if let Some(start) = reason.find("<Error>") {
        reason = words_of(&reason[start..]);
    }
    match error {
        Error::NotFound { .. } => RemoteError::Missing { object, reason },
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => RemoteError::Refused { object, reason },
        Error::AlreadyExists { .. } | Error::Precondition { .. } => RemoteError::Damaged { object, reason },
        _ => RemoteError::Unreachable { object, reason },
    }
}

/// Code and message of S3's XML.
fn words_of(xml: &str) -> String {
    let inside = |tag: &str| {
        let (_, rest) = xml.split_once(&format!("<{tag}>"))?;
        rest.split_once(&format!("</{tag}>")).map(|(text, _)| text.to_owned())
    };
    let (code, message) = (inside("Code").unwrap_or_default(), inside("Message").unwrap_or_default());
    format!("{code}: {message}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_s_own_words_are_told() {
        let xml = "GET failed: status 403 <?xml version=\"1.0\"?><Error><Code>InvalidAccessKeyId</Code><Message>No such key</Message><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>";
        let error = object_store::Error::PermissionDenied { path: "a".into(), source: xml.into() };
        let error = told("s3://bucket/a", error);
        assert!(matches!(&error, RemoteError::Refused { reason, .. } if reason == "InvalidAccessKeyId: No such key"));
        assert!(!error.to_string().contains("AKIASECRET"), "{error}");
        assert!(error.is_outage());
    }
}
