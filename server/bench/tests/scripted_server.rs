//! The generator and the scenarios against a server that does as it is told: what is counted, in which order
//! it came, who waits for whom. No test looks at how long anything took.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use reverie_bench::arrivals::{Extent, Rate, poisson};
use reverie_bench::client::Client;
use reverie_bench::generator::{Generator, Until};
use reverie_bench::micros::Micros;
use reverie_bench::record::{Fault, Outcome, Record, Usage};
use reverie_bench::report::{svg, table};
use reverie_bench::scenario::{Bench, Load, Scenario, ScenarioError};
use reverie_bench::stopwatch::Stopwatch;
use reverie_bench::summary::Summary;
use reverie_bench::workload::{Mix, Workload};
use serde_json::{Map, Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio_stream::{Stream, StreamExt as _};

/// How a request is answered: a status, pieces of a body, and what follows them.
struct Script {
    status: u16,
    pieces: Vec<String>,
    then: Then,
}

enum Then {
    End,
    Silence,
}

type Answering = Pin<Box<dyn Future<Output = Script> + Send>>;
type React = Arc<dyn Fn(Value) -> Answering + Send + Sync>;

/// What no answer here takes, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(120);

/// A server on a free port; it lives as long as the set.
async fn serve<F: Future<Output = Script> + Send + 'static>(
    react: impl Fn(Value) -> F + Send + Sync + 'static,
) -> (String, JoinSet<()>) {
    let react: React = Arc::new(move |body| Box::pin(react(body)));
    let app = Router::new()
        .route("/v1/models", get(|| async { Json(json!({"data": [{"id": "m"}]})) }))
        .route("/v1/chat/completions", post(chat))
        .with_state(react);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("of a test server");
    let url = format!("http://{}/v1/", listener.local_addr().expect("of a test server"));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { axum::serve(listener, app).await.expect("of a test server") });
    (url, tasks)
}

/// A server that answers nobody before `count` have asked.
async fn serve_together(count: usize) -> (String, JoinSet<()>) {
    let all = Arc::new(Barrier::new(count));
    serve(move |body| {
        let all = Arc::clone(&all);
        async move {
            all.wait().await;
            answer(&body)
        }
    })
    .await
}

fn client(url: &str) -> Client {
    Client::new(url, None, PATIENCE).expect("of a test server")
}

async fn chat(State(react): State<React>, Json(body): Json<Value>) -> Response {
    let Script { status, pieces, then } = react(body).await;
    let pieces = tokio_stream::iter(pieces.into_iter().map(Ok::<_, Infallible>));
    let stream: Pin<Box<dyn Stream<Item = _> + Send>> = match then {
        Then::End => Box::pin(pieces),
        Then::Silence => Box::pin(pieces.chain(tokio_stream::pending())),
    };
    (StatusCode::from_u16(status).expect("of a test server"), Body::from_stream(stream))
        .into_response()
}

fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn delta(delta: &Value) -> String {
    event(&json!({"choices": [{"index": 0, "delta": delta, "finish_reason": null}]}))
}

fn text(text: &str) -> String {
    delta(&json!({"content": text}))
}

/// More than a proxy's line.
fn picture() -> String {
    let url = format!("data:image/png;base64,{}", "A".repeat(200 << 10));
    delta(&json!({"images": [{"type": "image_url", "index": 0, "image_url": {"url": url}}]}))
}

fn last(usage: &Value) -> String {
    let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
    let usage = json!({"choices": [], "usage": usage});
    format!("{}{}data: [DONE]\n\n", event(&end), event(&usage))
}

fn script(pieces: Vec<String>) -> Script {
    Script { status: 200, pieces, then: Then::End }
}

/// Three words and two pictures for a document, one picture for a picture, two words for all else.
fn answer(body: &Value) -> Script {
    let role = delta(&json!({"role": "assistant", "content": ""}));
    let usage = |completion: u64, image: u64| {
        last(&json!({"prompt_tokens": 7, "completion_tokens": completion, "total_tokens": 0,
                     "completion_tokens_details": {"image_tokens": image}}))
    };
    script(match body["modalities"][0].as_str() {
        Some("image") => vec![role, picture(), usage(20, 19)],
        Some(_text) => vec![role, text("one"), text(" two"), usage(5, 0)],
        None => {
            let pieces = [text("one"), picture(), text("two"), text("three"), picture()];
            [&[role][..], &pieces, &[usage(50, 38)]].concat()
        }
    })
}

fn workload(mix: &str) -> Workload {
    let mix: Mix = mix.parse().expect("of a test server");
    Workload { seed: 1, mix, model: "m".to_owned(), output_len: None, extra_body: Map::new() }
}

fn generator(client: Client) -> Generator {
    Generator { client, watch: Stopwatch::start(), max_in_flight: 1000 }
}

fn at_once(count: usize) -> Vec<Micros> {
    poisson(0, Rate::Infinite, Extent::Requests(count))
}

async fn one(react: impl Fn() -> Script + Send + Sync + 'static) -> Record {
    let (url, _server) = serve(move |_| std::future::ready(react())).await;
    let requests = workload("text").requests(1);
    generator(client(&url)).open_loop(requests, &at_once(1)).await.remove(0)
}

#[tokio::test]
async fn every_piece_of_every_answer_is_counted_in_its_order() {
    let (url, _server) = serve(|body| std::future::ready(answer(&body))).await;
    assert_eq!(client(&url).model().await.expect("of a test server"), "m");
    let workload = workload("text,vqa,picture,document");
    let records = generator(client(&url)).open_loop(workload.requests(40), &at_once(40)).await;
    let indices: Vec<_> = records.iter().map(|record| record.index).collect();
    assert_eq!(indices, (0..40).collect::<Vec<_>>());
    for record in &records {
        let pieces = (record.texts.len(), record.images.len());
        let (wanted, tokens) = match record.kind.name() {
            "picture" => ((0, 1), 1),
            "document" => ((3, 2), 12),
            _ => ((2, 0), 5),
        };
        assert_eq!((pieces, record.text_tokens()), (wanted, tokens), "{record:?}");
        let finish_reason = Some("stop".to_owned());
        assert_eq!(record.outcome, Outcome::Completed { finish_reason });
        assert_eq!(record.usage.map(|usage| usage.prompt_tokens), Some(7));
        let first = record.first_byte.expect("a status came");
        let mut moments =
            [vec![record.scheduled, record.sent, first], record.texts.clone()].concat();
        moments.push(record.end);
        assert!(moments.is_sorted(), "{record:?}");
        assert!(record.images.iter().all(|image| (first..=record.end).contains(image)));
    }
    let summary = Summary::of(&records, Some(&"latency=3600".parse().expect("of a test server")));
    let count = |kind: &str| summary.completed_by_kind[kind];
    assert_eq!(summary.images, count("picture") + 2 * count("document"));
    assert_eq!((summary.completed, summary.good), (40, Some(40)));
    assert!(summary.errors.is_empty());
}

#[tokio::test]
async fn an_open_loop_waits_for_no_answer() {
    // A loop that waited would never end.
    let (url, _server) = serve_together(30).await;
    let arrivals = poisson(5, Rate::PerSecond(1000.0), Extent::Requests(30));
    let records = generator(client(&url)).open_loop(workload("text").requests(30), &arrivals).await;
    assert!(records.iter().all(Record::is_complete));
    let start = records[0].scheduled.since(arrivals[0]);
    for (record, arrival) in records.iter().zip(&arrivals) {
        assert_eq!(record.scheduled, start.plus(*arrival), "by the seed, not by the server");
        assert!(record.sent >= record.scheduled);
    }
}

#[tokio::test]
async fn a_request_too_many_is_recorded_and_not_delayed() {
    let (url, _server) = serve_together(3).await;
    let generator = Generator { max_in_flight: 3, ..generator(client(&url)) };
    let records = generator.open_loop(workload("text").requests(5), &at_once(5)).await;
    let summary = Summary::of(&records, None);
    assert_eq!((summary.requests, summary.completed), (5, 3));
    assert_eq!(summary.errors, [("unsent".to_owned(), 2)].into());
}

#[tokio::test]
async fn a_closed_loop_keeps_its_number_under_way() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let pairs = Arc::new(Barrier::new(3));
    let seen = Arc::clone(&most);
    let (url, _server) = serve(move |body| {
        let (now, most, pairs) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&pairs));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            pairs.wait().await; // three at a time, or nobody
            now.fetch_sub(1, Ordering::SeqCst);
            answer(&body)
        }
    })
    .await;
    let workload = workload("text");
    let records = generator(client(&url)).closed_loop(&workload, 3, Until::Requests(12)).await;
    assert_eq!(records.len(), 12);
    assert!(records.iter().enumerate().all(|(index, record)| record.index == index));
    assert_eq!(seen.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn whatever_is_no_whole_answer_is_told_apart() {
    let refused = one(|| Script { status: 429, ..script(vec!["full".to_owned()]) }).await;
    let message = "full".to_owned();
    assert_eq!(refused.outcome, Outcome::Refused { status: 429, message });
    assert!(refused.first_byte.is_some() && refused.texts.is_empty());

    let cases: [(fn() -> Script, Fault); 5] = [
        (|| script(vec![text("one")]), Fault::CutOff),
        (|| script(vec![text("one"), "event: error\ndata: {}\n\n".to_owned()]), Fault::Error),
        (|| script(vec![text("one"), event(&json!({"error": {"message": "no"}}))]), Fault::Error),
        (|| script(vec![text("one"), "data: {\n\n".to_owned()]), Fault::Shape),
        (
            || script(vec![text("one"), delta(&json!({"images": [{"image_url": {"url": ""}}]}))]),
            Fault::Shape,
        ),
    ];
    for (react, wanted) in cases {
        let record = one(react).await;
        let found = match &record.outcome {
            Outcome::Failed { fault, .. } => Some(*fault),
            Outcome::Completed { .. } | Outcome::Refused { .. } => None,
        };
        assert_eq!(found, Some(wanted), "{record:?}");
        assert_eq!(record.texts.len(), 1, "what came before is kept");
    }
    let records = generator(client("http://127.0.0.1:9"))
        .open_loop(workload("text").requests(1), &at_once(1))
        .await;
    assert!(matches!(records[0].outcome, Outcome::Failed { fault: Fault::Connection, .. }));
    assert!(Client::new("https://127.0.0.1", None, PATIENCE).is_err());
}

#[tokio::test]
async fn an_answer_that_never_ends_is_given_up() {
    let silent = || Script { then: Then::Silence, ..script(vec![text("one")]) };
    let (url, _server) = serve(move |_| std::future::ready(silent())).await;
    let client = Client::new(&url, None, Duration::from_millis(200)).expect("of a test server");
    let records = generator(client).open_loop(workload("text").requests(1), &at_once(1)).await;
    assert!(matches!(records[0].outcome, Outcome::Failed { fault: Fault::TimedOut, .. }));
}

#[tokio::test]
async fn servers_that_count_nothing_are_counted_by_pieces() {
    let record =
        one(|| script(vec![text("one"), text("two"), "data: [DONE]\n\n".to_owned()])).await;
    assert_eq!((record.usage, record.text_tokens()), (None, 2));
    let minimal =
        one(|| script(vec![last(&json!({"prompt_tokens": 1, "completion_tokens": 4}))])).await;
    let usage = Usage { prompt_tokens: 1, completion_tokens: 4, image_tokens: 0 };
    assert_eq!((minimal.usage, minimal.text_tokens()), (Some(usage), 4));
}

fn bench(client: Client) -> Bench<'static> {
    Bench {
        generator: generator(client),
        workload: workload("text=4,vqa=2,picture=1,document=1"),
        bounds: Some("latency=3600".parse().expect("of a test server")),
        concurrency: 4,
        part: Micros(100_000),
        rounds: 2,
        warm_up: 2,
        on_part: &|_| {},
    }
}

/// A server that takes its time and refuses whoever finds `places` others before him.
async fn serve_slowly(places: usize) -> (String, JoinSet<()>) {
    let under_way = Arc::new(AtomicUsize::new(0));
    serve(move |body| {
        let under_way = Arc::clone(&under_way);
        async move {
            let before = under_way.fetch_add(1, Ordering::SeqCst);
            let script = if before >= places {
                Script { status: 429, ..script(Vec::new()) }
            } else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                answer(&body)
            };
            under_way.fetch_sub(1, Ordering::SeqCst);
            script
        }
    })
    .await
}

#[tokio::test]
async fn every_scenario_ends_with_its_parts_and_claims() {
    let (url, _server) = serve_slowly(8).await;
    let load = Load::Closed { concurrency: 2, extent: Extent::Requests(9) };
    let scenarios = [
        (Scenario::Plain(load), "plain", 1..=1, 0),
        (Scenario::Throughput, "throughput", 8..=8, 2),
        (Scenario::Gap, "gap", 4..=4, 1),
        (Scenario::Overload, "overload", 4..=17, 2),
        (Scenario::HalfLoad, "half-load", 4..=4, 8),
    ];
    for (scenario, name, parts, checks) in scenarios {
        let report = bench(client(&url)).run(scenario).await.expect("of a test server");
        assert_eq!(report.scenario, name);
        assert!(parts.contains(&report.parts.len()), "{name}: {} parts", report.parts.len());
        assert_eq!(report.checks.len(), checks, "{name}");
        let lines = report.record_lines();
        let records: usize = report.parts.iter().map(|part| part.records.len()).sum();
        assert_eq!(lines.lines().count(), records);
        let read: Record =
            serde_json::from_str(lines.lines().next().expect("of a test server")).unwrap();
        assert_eq!(read, report.parts[0].records[0], "a line says everything");
        let json = report.to_json(&json!({"date": "today"}));
        assert_eq!((&json["date"], &json["scenario"]), (&json!("today"), &json!(name)));
        assert_eq!(json["parts"].as_array().map(Vec::len), Some(report.parts.len()));
        let table = table(&report);
        for part in &report.parts {
            assert!(table.contains(&part.name), "{} is not in:\n{table}", part.name);
        }
        assert!(svg(&report.charts).contains("</svg>"));
    }
}

#[tokio::test]
async fn the_runs_of_half_load_ask_and_get_the_same() {
    let (url, _server) = serve(|body| std::future::ready(answer(&body))).await;
    let report = bench(client(&url)).run(Scenario::HalfLoad).await.expect("of a test server");
    for check in &report.checks[..4] {
        assert!(check.held && check.measured == Some(0.0), "{check}");
    }
    let kinds = |part: usize| {
        report.parts[part].records.iter().map(|record| record.kind).collect::<Vec<_>>()
    };
    assert_eq!((kinds(1), kinds(1)), (kinds(2), kinds(3)));
}

#[tokio::test]
async fn overload_counts_refusals_and_shows_nothing_without_any() {
    for (places, is_measured) in [(2, true), (usize::MAX, false)] {
        let (url, _server) = serve_slowly(places).await;
        let report = bench(client(&url)).run(Scenario::Overload).await.expect("of a test server");
        let overloaded = &report.parts[report.parts.len() - 1].summary;
        assert_eq!(overloaded.errors.contains_key("status 429"), is_measured);
        assert_eq!(report.checks[1].measured.is_some(), is_measured);
        assert!(is_measured || !report.checks[1].held);
    }
}

#[tokio::test]
async fn a_server_that_answers_nothing_ends_a_scenario_before_it_begins() {
    let (url, _server) =
        serve(|_| std::future::ready(Script { status: 400, ..script(Vec::new()) })).await;
    let error = bench(client(&url)).run(Scenario::Gap).await.unwrap_err();
    assert!(matches!(error, ScenarioError::NoAnswer { requests: 2, .. }), "{error}");
}
