//! What changes the store as a whole: deletes and snapshots.

use serde_json::{Value, json};

use crate::client::{now, sample, start, start_with};

#[test]
fn a_delete_hides_at_once_and_spares_what_comes_later() {
    let server = start();
    let at = now() - 60_000;
    let samples = ["a", "b"].map(|host| sample("gone", host, at, 1.0));
    server.ingest(&Value::Array(samples.to_vec())).data();
    let deleted = server.post("/api/v1/admin/delete?match=gone%7Bhost%3D%22a%22%7D", &[], b"").data();
    assert_eq!(deleted, json!({"series": 1, "blocks": 1}));
    let hosts = || server.get("/api/v1/label/host/values?match[]=gone").data();
    assert_eq!(hosts(), json!(["b"]));
    server.ingest(&sample("gone", "a", at, 2.0)).data();
    assert_eq!(hosts(), json!(["a", "b"]));
    let again = server.post("/api/v1/admin/delete?match=gone&start=now-2h&end=now-1h", &[], b"").data();
    assert_eq!(again, json!({"series": 0, "blocks": 0}));
    // As a form, too.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let deleted = server.post("/api/v1/admin/delete", &form, b"match=gone").data();
    assert_eq!(deleted["series"], 2);
}

#[test]
fn a_delete_without_a_selector_or_from_another_site_is_refused() {
    let server = start();
    server.ingest(&sample("kept", "a", now(), 1.0)).data();
    assert!(server.post("/api/v1/admin/delete", &[], b"").error(400).contains("`match`"));
    assert!(
        server.post("/api/v1/admin/delete?match=%7Bhost%3D~%22.*%22%7D", &[], b"").error(400).contains("everything")
    );
    assert!(server.post("/api/v1/admin/delete?match=kept&from=now", &[], b"").error(400).contains("`from`"));
    for headers in [[("Origin", "https://evil.example")], [("Sec-Fetch-Site", "cross-site")]] {
        for path in ["/api/v1/admin/delete?match=kept", "/api/v1/admin/snapshot"] {
            assert!(server.post(path, &headers, b"").error(403).contains("another site"), "{headers:?}");
        }
    }
    assert_eq!(server.count("kept"), 1);
    let guarded = start_with(|config| config.token = Some("secret".to_owned()));
    guarded.post("/api/v1/admin/delete?match=kept", &[], b"").error(401);
    guarded.post("/api/v1/admin/snapshot", &[], b"").error(401);
}

#[test]
fn a_snapshot_is_made_while_serving() {
    let server = start();
    server.ingest(&sample("kept", "a", now(), 1.0)).data();
    let made = server.post("/api/v1/admin/snapshot", &[], b"").data();
    assert_eq!(made["samples"], 1);
    let path = std::path::PathBuf::from(made["path"].as_str().unwrap());
    assert!(path.ends_with(made["id"].as_str().unwrap()) && path.join("manifest.json").is_file());
    assert!(barograph::storage::fsck(&path).unwrap().findings.is_empty());
}

#[test]
fn compacting_writes_out_what_is_in_memory() {
    let server = start();
    for minute in 0..3 {
        server.ingest(&sample("kept", "a", now() - minute * 60_000, 1.0)).data();
        let compacted = server.post("/api/v1/admin/compact", &[], b"").data();
        assert_eq!(compacted["samples"], minute + 1);
    }
    assert_eq!(server.count("kept"), 3);
}

#[test]
fn windows_say_what_they_were_made_from() {
    let server = start();
    let at = now() / 3_600_000 * 3_600_000 - 7_200_000;
    let samples: Vec<Value> = (0..4).map(|n| sample("load", "a", at + n * 1_800_000, n as f64)).collect();
    server.ingest(&Value::Array(samples)).data();
    let data = server.get("/api/v1/windows?match=load&start=now-6h&step=1h").data();
    assert_eq!((&data["width"], &data["tier"], &data["partly_raw"]), (&json!("1h"), &json!("raw"), &json!(true)));
    let windows = data["series"][0]["windows"].as_array().unwrap();
    assert_eq!((windows.len(), &data["series"][0]["series"]), (2, &json!("load{host=\"a\"}")));
    let second = &windows[1];
    assert_eq!(
        [&second["min"], &second["max"], &second["sum"], &second["last"]],
        [2.0, 3.0, 5.0, 3.0].map(|n| json!(n)).each_ref()
    );
    assert_eq!(second["count"], 2);
    assert!(server.get("/api/v1/windows?match=none").error(404).contains("no series matches"));
    assert!(server.get("/api/v1/windows?match=load&start=now-5y&step=1s").error(400).contains("`step`"));
}
