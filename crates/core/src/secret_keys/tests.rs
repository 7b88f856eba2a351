//! What is sealed is opened by its holder with its key, and by nobody else.

use super::*;

const SECRET: &str = "postgres://app:hunter2@db.example.com/app";

fn line(id: &str, byte: u8) -> String {
    format!("{id}:{}", BASE64_STANDARD.encode([byte; KEY_BYTES]))
}

fn ring(lines: &[String]) -> KeyRing {
    KeyRing::parse(&lines.join("\n"), "keys").unwrap()
}

fn holder(destination: u128, tenancy: u128) -> Holder {
    Holder { destination: Uuid::from_u128(destination), tenancy: TenancyId::new(Uuid::from_u128(tenancy)) }
}

fn sealed_by(ring: &KeyRing) -> Sealed {
    ring.seal(&SecretString::from(SECRET), holder(1, 2)).unwrap()
}

#[test]
fn what_is_sealed_is_opened_by_its_holder_also_once_another_key_seals() {
    let old = ring(&[line("old", 1)]);
    let sealed = sealed_by(&old);
    assert_eq!(sealed.key_id, "old");
    let both = ring(&[line("new", 2), line("old", 1)]);
    assert_eq!(both.sealing_key_id(), "new");
    assert_eq!(both.open(&sealed, holder(1, 2)).unwrap().expose_secret(), SECRET);
    let resealed = sealed_by(&both);
    assert_eq!(resealed.key_id, "new");
    assert_eq!(ring(&[line("new", 2)]).open(&resealed, holder(1, 2)).unwrap().expose_secret(), SECRET);
}

#[test]
fn the_same_secret_is_never_the_same_bytes() {
    let ring = ring(&[line("a", 1)]);
    assert_ne!(sealed_by(&ring), sealed_by(&ring));
}

#[test]
fn neither_another_key_nor_another_holder_nor_a_changed_byte_opens_it() {
    let right = ring(&[line("a", 1)]);
    let sealed = sealed_by(&right);
    let broken = Err(OpenError::Broken("a".to_owned()));
    let opened = |ring: &KeyRing, sealed: &Sealed, holder| ring.open(sealed, holder).map(|_| ());
    assert_eq!(opened(&ring(&[line("a", 9)]), &sealed, holder(1, 2)), broken);
    for other in [holder(3, 2), holder(1, 3), holder(2, 1)] {
        assert_eq!(opened(&right, &sealed, other), broken);
    }
    for index in 0..sealed.bytes.len() {
        let mut changed = sealed.clone();
        changed.bytes[index] ^= 1;
        assert_eq!(opened(&right, &changed, holder(1, 2)), broken, "byte {index}");
    }
    for length in [0, NONCE_BYTES - 1, NONCE_BYTES, sealed.bytes.len() - 1] {
        let cut = Sealed { bytes: sealed.bytes[..length].to_vec(), ..sealed.clone() };
        assert_eq!(opened(&right, &cut, holder(1, 2)), broken, "{length} bytes");
    }
    assert_eq!(opened(&ring(&[line("b", 1)]), &sealed, holder(1, 2)), Err(OpenError::UnknownKey("a".to_owned())),);
}

#[test]
fn nothing_prints_a_key_or_what_was_sealed() {
    let ring = ring(&[line("a", 0x41)]);
    let sealed = sealed_by(&ring);
    let shown = format!("{ring:?} {sealed:?} {:?}", ring.open(&sealed, holder(1, 2)));
    for secret in ["hunter2", "AAAA", "65, 65", &BASE64_STANDARD.encode([0x41; 8])[..8]] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.starts_with("[\"a\"]"), "{shown}");
}

#[test]
fn a_line_that_is_no_key_is_named_by_its_number_and_not_shown() {
    let refused = |text: &str| KeyRing::parse(text, "keys").unwrap_err().to_string();
    for (text, said) in [
        ("secretsecret", "keys, line 1: there is no colon"),
        (":c2VjcmV0", "keys, line 1: an id is"),
        ("a b:c2VjcmV0", "keys, line 1: an id is"),
        ("a:c2VjcmV0!", "keys, line 1: the key is not base64"),
        ("# one\n\na:c2VjcmV0", "keys, line 3: the key does not have 32 bytes"),
        ("", "keys holds no key"),
        ("# none", "keys holds no key"),
    ] {
        assert!(refused(text).starts_with(said), "{text:?}: {}", refused(text));
        assert!(!refused(text).contains("c2VjcmV0") && !refused(text).contains("secretsecret"));
    }
    let twice = [line("a", 1), line("a", 2)].join("\n");
    assert!(refused(&twice).starts_with("keys, line 2: its id is that of a line before"));
}

#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let file = std::env::temp_dir().join(format!("lockstep-keys-{}", Uuid::new_v4()));
    std::fs::write(&file, line("a", 1)).unwrap();
    let load = |mode| {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        KeyRing::load(&file).map(|ring| ring.sealing_key_id().to_owned()).map_err(|error| error.to_string())
    };
    assert_eq!(load(0o600), Ok("a".to_owned()));
    assert_eq!(load(0o400), Ok("a".to_owned()));
    for mode in [0o644, 0o604, 0o660, 0o602] {
        let said = load(mode).unwrap_err();
        assert!(said.contains(&format!("has mode {mode:04o}")) && said.contains("chmod 600"), "{said}");
    }
    std::fs::remove_file(&file).unwrap();
    assert!(KeyRing::load(&file).unwrap_err().to_string().starts_with("cannot read"));
}
