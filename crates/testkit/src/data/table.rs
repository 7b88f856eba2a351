//! The source tables that are seeded, and the statement that fills each.

/// A source table that belongs to tenancies. The order is one in which foreign keys hold.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Table {
    /// `"ProjectUser"`: as many as the shape says. All others but [`Table::Teams`] draw a few or none for each user.
    Users,
    /// `"ContactChannel"`.
    ContactChannels,
    /// `"Team"`: one for ten users.
    Teams,
    /// `"TeamMember"`; needs users and teams.
    TeamMembers,
    /// `"TeamMemberDirectPermission"`; needs members.
    TeamPermissions,
    /// `"ProjectUserDirectPermission"`.
    ProjectPermissions,
    /// `"UserNotificationPreference"`.
    NotificationPreferences,
    /// `"ProjectUserRefreshToken"`.
    RefreshTokens,
    /// `"ProjectUserOAuthAccount"`.
    OAuthAccounts,
    /// `"SessionReplay"`.
    SessionReplays,
    /// `"VerificationCode"`: nearly half are invitations.
    VerificationCodes,
    /// `"EmailOutbox"`.
    EmailOutbox,
}

impl Table {
    /// Every table, in an order in which foreign keys hold.
    pub const ALL: [Self; 12] = [
        Self::Users,
        Self::ContactChannels,
        Self::Teams,
        Self::TeamMembers,
        Self::TeamPermissions,
        Self::ProjectPermissions,
        Self::NotificationPreferences,
        Self::RefreshTokens,
        Self::OAuthAccounts,
        Self::SessionReplays,
        Self::VerificationCodes,
        Self::EmailOutbox,
    ];

    /// Its name in the source, without quotes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Users => "ProjectUser",
            Self::ContactChannels => "ContactChannel",
            Self::Teams => "Team",
            Self::TeamMembers => "TeamMember",
            Self::TeamPermissions => "TeamMemberDirectPermission",
            Self::ProjectPermissions => "ProjectUserDirectPermission",
            Self::NotificationPreferences => "UserNotificationPreference",
            Self::RefreshTokens => "ProjectUserRefreshToken",
            Self::OAuthAccounts => "ProjectUserOAuthAccount",
            Self::SessionReplays => "SessionReplay",
            Self::VerificationCodes => "VerificationCode",
            Self::EmailOutbox => "EmailOutbox",
        }
    }

    /// The statement that draws rows for counters `{from}` to `{to}`.
    pub(super) const fn statement(self) -> &'static str {
        match self {
            Self::Users => include_str!("sql/users.sql"),
            Self::ContactChannels => include_str!("sql/contact_channels.sql"),
            Self::Teams => include_str!("sql/teams.sql"),
            Self::TeamMembers => include_str!("sql/team_members.sql"),
            Self::TeamPermissions => include_str!("sql/team_permissions.sql"),
            Self::ProjectPermissions => include_str!("sql/project_permissions.sql"),
            Self::NotificationPreferences => include_str!("sql/notification_preferences.sql"),
            Self::RefreshTokens => include_str!("sql/refresh_tokens.sql"),
            Self::OAuthAccounts => include_str!("sql/oauth_accounts.sql"),
            Self::SessionReplays => include_str!("sql/session_replays.sql"),
            Self::VerificationCodes => include_str!("sql/verification_codes.sql"),
            Self::EmailOutbox => include_str!("sql/email_outbox.sql"),
        }
    }
}
