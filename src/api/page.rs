//! Paged lists. A cursor is an id, and the next page has only smaller ids, so that new items
//! neither hide an item nor repeat one.

use super::error::ApiError;

const DEFAULT_LIMIT: u16 = 50;
pub const MAX_LIMIT: u16 = 200;

/// The requested page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paging<I> {
    /// Upper bound of the ids on the page, exclusive.
    pub cursor: Option<I>,
    pub limit: usize,
}

impl<I: Copy + Ord> Paging<I> {
    /// Validates the limit, which is 50 if it is absent.
    ///
    /// # Errors
    /// If the limit is out of bounds.
    pub fn new(cursor: Option<I>, limit: Option<u16>) -> Result<Self, ApiError> {
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(ApiError::InvalidQuery(format!("limit: must be from 1 to {MAX_LIMIT}")));
        }
        Ok(Self { cursor, limit: usize::from(limit) })
    }

    /// Returns a page of an in-memory list. `items`: in any order, with their ids.
    pub fn of_all<T>(self, mut items: Vec<(I, T)>) -> (Vec<T>, Option<I>) {
        items.retain(|(id, _)| self.cursor.is_none_or(|cursor| *id < cursor));
        items.sort_by_key(|(id, _)| std::cmp::Reverse(*id));
        let (items, next) = self.of_longer(items, |(id, _)| *id);
        (items.into_iter().map(|(_, item)| item).collect(), next)
    }

    /// Returns a page of a list with at least one more item than the limit, unless it is complete.
    pub fn of_longer<T>(self, mut items: Vec<T>, id_of: impl Fn(&T) -> I) -> (Vec<T>, Option<I>) {
        let has_more = items.len() > self.limit;
        items.truncate(self.limit);
        let next = items.last().filter(|_| has_more).map(id_of);
        (items, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_memory_list_is_paged_without_gap_or_repeat() {
        let items = || (1..=5).map(|id| (id, id)).collect::<Vec<_>>();
        let page = |cursor, limit| Paging::new(cursor, Some(limit)).unwrap().of_all(items());
        assert_eq!(page(None, 2), (vec![5, 4], Some(4)));
        assert_eq!(page(Some(4), 2), (vec![3, 2], Some(2)));
        assert_eq!(page(Some(2), 2), (vec![1], None));
        assert_eq!(page(None, 5), (vec![5, 4, 3, 2, 1], None));
    }

    #[test]
    fn full_last_page_has_no_cursor() {
        let paging = Paging::new(None, Some(2)).unwrap();
        assert_eq!(paging.of_longer(vec![5, 4, 3], |id| *id), (vec![5, 4], Some(4)));
        assert_eq!(paging.of_longer(vec![5, 4], |id| *id), (vec![5, 4], None));
        assert_eq!(paging.of_longer(Vec::new(), |id: &i64| *id), (vec![], None));
    }

    #[test]
    fn page_limit_is_bounded() {
        let rows = [
            (None, true),
            (Some(1), true),
            (Some(MAX_LIMIT), true),
            (Some(0), false),
            (Some(MAX_LIMIT + 1), false),
        ];
        for (limit, fits) in rows {
            assert_eq!(Paging::<i64>::new(None, limit).is_ok(), fits, "{limit:?}");
        }
    }
}
