//! What was seen in the last minutes, for the small pictures. Bounded; a restart begins anew.

use std::collections::VecDeque;

/// Fifteen minutes of a sample every two seconds.
const POINTS: usize = 450;
/// Points of a picture: each is the mean of some.
const SHOWN: usize = 90;
/// How far back is looked.
const WINDOW_S: f64 = 900.0;

/// A number that is followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Series {
    /// Changes that got their numbers, each second.
    Numbered,
    /// Numbers that ClickHouse has passed, each second.
    Shipped,
    /// Rows that workers have shipped, each second, in the last minute.
    Rows,
    /// What half of the changes of the last minute did not exceed from commit to visible, in seconds.
    LagHalf,
    /// What 99 of 100 did not exceed.
    LagMost,
    /// Age of the oldest change that ClickHouse lacks, in seconds.
    OldestNews,
    /// Tenancies with changes on their way.
    Behind,
    /// Lines without a number.
    Inbox,
    /// Changes that were not announced.
    Unannounced,
    /// Messages for workers.
    Ready,
    /// Messages that wait after a failure.
    Retrying,
    /// Messages that were given up.
    Dead,
    /// Rows in quarantine.
    Quarantine,
}

impl Series {
    pub(crate) const ALL: [Self; 13] = [
        Self::Numbered,
        Self::Shipped,
        Self::Rows,
        Self::LagHalf,
        Self::LagMost,
        Self::OldestNews,
        Self::Behind,
        Self::Inbox,
        Self::Unannounced,
        Self::Ready,
        Self::Retrying,
        Self::Dead,
        Self::Quarantine,
    ];

    /// Its name in JSON, with its unit.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Numbered => "numbered_per_s",
            Self::Shipped => "shipped_per_s",
            Self::Rows => "rows_per_s",
            Self::LagHalf => "lag_p50_s",
            Self::LagMost => "lag_p99_s",
            Self::OldestNews => "oldest_news_s",
            Self::Behind => "tenants_behind",
            Self::Inbox => "inbox_lines",
            Self::Unannounced => "unannounced",
            Self::Ready => "messages_ready",
            Self::Retrying => "messages_retrying",
            Self::Dead => "messages_dead",
            Self::Quarantine => "quarantine",
        }
    }
}

/// What was seen at one moment; NaN where it is not known.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Point {
    /// Seconds since the program started.
    pub(crate) at_s: f64,
    /// By [`Series`].
    pub(crate) values: [f64; Series::ALL.len()],
}

/// The last minutes.
#[derive(Clone, Default, Debug)]
pub(crate) struct History(VecDeque<Point>);

impl History {
    pub(crate) fn push(&mut self, point: Point) {
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    /// What was seen last; none where it is not known.
    pub(crate) fn last(&self, of: Series) -> Option<f64> {
        self.0.back().map(|point| point.values[of as usize]).filter(|value| value.is_finite())
    }

    /// The lowest and the highest of the last minutes; none where nothing is known.
    pub(crate) fn range(&self, of: Series) -> Option<(f64, f64)> {
        let known = self.window().map(|point| point.values[of as usize]).filter(|value| value.is_finite());
        known.fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        })
    }

    /// Means of equal parts of the last minutes, oldest first; NaN where nothing is known of a part.
    pub(crate) fn shown(&self, of: Series) -> Vec<f64> {
        let Some(last) = self.0.back() else { return Vec::new() };
        #[expect(clippy::cast_precision_loss, reason = "some tens")]
        let part_s = WINDOW_S / SHOWN as f64;
        let mut sums = vec![(0.0, 0_u32); SHOWN];
        for point in self.window() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the window")]
            let part = ((point.at_s - (last.at_s - WINDOW_S)) / part_s).max(0.0) as usize;
            let (sum, count) = &mut sums[part.min(SHOWN - 1)];
            let value = point.values[of as usize];
            if value.is_finite() {
                *sum += value;
                *count += 1;
            }
        }
        sums.into_iter().map(|(sum, count)| if count > 0 { sum / f64::from(count) } else { f64::NAN }).collect()
    }

    fn window(&self) -> impl Iterator<Item = &Point> {
        let from = self.0.back().map_or(0.0, |last| last.at_s - WINDOW_S);
        self.0.iter().filter(move |point| point.at_s >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(at_s: f64, quarantine: f64) -> Point {
        let mut values = [f64::NAN; Series::ALL.len()];
        values[Series::Quarantine as usize] = quarantine;
        Point { at_s, values }
    }

    #[test]
    fn it_is_bounded_and_forgets_what_is_older_than_its_window() {
        let mut history = History::default();
        (0..1000_u32).for_each(|at| history.push(point(f64::from(at) * 2.0, f64::from(at))));
        assert_eq!(history.0.len(), POINTS);
        assert_eq!(history.range(Series::Quarantine), Some((550.0, 999.0)));
        history.push(point(5000.0, 7.0));
        assert_eq!(history.range(Series::Quarantine), Some((7.0, 7.0)));
        assert_eq!(history.range(Series::Dead), None);
    }

    #[test]
    fn a_picture_has_one_size_and_gaps_where_nothing_was_seen() {
        let mut history = History::default();
        history.push(point(100.0, 2.0));
        history.push(point(101.0, 4.0));
        let shown = history.shown(Series::Quarantine);
        assert_eq!((shown.len(), shown[SHOWN - 1]), (SHOWN, 3.0));
        assert!(shown[..SHOWN - 1].iter().all(|value| value.is_nan()));
    }
}
