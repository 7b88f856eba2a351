//! Cursors that are ahead of the source: it was restored to an earlier state (SRC-1).
//!
//! What such a tenancy has above its cursor says nothing: numbers between the source's last and the cursor will be given
//! out again, if nobody minds, and would never be read. The sequencer does mind. This is for what it cannot see.

use std::time::{Duration, Instant};

use lockstep_core::{SequenceId, TenancyId};
use lockstep_destinations::Cursors;

use super::{Failed, Opened};
use crate::error::CursorsAhead;
use crate::measure;
use crate::plan::News;
use crate::routes::Routes;

/// It is said this often at most: there may be many messages, and what helps is the same for all.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Remembers when it was said.
#[derive(Default)]
pub(super) struct Ahead {
    said: Option<Instant>,
}

impl Ahead {
    /// Splits news into those that can be shipped, and those to be put off. None, the usual case: all can be shipped.
    pub(super) fn set_aside(&mut self, news: &News, opened: &Opened, routes: &Routes) -> Option<(News, Failed)> {
        let source_at = opened.snapshot.head;
        let (shipped, ahead) = split(news, &opened.cursors, source_at, routes)?;
        let error = CursorsAhead { tenancies: ahead.len(), source_at };
        measure::failed("cursor ahead");
        if self.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            self.said = Some(Instant::now());
            tracing::error!(%error, "rows are not shipped");
        }
        Some((shipped, Failed { news: ahead, reason: error.to_string() }))
    }
}

fn split(news: &News, cursors: &Cursors, head: SequenceId, routes: &Routes) -> Option<(News, News)> {
    if cursors.values().all(|cursor| *cursor <= head) {
        return None;
    }
    let is_ahead = |tenancy: TenancyId, place: usize| {
        cursors.get(&(tenancy, routes.name(place).clone())).is_some_and(|cursor| *cursor > head)
    };
    let (mut shipped, mut ahead) = (news.clone(), news.clone());
    shipped.retain(|tenancy, place| !is_ahead(tenancy, place));
    ahead.retain(is_ahead);
    // A cursor of a mapping that the news do not name is not what stops them.
    (!ahead.is_empty()).then_some((shipped, ahead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::test_routes;
    use uuid::Uuid;

    #[test]
    fn src_1_only_pairs_whose_cursor_is_ahead_are_set_aside() {
        let routes = test_routes();
        let tenancies = [1, 2].map(|number| TenancyId::new(Uuid::from_u128(number)));
        let mut news = News::default();
        tenancies.iter().for_each(|tenancy| news.add(*tenancy, [0, 1]));
        let at = |tenancy, place, cursor| ((tenancy, routes.name(place).clone()), SequenceId::new(cursor));
        let cursors = Cursors::from([at(tenancies[0], 0, 10), at(tenancies[0], 1, 11), at(tenancies[1], 1, 9)]);
        let (shipped, ahead) = split(&news, &cursors, SequenceId::new(10), &routes).unwrap();
        assert_eq!((shipped.pairs(), ahead.pairs()), (3, 1));
        assert!(ahead.has(tenancies[0], 1));
        assert!(split(&news, &cursors, SequenceId::new(11), &routes).is_none());
    }
}
