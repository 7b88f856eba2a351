//! Settings: the same names as flags and in the environment, for every program; wrong ones are reported as one list.

mod check;
mod command_line;
mod destinations;
mod events;
mod file;
mod mappings;
mod origin;
mod variables;
mod written;

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

use self::check::{Check, given};
pub use self::command_line::parse_command_line;
pub use self::destinations::{DestinationArgs, DestinationSettings, DestinationTls};
pub use self::events::{EventArgs, EventSettings, EventSink, EventsTo};
pub use self::mappings::{BuiltInMappings, MappingArgs, MappingSources};
pub use self::origin::{Origin, SettingsArgs, ShownSetting};
pub use self::variables::unknown_variables;
pub use self::written::{WrittenSettings, lacking};
use crate::secret::SecretUrl;
use crate::telemetry::LogFormat;

/// Flags that every program accepts; each has an environment variable of the same name with the prefix `LOCKSTEP_`, and
/// may stand in the configuration file in lower case without it.
///
/// An empty variable counts as not given. Every secret can also come from a file. This is the one list of them: names in the
/// file, what is a secret and what is a path follow from it.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Connections and settings")]
struct Flags {
    /// Configuration file (default: lockstep.toml here, else /etc/lockstep/lockstep.toml)
    #[arg(long, env = "LOCKSTEP_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Postgres that holds the truth: postgres://user:password@host:5432/database?sslmode=require
    #[arg(long, env = "LOCKSTEP_SOURCE_URL", hide_env_values = true, value_name = "URL", global = true)]
    source_url: Option<String>,
    /// File that holds the source URL
    #[arg(long, env = "LOCKSTEP_SOURCE_URL_FILE", value_name = "FILE", global = true)]
    source_url_file: Option<PathBuf>,
    /// Streaming replica of that database, for what workers read most of, which `doctor` looks at; everything else stays there
    #[arg(long, env = "LOCKSTEP_SOURCE_READ_URL", hide_env_values = true, value_name = "URL", global = true)]
    source_read_url: Option<String>,
    /// File that holds the replica's URL
    #[arg(long, env = "LOCKSTEP_SOURCE_READ_URL_FILE", value_name = "FILE", global = true)]
    source_read_url_file: Option<PathBuf>,
    /// RabbitMQ: amqp://user:password@host:5672/vhost (amqps:// for TLS)
    #[arg(long, env = "LOCKSTEP_AMQP_URL", hide_env_values = true, value_name = "URL", global = true)]
    amqp_url: Option<String>,
    /// File that holds the RabbitMQ URL
    #[arg(long, env = "LOCKSTEP_AMQP_URL_FILE", value_name = "FILE", global = true)]
    amqp_url_file: Option<PathBuf>,
    /// ClickHouse over HTTP: http://host:8123 (https:// for TLS)
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_URL", hide_env_values = true, value_name = "URL", global = true)]
    clickhouse_url: Option<String>,
    /// ClickHouse user (default: default)
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_USER", value_name = "NAME", global = true)]
    clickhouse_user: Option<String>,
    /// ClickHouse password
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_PASSWORD", hide_env_values = true, value_name = "SECRET", global = true)]
    clickhouse_password: Option<String>,
    /// File that holds the ClickHouse password
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_PASSWORD_FILE", value_name = "FILE", global = true)]
    clickhouse_password_file: Option<PathBuf>,
    /// ClickHouse database of the raw tables and cursors (default: analytics_internal)
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_RAW_DATABASE", value_name = "NAME", global = true)]
    clickhouse_raw_database: Option<String>,
    /// ClickHouse database of the views that tenants read (default: default)
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_VIEW_DATABASE", value_name = "NAME", global = true)]
    clickhouse_view_database: Option<String>,
    /// ClickHouse cluster that tables are spread over, replicated where its shards have replicas; none: one server
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_CLUSTER", value_name = "NAME", global = true)]
    clickhouse_cluster: Option<String>,
    /// Whether ClickHouse writes each insert to its disk before it acknowledges it: on or off (default: off)
    #[arg(long, env = "LOCKSTEP_CLICKHOUSE_FSYNC", value_name = "on|off", global = true)]
    clickhouse_fsync: Option<String>,
    /// What the names of exchanges and queues start with (default: lockstep)
    #[arg(long, env = "LOCKSTEP_QUEUE_PREFIX", value_name = "PREFIX", global = true)]
    queue_prefix: Option<String>,
    #[command(flatten)]
    mappings: MappingArgs,
    /// File with certificate authorities (PEM) to trust beside the system's, for all three services
    #[arg(long, env = "LOCKSTEP_TLS_CA_FILE", value_name = "FILE", global = true)]
    tls_ca_file: Option<PathBuf>,
    /// Bytes of one value of a row, as text; a row with a longer one goes into quarantine (default: 16777216)
    #[arg(long, env = "LOCKSTEP_MAX_VALUE_BYTES", value_name = "BYTES", global = true)]
    max_value_bytes: Option<String>,
    /// What is logged, as a tracing filter (default: info,lapin=off)
    #[arg(long, env = "LOCKSTEP_LOG", value_name = "FILTER", global = true)]
    log: Option<String>,
    /// How it is logged: pretty or json (default: pretty)
    #[arg(long, env = "LOCKSTEP_LOG_FORMAT", value_name = "FORMAT", global = true)]
    log_format: Option<String>,
    /// Address for health and Prometheus metrics, such as 0.0.0.0:9464; off when empty
    #[arg(long, env = "LOCKSTEP_LISTEN", value_name = "ADDRESS", global = true)]
    listen: Option<String>,
    #[command(flatten)]
    destinations: DestinationArgs,
    #[command(flatten)]
    events: EventArgs,
}

/// Which services a program cannot do without.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs {
    /// It reads or writes the source database.
    pub source: bool,
    /// It speaks to RabbitMQ.
    pub amqp: bool,
    /// It speaks to ClickHouse.
    pub clickhouse: bool,
}

/// How to reach ClickHouse, and what Lockstep's databases there are called.
#[derive(Clone, Debug)]
pub struct ClickHouseSettings {
    /// HTTP interface. Empty when not configured and not needed.
    pub url: SecretUrl,
    /// User that may create and write the tables.
    pub user: String,
    /// Its password; empty means none.
    pub password: SecretString,
    /// Database of raw tables and cursors.
    pub raw_database: String,
    /// Database of views.
    pub view_database: String,
    /// Cluster whose servers hold the tables; none: the one server does.
    pub cluster: Option<String>,
    /// Whether an insert is on the disk before it is acknowledged.
    pub fsync: bool,
}

/// Settings that were checked. Services that were not named in [`Needs`] may have empty URLs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The source database.
    pub source_url: SecretUrl,
    /// Whether operations open sessions there in which Postgres refuses every write. No flag sets it: the console does.
    pub source_read_only: bool,
    /// A streaming replica of it, from which workers read changes; none: they read them from the source itself.
    pub source_read_url: Option<SecretUrl>,
    /// The broker.
    pub amqp_url: SecretUrl,
    /// The analytics side.
    pub clickhouse: ClickHouseSettings,
    /// What the names of exchanges and queues start with.
    pub queue_prefix: String,
    /// Where the definitions of mappings come from.
    pub mappings: MappingSources,
    /// Further certificate authorities.
    pub tls_ca_file: Option<PathBuf>,
    /// Bytes of one value of a row: a row with a longer one is refused, and goes into quarantine.
    pub max_value_bytes: usize,
    /// A tracing filter.
    pub log: String,
    /// For people or for machines.
    pub log_format: LogFormat,
    /// Where health and metrics are served.
    pub listen: Option<SocketAddr>,
    /// Tenants' own destinations.
    pub destinations: DestinationSettings,
    /// Where the sequencer that leads tells of events.
    pub events: EventSettings,
}

impl Settings {
    /// Hosts and ports of Lockstep's own services, which no tenant's destination may be.
    pub fn own_services(&self) -> Vec<(String, u16)> {
        let urls =
            [Some(&self.source_url), self.source_read_url.as_ref(), Some(&self.amqp_url), Some(&self.clickhouse.url)];
        urls.into_iter().flatten().flat_map(SecretUrl::places).collect()
    }
}

/// What a value may have unless it is set: 16 MiB. Postgres makes hundreds of megabytes of text of a few kilobytes of JSON.
pub const DEFAULT_MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;

/// Everything that is wrong with the settings, at once.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingsErrors(pub Vec<String>);

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "LS-0001: settings are wrong or missing; nothing was started:")?;
        for problem in &self.0 {
            writeln!(f, "  - {problem}")?;
        }
        write!(f, "Set each as a flag, as an environment variable or in lockstep.toml; --help lists them all.")
    }
}

impl std::error::Error for SettingsErrors {}

impl Flags {
    /// Checks all settings. What is wrong is added to `problems`; a setting that is wrong is as if it was not set.
    fn resolve(&self, needs: Needs, problems: &[String]) -> (Settings, Vec<String>) {
        let mut check = Check::after(problems);
        let source_url = check.url(
            "LOCKSTEP_SOURCE_URL",
            needs.source,
            (self.source_url.as_deref(), self.source_url_file.as_deref()),
            &["postgres://", "postgresql://"],
        );
        let source_read_url = check.url(
            "LOCKSTEP_SOURCE_READ_URL",
            false,
            (self.source_read_url.as_deref(), self.source_read_url_file.as_deref()),
            &["postgres://", "postgresql://"],
        );
        let source_read_url = Some(source_read_url).filter(|url| !url.expose().is_empty());
        let amqp_url = check.url(
            "LOCKSTEP_AMQP_URL",
            needs.amqp,
            (self.amqp_url.as_deref(), self.amqp_url_file.as_deref()),
            &["amqp://", "amqps://"],
        );
        let clickhouse = self.clickhouse(needs, &mut check);
        let settings = Settings {
            source_url,
            source_read_only: false,
            source_read_url,
            amqp_url,
            clickhouse,
            queue_prefix: check.queue_prefix(self.queue_prefix.as_deref()),
            mappings: self.mappings.resolve(&mut check),
            tls_ca_file: check.certificates("LOCKSTEP_TLS_CA_FILE", self.tls_ca_file.as_deref()),
            max_value_bytes: check.bytes(
                "LOCKSTEP_MAX_VALUE_BYTES",
                self.max_value_bytes.as_deref(),
                DEFAULT_MAX_VALUE_BYTES,
            ),
            log: check.log_filter(self.log.as_deref()),
            log_format: check.log_format(self.log_format.as_deref()),
            listen: check.listen(self.listen.as_deref()),
            destinations: self.destinations.resolve(&mut check),
            events: self.events.resolve(&mut check),
        };
        (settings, check.into_problems())
    }

    fn clickhouse(&self, needs: Needs, check: &mut Check) -> ClickHouseSettings {
        let url = check.http_url(
            "LOCKSTEP_CLICKHOUSE_URL",
            needs.clickhouse,
            self.clickhouse_url.as_deref(),
            "LOCKSTEP_CLICKHOUSE_USER and LOCKSTEP_CLICKHOUSE_PASSWORD_FILE or LOCKSTEP_CLICKHOUSE_PASSWORD",
        );
        let password = check.secret(
            "LOCKSTEP_CLICKHOUSE_PASSWORD",
            (self.clickhouse_password.as_deref(), self.clickhouse_password_file.as_deref()),
        );
        let clickhouse = ClickHouseSettings {
            url,
            user: given(self.clickhouse_user.as_deref()).unwrap_or("default").to_owned(),
            password: SecretString::from(password.unwrap_or_default()),
            raw_database: check.database(
                "LOCKSTEP_CLICKHOUSE_RAW_DATABASE",
                self.clickhouse_raw_database.as_deref(),
                "analytics_internal",
            ),
            view_database: check.database(
                "LOCKSTEP_CLICKHOUSE_VIEW_DATABASE",
                self.clickhouse_view_database.as_deref(),
                "default",
            ),
            cluster: given(self.clickhouse_cluster.as_deref())
                .map(|name| check.identifier("LOCKSTEP_CLICKHOUSE_CLUSTER", Some(name), "")),
            fsync: check.on_or_off("LOCKSTEP_CLICKHOUSE_FSYNC", self.clickhouse_fsync.as_deref()),
        };
        check.databases_differ(&clickhouse);
        clickhouse
    }
}

/// Whether a value counts as not given.
fn is_blank(value: &OsStr) -> bool {
    value.to_string_lossy().trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Needs = Needs { source: true, amqp: true, clickhouse: true };

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_no_secret_with_it() {
        let args = Flags {
            amqp_url: Some("http://hunter2@host".into()),
            clickhouse_raw_database: Some("a b".into()),
            clickhouse_url: Some("http://h:65536".into()),
            clickhouse_cluster: Some("a'b".into()),
            clickhouse_fsync: Some("yes".into()),
            clickhouse_password_file: Some("/nonexistent/secret".into()),
            max_value_bytes: Some("16M".into()),
            log_format: Some("xml".into()),
            listen: Some("nowhere".into()),
            ..Flags::default()
        };
        let said = SettingsErrors(args.resolve(ALL, &[]).1).to_string();
        for expected in [
            "LOCKSTEP_SOURCE_URL is missing",
            "LOCKSTEP_AMQP_URL must start with amqp:// or amqps://",
            "LOCKSTEP_CLICKHOUSE_URL: its port must be",
            "LOCKSTEP_CLICKHOUSE_RAW_DATABASE must be",
            "LOCKSTEP_CLICKHOUSE_CLUSTER must be",
            "LOCKSTEP_CLICKHOUSE_FSYNC must be on or off",
            "LOCKSTEP_CLICKHOUSE_PASSWORD_FILE: cannot read /nonexistent/secret",
            "LOCKSTEP_MAX_VALUE_BYTES must be a number of bytes, 1 at least, not \"16M\"",
            "LOCKSTEP_LOG_FORMAT must be",
            "LOCKSTEP_LISTEN must be",
        ] {
            assert!(said.contains(expected), "{expected:?} is missing in:\n{said}");
        }
        assert!(!said.contains("hunter2"));
    }

    #[test]
    fn names_that_are_the_services_own_are_refused() {
        let of_database = |name: &str| Flags { clickhouse_raw_database: Some(name.into()), ..Flags::default() };
        let of_queues = |prefix: &str| Flags { queue_prefix: Some(prefix.into()), ..Flags::default() };
        for (args, said) in [
            (of_database("system"), "LOCKSTEP_CLICKHOUSE_RAW_DATABASE must not be system: that is ClickHouse's own"),
            (of_database("INFORMATION_SCHEMA"), "LOCKSTEP_CLICKHOUSE_RAW_DATABASE must not be INFORMATION_SCHEMA"),
            (of_queues("amq.lockstep"), "LOCKSTEP_QUEUE_PREFIX must begin with neither `amq.`"),
            (of_queues("-x"), "LOCKSTEP_QUEUE_PREFIX must begin with neither `amq.`"),
        ] {
            let (_, problems) = args.resolve(Needs::default(), &[]);
            assert!(problems.len() == 1 && problems[0].starts_with(said), "{problems:?}");
        }
        for args in [of_database("System"), of_queues("amqp"), of_queues("a-amq.")] {
            assert_eq!(args.resolve(Needs::default(), &[]).1, Vec::<String>::new());
        }
    }

    #[test]
    fn the_url_of_clickhouse_holds_a_host_and_neither_user_nor_password() {
        let problems =
            |url: &str| Flags { clickhouse_url: Some(url.to_owned()), ..Flags::default() }.resolve(ALL, &[]).1;
        let of_url = |url: &str| {
            let said: Vec<_> =
                problems(url).into_iter().filter(|problem| problem.starts_with("LOCKSTEP_CLICKHOUSE_URL")).collect();
            assert!(!said.iter().any(|problem| problem.contains("hunter2")), "{said:?}");
            said
        };
        for (url, said) in [
            (
                "http://hunter2@h",
                "must not hold a user or password: set LOCKSTEP_CLICKHOUSE_USER and LOCKSTEP_CLICKHOUSE_PASSWORD",
            ),
            ("https://me:hunter2@h:8443", "must not hold a user"),
            ("http://h/?password=hunter2", "must not hold a user"),
            ("http://h:0", ": its port must be"),
            ("http://h:hunter2", ": its port must be"),
            ("http://[::1]:65536/", ": its port must be"),
            ("http://hunter2 x/", " is no URL"),
            ("http://", " is no URL"),
        ] {
            let all = of_url(url);
            assert!(all.len() == 1 && all[0].contains(said), "{url}: {all:?}");
        }
        for url in ["http://h", "https://[::1]:8443/", "http://h:8123/?x=a@b"] {
            assert_eq!(of_url(url), Vec::<String>::new(), "{url}");
        }
    }

    #[test]
    fn empty_counts_as_not_given_and_defaults_apply() {
        let args = Flags { listen: Some(String::new()), log: Some(" ".into()), ..Flags::default() };
        let (settings, problems) = args.resolve(Needs::default(), &[]);
        assert_eq!((settings.listen, problems), (None, Vec::new()));
        assert_eq!(settings.log, check::DEFAULT_LOG);
        assert_eq!(settings.max_value_bytes, DEFAULT_MAX_VALUE_BYTES);
        assert_eq!(settings.queue_prefix, "lockstep");
        assert_eq!(settings.clickhouse.raw_database, "analytics_internal");
        assert_eq!(settings.clickhouse.view_database, "default");
        assert!(settings.clickhouse.cluster.is_none() && !settings.clickhouse.fsync);
    }
}
