//! Indexes older messages: those from before the first start with an index, and those of
//! generations that were dropped. The newest gap comes first.

use crate::store::index::generation::{self, GenerationRow, OpenGeneration};
use crate::store::index::session::state::{Backfill, BatchUse, Session};

impl Session<'_> {
    /// Returns the ranges of ids below the live generation that are not indexed, in ascending
    /// order.
    pub fn gaps(&self, rows: &[GenerationRow]) -> Vec<(i64, i64)> {
        let Some((oldest, _)) = self.bounds else { return Vec::new() };
        let end = self.live.as_ref().map_or(self.position, |live| live.first_id - 1);
        let mut gaps = Vec::new();
        let mut next = oldest;
        for row in rows.iter().filter(|row| row.first_id <= end) {
            if next < row.first_id {
                gaps.push((next, row.first_id - 1));
            }
            next = next.max(row.last_id + 1);
        }
        if next <= end {
            gaps.push((next, end));
        }
        gaps
    }

    /// Indexes a batch of the newest gap; false if there is no gap.
    pub fn fill_gap(&mut self) -> rusqlite::Result<bool> {
        let Some(mut backfill) =
            self.backfill.take().map_or_else(|| self.start_backfill(), |one| Ok(Some(one)))?
        else {
            return Ok(false);
        };
        let Some(batch) = self.next_batch(BatchUse::Gap, backfill.generation.last_id, backfill.through)
        else {
            self.backfill = Some(backfill);
            return Ok(false);
        };
        self.begin()?;
        backfill.generation.add(&self.file.connection, &batch)?;
        self.added(batch.documents.len());
        if backfill.generation.last_id < backfill.through {
            self.backfill = Some(backfill);
            return self.commit_if_large().map(|()| true);
        }
        self.finish(&backfill.generation)?;
        Ok(true)
    }

    fn start_backfill(&mut self) -> rusqlite::Result<Option<Backfill>> {
        let rows = generation::all(&self.file.connection)?;
        let Some((first, last)) = self.gaps(&rows).pop() else { return Ok(None) };
        let size = i64::try_from(self.generation_size()).unwrap_or(i64::MAX);
        self.begin()?;
        let generation = self.open_generation(first.max(last - size + 1))?;
        Ok(Some(Backfill { generation, through: last }))
    }

    fn finish(&mut self, generation: &OpenGeneration) -> rusqlite::Result<()> {
        let connection = &self.file.connection;
        generation.write(connection, true)?;
        if generation.messages == 0 {
            connection.execute_batch(&format!("DROP TABLE words_{}", generation.number))?;
        }
        self.commit()
    }
}
