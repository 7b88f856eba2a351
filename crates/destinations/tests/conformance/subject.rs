//! A destination under the suite, and how its rows are read back.

use super::*;

/// A destination, and how to write rows of one mapping to it and read them back.
pub(super) struct Subject<D, R> {
    pub(super) destination: D,
    pub(super) readable: R,
    pub(super) mapping: Arc<Mapping>,
    /// Whose rows they are.
    pub(super) tenancy: TenancyId,
}

/// The cursors that a page is read above.
pub(super) type From = Vec<(TenancyId, SequenceId)>;

/// A row of `team_member_profiles`: its key, its number, and what it holds; `None` makes it a tombstone.
pub(super) type Profile<'a> = (u128, i64, Option<&'a str>);

impl<D: Destination, R: Compare> Subject<D, R> {
    /// What a page is read above: whoever forgets rows compares its cursor with that.
    pub(super) async fn from(&self) -> From {
        match self.destination.keeps() {
            Keeps::Versions => Vec::new(),
            Keeps::Rows => {
                let at = self.cursors().await[&(self.tenancy, self.mapping.name.clone())];
                vec![(self.tenancy, at)]
            }
        }
    }

    pub(super) fn page<'a>(&'a self, window: WriteWindow, from: &'a From) -> PageStart<'a> {
        PageStart { mapping: &self.mapping, from, window, limits: WriteLimits::default() }
    }

    pub(super) async fn try_write(&self, to: &impl Destination, rows: &[Profile<'_>]) -> Result<(), DestinationError> {
        let from = self.from().await;
        let mut page = to.open_page(self.page(fresh(), &from));
        self.push(&mut page, rows).await?;
        end(page, &from).await
    }

    pub(super) async fn write(&self, rows: &[Profile<'_>]) {
        self.try_write(&self.destination, rows).await.unwrap();
    }

    /// Pushes rows as they leave the source.
    pub(super) async fn push(&self, page: &mut impl PageWriter, rows: &[Profile<'_>]) -> Result<(), DestinationError> {
        let tenancy: Uuid = self.tenancy.to_string().parse().unwrap();
        let mut reader = CopyReader::default();
        let mut copy = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for &(key, number, name) in rows {
            let id = Uuid::from_u128(key);
            let deleted = i16::from(name.is_none()).to_be_bytes();
            let number = number.to_be_bytes();
            let fields: [Option<&[u8]>; 10] = [
                Some(tenancy.as_bytes()),
                Some(b"project"),
                Some(b"main"),
                Some(id.as_bytes()),
                Some(id.as_bytes()),
                name.map(str::as_bytes),
                None,
                Some(&[0; 8]),
                Some(&number),
                Some(&deleted),
            ];
            copy.extend(10_i16.to_be_bytes());
            for field in fields {
                copy.extend(field.map_or(-1, |field| i32::try_from(field.len()).unwrap()).to_be_bytes());
                copy.extend(field.unwrap_or_default());
            }
            let pushed = reader.rows::<CodecError>(&copy, |fields| page.push(&Row::read(fields, &self.mapping)?));
            pushed.unwrap();
            copy.clear();
            if page.is_full() {
                page.send().await?;
            }
        }
        Ok(())
    }

    /// What readers see: keys and what they hold, in the order of the comparison.
    pub(super) async fn shown(&self) -> Vec<(u128, String)> {
        let rows: Vec<_> = self.readable.rows(&self.mapping, Scope::All).try_collect().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        rows.iter()
            .map(|row| {
                let id: Uuid = text(row.field(2).unwrap()).parse().unwrap();
                (id.as_u128(), text(row.field(4).unwrap()))
            })
            .collect()
    }

    pub(super) async fn shows(&self, expected: &[(u128, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(key, name)| (*key, (*name).to_owned())).collect();
        assert_eq!(self.shown().await, expected);
    }

    /// A cursor of its mapping.
    pub(super) fn at(&self, number: i64) -> CursorAt {
        (self.tenancy, self.mapping.name.clone(), SequenceId::new(number))
    }

    pub(super) async fn cursors(&self) -> Cursors {
        self.destination.cursors(Selection::All, Selection::All).await.unwrap()
    }
}
