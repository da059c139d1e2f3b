//! A bucket in memory that fails, hangs, lies and forgets on cue.

use std::ops::Range;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// What goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Fine,
    /// As a service that is down.
    Fail,
    /// As wrong keys.
    Deny,
    /// No answer, ever.
    Hang,
    /// Blocks are stored with one bit changed.
    SpoilPuts,
    /// Answers end after half of their bytes.
    CutShort,
    /// Answers have one bit changed.
    SpoilGets,
}

/// See the module. Clones are the same bucket.
#[derive(Clone, Debug, Default)]
pub(super) struct Faulty {
    pub(super) inner: Arc<InMemory>,
    mode: Arc<Mutex<Mode>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Display for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a faulty bucket")
    }
}

impl Faulty {
    pub(super) fn set(&self, mode: Mode) {
        *self.mode.lock() = mode;
    }

    /// What was asked since the last call.
    pub(super) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock())
    }

    /// The names of all objects.
    pub(super) fn names(&self) -> Vec<String> {
        let list = self.inner.list(None).map(|meta| meta.unwrap().location.to_string());
        let mut names: Vec<String> = wait(list.collect());
        names.sort();
        names
    }

    /// Changes an object behind everybody's back.
    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let path = Path::from(name);
        wait(async {
            let mut bytes = self.inner.get(&path).await.unwrap().bytes().await.unwrap().to_vec();
            change(&mut bytes);
            self.inner.put(&path, bytes.into()).await.unwrap();
        });
    }

    /// Removes an object behind everybody's back.
    pub(super) fn remove(&self, name: &str) {
        wait(async { self.inner.delete(&Path::from(name)).await.unwrap() });
    }

    async fn ask(&self, what: &str, path: &Path) -> Result<Mode> {
        let mode = *self.mode.lock();
        self.requests.lock().push(format!("{what} {path}"));
        match mode {
            Mode::Fail => Err(Error::Generic { store: "test", source: "503 SlowDown".into() }),
            Mode::Deny => Err(Error::PermissionDenied { path: path.to_string(), source: "AccessDenied".into() }),
            Mode::Hang => std::future::pending().await,
            Mode::Fine | Mode::SpoilPuts | Mode::CutShort | Mode::SpoilGets => Ok(mode),
        }
    }
}

pub(super) fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
}

#[async_trait::async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let mode = self.ask("put", path).await?;
        if mode == Mode::SpoilPuts && path.as_ref().contains("blocks/") {
            let mut bytes: Vec<u8> = payload.iter().flat_map(|part| part.to_vec()).collect();
            flip(&mut bytes);
            return self.inner.put_opts(path, bytes.into(), options).await;
        }
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.ask("multipart", path).await?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let mode = self.ask(if options.head { "head" } else { "get" }, path).await?;
        let is_head = options.head;
        let got = self.inner.get_opts(path, options).await?;
        if is_head || !matches!(mode, Mode::CutShort | Mode::SpoilGets) || !path.as_ref().contains("blocks/") {
            return Ok(got);
        }
        let (meta, range, attributes) = (got.meta.clone(), got.range.clone(), got.attributes.clone());
        let mut bytes = got.bytes().await?.to_vec();
        match mode {
            Mode::CutShort => bytes.truncate(bytes.len() / 2),
            // All over the place, so that each page has some.
            _ => bytes.iter_mut().step_by(37).for_each(|byte| *byte ^= 4),
        }
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes.into())]).boxed());
        Ok(GetResult { payload, meta, range, attributes })
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<bytes::Bytes>> {
        self.ask("get", path).await?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let delete = move |path: Result<Path>| {
            let this = this.clone();
            async move {
                let path = path?;
                this.ask("delete", &path).await?;
                this.inner.delete(&path).await.map(|()| path)
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
