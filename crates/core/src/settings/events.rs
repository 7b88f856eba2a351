//! Where operators are told of events.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hyper::Uri;

use super::check::{Check, given, has_wrong_port};
use crate::secret::SecretUrl;
use crate::webhook_secrets::{WebhookSecrets, WebhookSecretsError};

/// Webhooks of one installation: each is asked for by itself, and has its own metrics.
const MAX_WEBHOOKS: usize = 8;
/// The name of what is appended to a file, or to standard output.
const LINES: &str = "lines";
const WEBHOOKS: &str = "LOCKSTEP_EVENTS_WEBHOOKS";
const FORM: &str = "each must be NAME=URL, with a name of at most 32 letters, digits, _ or -";

/// Flags about events.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct EventArgs {
    /// File that events are appended to, one JSON object a line, or - for standard output
    #[arg(long, env = "LOCKSTEP_EVENTS_TO", value_name = "FILE|-", global = true)]
    pub(super) events_to: Option<String>,
    /// Webhooks that events are sent to, each with a name of yours: pager=https://hooks.internal/lockstep. A comma separates
    /// them; one within a URL is written as %2C
    #[arg(long, env = "LOCKSTEP_EVENTS_WEBHOOKS", hide_env_values = true, value_name = "NAME=URL,…", global = true)]
    pub(super) events_webhooks: Option<String>,
    /// File that holds the webhooks, NAME=URL, one a line. A comma is part of its URL
    #[arg(long, env = "LOCKSTEP_EVENTS_WEBHOOKS_FILE", value_name = "FILE", global = true)]
    pub(super) events_webhooks_file: Option<PathBuf>,
    /// File with the secrets that webhooks are signed with, one a line: NAME:whsec_BASE64. Each of a name's secrets signs
    #[arg(long, env = "LOCKSTEP_EVENTS_SECRET_FILE", value_name = "FILE", global = true)]
    pub(super) events_secret_file: Option<PathBuf>,
    /// Whether webhooks of other machines may be http://, which everybody on the way reads: on or off (default: off)
    #[arg(long, env = "LOCKSTEP_EVENTS_PLAIN_HTTP", value_name = "on|off", global = true)]
    pub(super) events_plain_http: Option<String>,
}

/// Who is told of events, and what that takes.
#[derive(Clone, Default, Debug)]
pub struct EventSettings {
    /// Everybody who is told: no other list of them is kept.
    pub sinks: Vec<EventSink>,
    /// The file of webhooks' secrets. It is read when one is needed, so that others are taken up without a restart.
    pub secret_file: Option<PathBuf>,
}

/// One that is told of events.
#[derive(Clone, Debug)]
pub struct EventSink {
    /// As in `lockstep.event_sink` and in metrics.
    pub name: String,
    /// Where it is.
    pub to: EventsTo,
}

/// Where events are told.
#[derive(Clone, Debug)]
pub enum EventsTo {
    /// On standard output.
    StandardOutput,
    /// At the end of this file.
    File(PathBuf),
    /// By a request to this address.
    Webhook(SecretUrl),
}

impl EventArgs {
    pub(super) fn resolve(&self, check: &mut Check) -> EventSettings {
        let lines = self.lines(check).map(|to| EventSink { name: LINES.to_owned(), to });
        let webhooks = self.webhooks(check);
        let secret_file = self.events_secret_file.clone().filter(|file| !file.as_os_str().is_empty());
        let names: Vec<_> = webhooks.iter().map(|sink| sink.name.as_str()).collect();
        lacks(&names, secret_file.as_deref()).into_iter().for_each(|lack| check.problem(lack.to_string()));
        EventSettings { sinks: lines.into_iter().chain(webhooks).collect(), secret_file }
    }

    fn lines(&self, check: &mut Check) -> Option<EventsTo> {
        let to = given(self.events_to.as_deref())?;
        if to == "-" {
            return Some(EventsTo::StandardOutput);
        }
        let file = PathBuf::from(to);
        let has_directory = file.parent().is_some_and(|parent| parent.as_os_str().is_empty() || parent.is_dir());
        if !has_directory || file.is_dir() {
            check.problem(format!("LOCKSTEP_EVENTS_TO must be a file in a directory that is there, or -: {to}"));
        }
        Some(EventsTo::File(file))
    }

    fn webhooks(&self, check: &mut Check) -> Vec<EventSink> {
        let allows_plain = check.on_or_off("LOCKSTEP_EVENTS_PLAIN_HTTP", self.events_plain_http.as_deref());
        let from = (self.events_webhooks.as_deref(), self.events_webhooks_file.as_deref());
        let text = check.secret(WEBHOOKS, from).unwrap_or_default();
        // In the file a comma may be part of a URL.
        let is_file = given(self.events_webhooks.as_deref()).is_none();
        let entries: Vec<_> = if is_file { text.lines().collect() } else { listed(&text).collect() };
        let mut sinks: Vec<EventSink> = Vec::new();
        for (at, entry) in entries.into_iter().map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
            if at > 0 && !is_file && !is_webhook(entry) {
                // It may be a piece of the URL before it, and what looks like a name in it a secret.
                check.problem(format!(
                    "{WEBHOOKS}: {FORM}; what follows a comma here is none: within a URL it is written as %2C"
                ));
                continue;
            }
            match webhook(entry, allows_plain) {
                Ok(sink) if sinks.iter().any(|other| other.name == sink.name) => {
                    check.problem(format!("{WEBHOOKS}: {} is there twice", sink.name));
                }
                Ok(sink) => sinks.push(sink),
                Err(why) => check.problem(format!("{WEBHOOKS}: {why}")),
            }
        }
        if sinks.len() > MAX_WEBHOOKS {
            check.problem(format!("{WEBHOOKS}: {MAX_WEBHOOKS} webhooks at most, and these are {}", sinks.len()));
        }
        sinks
    }
}

/// The webhooks of the variable.
fn listed(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n'])
}

/// What the variable holds, as the file has it.
pub(super) fn one_a_line(text: &str) -> String {
    listed(text).map(str::trim).filter(|entry| !entry.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Why requests to these webhooks cannot be signed, and which lines of the file are no secrets.
fn lacks(webhooks: &[&str], file: Option<&Path>) -> Vec<WebhookSecretsError> {
    if webhooks.is_empty() {
        return Vec::new();
    }
    match WebhookSecrets::load(file) {
        Ok(secrets) => {
            let of_webhooks = webhooks.iter().filter_map(|name| secrets.of(name).err());
            of_webhooks.chain(secrets.of_nobody(webhooks)).collect()
        }
        Err(unread) => vec![unread],
    }
}

/// What is wrong is said by the webhook's name: its address may hold a secret.
fn webhook(entry: &str, allows_plain: bool) -> Result<EventSink, String> {
    let (name, url) = entry.split_once('=').ok_or(FORM)?;
    let (name, url) = (name.trim(), url.trim());
    if !is_name(name) {
        return Err(FORM.to_owned());
    }
    if name == LINES {
        return Err(format!("{LINES} is the name of what LOCKSTEP_EVENTS_TO says; take another"));
    }
    if url.split(',').skip(1).any(is_webhook) {
        return Err(format!(
            "{name}: another webhook follows it behind a comma; the file has one a line, and where that is part of the URL the comma is written as %2C"
        ));
    }
    let parsed: Uri = url.parse().map_err(|_| format!("{name}: this is no URL"))?;
    let host = parsed.host().filter(|host| !host.is_empty()).ok_or_else(|| format!("{name}: its URL names no host"))?;
    if parsed.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(format!("{name}: its URL must not hold a user or password: requests are signed"));
    }
    if has_wrong_port(&parsed) {
        return Err(format!("{name}: the port in its URL must be a number from 1 to 65535"));
    }
    match parsed.scheme_str() {
        Some("https") => {}
        Some("http") if allows_plain || is_loopback(host) => {}
        Some("http") => {
            return Err(format!("{name}: its URL must start with https://, unless LOCKSTEP_EVENTS_PLAIN_HTTP is on"));
        }
        _ => return Err(format!("{name}: its URL must start with https://")),
    }
    Ok(EventSink { name: name.to_owned(), to: EventsTo::Webhook(SecretUrl::new(url)) })
}

fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    !name.is_empty() && name.len() <= 32 && name.bytes().all(is_plain)
}

/// Whether this looks like a webhook, and not like a piece of a URL.
fn is_webhook(text: &str) -> bool {
    // A scheme may be written in either case.
    let is_url = |(scheme, _): (&str, &str)| ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    text.split_once('=')
        .is_some_and(|(name, url)| is_name(name.trim()) && url.trim().split_once("://").is_some_and(is_url))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn resolved(args: &EventArgs) -> (Vec<String>, Vec<String>) {
        let mut check = Check::default();
        let sinks = args.resolve(&mut check).sinks;
        (sinks.iter().map(|sink| format!("{} {:?}", sink.name, sink.to)).collect(), check.problems().to_vec())
    }

    #[test]
    fn events_go_to_a_file_in_a_directory_that_is_there_or_to_standard_output() {
        let to = |text: &str| resolved(&EventArgs { events_to: Some(text.to_owned()), ..EventArgs::default() });
        assert_eq!(to(" "), (Vec::new(), Vec::new()));
        assert_eq!(to("-").0, ["lines StandardOutput"]);
        assert_eq!(to("events.jsonl"), (vec![r#"lines File("events.jsonl")"#.to_owned()], Vec::new()));
        assert_eq!(to("/nonexistent/events.jsonl").1.len(), 1);
        assert_eq!(to("/").1.len(), 1);
    }

    /// Without a word of secrets.
    fn webhooks(list: &str, plain: &str) -> (Vec<String>, Vec<String>) {
        let given = |text: &str| Some(text.to_owned());
        let args = EventArgs { events_webhooks: given(list), events_plain_http: given(plain), ..EventArgs::default() };
        let (sinks, mut problems) = resolved(&args);
        problems.retain(|problem| !problem.starts_with("LS-0516"));
        (sinks, problems)
    }

    #[test]
    fn webhooks_have_names_and_plain_http_stays_on_the_machine() {
        let (sinks, problems) = webhooks("a=https://h/x?t=hunter2, b=http://[::1]:9/\nc=http://LOCALHOST/,", "off");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(sinks.len(), 3);
        assert!(sinks[0].starts_with("a Webhook") && !sinks[0].contains("hunter2"), "{sinks:?}");
        assert_eq!(webhooks("a=http://10.0.0.7/", "off").1.len(), 1);
        assert_eq!(webhooks("a=http://10.0.0.7/", "on").1.len(), 0);
    }

    /// The addresses of a file's webhooks, and what is wrong with them.
    fn of_file(text: &str) -> (Vec<String>, Vec<String>) {
        let path = std::env::temp_dir().join(format!("lockstep-webhooks-{}", uuid::Uuid::new_v4().simple()));
        std::fs::write(&path, text).unwrap();
        let mut check = Check::default();
        let sinks =
            EventArgs { events_webhooks_file: Some(path.clone()), ..EventArgs::default() }.resolve(&mut check).sinks;
        std::fs::remove_file(&path).unwrap();
        let address = |sink: &EventSink| match &sink.to {
            EventsTo::Webhook(url) => format!("{} {}", sink.name, url.expose()),
            other => panic!("{other:?}"),
        };
        let problems = check.problems().iter().filter(|problem| !problem.starts_with("LS-0516")).cloned();
        (sinks.iter().map(address).collect(), problems.collect())
    }

    #[test]
    fn a_comma_is_part_of_a_url_in_the_file_and_separates_in_the_variable() {
        let lines = of_file("\u{feff}pager=https://h/x?to=a,b,c=d\r\n\nchat=https://h/\n");
        assert_eq!(lines, (vec!["pager https://h/x?to=a,b,c=d".to_owned(), "chat https://h/".to_owned()], Vec::new()));
        let written = one_a_line("pager=https://h/x?to=a%2Cb, chat=https://h/,\nlast=https://h/");
        assert_eq!(written, "pager=https://h/x?to=a%2Cb\nchat=https://h/\nlast=https://h/");
        assert_eq!(webhooks(&written.replace('\n', ","), "off").0.len(), 3);
        let (_, problems) = of_file("pager=https://h/hunter2, chat=https://h/hunter2");
        assert_eq!(
            problems,
            [format!(
                "{WEBHOOKS}: pager: another webhook follows it behind a comma; the file has one a line, and where that is part of \
                 the URL the comma is written as %2C"
            )]
        );
    }

    /// Only behind a comma does another webhook begin.
    #[test]
    fn a_url_that_holds_what_looks_like_a_webhook_is_one_url() {
        for url in
            ["https://h/?next=https://other/", "https://h/a=https://b=https://c/", "https://h/?to=x%2Cb=https://other/"]
        {
            assert_eq!(of_file(&format!("a={url}")), (vec![format!("a {url}")], Vec::new()));
            assert_eq!(webhooks(&format!("a={url},b=HTTPS://h/"), "off").0.len(), 2, "{url}");
        }
        assert_eq!(of_file("a=https://h/,b=HTTPS://h/").1.len(), 1);
    }

    /// Of what is set for two webhooks, with a file that holds this.
    fn of_secrets(text: Option<&str>) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("lockstep-secrets-{}", uuid::Uuid::new_v4().simple()));
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        let args = EventArgs {
            events_webhooks: Some("pager=https://h:65535/,chat=https://h/".to_owned()),
            events_secret_file: text.is_some().then(|| path.clone()),
            ..EventArgs::default()
        };
        let (_, problems) = resolved(&args);
        if text.is_some() {
            std::fs::remove_file(&path).unwrap();
        }
        problems
    }

    #[test]
    fn webhooks_without_a_secret_are_refused_wherever_settings_are_read() {
        const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(of_secrets(Some(&format!("pager:{SECRET}\nchat:{SECRET}"))), Vec::<String>::new());
        let missing = of_secrets(None);
        assert!(missing.len() == 1 && missing[0].contains("LOCKSTEP_EVENTS_SECRET_FILE is missing"), "{missing:?}");
        let problems = of_secrets(Some(&format!("pager:{SECRET}\npager:whsec_hunter2\nhunter2\nother:{SECRET}")));
        for (problem, said) in
            problems.iter().zip(["line 2: the secret is not", "no secret of chat", "line 3: there is"])
        {
            assert!(problem.starts_with("LS-0516: ") && problem.contains(said), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        assert_eq!(problems.len(), 3, "{problems:?}");
    }

    #[test]
    fn a_webhook_that_is_wrong_is_named_and_its_address_is_not_shown() {
        let many: Vec<_> = (0..9).map(|n| format!("w{n}=https://h/")).collect();
        for (list, said) in [
            ("hunter2", "each must be NAME=URL"),
            ("a b=https://hunter2/", "each must be NAME=URL"),
            ("lines=https://hunter2/", "lines is the name of"),
            ("a=https://h/hunter2 /", "a: this is no URL"),
            ("a=/hunter2", "a: its URL names no host"),
            ("a=https://me:hunter2@h/", "a: its URL must not hold a user"),
            ("a=ftp://h/hunter2", "a: its URL must start with https://"),
            ("a=http://h/hunter2", "a: its URL must start with https://, unless"),
            ("a=https://h:65536/hunter2", "a: the port in its URL must be"),
            ("a=https://[::1]:99999/hunter2", "a: the port in its URL must be"),
            ("a=https://h:0/hunter2", "a: the port in its URL must be"),
            ("a=https://h:/hunter2", "a: the port in its URL must be"),
            ("a=https://h/hunter2,a=https://h/", "a is there twice"),
            ("a=https://h/?to=b,hunter2=c", "each must be NAME=URL"),
            ("a=https://h:+5/hunter2", "a: the port in its URL must be"),
            (&many.join(","), "8 webhooks at most"),
        ] {
            let (_, problems) = webhooks(list, "off");
            assert!(problems.len() == 1 && problems[0].starts_with(&format!("{WEBHOOKS}: {said}")), "{problems:?}");
            assert!(!problems[0].contains("hunter2"), "{problems:?}");
        }
    }
}
