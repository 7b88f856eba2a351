//! The twelve mappings as the contract writes them: names, types, keys. Written by hand, a second time.

/// What one view must look like, and the query that knows its rows from the source tables alone.
pub struct View {
    /// Its name, which is the mapping's.
    pub name: &'static str,
    /// How many of the columns, from the first, are the key.
    pub key: usize,
    /// Name and type of each column, in the order of `query`.
    pub columns: &'static [(&'static str, ColumnType)],
    /// One row for each row of the view, every column as its canonical text or NULL.
    pub query: &'static str,
}

impl View {
    /// The view of that name, if it is one of the twelve.
    pub fn named(name: &str) -> Option<&'static Self> {
        VIEWS.iter().find(|view| view.name == name)
    }
}

/// What a column is, in ClickHouse and in a tenant's own Postgres.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ColumnType {
    /// As ClickHouse describes it.
    pub clickhouse: &'static str,
    /// As Postgres' `format_type` prints it.
    pub postgres: &'static str,
    /// Whether it holds NULL.
    pub is_nullable: bool,
}

const fn always(clickhouse: &'static str, postgres: &'static str) -> ColumnType {
    ColumnType { clickhouse, postgres, is_nullable: false }
}

const fn or_null(clickhouse: &'static str, postgres: &'static str) -> ColumnType {
    ColumnType { clickhouse, postgres, is_nullable: true }
}

const TEXT: ColumnType = always("String", "text");
const WORD: ColumnType = always("LowCardinality(String)", "text");
const JSON: ColumnType = always("String", "jsonb");
const UUID: ColumnType = always("UUID", "uuid");
const BOOL: ColumnType = always("UInt8", "boolean");
const INT32: ColumnType = always("Int32", "integer");
const INT64: ColumnType = always("Int64", "bigint");
const TIME: ColumnType = always("DateTime64(3, 'UTC')", "timestamp without time zone");
const TEXT_OR_NULL: ColumnType = or_null("Nullable(String)", "text");
const WORD_OR_NULL: ColumnType = or_null("LowCardinality(Nullable(String))", "text");
const JSON_OR_NULL: ColumnType = or_null("Nullable(String)", "jsonb");
const BOOL_OR_NULL: ColumnType = or_null("Nullable(UInt8)", "boolean");
const TIME_OR_NULL: ColumnType = or_null("Nullable(DateTime64(3, 'UTC'))", "timestamp without time zone");

/// Columns that say where a row belongs, at the beginning of every view. A tenant's own database does not have them.
pub(super) const LOCATION: usize = 2;

macro_rules! view {
    ($name:literal, $key:literal, [$($column:literal: $kind:ident),* $(,)?]) => {
        View {
            name: $name,
            // Every key starts with the location.
            key: LOCATION + $key,
            columns: &[("project_id", TEXT), ("branch_id", TEXT), $(($column, $kind)),*],
            query: include_str!(concat!("sql/", $name, ".sql")),
        }
    };
}

/// All twelve.
pub static VIEWS: [View; 12] = [
    view!("users", 1, [
        "id": UUID, "display_name": TEXT_OR_NULL, "profile_image_url": TEXT_OR_NULL, "primary_email": TEXT_OR_NULL,
        "primary_email_verified": BOOL, "signed_up_at": TIME, "client_metadata": JSON,
        "client_read_only_metadata": JSON, "server_metadata": JSON, "is_anonymous": BOOL, "restricted_by_admin": BOOL,
        "restricted_by_admin_reason": TEXT_OR_NULL, "restricted_by_admin_private_details": TEXT_OR_NULL,
    ]),
    view!("contact_channels", 2, [
        "user_id": UUID, "id": UUID, "type": WORD, "value": TEXT, "is_primary": BOOL, "is_verified": BOOL,
        "used_for_auth": BOOL, "created_at": TIME,
    ]),
    view!("teams", 1, [
        "id": UUID, "display_name": TEXT, "profile_image_url": TEXT_OR_NULL, "created_at": TIME,
        "client_metadata": JSON, "client_read_only_metadata": JSON, "server_metadata": JSON,
    ]),
    view!("team_member_profiles", 2, [
        "team_id": UUID, "user_id": UUID, "display_name": TEXT_OR_NULL, "profile_image_url": TEXT_OR_NULL,
        "created_at": TIME,
    ]),
    view!("team_permissions", 3, ["team_id": UUID, "user_id": UUID, "permission_id": TEXT, "created_at": TIME]),
    view!("team_invitations", 1, [
        "id": UUID, "team_id": UUID, "team_display_name": TEXT, "recipient_email": TEXT, "expires_at_millis": INT64,
        "created_at": TIME,
    ]),
    view!("email_outboxes", 1, [
        "id": UUID, "status": WORD, "simple_status": WORD, "created_with": WORD, "email_draft_id": TEXT_OR_NULL,
        "email_programmatic_call_template_id": TEXT_OR_NULL, "theme_id": TEXT_OR_NULL, "is_high_priority": BOOL,
        "is_transactional": BOOL_OR_NULL, "subject": TEXT_OR_NULL, "notification_category_id": TEXT_OR_NULL,
        "started_rendering_at": TIME_OR_NULL, "rendered_at": TIME_OR_NULL, "render_error": TEXT_OR_NULL,
        "scheduled_at": TIME, "created_at": TIME, "updated_at": TIME, "started_sending_at": TIME_OR_NULL,
        "finished_sending_at": TIME_OR_NULL, "sent_at": TIME_OR_NULL, "server_error": TEXT_OR_NULL, "delivered_at": TIME_OR_NULL, "opened_at": TIME_OR_NULL,
        "clicked_at": TIME_OR_NULL, "unsubscribed_at": TIME_OR_NULL, "marked_as_spam_at": TIME_OR_NULL,
        "bounced_at": TIME_OR_NULL, "delivery_delayed_at": TIME_OR_NULL, "can_have_delivery_info": BOOL_OR_NULL,
        "skipped_reason": WORD_OR_NULL, "skipped_details": JSON_OR_NULL, "send_retries": INT32, "is_paused": BOOL,
    ]),
    view!("session_replays", 1, [
        "id": UUID, "user_id": UUID, "refresh_token_id": UUID, "started_at": TIME, "last_event_at": TIME,
        "created_at": TIME,
    ]),
    view!("project_permissions", 2, ["user_id": UUID, "permission_id": TEXT, "created_at": TIME]),
    view!("notification_preferences", 2, [
        "user_id": UUID, "notification_category_id": UUID, "id": UUID, "enabled": BOOL,
    ]),
    view!("refresh_tokens", 1, [
        "id": UUID, "user_id": UUID, "created_at": TIME, "last_used_at": TIME, "is_impersonation": BOOL,
        "expires_at": TIME_OR_NULL,
    ]),
    view!("connected_accounts", 3, [
        "user_id": UUID, "provider": TEXT, "provider_account_id": TEXT, "id": UUID, "email": TEXT_OR_NULL,
        "created_at": TIME,
    ]),
];
