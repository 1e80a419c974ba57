//! A host that pictures are fetched from, on the loopback: well-behaved or not, by the path it is asked for. Counts
//! who comes and keeps what they say.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use reverie_server::http::{AppState, router};
use reverie_server::picture_fetch::{FetchLimits, PictureFetcher, Surroundings};
use reverie_server::request::PictureUrlPolicy;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::RootCertStore;

use crate::http_kit::{self, ScriptedEngine, png};

/// The name that the test's resolver knows.
pub(crate) const NAME: &str = "pictures.test";
/// More than a file may have.
const MUCH: usize = 1 << 20;

/// What the host saw.
#[derive(Default)]
pub(crate) struct Seen {
    /// Connections.
    pub(crate) connections: AtomicUsize,
    /// What came first on each, as text.
    pub(crate) heads: Mutex<Vec<String>>,
    /// Answers being written now, and the most there were.
    active: AtomicUsize,
    pub(crate) most_active: AtomicUsize,
    /// A client has left while it was kept waiting.
    pub(crate) left: Notify,
    /// A client is being kept waiting.
    pub(crate) waiting: Notify,
}

/// A running host; dropping it ends it.
pub(crate) struct RemoteHost {
    pub(crate) port: u16,
    pub(crate) seen: Arc<Seen>,
    _tasks: JoinSet<()>,
}

impl RemoteHost {
    /// Starts one, speaking TLS if it has an acceptor.
    pub(crate) async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        let witness = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                witness.connections.fetch_add(1, Ordering::SeqCst);
                let (witness, tls) = (Arc::clone(&witness), tls.clone());
                connections.spawn(async move {
                    // A client that hangs up in the middle is what some tests want.
                    let _ended = match tls {
                        None => answer(stream, port, &witness).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => answer(stream, port, &witness).await,
                            Err(error) => Err(error),
                        },
                    };
                });
            }
        });
        Self { port, seen, _tasks: tasks }
    }

    /// The URL of `path` by the name that is known.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{NAME}:{}{path}", self.port)
    }

    pub(crate) fn num_connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }
}

/// Reads a head, then misbehaves as its path says.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    port: u16,
    seen: &Seen,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.heads.lock().expect("unpoisoned").push(head);
    let active = seen.active.fetch_add(1, Ordering::SeqCst) + 1;
    seen.most_active.fetch_max(active, Ordering::SeqCst);
    if path == "/hold.png" {
        for _ in 0..200 {
            tokio::task::yield_now().await; // others would come now, if they could
        }
    }
    // Over before the client can know: it may ask the next question as soon as it has the last byte.
    seen.active.fetch_sub(1, Ordering::SeqCst);
    let reply = reply(&path, port);
    let sent = stream.write_all(&reply).await;
    match path.as_str() {
        "/endless" => while stream.write_all(&[0x89; 1024]).await.is_ok() {},
        "/silent" | "/half-head" | "/stalled" => {
            seen.waiting.notify_one();
            let _ended = stream.read(&mut [0]).await;
            seen.left.notify_one();
        }
        _ => {}
    }
    sent?;
    stream.shutdown().await
}

fn reply(path: &str, port: u16) -> Vec<u8> {
    let file = png(8, 90);
    let ok = |headers: &str, body: &[u8]| {
        [b"HTTP/1.1 200 OK\r\n", headers.as_bytes(), b"\r\n", body].concat()
    };
    let whole = |body: &[u8]| ok(&format!("Content-Length: {}\r\n", body.len()), body);
    let moved = |to: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes();
    match path.split_once('?').map_or(path, |(path, _)| path) {
        "/picture.png" => ok("Content-Type: text/html\r\nSet-Cookie: a=b\r\n", &file),
        "/hold.png" => whole(&file),
        "/chunked.png" => {
            let chunk = format!("{:x}\r\n", file.len());
            ok(
                "Transfer-Encoding: chunked\r\n",
                &[chunk.as_bytes(), &file, b"\r\n0\r\n\r\n"].concat(),
            )
        }
        "/hops/0" => whole(&file),
        "/hops/1" => moved("/hops/0"),
        "/hops/2" => moved("1"),
        "/hops/3" => moved(&format!("http://{NAME}:{port}/hops/2")),
        "/hops/4" => moved(&format!("//{NAME}:{port}/hops/3")),
        "/loop" => moved("/loop"),
        "/to-inside" => moved(&format!("http://inside.test:{port}/picture.png")),
        "/to-address" => moved("http://10.0.0.1/picture.png"),
        "/to-file" => moved("file:///etc/passwd"),
        "/to-port" => moved(&format!("http://{NAME}:22/picture.png")),
        "/to-user" => moved(&format!("http://a:b@{NAME}:{port}/picture.png")),
        "/to-nowhere" => status("302 Found"),
        "/to-two" => "HTTP/1.1 302 Found\r\nLocation: /hops/0\r\nLocation: /hops/1\r\n\r\n"
            .to_owned()
            .into_bytes(),
        "/to-long" => moved(&format!("/{}", "a".repeat(20_000))),
        "/html" => whole(b"<html><img src=x></html>"),
        "/svg" => whole(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        "/empty" => whole(b""),
        "/gzip" => ok("Content-Encoding: gzip\r\n", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]),
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/206" => status("206 Partial Content"),
        "/401" => {
            b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n".to_vec()
        }
        "/404" => status("404 Not Found"),
        "/500" => status("500 Internal Server Error"),
        "/lying" => ok(&format!("Content-Length: {}\r\n", file.len() + 9), &file),
        "/claims" => ok("Content-Length: 1099511627776\r\n", &file),
        "/large" => whole(&vec![0x89; MUCH]),
        "/endless" | "/stalled" => ok("", &file[..20]),
        "/half-head" => b"HTTP/1.1 200 OK\r\nConte".to_vec(),
        "/many-headers" => ok(&"A: b\r\n".repeat(100), &file),
        "/long-header" => ok(&format!("A: {}\r\n", "b".repeat(100_000)), &file),
        "/ssh" => b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        "/torn.png" => whole(&file[..file.len() / 2]),
        "/vast.png" => whole(&png(101, 0)),
        "/closed" | "/silent" => Vec::new(),
        other => panic!("no such path: {other}"),
    }
}

/// What the test's resolver says.
pub(crate) fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    let inside = IpAddr::from([10, 0, 0, 1]);
    match name {
        NAME => Ok(vec![Ipv4Addr::LOCALHOST.into()]),
        "inside.test" => Ok(vec![inside]),
        "mixed.test" => Ok(vec![Ipv4Addr::LOCALHOST.into(), inside]),
        "empty.test" => Ok(Vec::new()),
        "slow.test" => {
            std::thread::sleep(Duration::from_secs(3600));
            Ok(Vec::new())
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The world that tests live in: one address stands for the whole public internet.
pub(crate) fn surroundings(roots: RootCertStore) -> Surroundings {
    Surroundings {
        look_up: Arc::new(look_up),
        may_dial: |address| address == Ipv4Addr::LOCALHOST,
        roots,
    }
}

/// Bounds that tests run into soon.
pub(crate) fn limits() -> FetchLimits {
    FetchLimits {
        timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(1),
        max_fetches_per_host: 2,
        ..FetchLimits::standard(4096)
    }
}

/// A server that fetches from `allowed`.
pub(crate) fn fetching(
    engine: &Arc<ScriptedEngine>,
    allowed: &[String],
    surroundings: Surroundings,
    limits: FetchLimits,
) -> Router {
    router(fetching_state(engine, allowed, surroundings, limits))
}

/// The same before it has routes.
pub(crate) fn fetching_state(
    engine: &Arc<ScriptedEngine>,
    allowed: &[String],
    surroundings: Surroundings,
    limits: FetchLimits,
) -> AppState {
    let allowed = allowed.iter().map(|domain| domain.parse().expect("a domain")).collect();
    let policy = PictureUrlPolicy { allowed };
    let mut state = http_kit::state_with(engine, http_kit::settings());
    let model = Arc::get_mut(&mut state.model).expect("nobody else has it yet");
    model.limits.picture_urls = policy.clone();
    state.fetcher = Arc::new(PictureFetcher::new(policy, limits, surroundings));
    state
}
