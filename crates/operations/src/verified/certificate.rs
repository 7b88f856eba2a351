//! A certificate: what is proven of a tenancy, signed by the operator (Ed25519, RFC 8032), so that the tenant can check it without asking anybody.
//!
//! The statement is JSON within a text, and the signature is over the bytes of that text: nobody has to agree on how JSON is written.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Proven, VerifiedReport};

/// `SubjectPublicKeyInfo` of an Ed25519 key begins so (RFC 8410); 32 bytes follow.
const PUBLIC_KEY_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why there is no certificate, or why one does not hold. None says anything of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// `openssl genpkey -algorithm ed25519` makes one.
    #[error("LS-0047: the signing key is no private Ed25519 key in PEM (PKCS #8)")]
    SigningKey,
    /// `openssl pkey -pubout` makes one.
    #[error("LS-0047: the public key is no Ed25519 key in PEM")]
    PublicKey,
    /// It is no certificate, or was cut.
    #[error("LS-0048: this is no certificate of Lockstep's")]
    Malformed,
    /// It was changed, or signed by somebody else.
    #[error("LS-0048: the signature is not that of this key over this statement")]
    Signature,
}

/// What is said.
#[derive(Serialize)]
struct Statement {
    version: u32,
    issued_at: String,
    tenancy: String,
    proven: Vec<Proven>,
    unproven: Vec<String>,
    open_findings: usize,
}

/// A statement, and who says it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Certificate {
    /// JSON: `version`, `issued_at`, `tenancy`, `proven`, `unproven`, `open_findings`.
    pub statement: String,
    /// Ed25519 over the bytes of the statement, in base64.
    pub signature: String,
    /// `sha256:` and the hexadecimal digits of the hash of the public key's 32 bytes.
    pub key: String,
}

/// The operator's key.
pub struct SigningKey(Ed25519KeyPair);

/// What tenants have of it.
pub struct VerifyingKey([u8; 32]);

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("SigningKey").field(&fingerprint(self.0.public_key().as_ref())).finish()
    }
}

fn fingerprint(key: &[u8]) -> String {
    let digits: String = Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// The bytes of a PEM file with one object.
fn pem(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (_, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok()
}

impl SigningKey {
    /// From PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let der = pem(text).ok_or(CertificateError::SigningKey)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).map_err(|_| CertificateError::SigningKey)
    }
}

impl VerifyingKey {
    /// From PEM, as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// It is none.
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let der = pem(text).ok_or(CertificateError::PublicKey)?;
        let key = der.strip_prefix(&PUBLIC_KEY_HEAD).ok_or(CertificateError::PublicKey)?;
        key.try_into().map(Self).map_err(|_| CertificateError::PublicKey)
    }
}

impl Certificate {
    /// Signs what is proven.
    pub fn sign(report: &VerifiedReport, key: &SigningKey) -> Self {
        let statement = Statement {
            version: 1,
            issued_at: report.asked_at.clone(),
            tenancy: report.tenancy.clone(),
            // Counts and numbers are not signed for.
            proven: report.proven.iter().filter(|one| one.level != "versions").cloned().collect(),
            unproven: report.unproven.clone(),
            open_findings: report.findings.len(),
        };
        let statement = serde_json::to_string(&statement).expect("a statement holds nothing that JSON cannot");
        let signature = STANDARD.encode(key.0.sign(statement.as_bytes()));
        Self { statement, signature, key: fingerprint(key.0.public_key().as_ref()) }
    }

    /// Reads one, and checks that this key has signed it. Returns the statement as JSON.
    ///
    /// # Errors
    /// It is none, or does not hold.
    pub fn check(text: &str, key: &VerifyingKey) -> Result<serde_json::Value, CertificateError> {
        let certificate: Self = serde_json::from_str(text).map_err(|_| CertificateError::Malformed)?;
        let signature = STANDARD.decode(&certificate.signature).map_err(|_| CertificateError::Malformed)?;
        let public = UnparsedPublicKey::new(&ED25519, key.0);
        public.verify(certificate.statement.as_bytes(), &signature).map_err(|_| CertificateError::Signature)?;
        serde_json::from_str(&certificate.statement).map_err(|_| CertificateError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_pem(what: &str, der: &[u8]) -> String {
        format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(der))
    }

    /// A new pair of keys, in PEM: the private one, the public one.
    fn keys() -> [String; 2] {
        let der = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(der.as_ref()).unwrap();
        let public = [&PUBLIC_KEY_HEAD[..], pair.public_key().as_ref()].concat();
        [in_pem("PRIVATE KEY", der.as_ref()), in_pem("PUBLIC KEY", &public)]
    }

    fn certificate(private: &str) -> Certificate {
        let proven = Proven {
            destination: "clickhouse".to_owned(),
            mapping: "users".to_owned(),
            level: "content".to_owned(),
            through: 7,
            through_at: "2026-01-01T00:00:00.000Z".to_owned(),
            verified_at: "2026-01-01T00:00:01Z".to_owned(),
        };
        let report = VerifiedReport {
            tenancy: "00000000-0000-4000-8000-000000000001".to_owned(),
            asked_at: "2026-01-01T00:00:02Z".to_owned(),
            proven: vec![proven],
            unproven: Vec::new(),
            findings: Vec::new(),
        };
        Certificate::sign(&report, &SigningKey::from_pem(private).unwrap())
    }

    #[test]
    fn a_certificate_holds_for_the_key_that_signed_it_and_for_no_other() {
        let [private, public] = keys();
        let text = serde_json::to_string(&certificate(&private)).unwrap();
        let statement = Certificate::check(&text, &VerifyingKey::from_pem(&public).unwrap()).unwrap();
        assert_eq!((statement["version"].as_u64(), statement["proven"][0]["through"].as_i64()), (Some(1), Some(7)));
        let [_, other] = keys();
        let other = Certificate::check(&text, &VerifyingKey::from_pem(&other).unwrap());
        assert_eq!(other.unwrap_err(), CertificateError::Signature);
    }

    #[test]
    fn a_statement_that_was_changed_does_not_hold() {
        let [private, public] = keys();
        let mut changed = certificate(&private);
        changed.statement = changed.statement.replace("\"through\":7", "\"through\":8");
        let text = serde_json::to_string(&changed).unwrap();
        let key = VerifyingKey::from_pem(&public).unwrap();
        assert_eq!(Certificate::check(&text, &key).unwrap_err(), CertificateError::Signature);
        assert_eq!(Certificate::check("{}", &key).unwrap_err(), CertificateError::Malformed);
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_shown() {
        let [private, public] = keys();
        for text in ["", &in_pem("PRIVATE KEY", &[1, 2, 3]), &public] {
            assert_eq!(SigningKey::from_pem(text).map(drop), Err(CertificateError::SigningKey));
        }
        assert_eq!(VerifyingKey::from_pem(&private).map(drop), Err(CertificateError::PublicKey));
    }
}
