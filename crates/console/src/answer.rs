//! What a page ends with when it cannot be shown.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use lockstep_operations::OperationError;

use crate::page::{Page, View};

/// What a handler ends with.
pub(crate) type Answer = Result<Response, Refusal>;

/// Why a page is not shown.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such thing.
    NotFound(String),
    /// What was sent cannot be used.
    Wrong(String),
    /// All connections are in use.
    Busy,
    /// The deployment was asked, and did not give it.
    Operation(Box<OperationError>),
}

impl From<OperationError> for Refusal {
    fn from(error: OperationError) -> Self {
        Self::Operation(Box::new(error))
    }
}

impl Refusal {
    pub(crate) fn nothing(what: impl Into<String>) -> Self {
        Self::NotFound(what.into())
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Operation(error) => match error.as_ref() {
                OperationError::UnknownMapping { .. }
                | OperationError::UnknownTenancy(_)
                | OperationError::UnknownDestination(_)
                | OperationError::PlaceUnknown(_) => StatusCode::NOT_FOUND,
                OperationError::NoKey { .. } => StatusCode::BAD_REQUEST,
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
        }
    }

    /// What is said.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::NotFound(what) | Self::Wrong(what) => what.clone(),
            Self::Busy => {
                "Unknown: Postgres has not answered in time, or too many pages are being asked for.".to_owned()
            }
            Self::Operation(error) => error.to_string(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, text) = (self.status(), self.text());
        let heading = if status == StatusCode::NOT_FOUND { "There is nothing here" } else { "This is not known" };
        (status, Page::refusal(View::Nothing, heading, &text)).into_response()
    }
}
