//! How many rows of a mapping are read at once: fewer where rows are large.

use lockstep_mappings::postgres::fetch::PageLimits;

/// A page that had too many bytes is followed by one with so many times fewer rows.
const SHRINK: u32 = 4;
/// Rows may have up to a gigabyte.
const MAX_DIVISOR: u32 = 1 << 20;

/// What was learnt about the size of a mapping's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Appetite {
    divisor: u32,
}

impl Default for Appetite {
    fn default() -> Self {
        Self { divisor: 1 }
    }
}

impl Appetite {
    /// The limits of the next page, `most` at most.
    pub(crate) fn limits(self, most: PageLimits) -> PageLimits {
        PageLimits {
            tenancy_rows: (most.tenancy_rows / self.divisor).max(1),
            total_rows: (most.total_rows / self.divisor).max(1),
        }
    }

    /// A page was too large: to be read, or to be written in time.
    pub(crate) fn shrink(&mut self) {
        self.divisor = self.divisor.saturating_mul(SHRINK).min(MAX_DIVISOR);
    }

    /// A page had this many bytes, `page_bytes` being allowed.
    pub(crate) fn learn(&mut self, bytes: u64, page_bytes: u64) {
        if bytes >= page_bytes {
            self.shrink();
        } else if bytes < page_bytes / u64::from(2 * SHRINK) {
            self.divisor = (self.divisor / 2).max(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_shrink_while_rows_are_large_and_grow_again() {
        let most = PageLimits { tenancy_rows: 100, total_rows: 500 };
        let mut appetite = Appetite::default();
        assert_eq!(appetite.limits(most), most);
        appetite.learn(1000, 1000);
        assert_eq!(appetite.limits(most), PageLimits { tenancy_rows: 25, total_rows: 125 });
        (0..20).for_each(|_| appetite.learn(5000, 1000));
        assert_eq!(appetite.limits(most), PageLimits { tenancy_rows: 1, total_rows: 1 });
        appetite.learn(500, 1000);
        assert_eq!(appetite.divisor, MAX_DIVISOR, "large enough as it is");
        (0..20).for_each(|_| appetite.learn(0, 1000));
        assert_eq!(appetite.limits(most), most);
    }
}
