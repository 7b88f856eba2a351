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
