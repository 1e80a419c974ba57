//! A second door for probes alone, on a thread and a runtime of its own: neither a full house at the
//! serving port nor a runtime with too much to do keeps a supervisor from its answer. Knows sockets and
//! threads; what the answer is, the router knows.

use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listener::{ConnectionLimits, serve};

/// A few supervisors ask every few seconds, and each is answered at once: whoever takes longer than that
/// is not one of them.
const LIMITS: ConnectionLimits = ConnectionLimits {
    max_connections: 64,
    head_timeout: Duration::from_secs(5),
    write_timeout: Duration::from_secs(5),
};

/// Answers probes until it is dropped.
#[derive(Debug)]
pub struct ProbeListener {
    address: SocketAddr,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl ProbeListener {
    /// Answers connections to `address` with `router` from now on.
    ///
    /// # Errors
    /// If the address is taken, or the operating system has no thread to give.
    pub fn start(address: SocketAddr, router: Router) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener)?
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("probes".to_owned()).spawn(move || {
            // Nothing is drained here: a probe that is cut off at the end says what is true.
            let answering = serve(listener, router, LIMITS, CancellationToken::new());
            runtime.block_on(stopped.run_until_cancelled(answering));
        })?;
        Ok(Self { address, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ProbeListener {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(Err(_panic)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the probes' thread ended by a defect");
        }
    }
}
