//! Lines at the end of a file, or on standard output.

use std::fs::{File, OpenOptions};
use std::io::{Error, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;
use std::thread;

use lockstep_core::settings::EventsTo;
use tokio::sync::{OwnedMutexGuard, oneshot};

/// Appends lines; keeps `turn` until that has ended, even where nobody waits for it any more. A thread of its own, which nobody waits
/// for at the end of the program either.
pub(super) async fn append(to: EventsTo, lines: String, turn: OwnedMutexGuard<()>) -> Result<()> {
    let (ended, end) = oneshot::channel();
    thread::Builder::new().name("tell events".to_owned()).spawn(move || {
        let written = write(&to, lines.as_bytes());
        drop(turn);
        drop(ended.send(written));
    })?;
    end.await.unwrap_or_else(|_| Err(Error::other("the thread that writes has ended")))
}

/// The file is opened each time: one that was rotated away is made anew.
fn write(to: &EventsTo, lines: &[u8]) -> Result<()> {
    match to {
        EventsTo::StandardOutput => {
            let mut output = std::io::stdout().lock();
            output.write_all(lines)?;
            output.flush()
        }
        EventsTo::File(path) => {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            // A pipe has no end to look at, and no disk.
            if !file.metadata()?.is_file() {
                return file.write_all(lines);
            }
            if is_cut_off(path)? {
                file.write_all(b"\n")?;
            }
            file.write_all(lines)?;
            file.sync_data()
        }
        EventsTo::Webhook(_) => Err(Error::other("a webhook takes no lines")),
    }
}

/// Whether the last line has no end, as after a disk was full in the middle of it.
fn is_cut_off(path: &Path) -> Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_off_is_ended_and_a_file_that_was_taken_away_is_made_anew() {
        let name = format!("lockstep-lines-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let to = EventsTo::File(path.clone());
        for lines in [b"whole\n".as_slice(), b"cut o", b"next\n", b"last\n"] {
            write(&to, lines).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\ncut o\nnext\nlast\n");
        std::fs::remove_file(&path).unwrap();
        write(&to, b"anew\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "anew\n");
        std::fs::remove_file(&path).unwrap();
    }
}
