//! The API is what its description says, and errors look alike everywhere.

use crate::client::{agent, start};

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
    for path in ["/api/v1/forecast", "/api/v1/anomalies", "/api/v1/incidents", "/api/v1/capacity", "/api/v1/stats"] {
        let error = server.get(&format!("{path}?mach=up")).error(400);
        assert!(error.contains("`mach`"), "{error}");
        for param in document["paths"][path]["get"]["parameters"].as_array().unwrap() {
            let name = param["name"].as_str().unwrap();
            assert!(error.contains(name), "{path}: {error} does not name {name}");
            assert!(!param["description"].as_str().unwrap().is_empty());
        }
    }
}
