//! The program: exit codes, health and metrics.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use lockstep_testkit::databases::eventually;

use super::fixture::{Fixture, SOON};

/// Killed when a test fails.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn wrong_settings_are_told_as_one_list_and_nothing_is_started() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lockstep-sequencer"));
    let output = command.env_clear().env("LOCKSTEP_LISTEN", "nowhere").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for name in ["LOCKSTEP_SOURCE_URL", "LOCKSTEP_AMQP_URL", "LOCKSTEP_CLICKHOUSE_URL", "LOCKSTEP_LISTEN"] {
        assert!(said.contains(name), "{name} is missing in:\n{said}");
    }
}

fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn it_says_how_it_is_and_ends_cleanly() {
    let fixture = Fixture::new().await;
    let tenancy = fixture.tenancy(1).await;
    // Free a moment ago; another process takes it in between once in a very long while.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let mut command = fixture.program();
    command.env("LOCKSTEP_LISTEN", &address).env("LOCKSTEP_LOG", "warn").stdin(Stdio::null());
    let mut process = Process(command.spawn().unwrap());
    let ready = async || Ok(get(&address, "/readyz")?.starts_with("HTTP/1.1 200"));
    eventually("the sequencer to be ready", SOON, ready).await.unwrap();
    fixture.users(tenancy, 0, 3).await;
    let counted = async || {
        let metrics = get(&address, "/metrics")?;
        let shows = |line: &str| metrics.lines().any(|shown| shown.starts_with(line));
        Ok(shows("lockstep_sequencer_changes_total 3")
            && shows("lockstep_sequencer_leader 1")
            && shows("lockstep_sequencer_passes_total")
            && shows("lockstep_sequencer_publish_seconds"))
    };
    eventually("the metrics to show three users", SOON, counted).await.unwrap();
    Command::new("kill").arg(process.0.id().to_string()).status().unwrap();
    let ended = async || Ok(process.0.try_wait()?.is_some());
    eventually("the sequencer to end", SOON, ended).await.unwrap();
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
    fixture.remove().await;
}
