//! Whether a RabbitMQ broker answers, told by the beginning of an AMQP handshake.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(2);
const FRAME_LIMIT_BYTES: usize = 131_072;

/// Opens a connection and reads the version from the `connection.start` that the broker sends (AMQP 0-9-1, 4.2.2).
pub(super) fn version(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    stream.write_all(b"AMQP\0\0\x09\x01").ok()?;
    // Type, channel, and the length of the payload.
    let mut head = [0; 7];
    stream.read_exact(&mut head).ok()?;
    let length = usize::try_from(u32::from_be_bytes([head[3], head[4], head[5], head[6]])).ok()?;
    let mut payload = vec![0; Some(length).filter(|length| *length < FRAME_LIMIT_BYTES)?];
    stream.read_exact(&mut payload).ok()?;
    version_in(&payload)
}

/// The long string `version` of the server's properties.
fn version_in(payload: &[u8]) -> Option<String> {
    const FIELD: &[u8] = b"\x07versionS";
    let start = payload.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let length = payload.get(start..start + 4)?.try_into().map(u32::from_be_bytes).ok()?;
    let value = payload.get(start + 4..start + 4 + usize::try_from(length).ok()?)?;
    String::from_utf8(value.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_among_the_properties() {
        let payload = b"\0\x0a\0\x0a\0\x09\0\0\0\x20\x07productS\0\0\0\x02AB\x07versionS\0\0\0\x063.10.8\x04moreS";
        assert_eq!(version_in(payload).as_deref(), Some("3.10.8"));
        assert_eq!(version_in(b"\x07versionS\0\0\0\xff3.10"), None);
    }
}
