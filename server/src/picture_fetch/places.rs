//! How many fetches there are at a time, in all and from one host.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::request::PictureUrl;

/// Places for fetches.
pub(super) struct Places {
    all: Arc<Semaphore>,
    per_host: usize,
    /// Hosts that somebody fetches from or waits for: no more than there are requests in preparation.
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    _all: Option<OwnedSemaphorePermit>,
    _host: HostPlace,
}

impl Places {
    pub(super) fn new(all: usize, per_host: usize) -> Arc<Self> {
        let all = Arc::new(Semaphore::new(all));
        Arc::new(Self { all, per_host, hosts: Mutex::default() })
    }

    /// Waits for a place to fetch `url` from.
    pub(super) async fn take(self: &Arc<Self>, url: &PictureUrl) -> Place {
        let name = url.host().to_string();
        // The host's own first: whoever waits for a busy host keeps nobody from another one.
        let mut host =
            HostPlace { places: Arc::clone(self), host: self.host(&name), name, permit: None };
        host.permit = Arc::clone(&host.host).acquire_owned().await.ok();
        let all = Arc::clone(&self.all).acquire_owned().await.ok();
        Place { _all: all, _host: host }
    }

    fn host(&self, name: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        let host = hosts.entry(name.to_owned());
        Arc::clone(host.or_insert_with(|| Arc::new(Semaphore::new(self.per_host))))
    }
}

/// A share in a host, taken or waited for.
struct HostPlace {
    places: Arc<Places>,
    host: Arc<Semaphore>,
    name: String,
    permit: Option<OwnedSemaphorePermit>,
}

impl Drop for HostPlace {
    fn drop(&mut self) {
        drop(self.permit.take());
        let mut hosts = self.places.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        // The map's and this one: nobody else has it, and nobody gets it without the lock.
        if Arc::strong_count(&self.host) == 2 {
            hosts.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::PictureUrlPolicy;

    fn url(text: &str) -> PictureUrl {
        let allowed = vec!["*".parse().expect("a domain")];
        PictureUrl::parse(text, &PictureUrlPolicy { allowed }).expect("a URL")
    }

    #[tokio::test]
    async fn a_busy_host_keeps_nobody_from_another_one_and_is_forgotten_afterwards() {
        let places = Places::new(3, 2);
        let (busy, other) = (url("http://busy.example/"), url("http://other.example/"));
        let first = places.take(&busy).await;
        let second = places.take(&busy).await;
        let mut third = Box::pin(places.take(&busy));
        assert!(futures_poll(&mut third).await.is_none(), "two at a time");
        drop(places.take(&other).await);
        drop(first);
        let third = third.await;
        drop((second, third));
        assert!(places.hosts.lock().expect("unpoisoned").is_empty());
        assert_eq!(places.all.available_permits(), 3);
    }

    async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
