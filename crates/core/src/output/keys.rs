//! A terminal that is read key by key.

use std::io::{self, IsTerminal, Read};

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use crate::shutdown::Shutdown;

/// Keys are read one by one, and not shown, until this is dropped.
pub struct Keys {
    before: Termios,
}

impl Keys {
    /// Has `q` stop what is under way, as Ctrl-C does. Returns `None` where nobody types.
    pub fn quit(stop: &Shutdown) -> Option<Self> {
        let input = io::stdin();
        // Whoever changes a terminal from its background is stopped by it.
        let is_ours = input.is_terminal() && tcgetpgrp(&input).is_ok_and(|group| group == getpgrp());
        let before = is_ours.then(|| tcgetattr(&input).ok()).flatten()?;
        let mut by_key = before.clone();
        by_key.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Now, &by_key).ok()?;
        let stop = stop.clone();
        // It ends with the process: a terminal that is read cannot be let go of.
        std::thread::spawn(move || {
            let mut key = [0];
            while matches!(io::stdin().read(&mut key), Ok(1)) {
                if key == *b"q" {
                    return stop.cancel();
                }
            }
        });
        Some(Self { before })
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}
