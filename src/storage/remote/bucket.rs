//! The bucket, for threads that wait: each call is one request or a few, is bounded in time, and says what went wrong.
//!
//! In: names below the prefix. Out: bytes, or a [`RemoteError`]. The client is asynchronous and runs on two threads of
//! its own, so that callers need not be. After an outage reads fail at once for a while, so that questions which need
//! the bucket do not hold up those which do not.

use std::fs::File;
use std::future::Future;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parking_lot::Mutex;
use tokio::runtime::{Builder, Runtime};

use super::error::{RemoteError, told};
use super::etag::Etag;

// Larger files go in parts of this size: S3 takes 10,000 of them, of 5 MiB at least.
const PART: u64 = 8 << 20;
const PARTS_AT_ONCE: usize = 3;
const READS_AT_ONCE: usize = 8;
// So long after an outage no read is tried.
const PAUSE: Duration = Duration::from_secs(10);

/// What the service says of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) n_bytes: u64,
    pub(super) etag: Option<String>,
}

/// What there is to send.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) n_bytes: u64,
    pub(super) crc32: u32,
    /// What the service calls it if it does as AWS does.
    pub(super) etag: String,
}

/// One bucket, below one prefix.
#[derive(Debug)]
pub(in crate::storage) struct Bucket {
    store: Arc<dyn ObjectStore>,
    // Present until it is dropped.
    runtime: Option<Runtime>,
    place: String,
    prefix: String,
    timeout: Duration,
    outage: Mutex<Option<(Instant, RemoteError)>>,
}

impl Bucket {
    /// `place` is `s3://bucket/prefix`, for people.
    pub(super) fn new(
        store: Arc<dyn ObjectStore>,
        place: String,
        prefix: &str,
        timeout: Duration,
    ) -> std::io::Result<Bucket> {
        let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("store-s3").enable_all().build()?;
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Bucket { store, runtime: Some(runtime), place, prefix, timeout, outage: Mutex::new(None) })
    }

    /// `s3://bucket/prefix`.
    pub(in crate::storage) fn place(&self) -> &str {
        &self.place
    }

    /// How an object is called in messages.
    pub(super) fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() { Path::from(name) } else { Path::from(format!("{}/{name}", self.prefix)) }
    }

    /// Fails with the reason of an outage that is not long ago.
    pub(super) fn check_reachable(&self) -> Result<(), RemoteError> {
        match &*self.outage.lock() {
            Some((since, error)) if since.elapsed() < PAUSE => Err(error.clone()),
            _ => Ok(()),
        }
    }

    /// Whether the last request went through.
    pub(super) fn is_reachable(&self) -> bool {
        self.outage.lock().is_none()
    }

    /// Waits for `work`, which makes `n_requests` one after the other.
    fn run<T: Send + 'static>(
        &self,
        name: &str,
        n_requests: u64,
        work: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, RemoteError> {
        let url = self.url(name);
        let unreachable = |reason: String| RemoteError::Unreachable { object: url.clone(), reason };
        let limit = self.timeout * u32::try_from(n_requests.max(1)).unwrap_or(u32::MAX);
        let (reply, answer) = sync_channel(1);
        let Some(runtime) = &self.runtime else { return Err(unreachable("the store is closed".to_owned())) };
        runtime.spawn(async move {
            // Whoever waits has not gone: it has no time limit but this one.
            let _ = reply.send(tokio::time::timeout(limit, work).await);
        });
        let outcome = match answer.recv() {
            Ok(Ok(done)) => done.map_err(|error| told(&url, error)),
            Ok(Err(_)) => Err(unreachable(format!("no answer within {} s", limit.as_secs_f64()))),
            Err(_) => Err(unreachable("the request was given up".to_owned())),
        };
        *self.outage.lock() = match &outcome {
            Err(error) if error.is_outage() => Some((Instant::now(), error.clone())),
            Ok(_) | Err(_) => None,
        };
        outcome
    }

    /// A whole object.
    pub(super) fn get(&self, name: &str) -> Result<Bytes, RemoteError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        self.run(name, 2, async move { store.get(&path).await?.bytes().await })
    }

    /// Parts of an object, several at a time.
    pub(super) fn get_ranges(&self, name: &str, ranges: Vec<Range<u64>>) -> Result<Vec<Bytes>, RemoteError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        let n_rounds = ranges.len().div_ceil(READS_AT_ONCE) as u64;
        let lens: Vec<u64> = ranges.iter().map(|range| range.end - range.start).collect();
        let parts = self.run(name, n_rounds, async move {
            let get = |range: Range<u64>| {
                let (store, path) = (Arc::clone(&store), path.clone());
                async move { store.get_range(&path, range).await }
            };
            stream::iter(ranges).map(get).buffered(READS_AT_ONCE).try_collect::<Vec<Bytes>>().await
        })?;
        match parts.iter().zip(&lens).find(|(part, len)| part.len() as u64 != **len) {
            None => Ok(parts),
            Some((part, len)) => Err(RemoteError::Unreachable {
                object: self.url(name),
                reason: format!("the answer ends after {} of {len} bytes", part.len()),
            }),
        }
    }

    /// What the service says of an object; `None` when it is not there.
    pub(super) fn head(&self, name: &str) -> Result<Option<About>, RemoteError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        match self.run(name, 1, async move { store.head(&path).await }) {
            Ok(meta) => Ok(Some(About { n_bytes: meta.size, etag: meta.e_tag })),
            Err(RemoteError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a small object, in the place of an older one.
    pub(super) fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), RemoteError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        self.run(name, 1, async move { store.put(&path, bytes.into()).await }).map(drop)
    }

    /// Puts a small object unless there is one; answers whether it did.
    pub(super) fn create(&self, name: &str, bytes: Vec<u8>) -> Result<bool, RemoteError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        self.run(name, 1, async move {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match store.put_opts(&path, bytes.into(), options).await {
                Ok(_) => Ok(true),
                Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }

    /// Sends the first `n_bytes` of a file; what is visible under the name is the old object or all of the new one.
    pub(super) fn put_file(&self, name: &str, file: File, n_bytes: u64) -> Result<(), RemoteError> {
        let (store, path, timeout) = (Arc::clone(&self.store), self.path(name), self.timeout);
        let n_requests = n_bytes.div_ceil(PART) + 2;
        self.run(name, n_requests, async move {
            let next = |offset: u64| {
                let mut part = vec![0; usize::try_from(PART.min(n_bytes - offset)).unwrap_or(0)];
                file.read_exact_at(&mut part, offset).map_err(local)?;
                Ok::<_, object_store::Error>(Bytes::from(part))
            };
            if n_bytes > PART {
                let mut upload = store.put_multipart(&path).await?;
                let mut waiting = std::collections::VecDeque::new();
                let mut offset = 0;
                let mut sent = Ok(());
                while sent.is_ok() && (offset < n_bytes || !waiting.is_empty()) {
                    if offset < n_bytes && waiting.len() < PARTS_AT_ONCE {
                        match next(offset) {
                            // Spawned, so that it is under way while the next part is read.
                            Ok(part) => waiting.push_back(tokio::spawn(upload.put_part(part.into()))),
                            Err(error) => sent = Err(error),
                        }
                        offset += PART;
                    } else if let Some(part) = waiting.pop_front() {
                        sent = match tokio::time::timeout(timeout * 2, part).await {
                            Ok(Ok(done)) => done,
                            Ok(Err(error)) => Err(error.into()),
                            Err(_) => Err(local(std::io::Error::from(std::io::ErrorKind::TimedOut))),
                        };
                    }
                }
                match sent {
                    Ok(()) => upload.complete().await.map(drop),
                    Err(error) => {
                        waiting.iter().for_each(tokio::task::JoinHandle::abort);
                        // What is left of it costs money until the bucket's own rule for such leftovers removes it.
                        let _ = tokio::time::timeout(timeout, upload.abort()).await;
                        Err(error)
                    }
                }
            } else {
                store.put(&path, next(0)?.into()).await.map(drop)
            }
        })
    }

    /// Reads an object of `n_bytes` from first to last.
    pub(super) fn download(
        &self,
        name: &str,
        n_bytes: u64,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<std::io::Result<()>, RemoteError> {
        let mut offset = 0;
        while offset < n_bytes {
            let end = (offset + PART * READS_AT_ONCE as u64 / 2).min(n_bytes);
            let starts = (offset..end).step_by(PART as usize);
            let ranges = starts.map(|start| start..(start + PART).min(end)).collect();
            for part in self.get_ranges(name, ranges)? {
                if let Err(error) = take(&part) {
                    return Ok(Err(error));
                }
            }
            offset = end;
        }
        Ok(Ok(()))
    }

    /// The CRC32 of an object of `n_bytes`, read back.
    pub(super) fn crc32(&self, name: &str, n_bytes: u64) -> Result<u32, RemoteError> {
        let mut hasher = crc32fast::Hasher::new();
        let read = self.download(name, n_bytes, |part| {
            hasher.update(part);
            Ok(())
        })?;
        debug_assert!(read.is_ok(), "counting does not fail");
        Ok(hasher.finalize())
    }

    /// Names below `folder`, with their sizes, sorted.
    pub(super) fn list(&self, folder: &str) -> Result<Vec<(String, u64)>, RemoteError> {
        let (store, path) = (Arc::clone(&self.store), self.path(folder));
        let start = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        // Pages of a thousand; ten of them per request's time is slow for any service.
        let mut found = self.run(folder, 10, async move {
            let path = Some(path).filter(|path| !path.as_ref().is_empty());
            let list = store.list(path.as_ref());
            list.map_ok(|meta| (meta.location.as_ref()[start..].to_owned(), meta.size)).try_collect::<Vec<_>>().await
        })?;
        found.sort();
        Ok(found)
    }

    /// Removes an object; that it is not there is fine.
    pub(super) fn delete(&self, name: &str) -> Result<(), RemoteError> {
        let (store, path) = (Arc::clone(&self.store), self.path(name));
        match self.run(name, 1, async move { store.delete(&path).await }) {
            Err(RemoteError::Missing { reason, .. }) if !reason.contains("NoSuchBucket") => Ok(()),
            outcome => outcome,
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not waiting: a request under way is safe to be cut off, and nobody asks for its answer.
            runtime.shutdown_background();
        }
    }
}

/// Trouble on this side, on its way through the client's error.
fn local(error: std::io::Error) -> object_store::Error {
    object_store::Error::Generic { store: "this machine", source: Box::new(error) }
}

/// What would be sent of a file, without sending it.
pub(super) fn measure(file: &File) -> std::io::Result<Sent> {
    let n_bytes = file.metadata()?.len();
    let (mut hasher, mut etag) = (crc32fast::Hasher::new(), Etag::default());
    let mut part = vec![0; usize::try_from(PART.min(n_bytes)).unwrap_or(0)];
    let mut offset = 0;
    loop {
        let n = usize::try_from(PART.min(n_bytes - offset)).unwrap_or(0);
        file.read_exact_at(&mut part[..n], offset)?;
        hasher.update(&part[..n]);
        etag.add(&part[..n]);
        offset += n as u64;
        if offset >= n_bytes {
            break;
        }
    }
    Ok(Sent { n_bytes, crc32: hasher.finalize(), etag: etag.finish(n_bytes > PART) })
}
