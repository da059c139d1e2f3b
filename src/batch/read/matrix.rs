//! One file as one entity: a row per timestamp, a column per series.

use hashbrown::HashMap;
use ndarray::Array2;

use super::Part;
use crate::batch::rows::Axis;
use crate::series::Millis;

/// One entity's metrics side by side: rows in file order, one column each.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The file's name without extension.
    pub name: String,
    /// What dates the rows.
    pub axis: Axis,
    /// When each row was measured.
    pub at: Vec<Millis>,
    /// What the columns are called.
    pub columns: Vec<String>,
    /// The values; NaN where the file has none.
    pub values: Array2<f64>,
}

pub(super) fn matrix_of(name: &str, part: &Part) -> Matrix {
    let rows = &part.rows;
    let columns: Vec<String> = rows.sources.iter().map(|source| source.name.clone()).collect();
    let axis = rows.sources.first().map_or(Axis::Time, |source| source.axis);
    if part.is_wide && rows.len() == columns.len() * (rows.len() / columns.len().max(1)) {
        let n_rows = rows.len() / columns.len().max(1);
        let is_regular =
            rows.source_idx.iter().enumerate().all(|(idx, &source)| idx % columns.len() == source as usize);
        if let (true, Ok(values)) = (is_regular, Array2::from_shape_vec((n_rows, columns.len()), rows.value.clone())) {
            let at = rows.at.iter().step_by(columns.len()).copied().collect();
            return Matrix { name: name.to_owned(), axis, at, columns, values };
        }
    }
    // Long: a row per timestamp, in order of first appearance; the last value of a cell wins.
    let mut row_of: HashMap<Millis, usize> = HashMap::new();
    let mut at = Vec::new();
    for &instant in &rows.at {
        row_of.entry(instant).or_insert_with(|| {
            at.push(instant);
            at.len() - 1
        });
    }
    let mut values = Array2::from_elem((at.len(), columns.len()), f64::NAN);
    for ((source, instant), &value) in rows.source_idx.iter().zip(&rows.at).zip(&rows.value) {
        values[(row_of[instant], *source as usize)] = value;
    }
    Matrix { name: name.to_owned(), axis, at, columns, values }
}
