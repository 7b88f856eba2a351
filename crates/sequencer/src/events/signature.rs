//! Signatures of webhooks, as the Standard Webhooks specification (1.0.0, "Signature scheme") has them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::hmac::{HMAC_SHA256, Key, sign};

/// The value of `webhook-signature`: one signature of each secret, so that a receiver that knows one of them can verify it.
pub(super) fn signatures<'a>(
    secrets: impl Iterator<Item = &'a [u8]>,
    id: &str,
    timestamp_s: u64,
    body: &str,
) -> String {
    let signed = format!("{id}.{timestamp_s}.{body}");
    let one =
        |secret| format!("v1,{}", BASE64_STANDARD.encode(sign(&Key::new(HMAC_SHA256, secret), signed.as_bytes())));
    secrets.map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries, whose secret is `whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw`.
    #[test]
    fn the_specifications_example_has_its_signature_and_each_secret_one_of_its_own() {
        let secret = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let example = |secrets: &[&[u8]]| {
            signatures(
                secrets.iter().copied(),
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
            )
        };
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(example(&[&secret]), expected);
        let both = example(&[&[7; 32], &secret]);
        let all: Vec<_> = both.split(' ').collect();
        assert!(all.len() == 2 && all[0].starts_with("v1,") && all[0] != expected && all[1] == expected, "{both}");
    }
}
