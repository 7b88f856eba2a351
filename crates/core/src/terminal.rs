//! Asking somebody at a terminal for what nobody else should see.

use std::io::{self, BufRead, Read, Stdin};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::output::write_aside;

/// What is longer is cut: nobody types so much.
const LINE_BYTES: u64 = 4096;

/// Shows what is typed again when it is dropped.
struct Hidden {
    stdin: Stdin,
    before: Termios,
}

impl Hidden {
    fn begin() -> io::Result<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin)?;
        let mut hidden = before.clone();
        hidden.local_modes -= LocalModes::ECHO;
        hidden.local_modes |= LocalModes::ECHONL;
        tcsetattr(&stdin, OptionalActions::Flush, &hidden)?;
        Ok(Self { stdin, before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(&self.stdin, OptionalActions::Flush, &self.before);
    }
}

/// Asks a question on standard error, and reads the answer without showing it.
///
/// # Errors
/// When standard input is no terminal, or cannot be read.
pub fn ask_hidden(question: &str) -> io::Result<Vec<u8>> {
    let _hidden = Hidden::begin()?;
    write_aside(question);
    read_line()
}

/// The first line of standard input, without its end.
///
/// # Errors
/// When it cannot be read.
pub fn read_line() -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    io::stdin().lock().take(LINE_BYTES).read_until(b'\n', &mut line)?;
    while line.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        line.pop();
    }
    Ok(line)
}
