//! A hash of a row that Postgres can compute by what it has built in, and that is the same here: what two sides have is compared by sums of it.
//!
//! Column by column, each hash is the seed of the next, so that no value can change places with another unseen. Texts and
//! ids go through Postgres' hash of bytes, whole numbers are mixed into its seed: 64 bits of Bob Jenkins' lookup3. Postgres never
//! changes these functions, since partitions by hash rest on them.
//!
//! Source: PostgreSQL's `hash_bytes_extended` and `hash_bytes_uint32_extended` (src/common/hashfn.c), `hashint8extended` (hashfunc.c).

use crate::column_type::{BaseType, ColumnType};

/// What the hashes of one comparison begin with, random: rows that it takes for one are not so in the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashSeed(pub i64);

/// What is hashed of a column, and how ClickHouse sends it in `RowBinary`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Text, its length first.
    Text,
    /// A whole number of so many bytes, with a sign where it has more than one.
    Number(usize),
    /// A moment in whole milliseconds, as microseconds since 2000: `Int64`.
    Moment,
    /// Two numbers of eight bytes.
    Uuid,
}

impl Form {
    /// Of a column of this type.
    pub const fn of(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType { array: Some(_), .. } => Self::Text,
            ColumnType { base, .. } => match base {
                BaseType::Uuid => Self::Uuid,
                BaseType::Bool => Self::Number(1),
                BaseType::Int16 => Self::Number(2),
                BaseType::Int32 => Self::Number(4),
                BaseType::Int64 => Self::Number(8),
                BaseType::Timestamp => Self::Moment,
                _ => Self::Text,
            },
        }
    }
}

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// Hashes the columns of one row, in their order.
#[derive(Clone, Copy, Debug)]
pub struct RowHasher(u64);

impl RowHasher {
    /// Of a row of which nothing was seen yet.
    pub const fn new(seed: HashSeed) -> Self {
        Self(seed.0.cast_unsigned())
    }

    /// The next column is null, and of this form.
    pub fn null(&mut self, form: Form) {
        match form {
            Form::Number(_) => self.0 = hash_bytes(&1_u32.to_le_bytes(), self.0),
            Form::Text => self.0 = hash_bytes(b"", self.0 ^ 1),
            Form::Uuid => self.0 = hash_bytes(&[0; 16], self.0 ^ 1),
            Form::Moment => {
                self.0 ^= 1;
                self.moment(0);
            }
        }
    }

    /// The next column has these bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.0 = hash_bytes(bytes, self.0);
    }

    /// The next column is this number.
    pub fn number(&mut self, number: i64) {
        self.0 = hash_bytes(&[0; 4], self.0 ^ number.cast_unsigned());
    }

    /// The next column is a moment, in microseconds since 2000.
    ///
    /// Postgres hashes eight bytes as the difference of their halves: its day is hashed too, so that no two moments are alike.
    pub fn moment(&mut self, microseconds: i64) {
        let day = i32::try_from(microseconds.div_euclid(DAY)).unwrap_or_default();
        let [a, b, c, d, e, f, g, h] = microseconds.to_le_bytes();
        let (low, high) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        let halves = low ^ if microseconds >= 0 { high } else { !high };
        self.0 = hash_bytes(&halves.to_le_bytes(), hash_bytes(&day.to_le_bytes(), self.0));
    }

    /// The hash of the row.
    pub const fn finish(self) -> i64 {
        self.0.cast_signed()
    }
}

/// `hash_bytes_extended` of Postgres, on a machine with the least significant byte first.
fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let start = 0x9e37_79b9_u32.wrapping_add(length).wrapping_add(3_923_095);
    let mut state = [start; 3];
    if seed != 0 {
        let [a, b, c, d, e, f, g, h] = seed.to_be_bytes();
        mix(&mut state, [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]), 0]);
    }
    let mut chunks = bytes.chunks_exact(12);
    for chunk in &mut chunks {
        mix(&mut state, words(chunk.try_into().unwrap_or_default(), 0));
    }
    let mut rest = [0; 12];
    rest[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
    // The lowest byte of the third word is the length's.
    let [one, two, three] = words(rest, 8);
    let [a, b, c] = state;
    scramble([a.wrapping_add(one), b.wrapping_add(two), c.wrapping_add(three)])
}

/// The bytes as three numbers; the third is moved up by so many bits.
const fn words(bytes: [u8; 12], up: u32) -> [u32; 3] {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = bytes;
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]), u32::from_le_bytes([i, j, k, l]) << up]
}

fn mix(state: &mut [u32; 3], more: [u32; 3]) {
    let [mut a, mut b, mut c] = *state;
    a = a.wrapping_add(more[0]);
    b = b.wrapping_add(more[1]);
    c = c.wrapping_add(more[2]);
    for rotations in [[4, 6, 8], [16, 19, 4]] {
        a = a.wrapping_sub(c) ^ c.rotate_left(rotations[0]);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(rotations[1]);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(rotations[2]);
        b = b.wrapping_add(a);
    }
    *state = [a, b, c];
}

fn scramble([mut a, mut b, mut c]: [u32; 3]) -> u64 {
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    (u64::from(b) << 32) | u64::from(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_hash_as_postgres_says() {
        let said = [
            ("", 0, -6_939_563_903_564_495_251),
            ("", 7, 2_755_504_096_093_790_112),
            ("Hello, world", 0, 8_973_400_402_510_695_599),
            ("größer als zwölf Bytes?", -5, 5_639_578_823_418_746_670),
        ];
        for (text, seed, hash) in said {
            assert_eq!(hash_bytes(text.as_bytes(), i64::cast_unsigned(seed)).cast_signed(), hash, "{text:?}");
        }
    }

    #[test]
    fn columns_hash_as_postgres_says() {
        let after = |next: &dyn Fn(&mut RowHasher)| {
            let mut row = RowHasher::new(HashSeed(42));
            next(&mut row);
            row.finish()
        };
        // SELECT hashint4extended(0, 42::int8 # -2), timestamp_hash_extended(m, hashint4extended(m::date - date '2000-01-01', 42)),
        //   uuid_hash_extended('00112233-4455-6677-8899-aabbccddeeff', 42)
        assert_eq!(after(&|row| row.number(-2)), -8_076_091_311_666_148_644);
        assert_eq!(after(&|row| row.moment(757_254_896_789_000)), 5_231_121_982_752_005_793);
        assert_eq!(after(&|row| row.moment(-757_254_896_789_000)), 5_836_932_028_166_231_181);
        let uuid = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(after(&|row| row.bytes(&uuid)), -1_629_170_038_376_903_409);
    }

    #[test]
    fn null_is_like_no_value_that_stands_in_for_it() {
        for form in [Form::Text, Form::Number(8), Form::Moment, Form::Uuid] {
            let (mut null, mut value) = (RowHasher::new(HashSeed(7)), RowHasher::new(HashSeed(7)));
            null.null(form);
            match form {
                Form::Text => value.bytes(b""),
                Form::Number(_) => value.number(0),
                Form::Moment => value.moment(0),
                Form::Uuid => value.bytes(&[0; 16]),
            }
            assert_ne!(null.finish(), value.finish(), "{form:?}");
        }
    }
}
