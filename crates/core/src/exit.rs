//! What a program's exit code means: one table, which `lockstep exit-codes` prints and docs/exit-codes.md repeats.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// Clean: done, in step, or equal.
pub const OK: u8 = 0;
/// The verifier found a difference, `lockstep explain` a row that is wrong; any other program failed.
pub const DIFFERENT: u8 = 1;
/// The verifier found nothing but changes that are still on their way; a row that is explained is.
pub const IN_FLIGHT: u8 = 2;
/// The verifier could not finish; a row that is to be explained could not be looked at everywhere.
pub const UNFINISHED: u8 = 3;
/// Settings are wrong or missing; nothing was started (`EX_CONFIG` of `sysexits.h`).
pub const CONFIGURATION: u8 = 78;

/// What each code means wherever nothing else is said of a command.
const MEANINGS: [(u8, &str); 5] = [
    (OK, "done, in step, or equal; with --watch: ended by Ctrl-C or q"),
    (DIFFERENT, "it failed, or something is wrong or differs"),
    (IN_FLIGHT, "not yet: it goes on by itself, or the same command continues it"),
    (UNFINISHED, "not known: not everything could be looked at"),
    (CONFIGURATION, "the command line, the settings or a definition is wrong; nothing was started"),
];

/// What the codes of a command mean where it says more than that it was done or failed.
const OF_COMMANDS: [(&str, &[(u8, &str)]); 21] = [
    ("lockstep access check", &[(DIFFERENT, "somebody reads, or may do, what he should not")]),
    ("lockstep access revoke", &[(DIFFERENT, "a user stands in a file, from which it has to be taken")]),
    ("lockstep destination add", &[(DIFFERENT, "something is not well there; nothing was added")]),
    ("lockstep destination change", &[(DIFFERENT, "something is not well there; nothing was changed")]),
    ("lockstep destination rotate-key", &[(DIFFERENT, "old keys are still needed")]),
    ("lockstep destination test", &[(DIFFERENT, "something is not well there")]),
    ("lockstep doctor", &[(DIFFERENT, "something is to be done, or could not be looked at")]),
    ("lockstep erase", &[(IN_FLIGHT, "not erased yet; the erasure continues")]),
    (
        "lockstep events test",
        &[(DIFFERENT, "a sink did not take it; it is tried again"), (IN_FLIGHT, "a sink was not told yet")],
    ),
    (
        "lockstep explain",
        &[
            (OK, "in step"),
            (DIFFERENT, "wrong"),
            (IN_FLIGHT, "on its way"),
            (UNFINISHED, "not looked at everywhere, or never seen anywhere"),
        ],
    ),
    (
        "lockstep init",
        &[(DIFFERENT, "a service does not answer, a right is wanting in Postgres, or a definition does not fit")],
    ),
    ("lockstep mapping check", &[(DIFFERENT, "definitions do not fit the source")]),
    ("lockstep migrate --check", &[(DIFFERENT, "something is to be done, or it failed")]),
    ("lockstep resync", &[(IN_FLIGHT, "not finished; the same command continues")]),
    ("lockstep rewind", &[(IN_FLIGHT, "not finished; the same command continues")]),
    (
        "lockstep status",
        &[
            (
                DIFFERENT,
                "a task fails, a program is kept from its work, puts it off or does not run while changes wait for it, tables in a tenant's database do not fit, or RabbitMQ does not answer, or has no queues while programs run",
            ),
            (UNFINISHED, "with --tenant: ClickHouse could not be asked, or a cursor is ahead of the source"),
        ],
    ),
    ("lockstep top", &[(DIFFERENT, "something is wrong"), (UNFINISHED, "not known: the source cannot be asked")]),
    ("lockstep verified", &[(DIFFERENT, "rows differ"), (UNFINISHED, "something is not proven")]),
    ("lockstep wait", &[(DIFFERENT, "rows were refused"), (IN_FLIGHT, "the time is up")]),
    (
        "lockstep-verifier, lockstep-verifier compare",
        &[(OK, "equal"), (DIFFERENT, "different"), (IN_FLIGHT, "only on its way"), (UNFINISHED, "could not finish")],
    ),
    ("lockstep-verifier self-test", &[(DIFFERENT, "not all was found, or mended"), (UNFINISHED, "could not finish")]),
];

/// The table for people.
pub fn text() -> String {
    let mut text = String::new();
    for (code, meaning) in MEANINGS {
        let _ = writeln!(text, "{code:>4}  {meaning}");
    }
    for (command, codes) in OF_COMMANDS {
        let _ = writeln!(text, "\n{command}");
        for (code, meaning) in codes {
            let _ = writeln!(text, "{code:>4}  {meaning}");
        }
    }
    text
}

/// The table for programs.
pub fn json() -> Value {
    let codes = |codes: &[(u8, &str)]| -> Vec<Value> {
        codes.iter().map(|(code, meaning)| json!({ "code": code, "meaning": meaning })).collect()
    };
    let commands: Vec<_> =
        OF_COMMANDS.iter().map(|(command, of)| json!({ "command": command, "codes": codes(of) })).collect();
    json!({ "codes": codes(&MEANINGS), "commands": commands })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_command_prints() {
        let page = include_str!("../../../docs/exit-codes.md");
        let said = page.split("```").nth(1).and_then(|block| block.strip_prefix("text\n")).unwrap_or_default();
        assert_eq!(said, text(), "put this into docs/exit-codes.md:\n{}", text());
    }
}
