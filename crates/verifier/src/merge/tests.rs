//! The merge against a model that holds everything at once.

use std::collections::BTreeMap;

use lockstep_mappings::MappingSet;
use proptest::prelude::*;

use super::*;

/// Location, key (user, permission) and a nullable value: enough to tell apart everything that the merge does.
const DEFINITION: &str = r#"
name = "things"
table = "Thing"
tenant = { column = "tenancyId" }
key = ["kind", "id"]
columns = [
    { name = "id", type = "text", column = "id" },
    { name = "value", type = "text?", column = "value" },
    { name = "kind", type = "text", column = "kind" },
]
"#;

fn shape() -> Shape {
    let set = MappingSet::from_texts(&[("things.toml".to_owned(), DEFINITION.to_owned())]).unwrap();
    Shape::of(set.iter().next().unwrap())
}

type Key = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);
type Value = Option<Vec<u8>>;

fn row((project, branch, kind, id): &Key, value: &Value) -> Row {
    let mut row = Row::default();
    for field in [Some(project), Some(branch), Some(id), value.as_ref(), Some(kind)] {
        row.push(field.map(Vec::as_slice));
    }
    row
}

/// What is told at one key: how many rows of it are equal, missing, unexpected, different.
type Told = BTreeMap<Key, [usize; 4]>;

fn key_of(row: &Row) -> Key {
    let field = |index| row.field(index).unwrap().to_vec();
    (field(0), field(1), field(4), field(2))
}

fn merged(source: &[(Key, Value)], destination: &[(Key, Value)]) -> (Told, usize) {
    let shape = shape();
    let mut merge = Merge::new(&shape);
    let (mut source, mut destination) = (source.iter(), destination.iter());
    let (mut told, mut equal) = (Told::new(), 0);
    loop {
        while let Some(side) = merge.wants() {
            let next = if side == Side::Source { source.next() } else { destination.next() };
            merge.give(side, next.map(|(key, value)| row(key, value))).unwrap();
        }
        let (key, what) = match merge.meet() {
            None => return (told, equal),
            Some(Meeting::Equal) => {
                equal += 1;
                continue;
            }
            Some(Meeting::Missing(row)) => (key_of(row), 1),
            Some(Meeting::Unexpected(row)) => (key_of(row), 2),
            Some(Meeting::Different(one, other)) => {
                assert_eq!(shape.differing(one, other), ["value"]);
                (key_of(one), 3)
            }
        };
        told.entry(key).or_default()[what] += 1;
    }
}

/// Of each key, the rows pair up in order; what is left over has no counterpart.
fn modelled(source: &[(Key, Value)], destination: &[(Key, Value)]) -> (Told, usize) {
    let mut sides: BTreeMap<&Key, [Vec<&Value>; 2]> = BTreeMap::new();
    for (index, rows) in [source, destination].into_iter().enumerate() {
        for (key, value) in rows {
            sides.entry(key).or_default()[index].push(value);
        }
    }
    let (mut told, mut equal) = (Told::new(), 0);
    for (key, [source, destination]) in sides {
        let mut counts = [0; 4];
        let alike = source.iter().zip(&destination).filter(|(one, other)| one == other).count();
        equal += alike;
        let pairs = source.len().min(destination.len());
        counts[3] = pairs - alike;
        counts[1] = source.len() - pairs;
        counts[2] = destination.len() - pairs;
        if counts != [0; 4] {
            told.insert(key.clone(), counts);
        }
    }
    (told, equal)
}

fn rows() -> impl Strategy<Value = Vec<(Key, Value)>> {
    // Few distinct bytes, among them those that compare differently when taken for signed or for text.
    let text = || prop::collection::vec(prop::sample::select(vec![0_u8, b'a', b'b', 0xff]), 0..3);
    let key = (text(), text(), text(), text());
    let value = prop::option::of(text());
    prop::collection::vec((key, value), 0..12).prop_map(|mut rows| {
        rows.sort_by(|(one, _), (other, _)| one.cmp(other));
        rows
    })
}

proptest! {
    #[test]
    fn ver_1_the_merge_tells_what_the_model_tells(
        source in rows(), destination in rows(), taken in prop::collection::vec(any::<bool>(), 12)
    ) {
        // Mostly alike sides meet more of the interesting cases than two unrelated ones.
        let mut mixed = destination;
        mixed.extend(source.iter().zip(taken).filter(|(_, taken)| *taken).map(|(row, _)| row.clone()));
        mixed.sort_by(|(one, _), (other, _)| one.cmp(other));
        prop_assert_eq!(merged(&source, &mixed), modelled(&source, &mixed));
    }
}

#[test]
fn ver_1_disorder_is_an_error_on_either_side() {
    let shape = shape();
    let key = |id: &str| (vec![], vec![], vec![], id.as_bytes().to_vec());
    for side in [Side::Source, Side::Destination] {
        let mut merge = Merge::new(&shape);
        assert_eq!(merge.give(side, Some(row(&key("b"), &None))), Ok(()));
        assert_eq!(merge.give(side, Some(row(&key("b"), &None))), Ok(()), "twice the same is told as a difference");
        assert_eq!(merge.give(side, Some(row(&key("a"), &None))), Err(OutOfOrder(side)));
    }
}

#[test]
fn ver_1_null_is_not_empty() {
    let key = (vec![], vec![], vec![], vec![]);
    let (told, equal) = merged(&[(key.clone(), None)], &[(key.clone(), Some(vec![]))]);
    assert_eq!((told, equal), (Told::from([(key, [0, 0, 0, 1])]), 0));
}

#[test]
fn ver_1_a_key_that_is_the_same_when_joined_is_not_the_same() {
    let one = (b"p".to_vec(), b"".to_vec(), b"ab".to_vec(), b"c".to_vec());
    let other = (b"p".to_vec(), b"".to_vec(), b"a".to_vec(), b"bc".to_vec());
    let (told, equal) = merged(&[(one.clone(), None)], &[(other.clone(), None)]);
    assert_eq!((told, equal), (Told::from([(one, [0, 1, 0, 0]), (other, [0, 0, 1, 0])]), 0));
}
