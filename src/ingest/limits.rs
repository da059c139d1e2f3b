//! How much one request may bring.

use serde::Deserialize;

use crate::series::LabelLimits;

/// The limits of one request; over one of them is a clear error or rejection, never a crash.
///
/// In the configuration file the label limits stand beside the others: `max_labels`, `max_label_name_length` and
/// `max_label_value_length`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Fields")]
pub struct Limits {
    /// Bytes in a request body as it arrives; default 16 MiB.
    pub max_body: usize,
    /// Bytes in a request body after decompression; default 64 MiB. Checked before the memory is taken.
    pub max_decoded: usize,
    /// What a series' labels may look like.
    pub labels: LabelLimits,
    /// How many rejections an answer lists with their reasons; default 100. All of them are counted.
    pub max_rejections_listed: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_body: 16 << 20, max_decoded: 64 << 20, labels: LabelLimits::default(), max_rejections_listed: 100 }
    }
}

/// The limits as the configuration file writes them.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Fields {
    max_body: usize,
    max_decoded: usize,
    max_labels: usize,
    max_label_name_length: usize,
    max_label_value_length: usize,
    max_rejections_listed: usize,
}

impl Default for Fields {
    fn default() -> Self {
        let Limits { max_body, max_decoded, labels, max_rejections_listed } = Limits::default();
        Fields {
            max_body,
            max_decoded,
            max_labels: labels.max_labels,
            max_label_name_length: labels.max_name_len,
            max_label_value_length: labels.max_value_len,
            max_rejections_listed,
        }
    }
}

impl From<Fields> for Limits {
    fn from(fields: Fields) -> Limits {
        Limits {
            max_body: fields.max_body,
            max_decoded: fields.max_decoded,
            labels: LabelLimits {
                max_labels: fields.max_labels,
                max_name_len: fields.max_label_name_length,
                max_value_len: fields.max_label_value_length,
            },
            max_rejections_listed: fields.max_rejections_listed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_limits_are_written_beside_the_others() {
        let limits: Limits = serde_json::from_str(r#"{"max_labels": 5, "max_body": 10}"#).unwrap();
        assert_eq!((limits.labels.max_labels, limits.max_body), (5, 10));
        assert_eq!(limits.labels.max_name_len, LabelLimits::default().max_name_len);
        assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), Limits::default());
    }

    #[test]
    fn an_unknown_limit_is_an_error_that_lists_the_known() {
        let error = serde_json::from_str::<Limits>(r#"{"max_label": 5}"#).unwrap_err().to_string();
        assert!(error.contains("max_label`") && error.contains("max_labels"), "{error}");
    }
}
