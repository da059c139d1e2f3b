//! An answer as a table: named columns of equal length.

use std::sync::Arc;

use crate::series::Millis;

/// One column; `None` is an empty cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Texts of which few differ: an index per row into the texts.
    Name {
        /// The distinct texts.
        texts: Arc<[String]>,
        /// Which text each row has; [`Column::NO_NAME`] is an empty cell.
        idx: Vec<u32>,
    },
    /// Texts.
    Text(Vec<Option<String>>),
    /// Whole numbers.
    Int(Vec<Option<i64>>),
    /// Numbers; one that is not finite is an empty cell.
    Float(Vec<f64>),
    /// Instants.
    Time(Vec<Option<Millis>>),
    /// Yes or no.
    Bool(Vec<bool>),
}

impl Column {
    /// The index that stands for no text.
    pub const NO_NAME: u32 = u32::MAX;

    /// How many rows it has.
    pub fn len(&self) -> usize {
        match self {
            Column::Name { idx, .. } => idx.len(),
            Column::Text(cells) => cells.len(),
            Column::Int(cells) => cells.len(),
            Column::Float(cells) => cells.len(),
            Column::Time(cells) => cells.len(),
            Column::Bool(cells) => cells.len(),
        }
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers of which some may be missing.
    pub fn floats(cells: impl IntoIterator<Item = Option<f64>>) -> Column {
        Column::Float(cells.into_iter().map(|cell| cell.unwrap_or(f64::NAN)).collect())
    }

    /// A text column.
    pub fn texts<T: Into<String>>(cells: impl IntoIterator<Item = T>) -> Column {
        Column::Text(cells.into_iter().map(|cell| Some(cell.into())).collect())
    }
}

/// Named columns of equal length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    columns: Vec<(String, Column)>,
}

impl Table {
    /// A table without columns.
    pub fn new() -> Table {
        Table::default()
    }

    /// The table with one more column, which is as long as those before it.
    pub fn with(mut self, name: impl Into<String>, column: Column) -> Table {
        debug_assert!(self.columns.is_empty() || column.len() == self.n_rows());
        self.columns.push((name.into(), column));
        self
    }

    /// The columns with their names, in order.
    pub fn columns(&self) -> &[(String, Column)] {
        &self.columns
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|(known, _)| known == name).map(|(_, column)| column)
    }

    /// How many rows every column has.
    pub fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }
}
