//! The Python with the packages of `scripts/requirements.txt`, for the tests that compare barograph with what others
//! read and write.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A Python that imports `modules` (`duckdb, polars`): `$BAROGRAPH_PYTHON`, or the one of `scripts/test.sh`.
///
/// Where there is none it says so, past the capture of the test runner, and the test called `test` is skipped; with
/// CI=true that is a failure.
pub fn python(modules: &str, test: &str) -> Option<PathBuf> {
    let found = candidate().filter(|python| {
        let imported = Command::new(python).args(["-c", &format!("import {modules}")]).output();
        imported.is_ok_and(|output| output.status.success())
    });
    if found.is_none() {
        let reason = format!(
            "there is no Python with {modules}; `bash scripts/test.sh` installs one, BAROGRAPH_PYTHON names another"
        );
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
        std::io::stderr().write_all(format!("skipped {test}: {reason}\n").as_bytes()).unwrap();
    }
    found
}

fn candidate() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BAROGRAPH_PYTHON") {
        return Some(PathBuf::from(named));
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|it| !it.is_empty()).map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    Some(cache.join("barograph/venv/bin/python"))
}
