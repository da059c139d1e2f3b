//! Whether the paths and links of a Markdown page lead anywhere.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// What a page's links and paths lead to.
pub struct Checked {
    pub n_checked: usize,
    /// One line per link or path that leads nowhere.
    pub broken: Vec<String>,
}

/// A word with one of these endings names a file of this project; the others may be a user's.
const OWN_EXTENSIONS: &[&str] = &[".rs", ".md", ".toml", ".sh", ".py", ".ipynb"];

/// Checks every relative link of `text`, the page at `document`, and every path of this project that stands in
/// backticks or in a code block.
///
/// A link is relative to its page. A path is meant from the project's root, from `src/` or from its page; it is one if
/// it begins with a folder or file that is there, or, standing alone in backticks, ends with a slash or one of
/// [`OWN_EXTENSIONS`]. `DATA/...` is a user's data directory.
pub fn check(root: &Path, document: &Path, text: &str) -> Checked {
    let folder = document.parent().expect("a page stands in a folder");
    let mut checked = Checked { n_checked: 0, broken: Vec::new() };
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        let mut report = |what: &str, resolves: bool| {
            checked.n_checked += 1;
            if !resolves {
                checked.broken.push(format!("line {}: {what} leads nowhere", index + 1));
            }
        };
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            for word in line.split_whitespace().filter(|word| is_path(word) && begins_here(root, word)) {
                report(word, path_resolves(root, folder, word));
            }
            continue;
        }
        for span in line.split('`').skip(1).step_by(2) {
            let stands_alone = !span.contains(char::is_whitespace);
            for word in span.split_whitespace().filter(|word| is_path(word)) {
                let looks_own = word.ends_with('/') || OWN_EXTENSIONS.iter().any(|ending| word.ends_with(ending));
                if begins_here(root, word) || (stands_alone && looks_own) {
                    report(word, path_resolves(root, folder, word));
                }
            }
        }
        for target in link_targets(line) {
            report(target, link_resolves(folder, document, text, target));
        }
    }
    checked
}

fn is_path(word: &str) -> bool {
    let is_plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c));
    // The pages on formats name the folders of a data directory as they stand in it.
    let is_data = matches!(
        word,
        "blocks/" | "deletes/" | "index/" | "quarantine/" | "results/" | "snapshots/" | "tiers/" | "tmp/" | "wal/"
    );
    is_plain && !is_data && !word.starts_with('/') && !word.starts_with("DATA/") && word.contains(['/', '.'])
}

fn begins_here(root: &Path, word: &str) -> bool {
    let Some((first, _)) = word.split_once('/') else { return false };
    !first.is_empty()
        && first != "."
        && first != ".."
        && (root.join(first).exists() || root.join("src").join(first).exists())
}

fn path_resolves(root: &Path, folder: &Path, word: &str) -> bool {
    [root, &root.join("src"), folder].iter().any(|from| from.join(word).exists())
}

/// What stands in the round brackets of `[...](...)`, but for addresses elsewhere.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
}

fn link_resolves(folder: &Path, document: &Path, text: &str, target: &str) -> bool {
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    if path.is_empty() {
        return has_heading(text, heading);
    }
    let file = normalized(&folder.join(path));
    if !file.exists() {
        return false;
    }
    if heading.is_empty() {
        return true;
    }
    if file == normalized(document) {
        return has_heading(text, heading);
    }
    fs::read_to_string(&file).is_ok_and(|other| has_heading(&other, heading))
}

/// Without `..`, for a page that a test only imagines has no folder to go up from.
fn normalized(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

/// Whether a heading's anchor, as the usual hosts make it, is `anchor`.
fn has_heading(text: &str, anchor: &str) -> bool {
    text.lines().filter(|line| line.starts_with('#')).any(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let made: String = title
            .chars()
            .filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_')
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        made == anchor
    })
}
