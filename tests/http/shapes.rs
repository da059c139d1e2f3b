//! The API is what its description says, and errors look alike everywhere.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::client::{agent, start};
use crate::python::python;

#[test]
fn the_description_and_the_router_agree() {
    let server = start();
    let document = server.get("/openapi.json").json();
    assert_eq!(document["info"]["title"], "barograph");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 18, "{:?}", paths.keys());
    for (path, item) in paths {
        let url = path.replace("{name}", "job");
        let described: Vec<String> = item.as_object().unwrap().keys().map(|verb| verb.to_uppercase()).collect();
        for method in ["GET", "POST", "DELETE"] {
            let got = match method {
                "GET" => server.get(&url),
                "POST" => server.post(&url, &[("Content-Type", "application/x-www-form-urlencoded")], b""),
                _ => {
                    let answer = agent().delete(server.url(&url)).call().unwrap();
                    assert_eq!(answer.status(), 405, "{method} {path}");
                    continue;
                }
            };
            let is_described = described.iter().any(|verb| verb == method);
            assert_eq!(got.status != 405, is_described, "{method} {path}: {}", got.text);
            assert!(!got.text.contains("there is no route"), "{method} {path}");
            if !is_described {
                assert_eq!(got.allow.as_deref(), Some(described.join(", ").as_str()), "{method} {path}");
                assert!(got.error(405).contains(path));
            }
        }
    }
}

#[test]
fn a_validator_finds_nothing_wrong_with_the_description() {
    let Some(python) = python("openapi_spec_validator", "a_validator_finds_nothing_wrong_with_the_description") else {
        return;
    };
    const VALIDATE: &str = "import json, sys, openapi_spec_validator as v\n\
                            errors = list(v.OpenAPIV31SpecValidator(json.load(sys.stdin)).iter_errors())\n\
                            sys.exit('\\n'.join(f'{list(e.absolute_path)}: {e.message}' for e in errors) or 0)";
    let document = start().get("/openapi.json").text;
    let judged = |document: &str| {
        let mut validator = Command::new(&python)
            .args(["-c", VALIDATE])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        validator.stdin.take().unwrap().write_all(document.as_bytes()).unwrap();
        let output = validator.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (is_valid, told) = judged(&document);
    assert!(is_valid, "{told}");
    // It does look: the same document with a parameter nowhere is refused.
    let (is_valid, told) = judged(&document.replacen("\"in\": \"query\"", "\"in\": \"nowhere\"", 1));
    assert!(!is_valid && told.contains("nowhere"), "{told}");
}

#[test]
fn an_unknown_path_is_a_404_that_says_where_to_look() {
    let server = start();
    for path in ["/", "/api/v1/nothing", "/api/v1/forecast/", "/favicon.ico"] {
        let error = server.get(path).error(404);
        assert!(error.contains(path) && error.contains("/openapi.json"), "{error}");
    }
}

#[test]
fn documented_parameters_are_the_ones_that_are_taken() {
    let server = start();
    let document = server.get("/openapi.json").json();
    for path in [
        "/api/v1/forecast",
        "/api/v1/anomalies",
        "/api/v1/incidents",
        "/api/v1/capacity",
        "/api/v1/stats",
        "/api/v1/windows",
    ] {
        let error = server.get(&format!("{path}?mach=up")).error(400);
        assert!(error.contains("`mach`"), "{error}");
        for param in document["paths"][path]["get"]["parameters"].as_array().unwrap() {
            let name = param["name"].as_str().unwrap();
            assert!(error.contains(name), "{path}: {error} does not name {name}");
            assert!(!param["description"].as_str().unwrap().is_empty());
        }
    }
}
