//! Files that people write by hand: settings, secrets, keys, certificates. All are read here, so that the same holds of each.
//!
//! One is a regular file: a pipe would be waited for. It has a limit, and one that is longer is refused, never cut. The mark that
//! editors put before UTF-8 (`EF BB BF`) is not part of it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use secrecy::zeroize::Zeroizing;

/// A setting, a secret, or a file of keys has few lines; what is longer is none.
pub const SECRET_BYTES: u64 = 64 * 1024;
/// As many certificates as systems bring fill some hundred kilobytes.
pub const CERTIFICATES_BYTES: u64 = 8 * 1024 * 1024;
/// How UTF-8 may begin.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Reads a file of at most so many bytes.
///
/// # Errors
/// When it is no file, is longer, or cannot be read.
pub fn read(file: &Path, max_bytes: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    read_from(open(file)?, max_bytes)
}

/// Reads a file of text.
///
/// # Errors
/// As [`read`], and when it is no UTF-8.
pub fn read_text(file: &Path, max_bytes: u64) -> io::Result<Zeroizing<String>> {
    read_text_from(open(file)?, max_bytes)
}

/// Reads text from whatever it comes from: a file that was opened, or standard input.
///
/// # Errors
/// When it is longer, no UTF-8, or cannot be read.
pub fn read_text_from(source: impl Read, max_bytes: u64) -> io::Result<Zeroizing<String>> {
    let mut bytes = read_from(source, max_bytes)?;
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    text.map(Zeroizing::new).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is no text in UTF-8"))
}

/// Opens a regular file, and nothing that would be waited for.
pub(crate) fn open(file: &Path) -> io::Result<File> {
    if std::fs::metadata(file)?.is_file() { File::open(file) } else { Err(io::Error::other("it is no file")) }
}

fn read_from(source: impl Read, max_bytes: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    source.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("it has more than {max_bytes} bytes")));
    }
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_before_the_text_is_not_part_of_it() {
        for (bytes, text) in [("\u{feff}a\u{feff}b\n", "a\u{feff}b\n"), ("a", "a"), ("\u{feff}", ""), ("", "")] {
            assert_eq!(*read_text_from(bytes.as_bytes(), 16).unwrap(), text);
        }
    }

    #[test]
    fn what_is_longer_is_refused_and_never_cut() {
        assert_eq!(*read_text_from(&b"12345"[..], 5).unwrap(), "12345");
        let longer = read_text_from(&b"hunter"[..], 5).unwrap_err().to_string();
        assert_eq!(longer, "it has more than 5 bytes");
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let pipe = std::env::temp_dir().join(format!("lockstep-pipe-{}", uuid::Uuid::new_v4().simple()));
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), &std::env::temp_dir(), Path::new("/dev/zero")] {
            assert_eq!(read(path, 5).unwrap_err().to_string(), "it is no file", "{}", path.display());
        }
        std::fs::remove_file(&pipe).unwrap();
        assert_eq!(read(&pipe, 5).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read_text_from(&[0xff_u8][..], 5).unwrap_err().to_string().contains("UTF-8"));
    }
}
