//! Which `http` and `https` URLs a picture may be fetched from, judged by their text alone. One parser (the
//! WHATWG's, of the `url` crate) reads a URL once; what was judged is what is dialled. Resolves no name and
//! opens no connection.

use std::str::FromStr;

use url::{Host, Url};

use super::PictureUrlFault;

/// Longer URLs, as they are written or as they are sent, are nobody's: proxies and servers stop here.
const MAX_URL_BYTES: usize = 8192;
/// Ports of an allowed host for which none is listed.
const WEB_PORTS: [u16; 2] = [80, 443];

/// Where pictures may be fetched from. Nowhere, unless somebody says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PictureUrlPolicy {
    /// Any of these.
    pub allowed: Vec<AllowedDomain>,
}

/// A host that pictures may be fetched from: `HOST`, `HOST:PORT`, `*` or `*:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedDomain {
    /// `None` is every one.
    host: Option<Host>,
    /// `None` is 80 and 443.
    port: Option<u16>,
}

impl FromStr for AllowedDomain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = || format!("`{text}` is no HOST, HOST:PORT or *");
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, Some(port.parse().map_err(|_| wanted())?))
            }
            Some(_) | None => (text, None),
        };
        if host == "*" {
            return Ok(Self { host: None, port });
        }
        Ok(Self { host: Some(Host::parse(host).map_err(|_| wanted())?), port })
    }
}

impl AllowedDomain {
    fn allows_host(&self, host: Host<&str>) -> bool {
        self.host.as_ref().is_none_or(|allowed| match (allowed, host) {
            (Host::Domain(allowed), Host::Domain(host)) => allowed == host,
            (Host::Ipv4(allowed), Host::Ipv4(host)) => *allowed == host,
            (Host::Ipv6(allowed), Host::Ipv6(host)) => *allowed == host,
            (Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_), _) => false,
        })
    }

    fn allows_port(&self, port: u16) -> bool {
        self.port.map_or(WEB_PORTS.contains(&port), |allowed| allowed == port)
    }
}

impl PictureUrlPolicy {
    /// Whether anything may be fetched at all.
    pub fn is_enabled(&self) -> bool {
        !self.allowed.is_empty()
    }
}

/// A URL that may be fetched from, as far as its text tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureUrl(Url);

impl PictureUrl {
    /// Reads and judges `text`.
    ///
    /// # Errors
    /// What is wrong with it. An address is not judged here: that is done where it is dialled.
    pub fn parse(text: &str, policy: &PictureUrlPolicy) -> Result<Self, PictureUrlFault> {
        if !policy.is_enabled() {
            return Err(PictureUrlFault::FetchingDisabled);
        }
        if !is_plain(text) {
            return Err(PictureUrlFault::NotFetchable);
        }
        let url = Url::parse(text).map_err(|_| PictureUrlFault::NotFetchable)?;
        Self::judge(url, policy)
    }

    /// Where a redirection to `location` leads, judged like any other.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn redirected(
        &self,
        location: &str,
        policy: &PictureUrlPolicy,
    ) -> Result<Self, PictureUrlFault> {
        // A location may be relative; the parser would pass over what makes others read it differently.
        if location.len() > MAX_URL_BYTES || !has_only_plain_bytes(location) {
            return Err(PictureUrlFault::NotFetchable);
        }
        let url = self.0.join(location).map_err(|_| PictureUrlFault::NotFetchable)?;
        Self::judge(url, policy)
    }

    fn judge(url: Url, policy: &PictureUrlPolicy) -> Result<Self, PictureUrlFault> {
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(PictureUrlFault::NotFetchable);
        };
        let is_web = matches!(url.scheme(), "http" | "https");
        // Judged again, now as it is sent: what has to be escaped grows to three times its length.
        let is_short = url.as_str().len() <= MAX_URL_BYTES;
        if !is_web || !is_short || !url.username().is_empty() || url.password().is_some() {
            return Err(PictureUrlFault::NotFetchable);
        }
        let mut allowed =
            policy.allowed.iter().filter(|domain| domain.allows_host(host.clone())).peekable();
        if allowed.peek().is_none() {
            return Err(PictureUrlFault::HostNotAllowed);
        }
        if !allowed.any(|domain| domain.allows_port(port)) {
            return Err(PictureUrlFault::PortNotAllowed);
        }
        Ok(Self(url))
    }

    /// Whether it is to be fetched by TLS.
    pub fn is_secure(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Name or address, without the brackets of IPv6.
    pub fn host(&self) -> Host<&str> {
        self.0.host().expect("a judged URL has a host")
    }

    /// The port to dial.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().expect("a judged URL has a port")
    }

    /// The `Host` header: the host, and the port where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// What is asked of the host: path and query.
    pub fn target(&self) -> String {
        let path = self.0.path();
        self.0.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }
}

/// Whether `text` is one that every parser reads alike: an authority behind exactly two slashes, nothing that the
/// standard's parser drops or turns round in silence (tabs, line ends, blanks, backslashes).
fn is_plain(text: &str) -> bool {
    let behind_scheme = text.split_once(':').and_then(|(_, rest)| rest.strip_prefix("//"));
    text.len() <= MAX_URL_BYTES
        && has_only_plain_bytes(text)
        && behind_scheme.is_some_and(|rest| !rest.starts_with('/'))
}

fn has_only_plain_bytes(text: &str) -> bool {
    text.bytes().all(|byte| byte > b' ' && byte != 0x7f && byte != b'\\')
}
