//! Whether a service answers as itself: an open port alone says nothing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

/// A Kafka broker is up when its metadata names a broker: itself.
pub(crate) fn kafka(bootstrap: &str) -> bool {
    // Metadata (3), version 1, correlation 1, client "w", no topics.
    const REQUEST: &[u8] = b"\0\0\0\x0f\0\x03\0\x01\0\0\0\x01\0\x01w\0\0\0\0";
    let answer = exchange(bootstrap, REQUEST, 12);
    // Length, correlation, number of brokers.
    answer.is_some_and(|answer| answer.len() >= 12 && answer[8..12] != [0; 4])
}

/// A registry is up when it lists its subjects.
pub(crate) fn registry(url: &str) -> bool {
    let Some((host, path)) = url
        .strip_prefix("http://")
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    let request =
        format!("GET /{path}/subjects HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    exchange(host, request.as_bytes(), 12).is_some_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
}

/// Sends a request and reads at least `enough` bytes of the answer.
fn exchange(address: &str, request: &[u8], enough: usize) -> Option<Vec<u8>> {
    let address: SocketAddr = address.parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = vec![0; enough];
    stream.read_exact(&mut answer).ok()?;
    Some(answer)
}
