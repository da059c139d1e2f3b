//! Reading windows: from the files of a tier as far as they reach, from samples beyond.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::block::Block;
use super::super::error::{BlockError, SelectError};
use super::super::files::Files;
use super::super::layout::Layout;
use super::super::merge::share_within;
use super::super::select::{Failed, Found, estimate, select_where};
use super::super::shared::Shared;
use super::super::view::View;
use super::file::{index_of, read};
use super::keep::is_current;
use super::{Downsampled, Tier, TierEntry, Window, Windows, fold, join};
use crate::series::{Millis, Selector, TimeRange};

/// The tier whose windows answer a question with this `step` over `range`, and how wide windows are.
///
/// The coarsest whose windows are no wider than the step. Where the samples of a part of the range are gone, the
/// finest tier that still has it, even when its windows are wider.
fn pick(tiers: &[TierEntry], range: TimeRange, step: Millis) -> (Option<Tier>, Millis) {
    let overlapping = || tiers.iter().filter(|entry| range.overlaps(entry.min_time, entry.last_time()));
    let has = |tier: Tier| overlapping().any(|entry| entry.tier == tier);
    let fits = Tier::ALL.into_iter().rev().find(|tier| tier.width() <= step && has(*tier));
    let needed = || overlapping().filter(|entry| entry.is_final).map(|entry| entry.tier).min();
    match fits.or_else(needed) {
        Some(tier) => (Some(tier), tier.width().max(step / tier.width() * tier.width())),
        None => (None, step),
    }
}

/// Windows of what retention has deleted, and of nothing else. See
/// [`Store::select_retired`](super::super::Store::select_retired).
pub(in crate::storage) fn select_retired(
    view: &View,
    files: &dyn Files,
    layout: &Layout,
    selector: &Selector,
    range: TimeRange,
    step: Millis,
) -> Result<Downsampled, Failed> {
    let is_gone = |entry: &&TierEntry| entry.is_final && range.overlaps(entry.min_time, entry.last_time());
    let gone: Vec<&TierEntry> = view.tiers.iter().filter(is_gone).collect();
    let has = |tier: &Tier| gone.iter().any(|entry| entry.tier == *tier);
    let fits = Tier::ALL.into_iter().rev().find(|tier| tier.width() <= step && has(tier));
    let Some(tier) = fits.or_else(|| Tier::ALL.into_iter().find(has)) else {
        return Ok(Downsampled { width: step, tier: None, is_partly_raw: false, series: Vec::new() });
    };
    let width = tier.width();
    let used: Vec<&TierEntry> = gone.into_iter().filter(|entry| entry.tier == tier).collect();
    let start = range.start().div_euclid(width).saturating_mul(width).min(range.start());
    let range = TimeRange::new(start, range.end()).unwrap_or(range);
    let found = read_windows(view, files, layout, selector, range, &used, |at| at)?;
    Ok(Downsampled { width, tier: Some(tier), is_partly_raw: false, series: sorted(found) })
}

/// About how many windows and samples [`select_downsampled`] would read.
pub(in crate::storage) fn estimate_downsampled(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    step: Millis,
) -> Result<u64, Failed> {
    let Shared { files, layout, .. } = shared;
    let (tier, _) = pick(&view.tiers, range, step.max(1));
    let is_read = |entry: &&TierEntry| Some(entry.tier) == tier && is_current(entry, view);
    let used: Vec<&TierEntry> = view.tiers.iter().filter(is_read).collect();
    let mut n_windows = 0;
    for entry in used.iter().filter(|entry| range.overlaps(entry.min_time, entry.last_time())) {
        let index = index_of(&**files, layout, entry).map_err(failed(&layout.tier_file(entry)))?;
        let matching = index.matching(selector, range);
        let runs = matching.iter().map(|number| index.run(*number));
        n_windows +=
            runs.map(|run| share_within(u64::from(run.n_rows), run.min_time, run.max_time, range)).sum::<u64>();
    }
    let is_raw = |block: &&Arc<Block>| !used.iter().any(|entry| entry.source == block.entry().id);
    let blocks = Arc::new(view.blocks.iter().filter(is_raw).cloned().collect());
    Ok(n_windows + estimate(shared, &View { blocks, ..view.clone() }, selector, range)?)
}

/// See [`Store::select_downsampled`](super::super::Store::select_downsampled).
pub(in crate::storage) fn select_downsampled(
    shared: &Shared,
    view: &View,
    selector: &Selector,
    range: TimeRange,
    step: Millis,
) -> Result<Downsampled, Failed> {
    let Shared { files, layout, .. } = shared;
    let step = step.max(1);
    let (tier, width) = pick(&view.tiers, range, step);
    let down = |at: Millis| at.div_euclid(width).saturating_mul(width);
    let end = down(range.end().saturating_sub(1)).saturating_add(width).max(range.start());
    let range = TimeRange::new(down(range.start()).min(range.start()), end).unwrap_or(range);
    let is_read = |entry: &&TierEntry| Some(entry.tier) == tier && is_current(entry, view);
    let used: Vec<&TierEntry> = view.tiers.iter().filter(is_read).collect();
    let mut found = read_windows(view, &**files, layout, selector, range, &used, down)?;
    let is_in_tier = |id: &str| used.iter().any(|entry| entry.source == id);
    let raw = select_where(shared, view, selector, range, |block| !is_in_tier(&block.entry().id))?;
    let is_partly_raw = !raw.is_empty();
    for series in raw {
        found.of_key(&series.key).extend(fold(&series.samples, width));
    }
    let tier = tier.filter(|_| !used.is_empty());
    Ok(Downsampled { width, tier, is_partly_raw, series: sorted(found) })
}

/// The windows of these files that begin in `range`, each moved to where `down` says.
fn read_windows(
    view: &View,
    files: &dyn Files,
    layout: &Layout,
    selector: &Selector,
    range: TimeRange,
    used: &[&TierEntry],
    down: impl Fn(Millis) -> Millis,
) -> Result<Found<Vec<Window>>, Failed> {
    let mut found: Found<Vec<Window>> = Found::new();
    for entry in used.iter().filter(|entry| range.overlaps(entry.min_time, entry.last_time())) {
        let path = layout.tier_file(entry);
        let index = index_of(files, layout, entry).map_err(failed(&path))?;
        let hidden = view.tombstones.of_block(&entry.id);
        let runs: Vec<_> = index.matching(selector, range).into_iter().map(|number| index.run(number)).collect();
        if runs.is_empty() {
            continue;
        }
        for (run, windows) in runs.iter().zip(read(files, layout, entry, &runs).map_err(failed(&path))?) {
            let key = (!hidden.is_empty()).then(|| index.key(run)).transpose().map_err(failed(&path))?;
            let is_hidden = |window: &Window| {
                let end = window.start + entry.tier.width() - 1;
                key.as_ref().is_some_and(|key| hidden.touches(key, window.start, end))
            };
            let is_asked = |window: &Window| range.contains(window.start) && !is_hidden(window);
            let wide =
                windows.into_iter().filter(is_asked).map(|window| Window { start: down(window.start), ..window });
            let windows = found.entry(run.id, index.labels(run), || index.key(run)).map_err(failed(&path))?;
            windows.extend(wide);
        }
    }
    Ok(found)
}

fn sorted(found: Found<Vec<Window>>) -> Vec<Windows> {
    let joined = found.into_series().map(|(key, windows)| Windows { key, windows: join(windows) });
    let mut series: Vec<Windows> = joined.filter(|series| !series.windows.is_empty()).collect();
    series.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    series
}

fn failed(path: &std::path::Path) -> impl FnOnce(BlockError) -> Failed {
    let path: PathBuf = path.to_owned();
    move |source| {
        let is_gone = source.is_gone();
        let error = SelectError::Block { path, source };
        if is_gone { Failed::Outdated(error) } else { Failed::Lasting(error) }
    }
}
