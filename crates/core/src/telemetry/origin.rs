//! Where a message comes from: the span that created it, as headers of the message carry it (W3C Trace Context).

use std::str::{FromStr, from_utf8};

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The header that names the span.
pub const TRACEPARENT: &str = "traceparent";
/// The header with what others have to say of it.
pub const TRACESTATE: &str = "tracestate";

/// Spans that one span is linked to at most: the SDK keeps as many.
pub const MAX_LINKS: usize = 128;

/// Version 00: `00-{trace}-{span}-{flags}`. What later versions append is passed over.
const TRACEPARENT_BYTES: usize = 55;
/// Longer headers are not looked at.
const MAX_TRACEPARENT_BYTES: usize = 256;
/// As many as the specification asks everybody to pass on.
const MAX_TRACESTATE_BYTES: usize = 512;

/// A span of this or another program.
#[derive(Clone, PartialEq, Debug)]
pub struct Origin(pub(super) SpanContext);

impl Origin {
    /// Reads the headers of a message. Whatever is no span's name is nobody's: headers come from outside.
    pub fn from_headers(traceparent: &[u8], tracestate: Option<&[u8]>) -> Option<Self> {
        if !(TRACEPARENT_BYTES..=MAX_TRACEPARENT_BYTES).contains(&traceparent.len()) {
            return None;
        }
        let text = from_utf8(traceparent).ok()?;
        let mut parts = text.split('-');
        let version = hex(parts.next()?, 2)?;
        let trace = TraceId::from_hex(hex(parts.next()?, 32)?).ok()?;
        let span = SpanId::from_hex(hex(parts.next()?, 16)?).ok()?;
        let flags = u8::from_str_radix(hex(parts.next()?, 2)?, 16).ok()?;
        if version == "ff" || (version == "00" && parts.next().is_some()) {
            return None;
        }
        let state = tracestate.filter(|state| state.len() <= MAX_TRACESTATE_BYTES);
        let state = state.and_then(|state| from_utf8(state).ok()).and_then(|state| TraceState::from_str(state).ok());
        let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
        let context = SpanContext::new(trace, span, flags, true, state.unwrap_or_default());
        context.is_valid().then_some(Self(context))
    }

    /// Whether anybody keeps it.
    pub fn is_sampled(&self) -> bool {
        self.0.is_sampled()
    }

    /// The value of the header [`TRACEPARENT`].
    pub fn traceparent(&self) -> String {
        let (trace, span, flags) = (self.0.trace_id(), self.0.span_id(), self.0.trace_flags() & TraceFlags::SAMPLED);
        format!("00-{trace}-{span}-{flags:02x}")
    }

    /// The value of the header [`TRACESTATE`], where there is one.
    pub fn tracestate(&self) -> Option<String> {
        Some(self.0.trace_state().header()).filter(|state| !state.is_empty())
    }
}

/// So many lower-case hexadecimal digits, and nothing else.
fn hex(part: &str, digits: usize) -> Option<&str> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (part.len() == digits && part.bytes().all(is_hex)).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_written_is_read() {
        let origin = Origin::from_headers(GOOD.as_bytes(), Some(b"a=b")).unwrap();
        assert_eq!((origin.traceparent(), origin.tracestate()), (GOOD.to_owned(), Some("a=b".to_owned())));
        assert!(origin.0.is_sampled() && origin.0.is_remote());
        let plain = Origin::from_headers(GOOD.as_bytes(), None).unwrap();
        assert_eq!(plain.tracestate(), None);
        // A later version may say more.
        let later = format!("01{}-more", &GOOD[2..]);
        assert_eq!(Origin::from_headers(later.as_bytes(), None), Some(plain));
    }

    #[test]
    fn whatever_else_stands_there_is_ignored() {
        let zeros = format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32));
        let no_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{}-01", "0".repeat(16));
        let refused = [
            String::new(),
            "00".to_owned(),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace('b', "+"),
            GOOD.replace("00-4", "ff-4"),
            format!("{GOOD}-more"),
            format!("{GOOD} "),
            zeros,
            no_span,
            "é".repeat(30),
            "-".repeat(55),
            "0".repeat(1 << 20),
            format!("01{}-{}", &GOOD[2..], "x".repeat(1 << 20)),
        ];
        for header in refused {
            assert_eq!(Origin::from_headers(header.as_bytes(), None), None, "{} bytes", header.len());
        }
        assert_eq!(Origin::from_headers(&[0xff; 55], None), None);
    }

    #[test]
    fn a_state_that_makes_no_sense_costs_the_span_nothing() {
        let plain = Origin::from_headers(GOOD.as_bytes(), None);
        let long = vec![b'a'; 1 << 20];
        for state in [&[0xff, 0xfe][..], b"no pair", &long] {
            assert_eq!(Origin::from_headers(GOOD.as_bytes(), Some(state)), plain);
        }
    }
}
