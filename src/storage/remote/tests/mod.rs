//! The store with a bucket: in memory, and with everything that can go wrong with one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::files::Disk;
use super::super::tests::{Content, batch, content, parquet_files, quiet};
use super::super::{OpenError, Store, StoreSettings};
use super::*;
use crate::series::{DAY, Selector, TimeRange};

mod checking;
mod failures;
mod faulty;
mod keeping;
mod reading;

use faulty::{Faulty, Mode};

/// A store with a bucket after which nobody looks but the test, and which uploads everything at once.
fn try_open(dir: &Path, faulty: &Faulty, change: impl Fn(&mut StoreSettings)) -> Result<Store, OpenError> {
    let s3 = RemoteSettings {
        bucket: Some("metrics".to_owned()),
        prefix: "site".to_owned(),
        upload_after: 0,
        cache_size: 16 << 20,
        timeout: Duration::from_millis(200),
        ..RemoteSettings::default()
    };
    let mut settings = StoreSettings { s3, ..quiet() };
    change(&mut settings);
    Store::open_over(Arc::new(Disk), dir, settings, |files, layout, settings| {
        let never = Duration::from_secs(3600);
        Remote::over(Arc::new(faulty.clone()), files, layout, settings, never).map(Some)
    })
}

fn open(dir: &Path, faulty: &Faulty) -> Store {
    try_open(dir, faulty, |_| {}).unwrap()
}

/// The same, which keeps no file of an uploaded block.
fn open_lean(dir: &Path, faulty: &Faulty) -> Store {
    try_open(dir, faulty, |settings| settings.s3.keep_local_size = Some(0)).unwrap()
}

/// Three blocks, of three months, with an odd value each.
fn fill(store: &Store) -> Content {
    for (month, odd) in [(0, f64::NAN), (1, -0.0), (2, f64::INFINITY)] {
        let at = month * 30 * DAY;
        let samples: Vec<_> = (0..4_000_i64).map(|t| ((t % 3) as usize, at + t, (t * 7919 % 1013) as f64)).collect();
        store.append(&batch(&samples)).unwrap();
        store.append(&batch(&[(7, at, odd)])).unwrap();
        store.flush().unwrap();
    }
    content(store)
}

fn select_error(store: &Store) -> crate::storage::SelectError {
    store.select(&Selector::all(), TimeRange::ALL).expect_err("the bucket is not there")
}

fn blocks_of(names: &[String]) -> Vec<&String> {
    names.iter().filter(|name| name.contains("/blocks/")).collect()
}
