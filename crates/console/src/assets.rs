//! The four files beside the pages. They are part of the program.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;

pub(crate) const STYLE: Asset = Asset("text/css; charset=utf-8", include_str!("../assets/style.css"));
pub(crate) const LIVE: Asset = Asset("text/javascript; charset=utf-8", include_str!("../assets/live.js"));
pub(crate) const ICON: Asset = Asset("image/svg+xml", include_str!("../assets/favicon.svg"));
/// idiomorph 0.8.0 by Big Sky Software, 0BSD: `assets/idiomorph.LICENSE`.
pub(crate) const IDIOMORPH: Asset = Asset("text/javascript; charset=utf-8", include_str!("../assets/idiomorph.min.js"));

/// A file with its type.
#[derive(Clone, Copy)]
pub(crate) struct Asset(&'static str, &'static str);

impl IntoResponse for Asset {
    fn into_response(self) -> axum::response::Response {
        // Asked for anew after an hour: another version of the program may have other files.
        ([(CONTENT_TYPE, self.0), (CACHE_CONTROL, "max-age=3600")], self.1).into_response()
    }
}

#[cfg(test)]
mod tests {
    use ring::digest::{SHA256, digest};

    use super::*;

    #[test]
    fn what_was_taken_from_others_is_as_they_published_it() {
        let hash: String =
            digest(&SHA256, IDIOMORPH.1.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, "4cbd535caf7663a51eda9bce6595371c384fc430d54b8d414e29a61167f19f96");
        assert!(include_str!("../assets/idiomorph.LICENSE").starts_with("Zero-Clause BSD"));
    }

    #[test]
    fn what_a_browser_is_sent_is_small_and_asks_nobody_else() {
        let all = [STYLE, LIVE, ICON, IDIOMORPH];
        assert!(all.iter().map(|asset| asset.1.len()).sum::<usize>() < 40_000);
        // The names of vocabularies are no addresses.
        let own = all.map(|asset| asset.1.replace("http://www.w3.org/", ""));
        assert!(own.iter().all(|text| !text.contains("http://") && !text.contains("https://")));
    }
}
