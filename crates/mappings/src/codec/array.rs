//! Arrays of one dimension: from PostgreSQL's `array_send` to `Array` in `RowBinary`.

/// Dimensions, whether there are nulls, the type of elements.
const HEADER_BYTES: usize = 12;
/// Elements, and the number of the first.
const DIMENSION_BYTES: usize = 8;

const MALFORMED: &str = "is no array as PostgreSQL sends them";

/// The elements of an array of one dimension, in order; `None` is NULL. Where the first has another number than 1, that is
/// not kept.
pub(super) struct Elements<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Elements<'a> {
    /// # Errors
    /// What is wrong with the array.
    pub(super) fn of(array: &'a [u8]) -> Result<Self, &'static str> {
        let (header, rest) = array.split_first_chunk::<HEADER_BYTES>().ok_or(MALFORMED)?;
        match i32::from_be_bytes([header[0], header[1], header[2], header[3]]) {
            0 if rest.is_empty() => Ok(Self { rest, left: 0 }),
            1 => {
                let (dimension, rest) = rest.split_first_chunk::<DIMENSION_BYTES>().ok_or(MALFORMED)?;
                let count = i32::from_be_bytes([dimension[0], dimension[1], dimension[2], dimension[3]]);
                let left = usize::try_from(count).map_err(|_| MALFORMED)?;
                Ok(Self { rest, left })
            }
            2.. => Err("is an array of more than one dimension"),
            _ => Err(MALFORMED),
        }
    }

    /// How many are left.
    pub(super) const fn left(&self) -> usize {
        self.left
    }

    /// # Errors
    /// What is wrong with the array.
    pub(super) fn next_element(&mut self) -> Result<Option<&'a [u8]>, &'static str> {
        let (length, rest) = self.rest.split_first_chunk::<4>().ok_or(MALFORMED)?;
        self.left = self.left.checked_sub(1).ok_or(MALFORMED)?;
        let length = i32::from_be_bytes(*length);
        if length == -1 {
            self.rest = rest;
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| MALFORMED)?;
        let (element, rest) = rest.split_at_checked(length).ok_or(MALFORMED)?;
        self.rest = rest;
        Ok(Some(element))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(array: &[u8]) -> Result<Vec<Option<&[u8]>>, &'static str> {
        let mut elements = Elements::of(array)?;
        let mut all = Vec::new();
        while elements.left() > 0 {
            all.push(elements.next_element()?);
        }
        Ok(all)
    }

    fn array(dimensions: &[[i32; 2]], elements: &[Option<&[u8]>]) -> Vec<u8> {
        let mut bytes = [i32::try_from(dimensions.len()).unwrap(), 1, 25].map(i32::to_be_bytes).concat();
        bytes.extend(dimensions.iter().flatten().flat_map(|number| number.to_be_bytes()));
        for element in elements {
            let length = element.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap());
            bytes.extend(length.to_be_bytes());
            bytes.extend(element.unwrap_or_default());
        }
        bytes
    }

    #[test]
    fn elements_come_in_order_whatever_the_first_is_called() {
        let elements = [Some(&b"ada"[..]), None, Some(b"")];
        for first in [1, 5, -3] {
            assert_eq!(all(&array(&[[3, first]], &elements)), Ok(elements.to_vec()));
        }
        assert_eq!(all(&array(&[], &[])), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_array_of_one_dimension_is_refused_and_never_read_past() {
        assert!(all(&array(&[[1, 1], [1, 1]], &[Some(b"ada")])).unwrap_err().contains("more than one dimension"));
        let whole = array(&[[2, 1]], &[Some(b"ada"), Some(b"grace")]);
        for end in 0..whole.len() {
            assert_eq!(all(&whole[..end]), Err(MALFORMED), "{end} bytes");
        }
        assert_eq!(all(&array(&[[-1, 1]], &[])), Err(MALFORMED));
        assert_eq!(all(&array(&[[i32::MAX, 1]], &[None])), Err(MALFORMED));
    }
}
