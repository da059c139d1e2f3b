//! Which rows belong to the same series: the distinct combinations of their cells.

use std::borrow::Cow;

use hashbrown::HashMap;
use polars::prelude::StringChunked;

/// Numbers the distinct combinations of text cells: an index per row, and a row where each was first seen.
pub(super) fn combinations(columns: &[Cow<'_, StringChunked>], n_rows: usize) -> (Vec<u32>, Vec<usize>) {
    let mut iters: Vec<_> = columns.iter().map(|column| column.iter()).collect();
    let mut known: HashMap<String, u32> = HashMap::new();
    let (mut idx, mut first_rows) = (Vec::with_capacity(n_rows), Vec::new());
    let (mut cells, mut last): (Vec<Option<&str>>, Vec<Option<&str>>) = (Vec::new(), Vec::new());
    let mut joined = String::new();
    for row in 0..n_rows {
        cells.clear();
        cells.extend(iters.iter_mut().map(|iter| iter.next().flatten()));
        // Files are mostly sorted by series, so most rows repeat the one before.
        if row > 0 && cells == last {
            idx.push(idx[row - 1]);
            continue;
        }
        joined.clear();
        for cell in &cells {
            // Lengths in front, so that no two combinations run together.
            let cell = cell.unwrap_or_default();
            joined.push_str(&cell.len().to_string());
            joined.push(':');
            joined.push_str(cell);
        }
        let next = first_rows.len() as u32;
        let found = *known.entry_ref(joined.as_str()).or_insert_with(|| {
            first_rows.push(row);
            next
        });
        idx.push(found);
        std::mem::swap(&mut cells, &mut last);
    }
    (idx, first_rows)
}
