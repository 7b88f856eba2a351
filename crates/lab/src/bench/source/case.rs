//! What the application does in a round.

/// A thing that applications do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    /// An exported column that two of the indexes hold: no update of it is HOT anyway.
    ExportedIndexed,
    /// An exported column that no index holds: an update of it can be HOT.
    Exported,
    /// A column that no mapping reads.
    Unexported,
    /// The row of a refresh token, of a hundred bytes, which is written at each use.
    Narrow,
    Insert,
    Bulk,
    Cascade,
}

/// Rows of [`Case::Bulk`]: ten tenancies of [`super::server::USERS`].
pub(super) const BULK_ROWS: u32 = 100_000;
/// Members of the team of [`Case::Cascade`].
pub(super) const CASCADE_ROWS: u32 = 10_000;

impl Case {
    pub(super) const ALL: [Self; 7] = [
        Self::ExportedIndexed,
        Self::Exported,
        Self::Unexported,
        Self::Narrow,
        Self::Insert,
        Self::Bulk,
        Self::Cascade,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ExportedIndexed => "update exported, indexed",
            Self::Exported => "update exported",
            Self::Unexported => "update unexported",
            Self::Narrow => "update narrow row",
            Self::Insert => "insert",
            Self::Bulk => "update 100,000 at once",
            Self::Cascade => "cascade of 10,000",
        }
    }

    /// The floor.
    pub(super) const fn floor(self) -> Option<f64> {
        match self {
            Self::ExportedIndexed | Self::Exported | Self::Insert => Some(0.82),
            Self::Unexported => Some(0.97),
            Self::Narrow => Some(0.66),
            Self::Bulk | Self::Cascade => None,
        }
    }

    pub(super) const fn counted(self) -> &'static str {
        if self.is_one_statement() { "rows of one statement" } else { "transactions of one row, by 4 clients" }
    }

    pub(super) const fn is_one_statement(self) -> bool {
        self.rows().is_some()
    }

    /// Of a case that is one statement.
    pub(super) const fn rows(self) -> Option<u32> {
        match self {
            Self::Bulk => Some(BULK_ROWS),
            Self::Cascade => Some(CASCADE_ROWS),
            _ => None,
        }
    }

    /// The measured statement. `$1` is a tenancy and `$2` a row of it (or the id of a new one), `$3` a number that was not
    /// there before; a case that is one statement has `$1` alone, a number. Rows that [`Case::Insert`] made are left alone.
    pub(super) const fn statement(self) -> &'static str {
        match self {
            Self::ExportedIndexed => {
                r#"UPDATE "ProjectUser" SET "displayName" = 'Ada Lovelace ' || $3::bigint
                WHERE "tenancyId" = $1 AND "projectUserId" = $2"#
            }
            Self::Exported => {
                r#"UPDATE "ProjectUser" SET "profileImageUrl" = 'https://images.example.com/' || $3::bigint
                WHERE "tenancyId" = $1 AND "projectUserId" = $2"#
            }
            Self::Unexported => {
                r#"UPDATE "ProjectUser" SET "lastActiveAt" = timestamp '2026-01-01' + $3::bigint * interval '1 millisecond'
                WHERE "tenancyId" = $1 AND "projectUserId" = $2"#
            }
            Self::Narrow => {
                r#"UPDATE "ProjectUserRefreshToken"
                SET "lastActiveAt" = timestamp '2026-01-01' + $3::bigint * interval '1 millisecond'
                WHERE "tenancyId" = $1 AND "id" = $2"#
            }
            Self::Insert => {
                r#"INSERT INTO "ProjectUser" ("tenancyId", "projectUserId", "mirroredProjectId", "mirroredBranchId",
                "displayName", "profileImageUrl", "clientMetadata", "isAnonymous", "signedUpAt", "updatedAt")
                VALUES ($1, $2, 'project of the benchmark', 'main', 'Ada Lovelace ' || $3::bigint,
                'https://images.example.com/avatars/1.webp', '{"plan": "pro", "seats": 12}', FALSE, now(), now())"#
            }
            Self::Bulk => {
                r#"UPDATE "ProjectUser" SET "displayName" = 'Ada Lovelace ' || $1::bigint
                WHERE "tenancyId" = ANY (ARRAY(SELECT "id" FROM "Tenancy" ORDER BY "id" LIMIT 10))
                AND "mirroredProjectId" <> 'project of the benchmark'"#
            }
            Self::Cascade => r#"DELETE FROM "Team" WHERE "displayName" = 'team of the benchmark' AND $1::bigint >= 0"#,
        }
    }

    /// What has to be there before each round.
    pub(super) const fn preparation(self) -> Option<&'static str> {
        match self {
            Self::Cascade => Some(
                r#"WITH team AS (
    INSERT INTO "Team" ("tenancyId", "teamId", "displayName", "mirroredProjectId", "mirroredBranchId", "updatedAt")
    SELECT t."id", gen_random_uuid(), 'team of the benchmark', t."projectId", t."branchId", now()
    FROM "Tenancy" AS t ORDER BY t."id" LIMIT 1
    RETURNING "tenancyId", "teamId"
)
INSERT INTO "TeamMember" ("tenancyId", "teamId", "projectUserId", "updatedAt")
SELECT u."tenancyId", team."teamId", u."projectUserId", now() FROM team
CROSS JOIN LATERAL (SELECT * FROM "ProjectUser" WHERE "tenancyId" = team."tenancyId"
    AND "mirroredProjectId" <> 'project of the benchmark') AS u"#,
            ),
            _ => None,
        }
    }

    /// What one statement over many rows leaves behind is tidied up before the next round.
    pub(super) const fn tidying(self) -> Option<&'static str> {
        match self {
            Self::Bulk => Some(r#"VACUUM "ProjectUser""#),
            Self::Cascade => Some(r#"VACUUM "TeamMember", "Team""#),
            _ => None,
        }
    }
}
