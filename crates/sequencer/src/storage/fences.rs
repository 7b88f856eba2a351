//! Fences, and the head: the last number that was stamped.

use lockstep_schema::SourceError;
use tokio_postgres::Client;

use super::query::Query;

/// Fences that one pass answers; the others wait for the next.
const FENCES_A_PASS: i64 = 1_000;

/// The statements.
pub(crate) struct Fences {
    waiting: Query,
    touches_left: Query,
    raise_head: Query,
    answer: Query,
}

/// What a pass that answers fences read before anything else.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Waiting {
    /// The fences, oldest first.
    pub(crate) ids: Vec<i64>,
    /// The highest touch.
    pub(crate) last_touch: Option<i64>,
}

impl Default for Fences {
    fn default() -> Self {
        Self {
            waiting: Query::new(
                "SELECT ARRAY(SELECT id FROM lockstep.fence WHERE sequence IS NULL ORDER BY id LIMIT $1), (SELECT max(id) FROM lockstep.touch)",
            ),
            touches_left: Query::new("SELECT EXISTS (SELECT 1 FROM lockstep.touch WHERE id <= $1)"),
            raise_head: Query::new(
                "INSERT INTO lockstep.sequence_head AS h (last_sequence) VALUES ($1) ON CONFLICT (singleton) DO UPDATE SET last_sequence = greatest(h.last_sequence, EXCLUDED.last_sequence), stamped_at = now() RETURNING h.last_sequence",
            ),
            answer: Query::new(
                "UPDATE lockstep.fence SET sequence = $2 WHERE id = ANY($1::bigint[]) AND sequence IS NULL",
            ),
        }
    }
}

impl Fences {
    /// The fences that wait, and the highest touch, in one snapshot.
    pub(crate) async fn waiting(&self, client: &Client) -> Result<Waiting, SourceError> {
        let row = self.waiting.row(client, &[&FENCES_A_PASS]).await?;
        Ok(Waiting { ids: row.get(0), last_touch: row.get(1) })
    }

    /// Whether a touch up to this one is left.
    pub(crate) async fn are_touches_left(&self, client: &Client, last_touch: i64) -> Result<bool, SourceError> {
        Ok(self.touches_left.row(client, &[&last_touch]).await?.get(0))
    }

    /// Raises the head to `last`, if it is lower, and returns it.
    pub(crate) async fn raise_head(&self, client: &Client, last: i64) -> Result<i64, SourceError> {
        Ok(self.raise_head.row(client, &[&last]).await?.get(0))
    }

    /// Answers fences.
    pub(crate) async fn answer(&self, client: &Client, ids: &[i64], sequence: i64) -> Result<(), SourceError> {
        self.answer.execute(client, &[&ids, &sequence]).await.map(drop)
    }
}
