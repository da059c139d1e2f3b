//! Which files are meant: paths, globs and directories become a list of Parquet and CSV files.

use std::path::{Path, PathBuf};

use super::read::ReadError;

/// A file to read and what to call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its path below the deepest folder that all inputs share, with `/` between the parts: what a file that is one
    /// series or one entity is called in the answers.
    pub name: String,
}

impl InputFile {
    /// The name without its extension: `web/cpu.csv` is the entity `web/cpu`.
    pub fn stem(&self) -> &str {
        let file_start = self.name.rfind('/').map_or(0, |slash| slash + 1);
        match self.name[file_start..].rfind('.') {
            Some(dot) if dot > 0 => &self.name[..file_start + dot],
            _ => &self.name,
        }
    }
}

/// Finds the files behind `inputs`: a file is itself, a folder is every Parquet and CSV file below it, anything with
/// `*`, `?` or `[` that is not a file is a glob. Sorted within each input, each file once.
///
/// # Errors
/// When an input names nothing, or a glob cannot be read.
pub fn expand(inputs: &[String]) -> Result<Vec<InputFile>, ReadError> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for input in inputs {
        let path = Path::new(input);
        let mut found = Vec::new();
        if path.is_dir() {
            walk(path, &mut found)?;
            if found.is_empty() {
                return Err(ReadError::NothingInFolder { path: path.to_owned() });
            }
        } else if path.exists() {
            found.push(path.to_owned());
        } else if input.contains(['*', '?', '[']) {
            let matches = glob::glob(input)
                .map_err(|err| ReadError::BadGlob { pattern: input.clone(), reason: err.to_string() })?;
            for entry in matches {
                let entry = entry.map_err(|err| ReadError::Unreadable {
                    path: err.path().to_owned(),
                    reason: err.error().to_string(),
                })?;
                if entry.is_dir() {
                    walk(&entry, &mut found)?;
                } else {
                    found.push(entry);
                }
            }
            if found.is_empty() {
                return Err(ReadError::NoMatch { pattern: input.clone() });
            }
        } else {
            return Err(ReadError::NotFound { path: path.to_owned() });
        }
        found.sort();
        paths.extend(found);
    }
    let mut seen = hashbrown::HashSet::new();
    paths.retain(|path| seen.insert(path.clone()));
    Ok(name_files(paths))
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), ReadError> {
    let fail = |err: std::io::Error| ReadError::Unreadable { path: folder.to_owned(), reason: err.to_string() };
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        // A dot in front hides a file: half-written ones, editors' copies.
        let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|ext| ext == "parquet" || ext == "csv") {
            found.push(path);
        }
    }
    Ok(())
}

fn name_files(paths: Vec<PathBuf>) -> Vec<InputFile> {
    let mut shared: Option<PathBuf> = None;
    for path in &paths {
        let parent = path.parent().unwrap_or(Path::new(""));
        shared = Some(match shared {
            None => parent.to_owned(),
            Some(shared) => {
                shared.components().zip(parent.components()).take_while(|(a, b)| a == b).map(|(a, _)| a).collect()
            }
        });
    }
    let shared = shared.unwrap_or_default();
    paths
        .into_iter()
        .map(|path| {
            let below = path.strip_prefix(&shared).unwrap_or(&path);
            let parts: Vec<String> = below.components().map(|part| part.as_os_str().to_string_lossy().into()).collect();
            InputFile { name: parts.join("/"), path }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_to_the_folder_all_share() {
        let files = name_files(vec!["a/b/x.csv".into(), "a/c/y.tar.parquet".into()]);
        assert_eq!(files.iter().map(|file| file.name.as_str()).collect::<Vec<_>>(), ["b/x.csv", "c/y.tar.parquet"]);
        assert_eq!(files[1].stem(), "c/y.tar");
        assert_eq!(name_files(vec!["/data/one.csv".into()])[0].name, "one.csv");
    }

    #[test]
    fn folders_globs_and_files_are_found_and_the_rest_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        for name in ["b.csv", "sub/a.parquet", "notes.txt", ".hidden.csv"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let root = dir.path().to_str().unwrap();
        let names =
            |inputs: &[String]| -> Vec<String> { expand(inputs).unwrap().into_iter().map(|file| file.name).collect() };
        assert_eq!(names(&[root.to_owned()]), ["b.csv", "sub/a.parquet"]);
        assert_eq!(names(&[format!("{root}/*.csv"), format!("{root}/b.csv")]), [".hidden.csv", "b.csv"]);
        assert!(matches!(expand(&[format!("{root}/none.csv")]), Err(ReadError::NotFound { .. })));
        assert!(matches!(expand(&[format!("{root}/*.json")]), Err(ReadError::NoMatch { .. })));
        assert!(matches!(expand(&[format!("{root}/[")]), Err(ReadError::BadGlob { .. })));
    }
}
