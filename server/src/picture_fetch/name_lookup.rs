//! Names to addresses by the system's resolver, which blocks: on threads of its own, a bounded number at a time, so
//! that names which nobody answers for hold up neither requests nor the daemon's end.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use tokio::sync::{Semaphore, oneshot};

use super::FetchError;

/// A name's addresses. Blocks as long as it takes.
pub type LookUp = Arc<dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync>;

/// The system's own.
pub fn system() -> LookUp {
    Arc::new(|name| {
        Ok((name, 0).to_socket_addrs()?.map(|address: SocketAddr| address.ip()).collect())
    })
}

/// Looks names up, some at a time.
pub(super) struct NameLookup {
    look_up: LookUp,
    threads: Arc<Semaphore>,
}

impl NameLookup {
    pub(super) fn new(look_up: LookUp, max_at_a_time: usize) -> Self {
        Self { look_up, threads: Arc::new(Semaphore::new(max_at_a_time)) }
    }

    /// All addresses of `name`, at least one. Whoever stops waiting leaves the thread, and its place, to the
    /// resolver.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, FetchError> {
        let thread = Arc::clone(&self.threads).acquire_owned().await;
        let thread = thread.map_err(|_closed| FetchError::UnknownName)?;
        let (tell, told) = oneshot::channel();
        let (look_up, name) = (Arc::clone(&self.look_up), name.to_owned());
        let job = move || {
            let _nobody_waits = tell.send(look_up(&name));
            drop(thread);
        };
        let spawned = std::thread::Builder::new().name("name-lookup".to_owned()).spawn(job);
        spawned.map_err(|_| FetchError::NoRoom)?;
        match told.await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(FetchError::UnknownName),
        }
    }
}
