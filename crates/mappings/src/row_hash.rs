//! A hash of a row that Postgres has built in, and that is the same here: what two sides have is compared by sums of it.
//!
//! Each column becomes bytes that are alike on every side. Postgres hashes them as a record (`hash_record_extended`, since version 14;
//! its results never change, partitions by hash rest on them), and the eight bytes of that once more: a sum of the
//! first hash alone would not see values that changed places between rows. 64 bits of Bob Jenkins' lookup3, under a seed.
//!
//! Sources: PostgreSQL's `hash_bytes_extended` (src/common/hashfn.c) and `hash_record_extended` (rowtypes.c).

use crate::column_type::{BaseType, ColumnType};

/// What the hashes of one comparison begin with, random: rows that it takes for one are not so in the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashSeed(pub i64);

/// How ClickHouse sends the bytes of a column (`RowBinary`), of which the bytes that are hashed are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Their length first.
    Bytes,
    /// A number of so many bytes, the least significant first; Postgres sends the most significant first.
    Number(usize),
    /// Two numbers of eight bytes.
    Uuid,
}

impl Form {
    /// Of a column of this type.
    pub const fn of(column_type: ColumnType) -> Self {
        match column_type {
            ColumnType { array: Some(_), .. } => Self::Bytes,
            ColumnType { base, .. } => match base {
                BaseType::Uuid => Self::Uuid,
                BaseType::Bool => Self::Number(1),
                BaseType::Int16 => Self::Number(2),
                BaseType::Int32 | BaseType::Float32 => Self::Number(4),
                BaseType::Int64 | BaseType::Float64 | BaseType::Timestamp | BaseType::TimestampMicros => {
                    Self::Number(8)
                }
                _ => Self::Bytes,
            },
        }
    }
}

/// Hashes the columns of one row, in their order.
#[derive(Clone, Copy, Debug)]
pub struct RowHasher {
    seed: u64,
    columns: u64,
}

impl RowHasher {
    /// Of a row of which nothing was seen yet.
    pub const fn new(seed: HashSeed) -> Self {
        Self { seed: seed.0.cast_unsigned(), columns: 0 }
    }

    /// The next column is null.
    pub const fn null(&mut self) {
        self.add(0);
    }

    /// The next column has these bytes.
    pub fn value(&mut self, bytes: &[u8]) {
        self.add(hash_bytes(bytes, self.seed));
    }

    const fn add(&mut self, column: u64) {
        self.columns = self.columns.wrapping_mul(31).wrapping_add(column);
    }

    /// The hash of the row.
    pub fn finish(self) -> i64 {
        hash_bytes(&self.columns.to_be_bytes(), self.seed).cast_signed()
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
    fn a_row_hashes_as_postgres_says() {
        let uuid = [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let mut row = RowHasher::new(HashSeed(42));
        row.value(b"a");
        row.null();
        row.value(&(-2_i64).to_be_bytes());
        row.value(&uuid);
        row.value(&[0, 0xff]);
        // SELECT hash_record_extended(ROW(int8send(hash_record_extended(ROW('a'::text COLLATE "C", NULL::text, int8send(-2),
        //   '00112233-4455-6677-8899-aabbccddeeff'::uuid, '\\x00ff'::bytea), 42))), 42)
        assert_eq!(row.finish(), -3_773_705_861_349_193_016);
    }
}
