//! Whether a PostgreSQL server answers, told by a login: a port that is bound is not yet a database that is ready.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// No message of a login is nearly as long.
const MESSAGE_LIMIT_BYTES: usize = 65_536;

/// Logs in and reads the version that the server announces.
/// The messages: <https://www.postgresql.org/docs/current/protocol-message-formats.html>.
pub(super) fn version(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).ok()?;
    let startup = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
    stream.write_all(startup).ok()?;
    let mut version = None;
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]).checked_sub(4)?;
        let mut body = vec![0; usize::try_from(length).ok().filter(|length| *length < MESSAGE_LIMIT_BYTES)?];
        stream.read_exact(&mut body).ok()?;
        match head[0] {
            // ParameterStatus: name and value, each ended by a zero byte.
            b'S' if body.starts_with(b"server_version\0") => {
                let value = body[b"server_version\0".len()..].split(|byte| *byte == 0).next()?;
                version = String::from_utf8(value.to_vec()).ok();
            }
            // ReadyForQuery; now Terminate, so that the server logs no lost client.
            b'Z' => {
                let _ = stream.write_all(b"X\0\0\0\x04");
                return version.and_then(|version| Some(version.split_whitespace().next()?.to_owned()));
            }
            b'E' => return None,
            _ => {}
        }
    }
}
