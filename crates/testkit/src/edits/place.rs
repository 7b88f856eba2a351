//! Where an edit happens: a tenancy, drawn by rank, and rows in it, drawn by id.

use rand::Rng;
use tokio_postgres::{Client, SimpleQueryMessage};
use uuid::Uuid;

/// Ranks of tenancies. The first is drawn as often as the second and third together, and so on (Zipf with exponent 1).
const RANKS: f64 = 1_000.0;

/// A tenancy and the ids that one edit may use.
pub(super) struct Place {
    tenancy: String,
    project: String,
    branch: String,
    /// Rows at or after this id are taken: an index lookup, however large the table.
    pick: Uuid,
    /// The same for a second user.
    other: Uuid,
    /// The id of what is new.
    fresh: Uuid,
    number: u32,
}

impl Place {
    /// A place to edit, or `None` when the tenancy that was drawn is not there.
    pub(super) async fn draw(client: &Client, rng: &mut impl Rng) -> Result<Option<Self>, tokio_postgres::Error> {
        let query = format!(
            r#"SELECT "id", "projectId", "branchId" FROM "Tenancy" WHERE "id" >= '{}' ORDER BY "id" LIMIT 1"#,
            rank_id(rng)
        );
        let (pick, other, fresh) = (id(rng), id(rng), id(rng));
        let number = rng.random_range(0..1_000_000);
        let found = client.simple_query(&query).await?;
        let row = found.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let Some(row) = row else { return Ok(None) };
        let text = |column: usize| row.get(column).unwrap_or_default().replace('\'', "''");
        Ok(Some(Self { tenancy: text(0), project: text(1), branch: text(2), pick, other, fresh, number }))
    }

    /// The statements with every `{token}` in its place.
    pub(super) fn fill(&self, statements: &str) -> String {
        let [user, team] =
            [("ProjectUser", "projectUserId"), ("Team", "teamId")].map(|(table, key)| self.first(table, key));
        let other = user.replace(&self.pick.to_string(), &self.other.to_string());
        let code = format!(
            r#"(SELECT "id" FROM "VerificationCode" WHERE "projectId" = '{}' AND "branchId" = '{}' AND "id" >= '{}' ORDER BY "id" LIMIT 1)"#,
            self.project, self.branch, self.pick
        );
        statements
            .replace("{user}", &user)
            .replace("{other_user}", &other)
            .replace("{team}", &team)
            .replace("{channel}", &self.first_of_user("ContactChannel", r#""projectUserId", "id""#))
            .replace("{member}", &self.first_of_user("TeamMember", r#""projectUserId", "teamId""#))
            .replace("{team_permission}", &self.first_of_user("TeamMemberDirectPermission", r#""id""#))
            .replace("{project_permission}", &self.first_of_user("ProjectUserDirectPermission", r#""id""#))
            .replace("{code}", &code)
            .replace("{email}", &self.first("EmailOutbox", "id"))
            .replace("{replay}", &self.first("SessionReplay", "id"))
            .replace("{token}", &self.first("ProjectUserRefreshToken", "id"))
            .replace("{account}", &self.first("ProjectUserOAuthAccount", "id"))
            .replace("{preference}", &self.first("UserNotificationPreference", "id"))
            .replace("{now}", "(now() AT TIME ZONE 'UTC')")
            .replace("{tenancy}", &self.tenancy)
            .replace("{project}", &self.project)
            .replace("{branch}", &self.branch)
            .replace("{pick}", &self.pick.to_string())
            .replace("{fresh}", &self.fresh.to_string())
            .replace("{number}", &self.number.to_string())
    }

    /// The id of the tenancy's first row at or after the drawn id, by the primary key.
    fn first(&self, table: &str, key: &str) -> String {
        let (tenancy, pick) = (&self.tenancy, self.pick);
        format!(
            r#"(SELECT "{key}" FROM "{table}" WHERE "tenancyId" = '{tenancy}' AND "{key}" >= '{pick}' ORDER BY "{key}" LIMIT 1)"#
        )
    }

    /// Columns of the tenancy's first row of a user at or after the drawn id, by an index that begins with the user.
    fn first_of_user(&self, table: &str, columns: &str) -> String {
        let (tenancy, pick) = (&self.tenancy, self.pick);
        format!(
            r#"(SELECT {columns} FROM "{table}" WHERE "tenancyId" = '{tenancy}' AND "projectUserId" >= '{pick}' ORDER BY "projectUserId" LIMIT 1)"#
        )
    }
}

fn id(rng: &mut impl Rng) -> Uuid {
    Uuid::from_u128(rng.random())
}

/// An id for a rank that is drawn: the same for the same rank, so that some tenancies are edited far more than others.
fn rank_id(rng: &mut impl Rng) -> Uuid {
    // Uniform in the logarithm is as good as Zipf here.
    let rank = RANKS.powf(rng.random_range(0.0..1.0)).floor();
    // Multiplied by an odd number, neighbours land far apart.
    let spread = u128::from(rank.to_bits()).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    Uuid::from_u128(spread)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn few_tenancies_get_most_edits_and_many_get_some() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut drawn: HashMap<Uuid, u32> = HashMap::new();
        for _ in 0..100_000 {
            *drawn.entry(rank_id(&mut rng)).or_default() += 1;
        }
        let first = drawn.values().max().copied().unwrap();
        assert!((8_000..13_000).contains(&first), "the first rank was drawn {first} times");
        assert!(drawn.len() > 950, "only {} ranks were drawn", drawn.len());
    }
}
