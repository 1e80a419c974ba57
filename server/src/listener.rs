//! From a listening socket to answered connections, with bounds on how many there are, how slowly a
//! request's head may come, how large it may be, and how long an answer may lie untaken. Knows HTTP/1.1
//! framing; no route and no model.
//!
//! `axum::serve` sets no timer (a head that never ends holds its connection for ever) and lets a head
//! grow to 400 KB, so the loop is our own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_io_timeout::TimeoutWriter;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Headers of a request at most; one more is answered 431.
const MAX_HEADERS: usize = 64;
/// Bytes of a request's head at most; one more is answered 431. Also what a connection buffers of its body.
const MAX_HEAD_BYTES: usize = 32 << 10;
/// How long to wait after the system refused a connection, for want of descriptors perhaps.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);

/// How much of the machine connections may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Open at a time; further ones wait in the system's backlog.
    pub max_connections: usize,
    /// A request's head must be complete this long after the connection was opened, or after the answer
    /// before it: idle connections are closed by this as well.
    pub head_timeout: Duration,
    /// A client that takes nothing of what is being sent to it for this long loses the connection, and
    /// with it the document.
    pub write_timeout: Duration,
}

/// Answers connections with `router` until `stop` is cancelled, then refuses new ones, closes the idle ones
/// and returns once the others are answered. Dropping the future leaves open connections to the runtime.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(limits.max_connections));
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            next = next => next,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, _peer))) => {
                let (router, stop) = (router.clone(), stop.clone());
                connections.spawn(connection(stream, router, limits, stop, place));
            }
            (_, Err(error)) if concerns_one_connection(&error) => {}
            (_, Err(error)) => {
                tracing::warn!(%error, "the system refuses connections");
                tokio::time::sleep(AFTER_REFUSAL).await;
            }
            (Err(_closed), _) => break, // nobody closes the semaphore
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// One connection, from its first request to its end. Holds its `place` as long.
async fn connection(
    stream: TcpStream,
    router: Router,
    limits: ConnectionLimits,
    stop: CancellationToken,
    _place: OwnedSemaphorePermit,
) {
    // Tokens are small and must not wait for one another; without this they only come later.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection that gathers small packets");
    }
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(MAX_HEADERS)
        .max_header_size(MAX_HEAD_BYTES)
        .max_buf_size(MAX_HEAD_BYTES);
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(limits.write_timeout));
    let stream = TokioIo::new(Box::pin(stream));
    let served = http.serve_connection(stream, TowerToHyperService::new(router));
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    // Clients that leave in the middle are everyday; the request's own span has said so.
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Whether `accept` failed for the connection it would have returned, which others do not mind.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
