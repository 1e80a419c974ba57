//! The page at `/`: who gets it, under which policy, and that all it names is there.

mod http_kit;

use axum::body::Body;
use axum::http::Request;
use http_kit::{Afterwards, ScriptedEngine, app, app_with, get, interleaved, send, settings};
use reverie_server::http::{ApiKey, HttpSettings};

fn page_with(settings: HttpSettings) -> axum::Router {
    app_with(&ScriptedEngine::new(interleaved(), Afterwards::End), settings)
}

/// What `quote`-quoted words of `text` follow `before`.
fn named_after(text: &str, before: &str) -> Vec<String> {
    let named = text.split(before).skip(1);
    named.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_needs_no_key_but_the_api_still_does() {
    let app = page_with(HttpSettings { api_keys: vec![ApiKey::new("sesame")], ..settings() });
    let page = send(&app, get("/")).await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(send(&app, get("/v1/models")).await.status, 401);
}

#[tokio::test]
async fn the_policy_allows_nothing_from_elsewhere_and_no_script_in_the_page() {
    let app = page_with(settings());
    for path in ["/", "/playground/playground.js", "/playground/page.css"] {
        let answer = send(&app, get(path)).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    let page = String::from_utf8(send(&app, get("/")).await.body.to_vec()).expect("text");
    assert!(page.matches("<script").count() == page.matches("<script src=").count() + 1);
    assert!(page.contains("<script type=\"module\" src="), "the one that is counted on top");
    assert!(!page.contains("style=") && !page.contains("onclick") && !page.contains("//"));
}

#[tokio::test]
async fn every_file_that_the_page_or_a_script_names_is_served() {
    let app = page_with(settings());
    let page = String::from_utf8(send(&app, get("/")).await.body.to_vec()).expect("text");
    let mut wanted: Vec<String> = ["href=\"playground/", "src=\"playground/"]
        .iter()
        .flat_map(|by| named_after(&page, by))
        .collect();
    let mut seen = Vec::new();
    while let Some(name) = wanted.pop() {
        if seen.contains(&name) {
            continue;
        }
        let answer = send(&app, get(&format!("/playground/{name}"))).await;
        assert_eq!(answer.status, 200, "{name}");
        let text = String::from_utf8(answer.body.to_vec()).expect("text");
        wanted.extend(named_after(&text, " from \"./"));
        seen.push(name);
    }
    assert!(seen.len() > 12, "only {seen:?}");
}

#[tokio::test]
async fn a_browser_that_has_a_file_is_not_sent_it_again() {
    let app = page_with(settings());
    let first = send(&app, get("/playground/page.css")).await;
    let tag = first.header("etag").to_owned();
    assert_eq!(first.header("cache-control"), "no-cache");
    let asking = |tags: &str| {
        let request = Request::get("/playground/page.css").header("host", "localhost");
        request.header("if-none-match", tags).body(Body::empty()).expect("a request")
    };
    let again = send(&app, asking(&format!("\"other\", {tag}"))).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), tag);
    assert_eq!(send(&app, asking("\"other\"")).await.status, 200);
}

#[tokio::test]
async fn nothing_but_its_files_is_there_and_strangers_hosts_get_none() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let app = app(&engine);
    for name in [
        "none.js",
        "index.html",
        "..%2fCargo.toml",
        "%2e%2e",
        "Cargo.toml",
        "%ff.js",
        "page.css%00",
    ] {
        let answer = send(&app, get(&format!("/playground/{name}"))).await;
        assert_eq!(answer.status, 404, "{name}");
    }
    let stranger = Request::get("/").header("host", "evil.example").body(Body::empty());
    assert_eq!(send(&app, stranger.expect("a request")).await.status, 421);
}

#[tokio::test]
async fn a_server_without_the_page_has_none_of_its_routes() {
    let app = page_with(HttpSettings { playground: false, ..settings() });
    for path in ["/", "/playground/playground.js"] {
        assert_eq!(
            send(&app, get(path)).await.error(),
            (404, None, "not_found".to_owned()),
            "{path}"
        );
    }
}
