//! `POST /api/v1/admin/snapshot`, `compact`, `delete`: what changes the store as a whole.

use serde::Serialize;
use utoipa::ToSchema;

use super::answer::{Answer, success};
use super::params::Params;
use super::routes::{Param, optional, required};
use super::state::App;

pub(super) const DELETE_PARAMS: &[Param] = &[
    required("match", "selector; the series whose samples are deleted"),
    optional("start", "samples from this instant on", "the beginning"),
    optional("end", "samples up to and including this instant", "the end"),
];

/// A snapshot: a data directory of its own, to be served or restored.
#[derive(Serialize, ToSchema)]
pub(super) struct SnapshotMade {
    /// Its name; names sort by the time they were made.
    id: String,
    /// Where it is, on the server's machine.
    path: String,
    /// Blocks in it.
    blocks: u64,
    /// Samples in its blocks.
    samples: u64,
    /// Bytes of its blocks, most of which it shares with the data directory.
    bytes: u64,
}

/// The store after everything was merged.
#[derive(Serialize, ToSchema)]
pub(super) struct Compacted {
    /// Live blocks.
    blocks: u64,
    /// Samples in them.
    samples: u64,
    /// Bytes of them.
    bytes: u64,
}

/// What was deleted.
#[derive(Serialize, ToSchema)]
pub(super) struct SamplesDeleted {
    /// Series of which samples are gone.
    series: u64,
    /// Blocks that are rewritten without them, in the background.
    blocks: u64,
}

pub(super) fn snapshot(app: &App, _: &Params) -> Answer {
    let snapshot = app.store.snapshot()?;
    Ok(success(&SnapshotMade {
        id: snapshot.id,
        path: snapshot.path.display().to_string(),
        blocks: snapshot.n_blocks,
        samples: snapshot.n_samples,
        bytes: snapshot.n_bytes,
    }))
}

pub(super) fn compact(app: &App, _: &Params) -> Answer {
    app.store.flush()?;
    app.store.compact()?;
    let figures = app.store.figures();
    Ok(success(&Compacted { blocks: figures.n_blocks, samples: figures.n_block_samples, bytes: figures.block_bytes }))
}

pub(super) fn delete(app: &App, params: &Params) -> Answer {
    let selector = params.required_selector("match")?;
    let range = params.range_or_all(app.now())?;
    let deleted = app.store.delete(&selector, range)?;
    Ok(success(&SamplesDeleted { series: deleted.n_series, blocks: deleted.n_blocks }))
}
