//! What the documents promise about the source tree holds: every path and link in them resolves, no room imports one
//! that ARCHITECTURE.md's list of rooms does not let it use, and every forecasting method is explained.

// A test that cannot go on says so where it stopped.
#![allow(clippy::unwrap_used)]

#[path = "docs/imports.rs"]
mod imports;
#[path = "docs/links.rs"]
mod links;

use std::fs;
use std::path::{Path, PathBuf};

use barograph::forecast::{FORECASTERS, Role};
use imports::{Room, outward_uses, parse_rooms};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rooms() -> Vec<Room> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md is there");
    parse_rooms(&text).expect("ARCHITECTURE.md has a list of rooms")
}

/// All files below `folder` with this extension, sorted.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// `src/storage/wal/mod.rs` is the module `storage::wal`.
fn module_path(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let mut path: Vec<String> = inside.iter().map(|part| part.to_str().unwrap().to_string()).collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

#[test]
fn every_path_and_link_in_the_documents_resolves() {
    let mut documents: Vec<PathBuf> = ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .iter()
        .map(|name| root().join(name))
        .collect();
    for folder in ["docs", "data", "models", "notebooks"] {
        documents.extend(files(&root().join(folder), "md"));
    }
    let mut broken = Vec::new();
    let mut n_checked = 0;
    for document in &documents {
        let text = fs::read_to_string(document).unwrap_or_else(|error| panic!("{}: {error}", document.display()));
        let found = links::check(root(), document, &text);
        n_checked += found.n_checked;
        broken.extend(found.broken.into_iter().map(|what| format!("{}: {what}", document.display())));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(n_checked > 30, "only {n_checked} paths and links were found: the checker no longer sees them");
}

#[test]
fn no_room_imports_what_it_may_not_use() {
    let rooms = rooms();
    let mut wrong = Vec::new();
    let mut n_uses = 0;
    for file in files(&root().join("src"), "rs") {
        let module = module_path(&file);
        let Some(room) = rooms.iter().find(|room| room.name == module[0]) else { continue };
        for used in outward_uses(&module, &fs::read_to_string(&file).unwrap()) {
            n_uses += 1;
            if !room.may_use(&used.name) {
                wrong.push(format!("{}:{}: `{}` may not use `{}`", file.display(), used.line, room.name, used.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(n_uses > 10, "only {n_uses} imports between rooms were found: the checker no longer sees them");
}

#[test]
fn the_list_of_rooms_is_the_source_tree_in_reading_order() {
    let listed: Vec<String> = rooms().into_iter().map(|room| room.name).collect();
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<&str> = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert_eq!(listed, declared, "ARCHITECTURE.md's list of rooms and the modules of src/lib.rs");

    let mut on_disk: Vec<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string())
        .filter(|name| name != "lib" && name != "main")
        .collect();
    on_disk.sort();
    let mut sorted = listed;
    sorted.sort();
    assert_eq!(sorted, on_disk, "ARCHITECTURE.md's list of rooms and what is in src/");
}

/// The section of each `## ` heading, by the names in it.
fn sections(text: &str) -> Vec<(Vec<&str>, &str)> {
    let mut sections = Vec::new();
    for section in text.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        sections.push((heading.split(", ").collect(), body));
    }
    sections
}

#[test]
fn every_method_has_its_section_which_says_whether_auto_chooses_it() {
    let text = fs::read_to_string(root().join("docs/methods.md")).unwrap();
    let sections = sections(&text);
    for entry in FORECASTERS {
        let own: Vec<&str> =
            sections.iter().filter(|(names, _)| names.contains(&entry.name)).map(|(_, body)| *body).collect();
        assert_eq!(own.len(), 1, "`{}` has one heading in docs/methods.md", entry.name);
        let says = match entry.role {
            Role::Chooser => "**Answers** with",
            Role::Anchor | Role::Candidate => "- **Chosen**",
            Role::Named => "**by name** only",
        };
        let has = own[0].to_lowercase().contains(&says.to_lowercase());
        assert!(has, "the section of `{}` has to say {says:?}", entry.name);
    }
    // And none of another kind: a section of methods that answer only by name does not say when they are chosen.
    for (names, body) in &sections {
        let roles: Vec<Role> =
            names.iter().map(|name| barograph::forecast::find(name).expect("a heading is a method").role).collect();
        if roles.iter().all(|role| *role == Role::Named) {
            assert!(!body.contains("**Chosen**"), "{names:?} are never chosen");
        }
        if !roles.contains(&Role::Named) {
            assert!(!body.to_lowercase().contains("**by name**"), "{names:?} are chosen");
        }
    }
}

// The checkers themselves, on small documents and sources that are wrong on purpose.

#[test]
fn the_list_of_rooms_is_read_with_its_permissions() {
    let rooms = parse_rooms(
        "| room | it answers | it may use |\n|---|---|---|\n\
         | `a/` | what? | nobody |\n| `b/` | how? | `a` |\n| `c.rs` | why? | all above |\n| `d/` | when? | all above but `b` |\n\nafter\n",
    )
    .unwrap();
    let lists: Vec<(&str, Vec<&str>)> =
        rooms.iter().map(|room| (room.name.as_str(), room.uses.iter().map(String::as_str).collect())).collect();
    assert_eq!(lists, [("a", vec![]), ("b", vec!["a"]), ("c", vec!["a", "b"]), ("d", vec!["a", "c"])]);
}

#[test]
fn a_list_whose_arrows_point_down_is_refused() {
    let head = "| room | it answers | it may use |\n|---|---|---|\n";
    let error = parse_rooms(&format!("{head}| `a/` | what? | `b` |\n| `b/` | how? | nobody |\n")).unwrap_err();
    assert!(error.contains("`b`, which does not stand above"), "{error}");
    let error = parse_rooms(&format!("{head}| `a/` | what? | whoever |\n")).unwrap_err();
    assert!(error.contains("whoever"), "{error}");
    assert!(parse_rooms("no table at all").is_err());
}

#[test]
fn imports_are_found_in_every_form() {
    let check = |module: &[&str], source: &str, expected: &[(&str, usize)]| {
        let module: Vec<String> = module.iter().map(ToString::to_string).collect();
        let found = outward_uses(&module, source);
        let found: Vec<(&str, usize)> = found.iter().map(|used| (used.name.as_str(), used.line)).collect();
        assert_eq!(found, expected, "{source}");
    };
    check(&["a"], "use crate::b::Thing;", &[("b", 1)]);
    check(&["a"], "use crate::{b, c::{Deep, crate_like}, d};\n", &[("b", 1), ("c", 1), ("d", 1)]);
    check(&["a"], "use crate::{\n    b::One,\n    c,\n};", &[("b", 2), ("c", 3)]);
    check(&["a"], "fn f() { let x = crate::b::f(); }", &[("b", 1)]);
    check(&["a"], "pub(crate) fn f() {}\npub(in crate::a) fn g() {}", &[]);
    check(&["a", "file"], "use super::sibling::X; use crate::a::Y;", &[]);
    check(&["a", "file"], "use super::super::b::X;", &[("b", 1)]);
    check(&["a"], "use super::b::X;", &[("b", 1)]);
    check(&["a"], "use super::{b, c::X};", &[("b", 1), ("c", 1)]);
    check(&["a"], "use super::{super_like, a::X};", &[("super_like", 1)]);
    check(&["a"], "mod tests { use super::*; use super::super::b; }\nuse super::c;", &[("b", 1), ("c", 2)]);
    check(&["a"], "use crate::*;", &[("*", 1)]);
    check(&["a"], "use crate as everything;", &[("*", 1)]);
    check(&["a"], "use barograph::b::X;", &[("b", 1)]);
    // Prose and text are no imports.
    check(&["a"], "//! [`b`](crate::b)\n/* crate::c /* crate::d */ crate::e */ fn f() {}", &[]);
    check(&["a"], r##"const T: &str = "crate::b"; const R: &str = r#"" crate::c"#; const B: u8 = b'"';"##, &[]);
    check(&["a"], "fn f<'a>(x: &'a str) -> char { '\"' } use crate::b::X; const C: char = '\\'';", &[("b", 1)]);
}

#[test]
fn broken_paths_and_links_are_found() {
    let check = |text: &str, expected: &[&str]| {
        let found = links::check(root(), &root().join("docs/page.md"), text);
        assert_eq!(found.broken.len(), expected.len(), "{text}: {:?}", found.broken);
        for (broken, expected) in found.broken.iter().zip(expected) {
            assert!(broken.contains(expected), "{broken} should name {expected}");
        }
    };
    check("[design](../ARCHITECTURE.md) and `src/lib.rs`, `series/`, `scripts/test.sh`", &[]);
    check("[design](../ARCHITECTUR.md)", &["../ARCHITECTUR.md"]);
    check("[a](../no.md) [b](https://example.org/no.md) ![c](no.png)", &["../no.md", "no.png"]);
    check("`src/nothing.rs` and `nothing/` and `nothing.md`", &["src/nothing.rs", "nothing/", "nothing.md"]);
    check("`bash scripts/tset.sh`", &["scripts/tset.sh"]);
    check("```sh\ncat data/nothing.parquet\n```\n", &["data/nothing.parquet"]);
    check("# One heading\n[there](#one-heading) [nowhere](#two-headings)", &["#two-headings"]);
    check("[there](../ARCHITECTURE.md#rooms) [nowhere](../ARCHITECTURE.md#cellars)", &["#cellars"]);
    check("`GET /api/v1/stats` `DATA/blocks/` `application/json` `1h` `/tmp/out/`", &[]);
}
