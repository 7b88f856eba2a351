//! Where values come from, and what is refused of a configuration file.

use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser};
use uuid::Uuid;

use super::*;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    settings: SettingsArgs,
}

/// What a command line gives, whatever the environment of this test is.
fn parse(words: &[&str]) -> SettingsArgs {
    let command = Program::command().mut_args(|flag| flag.env(None::<&'static str>));
    let matches = command.try_get_matches_from([&["program"], words].concat()).unwrap();
    Program::from_arg_matches(&matches).unwrap().settings
}

/// A file of its own, removed when dropped.
struct Written(PathBuf);

impl Written {
    fn new(text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lockstep-{}.toml", Uuid::new_v4().simple()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn parse(&self, flags: &[&str]) -> SettingsArgs {
        let file = format!("--config={}", self.0.display());
        parse(&[&[file.as_str()], flags].concat())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn of<'a>(args: &'a SettingsArgs, name: &str) -> &'a ShownSetting {
    args.shown().iter().find(|setting| setting.name == name).unwrap()
}

#[test]
fn flags_go_before_the_file_and_the_file_before_defaults() {
    let file = Written::new("queue_prefix = \"theirs\"\nmax_value_bytes = 1048576\n\nlog_format = \"json\"\n");
    let args = file.parse(&["--queue-prefix", "mine"]);
    let settings = args.resolve(Needs::default()).unwrap();
    assert_eq!((settings.queue_prefix.as_str(), settings.max_value_bytes), ("mine", 1_048_576));
    assert_eq!(of(&args, "queue_prefix").origin, Origin::Flag("--queue-prefix".to_owned()));
    let path = file.0.display().to_string();
    assert_eq!(of(&args, "log_format").origin, Origin::File { path, line: 4 });
    let default = of(&args, "clickhouse_raw_database");
    assert_eq!((default.value.as_deref(), &default.origin), (Some("analytics_internal"), &Origin::Default));
}

#[test]
fn paths_in_the_file_are_taken_from_its_directory_and_a_flag_replaces_a_secret_of_it() {
    let file = Written::new("source_url_file = \"secrets/source\"\ntls_ca_file = \"/etc/ca.pem\"\n");
    let args = file.parse(&[]);
    let beside = file.0.parent().unwrap().join("secrets/source").display().to_string();
    assert_eq!(of(&args, "source_url_file").value.as_deref(), Some(beside.as_str()));
    assert_eq!(of(&args, "tls_ca_file").value.as_deref(), Some("/etc/ca.pem"));
    let args = file.parse(&["--source-url", "postgres://me:hunter2@db/app"]);
    let authority = Written::new("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let replaced =
        file.parse(&["--source-url", "postgres://me:hunter2@db/app", "--tls-ca-file", authority.0.to_str().unwrap()]);
    let settings = replaced.resolve(Needs { source: true, ..Needs::default() }).unwrap();
    assert_eq!(settings.source_url.expose(), "postgres://me:hunter2@db/app");
    assert_eq!(of(&args, "source_url").value.as_deref(), Some("postgres://db/app"));
    assert!(!format!("{:?}", args.shown()).contains("hunter2"));
}

#[test]
fn everything_wrong_with_the_file_is_said_with_its_line_and_no_secret() {
    let text = "queue_prefx = \"x\"\nclickhouse_password = \"hunter2\"\namqp_url = \"amqp://me:hunter2@host\"\n\
                clickhouse_url = \"http://me:hunter2@host\"\nlisten = true\nlog_format = \"xml\"\nconfig = \"x\"\n";
    let file = Written::new(text);
    let said = file.parse(&[]).resolve(Needs::default()).unwrap_err().to_string();
    for expected in [
        ":1: no setting is called queue_prefx; did you mean queue_prefix?",
        ":2: clickhouse_password: a secret does not stand in this file; write it to a file of its own, and name that: \
         clickhouse_password_file",
        ":3: amqp_url: a URL with a password does not stand in this file",
        ":4: clickhouse_url: a URL with a password does not stand in this file; leave user and password out of it",
        ":5: listen must be a text in quotes, or a number",
        "LOCKSTEP_LOG_FORMAT must be",
        ":7: no setting is called config",
    ] {
        assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
    }
    assert!(!said.contains("hunter2"));
    let broken = Written::new("queue_prefix = \"ok\"\nclickhouse_password = hunter2\n");
    let said = broken.parse(&[]).resolve(Needs::default()).unwrap_err().to_string();
    assert!(said.contains(":2: ") && !said.contains("hunter2"), "{said}");
}

#[test]
fn a_file_that_is_named_has_to_be_there_and_one_without_passwords_may_hold_urls() {
    let args = parse(&["--config", "/nonexistent/lockstep.toml"]);
    let said = args.resolve(Needs::default()).unwrap_err().to_string();
    assert!(said.contains("/nonexistent/lockstep.toml: cannot read this configuration file"), "{said}");
    let file = Written::new("source_url = \"postgres://app@db/main\"\n");
    let settings = file.parse(&[]).resolve(Needs { source: true, ..Needs::default() }).unwrap();
    assert_eq!(settings.source_url.expose(), "postgres://app@db/main");
    assert!(Path::new(&file.0).exists());
}

#[test]
fn whatever_is_empty_in_the_file_is_not_given() {
    let names: Vec<_> = flags().iter().filter_map(name_of).collect();
    for value in ["", " "] {
        let file = Written::new(&names.iter().map(|name| format!("{name} = \"{value}\"\n")).collect::<String>());
        let args = file.parse(&[]);
        args.resolve(Needs::default()).unwrap();
        let defaults = parse(&[]);
        for name in &names {
            assert_eq!(of(&args, name).value, of(&defaults, name).value, "{name} = {value:?}");
        }
        assert_eq!(args.as_file().text, "");
    }
}

/// A flag without a variable could not stand in the file.
#[test]
fn every_flag_but_the_file_itself_has_a_name_in_the_file() {
    let nameless: Vec<_> =
        flags().iter().filter(|flag| name_of(flag).is_none()).map(|flag| flag.get_id().to_string()).collect();
    assert_eq!(nameless, ["config"]);
}

#[test]
fn what_was_given_can_be_written_down_and_read_again_with_its_secrets_apart() {
    let flags = ["--source-url=postgres://me:hunter2@db/app", "--queue-prefix=\"x", "--amqp-url=amqp://host"];
    let written = parse(&[&flags[..], &["--tls-ca-file=ca.pem"]].concat()).as_file();
    assert!(!written.text.contains("hunter2"), "{}", written.text);
    let secrets: Vec<_> = written.secrets.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(secrets, ["source_url"]);
    let read = Written::new(&written.text).parse(&[]);
    assert_eq!(of(&read, "amqp_url").value.as_deref(), Some("amqp://host"));
    assert!(of(&read, "tls_ca_file").value.as_deref().is_some_and(|path| Path::new(path).is_absolute()));
    assert!(of(&read, "source_url_file").value.as_deref().is_some_and(|path| path.ends_with("secrets/source_url")));
}

#[test]
fn addresses_of_webhooks_are_not_shown_and_are_written_to_a_file_of_their_own() {
    let args = parse(&["--events-webhooks", "pager=https://hooks.example.com/hunter2,chat=https://h/?t=hunter2"]);
    assert_eq!(of(&args, "events_webhooks").value.as_deref(), Some("set"));
    let written = args.as_file();
    assert!(!written.text.contains("hunter2"), "{}", written.text);
    let [(name, secret)] = &written.secrets[..] else { panic!("{written:?}") };
    assert_eq!(name, "events_webhooks");
    let lines = ["pager=https://hooks.example.com/hunter2", "chat=https://h/?t=hunter2"].join("\n");
    assert_eq!(secrecy::ExposeSecret::expose_secret(secret), lines);
    let file = Written::new("events_webhooks = \"pager=https://hooks.example.com/hunter2\"\n");
    let refused = file.parse(&[]).resolve(Needs::default()).unwrap_err().to_string();
    assert!(refused.contains("events_webhooks_file = ") && !refused.contains("hunter2"), "{refused}");
}

/// What is written down leaves no secret out: only the URL of ClickHouse has no file, and holds none.
#[test]
fn every_secret_can_stand_in_a_file_of_its_own() {
    let flags = flags();
    let names: Vec<_> = flags.iter().filter_map(name_of).collect();
    let secrets = flags.iter().filter(|flag| flag.is_hide_env_values_set()).filter_map(name_of);
    let without: Vec<_> = secrets.filter(|name| !names.contains(&format!("{name}_file"))).collect();
    assert_eq!(without, ["clickhouse_url"]);
}

#[test]
fn a_file_lacks_what_it_gives_another_value_or_none_however_it_is_written() {
    let path = Path::new("here/lockstep.toml");
    let absolute = std::path::absolute("here/secrets/source").unwrap();
    let there = format!(
        "\u{feff}# mine\nlisten = \"0.0.0.0:1\"\nsource_url_file = \"{}\"\nmax_value_bytes = \"5\"\n",
        absolute.display()
    );
    let lacking = |text: &str| super::super::lacking(path, text, &there);
    assert_eq!(lacking("max_value_bytes = 5\nsource_url_file = \"./secrets/source\"\n"), Vec::<String>::new());
    assert_eq!(lacking("max_value_bytes = 6\nqueue_prefix = \"x\"\n"), ["max_value_bytes", "queue_prefix"]);
    assert_eq!(super::super::lacking(path, "listen = \"x\"", "listen = \"x"), ["listen"]);
}

#[test]
fn a_file_of_settings_or_of_a_secret_may_begin_with_a_mark_and_has_a_limit() {
    let secret = Written::new("\u{feff}postgres://me@db/app\r\n");
    let long = Written::new(&"x".repeat(70_000));
    let file = Written::new(&format!("\u{feff}source_url_file = \"{}\"\n", secret.0.display()));
    let of_source = Needs { source: true, ..Needs::default() };
    assert_eq!(file.parse(&[]).resolve(of_source).unwrap().source_url.expose(), "postgres://me@db/app");
    let args = parse(&["--clickhouse-password-file", long.0.to_str().unwrap()]);
    let said = args.resolve(Needs::default()).unwrap_err().to_string();
    assert!(
        said.contains("LOCKSTEP_CLICKHOUSE_PASSWORD_FILE: cannot read ") && said.contains("more than 65536 bytes"),
        "{said}"
    );
    let longer = Written::new(&"#".repeat(300_000));
    let said = longer.parse(&[]).resolve(Needs::default()).unwrap_err().to_string();
    assert!(said.contains("cannot read this configuration file: it has more than 262144 bytes"), "{said}");
}
