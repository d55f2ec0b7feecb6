//! Who may ask: the `Host` header must name this server and `Origin`, when there is one, must be this
//! server's own, so that neither a foreign page nor a name that was bound anew to this address reads
//! tables. Every answer carries headers that keep the page from loading anything of another origin.

use crate::App;
use crate::error::ServeError;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// Nothing but this origin's own scripts, styles, images and connections.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The names this server answers to.
#[derive(Debug)]
pub(crate) struct Guard {
    listen: SocketAddr,
    names: Vec<String>,
}

impl Guard {
    pub(crate) fn new(listen: SocketAddr, names: Vec<String>) -> Self {
        Self { listen, names }
    }

    fn check(&self, headers: &HeaderMap) -> Result<(), ServeError> {
        let host = text(headers, header::HOST).unwrap_or_default();
        if !self.is_ours(host) {
            return Err(ServeError::HostNotAllowed(host.to_owned()));
        }
        match text(headers, header::ORIGIN) {
            Some(origin) if !self.is_own_origin(origin) => {
                Err(ServeError::OriginNotAllowed(origin.to_owned()))
            }
            _ => Ok(()),
        }
    }

    fn is_own_origin(&self, origin: &str) -> bool {
        let rest = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|host| self.is_ours(host))
    }

    fn is_ours(&self, authority: &str) -> bool {
        let Ok(parsed) = authority.parse::<Authority>() else {
            return false;
        };
        if parsed.as_str().contains('@') {
            return false;
        }
        let host = parsed.host();
        if self
            .names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(authority) || name.eq_ignore_ascii_case(host))
        {
            return true;
        }
        parsed.port_u16().unwrap_or(80) == self.listen.port() && self.is_own_host(host)
    }

    /// An address cannot be bound anew by a name server, so any will do when we listen on all of them.
    fn is_own_host(&self, host: &str) -> bool {
        let all = self.listen.ip().is_unspecified();
        if host.eq_ignore_ascii_case("localhost") {
            return all || self.listen.ip().is_loopback();
        }
        match host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            Ok(ip) => {
                all || ip == self.listen.ip()
                    || (ip.is_loopback() && self.listen.ip().is_loopback())
            }
            Err(_) => false,
        }
    }
}

/// A header that is there more than once or is no text is as good as wrong.
fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    if values.next().is_some() {
        return Some("");
    }
    Some(first.to_str().unwrap_or(""))
}

/// Puts the check in front of all routes and the headers on all answers.
pub(crate) fn around(routes: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    routes.layer(from_fn_with_state(Arc::clone(app), check))
}

async fn check(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = match app.guard.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(listen: &str, names: &[&str], authority: &str) -> bool {
        let names = names.iter().map(ToString::to_string).collect();
        Guard::new(listen.parse().unwrap(), names).is_ours(authority)
    }

    /// A loopback server answers to its address and to localhost, with its port, and to nothing else.
    #[test]
    fn a_loopback_server_knows_its_names() {
        let listen = "127.0.0.1:8080";
        for good in [
            "127.0.0.1:8080",
            "localhost:8080",
            "LOCALHOST:8080",
            "[::1]:8080",
            "127.0.0.2:8080",
        ] {
            assert!(ours(listen, &[], good), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "localhost:80",
            "evil.example:8080",
            "10.0.0.1:8080",
            "localhost.evil.example:8080",
            "a@localhost:8080",
        ] {
            assert!(!ours(listen, &[], bad), "{bad}");
        }
    }

    /// A server on all addresses answers to any address, never to a name that was not given.
    #[test]
    fn a_server_on_all_addresses_takes_addresses_and_given_names() {
        let listen = "0.0.0.0:8080";
        for good in [
            "10.1.2.3:8080",
            "[fe80::1]:8080",
            "localhost:8080",
            "desk.example:8080",
            "desk.example:9999",
        ] {
            assert!(ours(listen, &["desk.example"], good), "{good}");
        }
        assert!(!ours(listen, &["desk.example:8080"], "desk.example:9999"));
        assert!(!ours(listen, &["desk.example"], "evil.example:8080"));
    }

    /// A header given twice is refused, not read once.
    #[test]
    fn two_host_headers_are_refused() {
        let guard = Guard::new("127.0.0.1:8080".parse().unwrap(), vec![]);
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, HeaderValue::from_static("localhost:8080"));
        assert!(guard.check(&headers).is_ok());
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(guard.check(&headers).is_err());
    }
}
