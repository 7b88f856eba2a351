//! What is written is read; what is no batch is refused with the reason.

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;

use super::*;

fn tenancy(number: u128) -> TenancyId {
    TenancyId::new(Uuid::from_u128(number))
}

fn news_of(number: u128, mappings: &[&str]) -> TenantHint {
    let mappings = mappings.iter().map(|name| name.parse().unwrap()).collect();
    let (previous, times) = (Vec::new(), ChangeTimes::default());
    TenantHint { tenancy: tenancy(number), mappings, sequence: SequenceId::BASE, previous, times }
}

fn decode_hint(tenancy_id: &[u8], mapping: &str) -> Result<TenantBatch, DecodeError> {
    let good = proto::TenantHint { tenancy_id: vec![7; 16], ..Default::default() };
    let mappings = vec![mapping.to_owned()];
    let bad = proto::TenantHint { tenancy_id: tenancy_id.to_vec(), mappings, ..Default::default() };
    TenantBatch::decode(&proto::TenantBatch { tenants: vec![good, bad] }.encode_to_vec())
}

fn any_news() -> impl Strategy<Value = TenantHint> {
    let names = vec("[a-z][a-z0-9_]{0,62}", 0..14);
    (any::<u128>(), names, 0..=i64::MAX, any::<bool>()).prop_map(|(number, names, sequence, is_known)| TenantHint {
        tenancy: tenancy(number),
        mappings: names.iter().map(|name| name.parse().unwrap()).collect(),
        sequence: SequenceId::new(sequence),
        previous: names.iter().filter(|_| is_known).map(|_| SequenceId::new(sequence / 2)).collect(),
        times: ChangeTimes { stamped_at_micros: sequence / 3, committed_at_micros: sequence / 4 },
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_encoded_is_decoded(tenants in vec(any_news(), 0..20)) {
        let decoded: TenantBatch = TenantBatch { tenants: tenants.clone() }
            .encode()
            .iter()
            .flat_map(|payload| TenantBatch::decode(payload).unwrap().tenants)
            .collect();
        prop_assert_eq!(decoded.tenants, tenants);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(payload in vec(any::<u8>(), 0..200)) {
        let _ = TenantBatch::decode(&payload);
    }
}

#[test]
fn the_bytes_are_those_of_the_published_format() {
    let batch = TenantBatch { tenants: vec![news_of(0x0102, &["users", "teams"])] };
    let mut expected = vec![0x0a, 32, 0x0a, 16];
    expected.extend(Uuid::from_u128(0x0102).as_bytes());
    expected.extend(b"\x12\x05users\x12\x05teams");
    assert_eq!(batch.encode(), [expected.clone()]);
    // A number that is known comes last, as a variable-length integer.
    let batch =
        TenantBatch { tenants: vec![TenantHint { sequence: SequenceId::new(300), ..batch.tenants[0].clone() }] };
    expected[1] += 3;
    expected.extend(b"\x18\xac\x02");
    assert_eq!(batch.encode(), [expected.clone()]);
    let previous = [7, 299].map(SequenceId::new).to_vec();
    let batch = TenantBatch { tenants: vec![TenantHint { previous, ..batch.tenants[0].clone() }] };
    expected[1] += 5;
    expected.extend(b"\x22\x03\x07\xab\x02");
    assert_eq!(batch.encode(), [expected.clone()]);
    let times = ChangeTimes { stamped_at_micros: 300, committed_at_micros: 7 };
    let batch = TenantBatch { tenants: vec![TenantHint { times, ..batch.tenants[0].clone() }] };
    expected[1] += 5;
    expected.extend(b"\x28\xac\x02\x30\x07");
    assert_eq!(batch.encode(), [expected]);
}

#[test]
fn many_tenants_become_several_messages_within_the_limits() {
    let names: Vec<String> = (0..60).map(|number| format!("{}_{number}", "m".repeat(60))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (tenants, mappings, messages) in [(0, &[][..], 0), (1_000, &[][..], 1), (1_001, &[], 2), (900, &names, 4)] {
        let batch: TenantBatch = (0..tenants).map(|number| news_of(number, mappings)).collect();
        let payloads = batch.encode();
        assert_eq!(payloads.len(), messages, "{tenants} tenants with {} mappings each", mappings.len());
        let decoded: TenantBatch =
            payloads.iter().flat_map(|payload| TenantBatch::decode(payload).unwrap().tenants).collect();
        assert_eq!(decoded, batch);
    }
}

#[test]
fn a_tenant_that_names_too_many_mappings_is_announced_for_all() {
    let names: Vec<String> = (0..=MAX_MAPPINGS).map(|number| format!("m{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let payloads = TenantBatch { tenants: vec![news_of(1, &names)] }.encode();
    assert_eq!(TenantBatch::decode(&payloads[0]).unwrap().tenants, [news_of(1, &[])]);
}

#[test]
fn what_is_no_batch_is_refused_with_the_reason_and_without_its_contents() {
    let too_many = proto::TenantBatch { tenants: vec![proto::TenantHint::default(); MAX_TENANTS + 1] };
    let cases = [
        (TenantBatch::decode(&vec![0; MAX_BYTES + 1]), "1048577 bytes, more than 1048576"),
        (TenantBatch::decode(b"{\"tenants\": []}"), "no lockstep.v1.TenantBatch"),
        (TenantBatch::decode(&too_many.encode_to_vec()), "1001 tenancies, more than 1000"),
        (decode_hint(&[0; 15], "users"), "tenancy 1 of the batch has an id of 15 bytes instead of 16"),
        (decode_hint(&[], "users"), "an id of 0 bytes"),
        (decode_hint(&[0; 16], "Robert'); DROP"), "tenancy 1 of the batch names a mapping (14 bytes)"),
        (decode_hint(&[0; 16], ""), "a mapping (0 bytes)"),
    ];
    for (result, expected) in cases {
        let said = result.unwrap_err().to_string();
        assert!(said.contains(expected), "{expected:?} is missing in {said:?}");
        assert!(!said.contains("Robert"), "{said:?} repeats the payload");
    }
}

/// A later version of the messages: fields that ours does not know, on both levels.
#[derive(Clone, PartialEq, Message)]
struct LaterBatch {
    #[prost(message, repeated, tag = "1")]
    tenants: Vec<LaterHint>,
    #[prost(string, tag = "7")]
    region: String,
}

#[derive(Clone, PartialEq, Message)]
struct LaterHint {
    #[prost(bytes = "vec", tag = "1")]
    tenancy_id: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    mappings: Vec<String>,
    #[prost(uint64, tag = "9")]
    priority: u64,
}

/// The version before the last: no number yet. What it sent is understood, and it understands what we send.
#[derive(Clone, PartialEq, Message)]
struct FormerHint {
    #[prost(bytes = "vec", tag = "1")]
    tenancy_id: Vec<u8>,
    #[prost(string, repeated, tag = "2")]
    mappings: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct FormerBatch {
    #[prost(message, repeated, tag = "1")]
    tenants: Vec<FormerHint>,
}

#[test]
fn messages_without_a_number_and_readers_who_know_none_go_on_working() {
    let tenancy_id = Uuid::from_u128(5).as_bytes().to_vec();
    let former = FormerBatch { tenants: vec![FormerHint { tenancy_id, mappings: vec!["users".to_owned()] }] };
    assert_eq!(TenantBatch::decode(&former.encode_to_vec()).unwrap().tenants, [news_of(5, &["users"])]);
    let numbered = TenantHint { sequence: SequenceId::new(77), ..news_of(5, &["users"]) };
    let sent = TenantBatch { tenants: vec![numbered] }.encode();
    assert_eq!(FormerBatch::decode(sent[0].as_slice()).unwrap(), former);
}

/// An earlier version: no mappings yet.
#[derive(Clone, PartialEq, Message)]
struct EarlierHint {
    #[prost(bytes = "vec", tag = "1")]
    tenancy_id: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct EarlierBatch {
    #[prost(message, repeated, tag = "1")]
    tenants: Vec<EarlierHint>,
}

#[test]
fn messages_of_later_and_earlier_versions_are_understood() {
    let tenancy_id = Uuid::from_u128(5).as_bytes().to_vec();
    let hint = LaterHint { tenancy_id: tenancy_id.clone(), mappings: vec!["users".to_owned()], priority: 3 };
    let later = LaterBatch { tenants: vec![hint], region: "eu".to_owned() };
    assert_eq!(TenantBatch::decode(&later.encode_to_vec()).unwrap().tenants, [news_of(5, &["users"])]);

    let earlier = EarlierBatch { tenants: vec![EarlierHint { tenancy_id }] };
    assert_eq!(TenantBatch::decode(&earlier.encode_to_vec()).unwrap().tenants, [news_of(5, &[])]);
}
