//! Pictures by http(s) URL: what is fetched, from where, how much of it, and what a client learns when it is not.

mod http_kit;
mod remote_host;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_kit::{
    Afterwards, Answer, ScriptedEngine, app, asking, chat, finished, interleaved, post, send,
};
use remote_host::{NAME, RemoteHost, fetching, limits, surroundings};
use reverie_server::engine::event::FinishReason;
use reverie_server::engine::request::PromptSegment;
use reverie_server::http::router;
use reverie_server::picture_fetch::{FetchLimits, Surroundings};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

const URL_PARAM: &str = "messages[0].content[0].image_url.url";

fn engine() -> Arc<ScriptedEngine> {
    ScriptedEngine::new(vec![finished(FinishReason::EndOfText)], Afterwards::End)
}

fn showing(urls: &[&str]) -> Value {
    let parts: Vec<_> =
        urls.iter().map(|url| json!({"type": "image_url", "image_url": {"url": url}})).collect();
    asking(json!({"messages": [{"role": "user", "content": parts}]}))
}

/// A server that fetches from the host, and from every name of the test's resolver at its port.
fn server(host: &RemoteHost) -> (Router, Arc<ScriptedEngine>) {
    let engine = engine();
    let allowed = [format!("*:{}", host.port), "*".to_owned()];
    (fetching(&engine, &allowed, surroundings(RootCertStore::empty()), limits()), engine)
}

fn refused(answer: &Answer, code: &str, what: &str) {
    let wanted = (400, Some(URL_PARAM.to_owned()), code.to_owned());
    assert_eq!(answer.error(), wanted, "{what}");
    assert!(answer.body.len() < 400, "{what}: nothing of the other side is repeated");
}

#[tokio::test]
async fn a_picture_is_fetched_and_told_by_its_bytes() {
    let host = RemoteHost::start(None).await;
    for path in
        ["/picture.png", "/picture.png?a=b&c", "/chunked.png", "/hops/1", "/hops/2", "/hops/3"]
    {
        let (app, engine) = server(&host);
        let answer = chat(&app, &showing(&[&host.url(path)])).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.json());
        let prompt = engine.request().prompt;
        let shades: Vec<_> = prompt
            .iter()
            .filter_map(|segment| match segment {
                PromptSegment::Picture(picture) => Some(picture.rgb()[0]),
                PromptSegment::Tokens(_) | PromptSegment::Dream => None,
            })
            .collect();
        assert_eq!(shades, [90], "{path}");
    }
}

#[tokio::test]
async fn edits_take_urls_as_well_and_name_them_by_their_path() {
    let host = RemoteHost::start(None).await;
    let edit = |url: String| {
        let body = json!({"prompt": "Make it blue.", "images": [{"image_url": url}]});
        Request::post("/v1/images/edits")
            .header("host", "localhost:8000")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .expect("a request")
    };
    let drawing = ScriptedEngine::new(interleaved(), Afterwards::End);
    let allowed = [format!("{NAME}:{}", host.port)];
    let world = surroundings(RootCertStore::empty());
    let app = fetching(&drawing, &allowed, world, limits());
    assert_eq!(send(&app, edit(host.url("/picture.png"))).await.status, 200);
    let wanted =
        (400, Some("images[0].image_url".to_owned()), "failed_to_download_image".to_owned());
    assert_eq!(send(&app, edit(host.url("/404"))).await.error(), wanted);
}

#[tokio::test]
async fn without_the_flag_no_url_is_fetched() {
    let host = RemoteHost::start(None).await;
    for url in [host.url("/picture.png"), format!("http://127.0.0.1:{}/", host.port)] {
        let answer = chat(&app(&engine()), &showing(&[&url])).await;
        refused(&answer, "invalid_image_url", &url);
    }
    assert_eq!(host.num_connections(), 0);
}

#[tokio::test]
async fn hosts_ports_and_users_that_are_not_allowed_are_refused_by_the_text_alone() {
    let host = RemoteHost::start(None).await;
    let engine = engine();
    let (port, world) = (host.port, surroundings(RootCertStore::empty()));
    let app =
        fetching(&engine, &[format!("{NAME}:{port}"), "Straße.test".to_owned()], world, limits());
    for url in [
        format!("http://{NAME}/picture.png"),
        format!("http://{NAME}:22/picture.png"),
        format!("https://{NAME}/picture.png"),
        format!("http://other.test:{port}/picture.png"),
        format!("http://sub.{NAME}:{port}/picture.png"),
        format!("http://{NAME}.:{port}/picture.png"),
        format!("http://{NAME}.evil.test:{port}/picture.png"),
        format!("http://рictures.test:{port}/picture.png"), // the first letter is Cyrillic
        format!("http://strasse.test:{port}/picture.png"),
        format!("http://127.0.0.1:{port}/picture.png"),
        format!("http://a@{NAME}:{port}/picture.png"),
        format!("http://a:b@{NAME}:{port}/picture.png"),
        format!("http://:b@{NAME}:{port}/picture.png"),
        format!("http://{NAME}:{port}\\@127.0.0.1/"),
        format!("http://evil.test\\@{NAME}:{port}/"),
        format!("http:///{NAME}:{port}/picture.png"),
        format!("http:{NAME}:{port}/picture.png"),
        format!("http:/{NAME}:{port}/picture.png"),
        format!("http:\\\\{NAME}:{port}/picture.png"),
        format!("http://{NAME}:{port}/pic\tture.png"),
        format!("http://{NAME}\n:{port}/picture.png"),
        format!(" http://{NAME}:{port}/picture.png"),
        format!("http://localhost%00.{NAME}:{port}/"),
        format!("http://{NAME}:{port}/{}", "a".repeat(9000)),
        format!("http://{NAME}:99999/"),
        "http://".to_owned(),
        "http://?".to_owned(),
    ] {
        refused(&chat(&app, &showing(&[&url])).await, "invalid_image_url", &url);
    }
    assert_eq!(host.num_connections(), 0);
    let yes =
        chat(&app, &showing(&[&format!("HTTP://PICTURES.TEST:{port}/picture.png#fragment")])).await;
    assert_eq!(yes.status, 200, "{:?}", yes.json());
}

#[tokio::test]
async fn other_schemes_are_no_urls_of_pictures() {
    let (app, _) = server(&RemoteHost::start(None).await);
    for url in [
        "file:///etc/passwd",
        "ftp://a/b",
        "gopher://a",
        "dict://a",
        "unix:/run/x",
        "javascript:1",
        "/a.png",
        "",
    ] {
        refused(&chat(&app, &showing(&[url])).await, "invalid_image_url", url);
    }
}

/// Every way there is to write an address that is not public, against the rule that a daemon follows.
#[tokio::test]
async fn no_address_that_is_not_public_is_dialled_however_it_is_written() {
    let host = RemoteHost::start(None).await;
    let engine = engine();
    let system = Surroundings::system();
    let app = fetching(&engine, &[format!("*:{}", host.port), "*".to_owned()], system, limits());
    for address in [
        "127.0.0.1",
        "localhost",
        "localhost.",
        "127.1",
        "2130706433",
        "0x7f.1",
        "0x7f000001",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "１２７.0.0.1",
        "①27.0.0.1",
        "127。0。0。1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b:1::7f00:1]",
        "[2002:7f00:1::]",
        "[2001::1]",
        "[fe80::1]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[ff02::1]",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ] {
        for url in
            [format!("http://{address}:{}/picture.png", host.port), format!("https://{address}/")]
        {
            refused(&chat(&app, &showing(&[&url])).await, "failed_to_download_image", &url);
        }
    }
    assert_eq!(host.num_connections(), 0);
    // Zones are no part of a URL.
    refused(
        &chat(&app, &showing(&["http://[fe80::1%25eth0]/"])).await,
        "invalid_image_url",
        "a zone",
    );
}

#[tokio::test]
async fn one_address_inside_spoils_a_name_and_names_that_lead_nowhere_tell_nothing() {
    let host = RemoteHost::start(None).await;
    let (app, _) = server(&host);
    let mut bodies = Vec::new();
    for name in ["inside.test", "mixed.test", "empty.test", "unknown.test", "slow.test"] {
        let answer =
            chat(&app, &showing(&[&format!("http://{name}:{}/picture.png", host.port)])).await;
        refused(&answer, "failed_to_download_image", name);
        bodies.push(answer.body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "no answer tells more than another");
    assert_eq!(host.num_connections(), 0);
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_judged_is_what_is_dialled() {
    let host = RemoteHost::start(None).await;
    let times = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&times);
    // Public when first asked, inside ever after.
    let world = Surroundings {
        look_up: Arc::new(move |_name| {
            let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
            remote_host::look_up(if first { NAME } else { "inside.test" })
        }),
        ..surroundings(RootCertStore::empty())
    };
    let app = fetching(&engine(), &[format!("{NAME}:{}", host.port)], world, limits());
    assert_eq!(chat(&app, &showing(&[&host.url("/picture.png")])).await.status, 200);
    assert_eq!(times.load(Ordering::SeqCst), 1);
    let again = chat(&app, &showing(&[&host.url("/picture.png")])).await;
    refused(&again, "failed_to_download_image", "nothing is remembered of a name");
}

#[tokio::test]
async fn whatever_a_host_does_the_client_learns_the_same() {
    let host = RemoteHost::start(None).await;
    let (app, engine) = server(&host);
    let mut bodies = Vec::new();
    for path in [
        "/loop",
        "/hops/4",
        "/to-inside",
        "/to-address",
        "/to-file",
        "/to-port",
        "/to-user",
        "/to-nowhere",
        "/to-two",
        "/to-long",
        "/html",
        "/svg",
        "/empty",
        "/gzip",
        "/204",
        "/206",
        "/401",
        "/404",
        "/500",
        "/lying",
        "/many-headers",
        "/long-header",
        "/ssh",
        "/closed",
        "/silent",
        "/stalled",
        "/half-head",
    ] {
        let answer = chat(&app, &showing(&[&host.url(path)])).await;
        refused(&answer, "failed_to_download_image", path);
        bodies.push(answer.body);
    }
    // A port that nobody listens on.
    let answer = chat(&app, &showing(&[&format!("http://{NAME}:443/")])).await;
    refused(&answer, "failed_to_download_image", "refused");
    bodies.push(answer.body);
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "no answer tells more than another");
    assert!(engine.requests.lock().expect("unpoisoned").is_empty());
}

#[tokio::test]
async fn what_is_wrong_with_a_picture_is_said_as_of_any_other() {
    let host = RemoteHost::start(None).await;
    let (app, _) = server(&host);
    for (path, code) in [
        ("/claims", "image_file_too_large"),
        ("/large", "image_file_too_large"),
        ("/endless", "image_file_too_large"),
        ("/torn.png", "image_parse_error"),
        ("/vast.png", "image_too_large"),
    ] {
        refused(&chat(&app, &showing(&[&host.url(path)])).await, code, path);
    }
}

#[tokio::test]
async fn nothing_is_said_of_whoever_asks() {
    let host = RemoteHost::start(None).await;
    let (app, _) = server(&host);
    let mut request = post(showing(&[&host.url("/picture.png")]).to_string());
    for (name, value) in
        [("authorization", "Bearer secret"), ("cookie", "a=b"), ("referer", "http://inside/")]
    {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    assert_eq!(send(&app, request).await.status, 200);
    let again = chat(&app, &showing(&[&host.url("/picture.png")])).await; // the cookie it set is not kept
    assert_eq!(again.status, 200);
    let wanted = format!(
        "GET /picture.png HTTP/1.1\r\nhost: {NAME}:{}\r\nuser-agent: reverie/{}\r\n\
         accept: image/png,image/jpeg,image/webp,image/gif\r\naccept-encoding: identity\r\n\
         connection: close\r\n\r\n",
        host.port,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(*host.seen.heads.lock().expect("unpoisoned"), [wanted.clone(), wanted]);
}

#[tokio::test]
async fn a_request_may_have_few_urls_and_a_host_gets_few_questions_at_a_time() {
    let host = RemoteHost::start(None).await;
    let (app, _) = server(&host);
    let url = host.url("/hold.png");
    let four = chat(&app, &showing(&[url.as_str(); 4])).await;
    let wanted = (
        400,
        Some("messages[0].content[3].image_url.url".to_owned()),
        "too_many_images".to_owned(),
    );
    assert_eq!(four.error(), wanted);
    assert_eq!(host.num_connections(), 0);
    let request = showing(&[url.as_str(); 3]);
    let (a, b) = tokio::join!(chat(&app, &request), chat(&app, &request));
    assert_eq!((a.status.as_u16(), b.status.as_u16()), (200, 200));
    assert_eq!(host.num_connections(), 6);
    assert!(host.seen.most_active.load(Ordering::SeqCst) <= limits().max_fetches_per_host);
}

#[tokio::test]
async fn whoever_leaves_closes_the_connection() {
    let host = RemoteHost::start(None).await;
    let engine = engine();
    let patient = FetchLimits { timeout: Duration::from_secs(3600), ..limits() };
    let world = surroundings(RootCertStore::empty());
    let app = fetching(&engine, &[format!("*:{}", host.port)], world, patient);
    let request = showing(&[&host.url("/silent"), &host.url("/stalled")]);
    tokio::select! {
        answer = chat(&app, &request) => panic!("answered: {answer:?}"),
        () = async {
            host.seen.waiting.notified().await;
            host.seen.waiting.notified().await;
        } => {}
    }
    host.seen.left.notified().await;
    host.seen.left.notified().await;
}

#[tokio::test]
async fn what_is_fetched_takes_room_like_a_body_and_gives_it_back() {
    let host = RemoteHost::start(None).await;
    let (engine, allowed) = (engine(), [format!("*:{}", host.port)]);
    let state = remote_host::fetching_state(
        &engine,
        &allowed,
        surroundings(RootCertStore::empty()),
        limits(),
    );
    let (memory, app) = (Arc::clone(&state.body_memory), router(state));
    let all = memory.available_permits() as u32;
    let taken = Arc::clone(&memory).acquire_many_owned(all - 1).await.expect("open");
    let answer = chat(&app, &showing(&[&host.url("/picture.png")])).await;
    assert_eq!((answer.status.as_u16(), answer.error().2.as_str()), (429, "server_busy"));
    drop(taken);
    assert_eq!(chat(&app, &showing(&[&host.url("/picture.png")])).await.status, 200);
    assert_eq!(memory.available_permits() as u32, all);
}

#[tokio::test]
async fn tls_needs_a_certificate_that_is_trusted_and_of_that_name() {
    let made = rcgen::generate_simple_self_signed(vec![NAME.to_owned()]).expect("a certificate");
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .expect("a key that fits");
    let host = RemoteHost::start(Some(TlsAcceptor::from(Arc::new(config)))).await;
    let mut trusted = RootCertStore::empty();
    trusted.add(certificate).expect("a root");
    let ask = async |roots: &RootCertStore, name: &str| {
        let allowed = [format!("*:{}", host.port)];
        let mut world = surroundings(roots.clone());
        world.look_up = Arc::new(|_name| remote_host::look_up(NAME));
        let app = fetching(&engine(), &allowed, world, limits());
        chat(&app, &showing(&[&format!("https://{name}:{}/picture.png", host.port)])).await
    };
    assert_eq!(ask(&trusted, NAME).await.status, 200);
    refused(&ask(&trusted, "other.test").await, "failed_to_download_image", "another name");
    refused(&ask(&RootCertStore::empty(), NAME).await, "failed_to_download_image", "self-signed");
}

#[tokio::test]
async fn tokenizing_counts_a_picture_without_fetching_it() {
    let host = RemoteHost::start(None).await;
    let (app, _) = server(&host);
    let messages = showing(&[&host.url("/picture.png")])["messages"].clone();
    let request = Request::post("/tokenize")
        .header("host", "localhost:8000")
        .header("content-type", "application/json")
        .body(Body::from(json!({"messages": messages}).to_string()))
        .expect("a request");
    let answer = send(&app, request).await;
    assert_eq!(answer.status, 200, "{:?}", answer.json());
    assert_eq!(host.num_connections(), 0);
}
