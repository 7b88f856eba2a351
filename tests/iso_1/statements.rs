//! A ClickHouse that manages access by statements, as far as Lockstep can tell: a proxy before a real one.
//!
//! The embedded engine has no place for users that are made by statements. So statements about access stop here: the real
//! server says whether they can be parsed, and what they do is written down. Questions about access are answered by the real
//! server too, over what was written down.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use lockstep_mappings::clickhouse::literal;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The tables of `system` about access, as far as they are asked for.
const TABLES: [(&str, &str); 9] = [
    ("user_directories", "type String, params String"),
    (
        "row_policies",
        "short_name String, database String, table String, select_filter Nullable(String), is_restrictive UInt8, apply_to_all UInt8, apply_to_list Array(String), apply_to_except Array(String)",
    ),
    ("roles", "name String"),
    (
        "grants",
        "user_name Nullable(String), role_name Nullable(String), access_type String, database Nullable(String), table Nullable(String), column Nullable(String), is_partial_revoke UInt8, grant_option UInt8",
    ),
    ("role_grants", "user_name Nullable(String), role_name Nullable(String), granted_role_name String"),
    (
        "settings_profile_elements",
        "profile_name Nullable(String), user_name Nullable(String), index UInt64, setting_name Nullable(String), value Nullable(String), min Nullable(String), max Nullable(String), writability Nullable(String), inherit_profile Nullable(String)",
    ),
    ("quotas", "name String, keys Array(String), apply_to_list Array(String)"),
    (
        "quota_limits",
        "quota_name String, duration UInt32, max_queries Nullable(UInt64), max_execution_time Nullable(Float64)",
    ),
    ("users", "name String, storage String"),
];

const ABOUT_ACCESS: [&str; 9] = [
    "CREATE ROW POLICY",
    "CREATE ROLE",
    "CREATE SETTINGS PROFILE",
    "ALTER SETTINGS PROFILE",
    "CREATE QUOTA",
    "CREATE USER",
    "DROP USER",
    "GRANT",
    "REVOKE",
];

/// What was written down.
#[derive(Default)]
pub(super) struct State {
    /// Every statement about access, and every one that makes a view, in order.
    pub(super) ran: Vec<String>,
    /// So many more statements about access are done; the others are refused.
    pub(super) allowed: Option<usize>,
    /// Whether settings that begin with `SQL_` are known.
    pub(super) custom_settings: bool,
    /// Rows by table: whose they are, and their values as SQL.
    rows: BTreeMap<&'static str, Vec<(String, String)>>,
}

/// The proxy.
pub(super) struct ByStatements {
    url: String,
    state: Arc<Mutex<State>>,
    accepting: JoinHandle<()>,
}

impl ByStatements {
    /// Before the ClickHouse of this URL, with a user `default`.
    pub(super) async fn before(url: &str) -> Result<Self> {
        let upstream = url.strip_prefix("http://").context("a URL")?.trim_end_matches('/').to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let state = Arc::new(Mutex::new(State::fresh()));
        let shared = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (shared, upstream) = (Arc::clone(&shared), upstream.clone());
                // Whoever asked sees a connection that broke off.
                tokio::spawn(async move { serve(connection, &upstream, &shared).await.ok() });
            }
        });
        Ok(Self { url, state, accepting })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Looks at what was written down, or changes it.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("nobody panics with it"))
    }
}

impl Drop for ByStatements {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl State {
    /// A server where nothing was done.
    pub(super) fn fresh() -> Self {
        let mut state = Self { custom_settings: true, ..Self::default() };
        state.add("user_directories", "", "('local_directory', '{\"readonly\":false}')".to_owned());
        state.add("users", "default", "('default', 'users_xml')".to_owned());
        state
    }

    fn add(&mut self, table: &'static str, whose: &str, row: String) {
        self.rows.entry(table).or_default().push((whose.to_owned(), row));
    }

    fn remove(&mut self, table: &'static str, whose: &str) {
        self.rows.entry(table).or_default().retain(|(of, _)| of != whose);
    }

    /// What was done for a view is undone.
    pub(super) fn forget(&mut self, view: &str) {
        let named = literal(view);
        for table in ["row_policies", "grants"] {
            self.rows.entry(table).or_default().retain(|(_, row)| !row.contains(&named));
        }
    }

    fn has(&self, table: &str, whose: &str) -> bool {
        self.rows.get(table).is_some_and(|rows| rows.iter().any(|(of, _)| of == whose))
    }

    /// A question with the tables about access replaced by what was written down.
    fn placed(&self, query: &str) -> String {
        let mut placed = query.to_owned();
        for (table, structure) in TABLES {
            let rows: Vec<_> = self.rows.get(table).into_iter().flatten().map(|(_, row)| row.as_str()).collect();
            let source = match &*rows {
                [] => format!("null({})", literal(structure)),
                rows => format!("values({}, {})", literal(structure), rows.join(", ")),
            };
            placed = placed.replace(&format!("system.{table}"), &source);
        }
        if self.custom_settings { placed.replace(" SETTINGS SQL_tenancy_id = ''", "") } else { placed }
    }

    /// Does what a statement says.
    fn apply(&mut self, statement: &str) -> Result<()> {
        let names: Vec<_> = statement.split('`').skip(1).step_by(2).collect();
        let first = *names.first().context("a name")?;
        if statement.starts_with("CREATE ROW POLICY OR REPLACE ") {
            self.row_policy(statement, &names)?;
        } else if statement.starts_with("CREATE ROLE IF NOT EXISTS ") {
            self.remove("roles", first);
            self.add("roles", first, format!("({})", literal(first)));
        } else if statement.starts_with("ALTER SETTINGS PROFILE ") {
            self.ceilings(statement, first)?;
        } else if statement.starts_with("CREATE QUOTA OR REPLACE ") {
            self.quota(statement, &names)?;
        } else if statement.starts_with("GRANT SELECT ON ") && statement.ends_with(" WITH REPLACE OPTION") {
            self.grant(statement, &names)?;
        } else if statement.starts_with("CREATE USER ") {
            self.user(statement, first)?;
        } else if statement.starts_with("DROP USER ") {
            self.drop_user(first);
        } else if statement.starts_with("REVOKE ALL ON *.* ") {
            self.remove("grants", first);
        } else if statement.starts_with("GRANT `") {
            self.add("role_grants", names[1], format!("({}, NULL, {})", literal(names[1]), literal(first)));
        }
        Ok(())
    }

    fn row_policy(&mut self, statement: &str, names: &[&str]) -> Result<()> {
        let first = names[0];
        let (view, own) = (names[2], names[3]);
        // The server sets parentheses.
        let filter = between(statement, " USING ", " TO ")?;
        let filter =
            if filter == "1" { filter.to_owned() } else { format!("({})", filter.replace(" AND ", ") AND (")) };
        let restrictive = u8::from(statement.contains(" AS RESTRICTIVE "));
        let (to_all, to, except) = if statement.contains(" TO ALL EXCEPT ") {
            (1, String::new(), literal(own))
        } else {
            (0, literal(own), String::new())
        };
        let key = format!("{first} ON {view}");
        self.remove("row_policies", &key);
        let [name, database, view, filter] = [first, names[1], view, &filter].map(literal);
        self.add(
            "row_policies",
            &key,
            format!("({name}, {database}, {view}, {filter}, {restrictive}, {to_all}, [{to}], [{except}])"),
        );
        Ok(())
    }

    fn ceilings(&mut self, statement: &str, first: &str) -> Result<()> {
        self.remove("settings_profile_elements", first);
        for (element, index) in between(statement, "` SETTINGS ", "")?.split(", ").zip(0..) {
            let (setting, value) = element.split_once(" = ").context("a setting")?;
            let value = value.replace('\'', "");
            let words: Vec<_> = value.split(' ').map(literal).collect();
            let [min, max, writability] = match &*words {
                [_, constant] if constant == "'CONST'" => ["NULL", "NULL", "'CONST'"],
                [_, _, min, _, max] => [min, max, "NULL"],
                _ => anyhow::bail!("{element}"),
            };
            let row = format!(
                "({}, NULL, {index}, {}, {}, {min}, {max}, {writability}, NULL)",
                literal(first),
                literal(setting),
                words[0]
            );
            self.add("settings_profile_elements", first, row);
        }
        Ok(())
    }

    fn quota(&mut self, statement: &str, names: &[&str]) -> Result<()> {
        let first = names[0];
        let (duration, limits) =
            between(statement, " INTERVAL ", " TO ")?.split_once(" second MAX queries = ").context("limits")?;
        let (queries, time) = limits.split_once(", execution_time = ").context("time")?;
        for table in ["quotas", "quota_limits"] {
            self.remove(table, first);
        }
        self.add("quotas", first, format!("({}, ['user_name'], [{}])", literal(first), literal(names[1])));
        self.add("quota_limits", first, format!("({}, {duration}, {queries}, {time})", literal(first)));
        Ok(())
    }

    /// Refuses to give what is not protected.
    fn grant(&mut self, statement: &str, names: &[&str]) -> Result<()> {
        let (role, granted) = names.split_last().context("a role")?;
        self.remove("grants", role);
        for view in granted.chunks(2) {
            for policy in ["lockstep_only_own_place", "lockstep_own_place", "lockstep_itself"] {
                ensure!(
                    self.has("row_policies", &format!("{policy} ON {}", view[1])),
                    "granted before protected: {statement}"
                );
            }
            let row =
                format!("(NULL, {}, 'SELECT', {}, {}, NULL, 0, 0)", literal(role), literal(view[0]), literal(view[1]));
            self.add("grants", role, row);
        }
        Ok(())
    }

    fn user(&mut self, statement: &str, first: &str) -> Result<()> {
        ensure!(statement.starts_with("CREATE USER OR REPLACE ") || !self.has("users", first), "it is there: {first}");
        self.drop_user(first);
        self.add("users", first, format!("({}, 'local_directory')", literal(first)));
        let (profile, settings) = between(statement, " SETTINGS PROFILE ", "")?.split_once(", ").context("settings")?;
        let row = |index, setting: &str, value: &str, writability: &str, profile: &str| {
            format!("(NULL, {}, {index}, {setting}, {value}, NULL, NULL, {writability}, {profile})", literal(first))
        };
        self.add("settings_profile_elements", first, row(0, "NULL", "NULL", "NULL", profile));
        for (setting, index) in settings.split(", ").zip(1..) {
            let (setting, value) =
                setting.strip_suffix(" CONST").context("CONST")?.split_once(" = ").context("a value")?;
            // The server shows custom settings as literals.
            let element = row(index, &literal(setting), &literal(value), "'CONST'", "NULL");
            self.add("settings_profile_elements", first, element);
        }
        Ok(())
    }

    fn drop_user(&mut self, name: &str) {
        for table in ["users", "settings_profile_elements", "grants", "role_grants"] {
            self.remove(table, name);
        }
    }
}

/// The part of a statement between two texts, or after the first.
fn between<'a>(statement: &'a str, from: &str, to: &str) -> Result<&'a str> {
    let (_, after) = statement.split_once(from).with_context(|| format!("{from} in {statement}"))?;
    Ok(if to.is_empty() { after } else { after.rsplit_once(to).context("an end")?.0 })
}

async fn serve(connection: TcpStream, upstream: &str, state: &Mutex<State>) -> Result<()> {
    let mut connection = BufReader::new(connection);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        ensure!(connection.read_line(&mut line).await? > 0, "no request");
        match line.trim_end() {
            "" => break,
            line => head.push(line.to_owned()),
        }
    }
    let header = |name: &str| {
        head.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(str::trim).map(str::to_owned))
    };
    let body = match header("content-length:") {
        Some(length) => {
            let mut body = vec![0; length.parse()?];
            connection.read_exact(&mut body).await?;
            body
        }
        None => chunks(&mut connection).await?,
    };
    let text = String::from_utf8(body)?;
    let about_access = ABOUT_ACCESS.iter().any(|words| text.starts_with(words));
    let (sent, is_allowed) = {
        let mut state = state.lock().expect("nobody panics with it");
        if about_access || text.starts_with("CREATE OR REPLACE VIEW") {
            state.ran.push(text.clone());
        }
        let is_allowed = !about_access || state.allowed != Some(0);
        if about_access {
            state.allowed = state.allowed.map(|left| left.saturating_sub(1));
        }
        (if about_access { format!("EXPLAIN AST {text}") } else { state.placed(&text) }, is_allowed)
    };
    let answer = if is_allowed {
        let answer = forwarded(upstream, &head, &sent).await?;
        if about_access && answer.starts_with(b"HTTP/1.1 200") {
            state.lock().expect("nobody panics with it").apply(&text)?;
        }
        answer
    } else {
        let denied = "Code: 497. DB::Exception: Not enough privileges. (ACCESS_DENIED) (version 26.7.2.1)\n";
        format!(
            "HTTP/1.1 403 Forbidden\r\nX-ClickHouse-Exception-Code: 497\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{denied}",
            denied.len()
        )
        .into_bytes()
    };
    connection.write_all(&answer).await?;
    Ok(connection.shutdown().await?)
}

async fn chunks(connection: &mut BufReader<TcpStream>) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await?;
        let length = usize::from_str_radix(line.trim(), 16)?;
        let mut chunk = vec![0; length + 2];
        connection.read_exact(&mut chunk).await?;
        if length == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

async fn forwarded(upstream: &str, head: &[String], body: &str) -> Result<Vec<u8>> {
    const OWN: [&str; 4] = ["content-length:", "transfer-encoding:", "connection:", "expect:"];
    let passed_on = head.iter().filter(|line| !OWN.iter().any(|own| line.to_ascii_lowercase().starts_with(own)));
    // What was written down makes a question longer than its sender knows.
    let head: String =
        passed_on.map(|line| format!("{line}\r\n").replace("max_query_size=", "max_query_size=9")).collect();
    let request = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut server = TcpStream::connect(upstream).await?;
    server.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    Ok(answer)
}
