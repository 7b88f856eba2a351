//! The touches of a pass: rows that change because others did get a number too (CAP-3).

use std::time::Instant;

use lockstep_core::TenancyId;
use lockstep_mappings::postgres::TENANCY_TOUCH;
use lockstep_schema::SourceError;

use super::Failure;
use super::pass::Pass;
use crate::plan::rests::Part;
use crate::plan::touches::{Touch, by_target};
use crate::storage::touches::Target;

/// However few rows a pass has left for them, each table's dependents get on.
const FEWEST_ROWS: i64 = 100;

impl<'a> Pass<'a> {
    /// Works on one page of touches, and as many of the rows that depend on them as a page may have touches.
    pub(super) async fn work_off_touches(&mut self) -> Result<(), Failure> {
        let (client, touches) = (&self.session.client, &self.session.touches);
        let (limit, began) = (self.state.touch_load.rows(), Instant::now());
        let page = touches.page(client, self.state.walk, limit).await?;
        self.state.walk.seen(&page, limit);
        self.see_new(&page).await?;
        let mut left = limit;
        for (name, ids) in by_target(&page) {
            let part = Part::Touches(name.to_owned());
            let Some(target) = touches.target(name) else {
                touches.delete(client, &ids).await?;
                self.tally.finished_touches += ids.len();
                tracing::warn!(
                    target_name = name,
                    touches = ids.len(),
                    "LS-0505: dropped touches that concern no mapping"
                );
                continue;
            };
            if !self.state.rests.is_resting(&part, Instant::now()) {
                self.work_off(name, target, &ids, &mut left).await.map_err(Failure::of(part.clone()))?;
                self.state.rests.worked(&part);
            }
        }
        let seen = i64::try_from(page.len()).unwrap_or(limit);
        self.tally.more |= seen >= limit;
        self.state.touch_load.done(seen, began.elapsed());
        Ok(())
    }

    /// A touch that was not seen before gets its floor: rows with a number from there on were stamped since. News of a
    /// whole tenancy are told at once: it may have moved, or be gone, and have no rows to stamp.
    async fn see_new(&mut self, page: &[Touch]) -> Result<(), SourceError> {
        let new: Vec<&Touch> = page.iter().filter(|touch| touch.is_new).collect();
        for touch in &new {
            if touch.target == TENANCY_TOUCH {
                self.tally.news.add_any(TenancyId::new(touch.tenancy));
            }
        }
        let ids: Vec<i64> = new.iter().map(|touch| touch.id).collect();
        if ids.is_empty() { Ok(()) } else { self.session.touches.set_floor(&self.session.client, &ids).await }
    }

    async fn work_off(
        &mut self,
        name: &str,
        target: &'a Target,
        ids: &[i64],
        left: &mut i64,
    ) -> Result<(), SourceError> {
        let client = &self.session.client;
        for table in target.tables() {
            let limit = (*left).max(FEWEST_ROWS);
            let stamped = table.stamp(client, ids, limit).await?;
            self.tally.add(&table.name, &stamped);
            self.tally.more |= stamped.rows >= limit;
            *left -= stamped.rows;
        }
        let finished = target.finish(client, ids).await?;
        self.tally.finished_touches += finished.len();
        if name == TENANCY_TOUCH {
            for tenancy in finished {
                self.tally.news.add_any(tenancy);
            }
        }
        Ok(())
    }
}
