//! The accept loop over real sockets: slow, large and malformed heads, answers nobody takes, too many
//! connections, probes that are answered all the same, and the end.

mod http_kit;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_kit::{Afterwards, ScriptedEngine, app, asking, interleaved, settings, state_with, text};
use reverie_server::engine::document_engine::EngineStatus;
use reverie_server::http::probe_router;
use reverie_server::listener::{ConnectionLimits, serve};
use reverie_server::probe_listener::ProbeListener;
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Longer than any test takes.
const FOR_EVER: Duration = Duration::from_secs(600);

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    served: TaskTracker,
}

async fn start(engine: &Arc<ScriptedEngine>, limits: ConnectionLimits) -> Server {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a socket of our own");
    start_on(listener, engine, limits)
}

fn start_on(
    listener: TcpListener,
    engine: &Arc<ScriptedEngine>,
    limits: ConnectionLimits,
) -> Server {
    let address = listener.local_addr().expect("it is bound");
    let stop = CancellationToken::new();
    let served = TaskTracker::new();
    served.spawn(serve(listener, app(engine), limits, stop.clone()));
    served.close();
    Server { address, stop, served }
}

fn limits() -> ConnectionLimits {
    ConnectionLimits { max_connections: 8, head_timeout: FOR_EVER, write_timeout: FOR_EVER }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a socket of our own")
    }

    /// What comes back until the server closes the connection.
    async fn answer(&self, request: &str) -> String {
        let stream = self.connect().await;
        say(&stream, request).await;
        rest(&stream).await
    }
}

async fn say(stream: &TcpStream, request: &str) {
    let mut left = request.as_bytes();
    while !left.is_empty() {
        stream.writable().await.expect("a socket of our own");
        match stream.try_write(left) {
            Ok(written) => left = &left[written..],
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }
}

/// The next bytes; none at the end. A connection may also be reset once everything was said.
async fn hear(stream: &TcpStream) -> String {
    let mut bytes = [0; 4096];
    loop {
        stream.readable().await.expect("a socket of our own");
        match stream.try_read(&mut bytes) {
            Ok(len) => return String::from_utf8_lossy(&bytes[..len]).into_owned(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_reset) => return String::new(),
        }
    }
}

/// Everything up to the end.
async fn rest(stream: &TcpStream) -> String {
    let mut all = String::new();
    loop {
        match hear(stream).await {
            heard if heard.is_empty() => return all,
            heard => all.push_str(&heard),
        }
    }
}

fn streamed() -> String {
    let body = asking(json!({"stream": true})).to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn get(headers: &str) -> String {
    format!("GET /livez HTTP/1.1\r\nconnection: close\r\n{headers}\r\n")
}

#[tokio::test]
async fn a_request_is_answered() {
    let server = start(&ScriptedEngine::new(interleaved(), Afterwards::End), limits()).await;
    let answer = server.answer(&get("host: localhost\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_head_that_does_not_end_costs_its_client_the_connection() {
    let limits = ConnectionLimits { head_timeout: Duration::from_millis(50), ..limits() };
    let server = start(&ScriptedEngine::new(interleaved(), Afterwards::End), limits).await;
    for begun in ["", "GET /livez HTTP/1.1\r\nhost: local"] {
        let stream = server.connect().await;
        say(&stream, begun).await;
        assert!(!rest(&stream).await.contains("200 OK"), "{begun:?}");
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let server = start(&ScriptedEngine::new(interleaved(), Afterwards::End), limits()).await;
    let long = format!("host: localhost\r\nx-long: {}\r\n", "x".repeat(40 << 10));
    let many: String = (0..64).map(|index| format!("x-{index}: 1\r\n")).collect();
    for headers in [long, format!("host: localhost\r\n{many}")] {
        let answer = server.answer(&get(&headers)).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn exactly_one_host_is_needed() {
    let server = start(&ScriptedEngine::new(interleaved(), Afterwards::End), limits()).await;
    for headers in ["", "host: localhost\r\nhost: localhost\r\n"] {
        let answer = server.answer(&get(headers)).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
}

#[tokio::test]
async fn one_connection_too_many_waits_for_a_place() {
    let limits = ConnectionLimits { max_connections: 1, ..limits() };
    let server = start(&ScriptedEngine::new(interleaved(), Afterwards::End), limits).await;
    let first = server.connect().await;
    let second = server.connect().await;
    say(&second, &get("host: localhost\r\n")).await;
    // The first connection says nothing and keeps the place, so the second cannot have been read.
    tokio::select! {
        biased;
        heard = hear(&second) => panic!("answered without a place: {heard}"),
        () = settle() => {}
    }
    drop(first);
    assert!(rest(&second).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

/// Lets everything run that can.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_finishes_the_others() {
    let engine = ScriptedEngine::new(vec![text("Once")], Afterwards::Wait);
    let server = start(&engine, limits()).await;
    let idle = server.connect().await;
    say(&idle, "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(hear(&idle).await.starts_with("HTTP/1.1 200 OK"));

    let busy = server.connect().await;
    say(&busy, &streamed()).await;
    let mut seen = String::new();
    while !seen.contains("Once") {
        seen.push_str(&hear(&busy).await);
    }

    server.stop.cancel();
    rest(&idle).await;
    settle().await;
    assert!(!server.served.is_empty(), "a stream is still open");
    assert!(TcpStream::connect(server.address).await.is_err(), "nobody new comes in");
    drop(busy);
    server.served.wait().await;
}

/// A socket whose buffers hold a few packets.
fn small_socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket of our own");
    socket.set_send_buffer_size(4 << 10).expect("a small buffer");
    socket.set_recv_buffer_size(4 << 10).expect("a small buffer");
    socket
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_loses_the_connection_and_the_document() {
    let long = text(&"once upon a time ".repeat(1000));
    let engine = ScriptedEngine::new(vec![long; 400], Afterwards::Wait);
    let left = engine.next_departure();
    let socket = small_socket();
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let listener = socket.listen(8).expect("a socket of our own");
    let limits = ConnectionLimits { write_timeout: Duration::from_millis(50), ..limits() };
    let server = start_on(listener, &engine, limits);
    let deaf = small_socket().connect(server.address).await.expect("a socket of our own");
    say(&deaf, &streamed()).await;
    left.await.expect("the document is given up while its client is still there");
    let heard = rest(&deaf).await;
    assert!(heard.starts_with("HTTP/1.1 200 OK") && !heard.contains("[DONE]"));
}

/// Asks without any runtime, and keeps this thread waiting for the answer.
fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).expect("somebody listens");
    let request = get("host: localhost\r\n").replace("/livez", path);
    stream.write_all(request.as_bytes()).expect("a socket of our own");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("a whole answer");
    answer
}

#[tokio::test]
async fn probes_have_a_door_that_a_full_house_and_a_busy_runtime_leave_open() {
    let engine = ScriptedEngine::new(interleaved(), Afterwards::End);
    let server = start(&engine, ConnectionLimits { max_connections: 1, ..limits() }).await;
    let holder = server.connect().await;
    say(&holder, "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(hear(&holder).await.starts_with("HTTP/1.1 200 OK"), "the only place is taken");
    let router = probe_router(state_with(&engine, settings()));
    let probes = ProbeListener::start(([127, 0, 0, 1], 0).into(), router).expect("a free port");
    // This thread runs the serving port, and does nothing for it while it waits here.
    for path in ["/livez", "/readyz", "/health"] {
        let answer = ask(probes.address(), path);
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    assert!(ask(probes.address(), "/v1/models").starts_with("HTTP/1.1 404 "));
    *engine.status.lock().expect("no test panics with it") = EngineStatus::Failed;
    assert!(ask(probes.address(), "/livez").starts_with("HTTP/1.1 503 "));
    let address = probes.address();
    drop(probes);
    assert!(std::net::TcpStream::connect(address).is_err(), "the door is closed with the rest");
}
