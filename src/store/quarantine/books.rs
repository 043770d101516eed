//! Totals of the `rejections` table in memory, so that its limits do not need a query over all
//! rows: the bytes of candidates by network, and the noise rows.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _};

use crate::store::id::RejectionId;
use crate::store::quarantine::intake::Intake;
use crate::store::quarantine::network::ClientNetwork;
use crate::store::quarantine::rejection::{NewRejection, Placement, RejectionKind};
use crate::store::quarantine::shares::Shares;

const NOISE_PER_NETWORK_AND_CAUSE: usize = 20;
const NOISE_PER_SOURCE: usize = 1_000;
const NOISE_BYTES_PER_SOURCE: u64 = 4 << 20;

#[derive(Debug, Default)]
pub struct Books {
    candidates: Shares,
    candidate_rows: u64,
    /// Number of the intake's known senders already added to the shares.
    senders: usize,
    noise: BTreeMap<String, Noise>,
    /// Stored texts that differ from the network they count as, written by another program.
    foreign_texts: Vec<ForeignText>,
}

/// A text in the column `network` of a source's candidates, and the network it counts as.
#[derive(Debug)]
struct ForeignText {
    source: String,
    network: ClientNetwork,
    text: String,
}

/// Noise of one source, oldest first.
#[derive(Debug, Default)]
struct Noise {
    rows: VecDeque<NoiseRow>,
    bytes: u64,
}

#[derive(Debug)]
struct NoiseRow {
    id: RejectionId,
    bytes: u64,
    network: ClientNetwork,
    cause: Cow<'static, str>,
}

/// A deleted row of `rejections`.
#[derive(Debug)]
pub struct DeletedRow {
    source: String,
    network: String,
    cause: String,
    bytes: u64,
    kind: RejectionKind,
}

impl Books {
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let mut books = Self::default();
        let mut statement = connection.prepare_cached(
            "SELECT source, network, sum(bytes), count(*) FROM rejections INDEXED BY rejections_candidates
             WHERE candidate = 1 GROUP BY source, network",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (source, text): (String, String) = (row.get(0)?, row.get(1)?);
            let network = parsed(&text);
            books.candidates.add(&source, network, row.get(2)?);
            books.candidate_rows += row.get::<_, u64>(3)?;
            if network.to_string() != text {
                books.foreign_texts.push(ForeignText { source, network, text });
            }
        }
        let mut statement = connection.prepare_cached(
            "SELECT id, source, network, cause, bytes FROM rejections INDEXED BY rejections_noise
             WHERE candidate = 0 ORDER BY received_at, id",
        )?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let network: String = row.get(2)?;
            let cause: String = row.get(3)?;
            let entry = NoiseRow {
                id: row.get(0)?,
                bytes: row.get(4)?,
                network: parsed(&network),
                cause: Cow::Owned(cause),
            };
            books.noise.entry(row.get(1)?).or_default().push(entry);
        }
        Ok(books)
    }

    /// Adds networks with verified messages to the known senders.
    pub fn learn_senders(&mut self, intake: &Intake) {
        let learned = intake.with_senders_after(self.senders, |senders| {
            senders.iter().for_each(|sender| self.candidates.trust(sender));
            senders.len()
        });
        self.senders += learned;
    }

    pub fn bytes(&self) -> u64 {
        self.candidates.total() + self.noise.values().map(|noise| noise.bytes).sum::<u64>()
    }

    pub fn rows(&self) -> u64 {
        self.candidate_rows + self.noise.values().map(|noise| noise.rows.len() as u64).sum::<u64>()
    }

    /// Evicts other rows until `rejection` fits, unless it would be evicted itself.
    pub fn make_room(
        &mut self,
        connection: &Connection,
        intake: &Intake,
        rejection: &NewRejection,
        share: u64,
        max_bytes: u64,
        evictions: &mut usize,
    ) -> rusqlite::Result<Placement> {
        if share > max_bytes {
            return Ok(Placement::Dropped);
        }
        if rejection.kind == RejectionKind::Noise {
            return self.make_room_for_noise(connection, intake, rejection, share, max_bytes);
        }
        let (source, network) = (&*rejection.source, rejection.network());
        // The new rejection counts in the eviction order: otherwise a network could displace others
        // with one large body.
        self.candidates.add(source, network, share);
        let placement = loop {
            if self.bytes() <= max_bytes {
                break Placement::Written;
            }
            if *evictions == 0 {
                break Placement::Postponed;
            }
            let is_noise_left = self.noise.values().any(|noise| !noise.rows.is_empty());
            let is_own_turn = self.candidates.heaviest() == Some((source, network));
            if !is_noise_left && is_own_turn && self.candidates.of(source, network) == share {
                break Placement::Dropped;
            }
            *evictions -= 1;
            if self.evict(connection, intake)?.is_none() {
                break Placement::Dropped;
            }
        };
        self.candidates.remove(source, network, share);
        Ok(placement)
    }

    fn make_room_for_noise(
        &mut self,
        connection: &Connection,
        intake: &Intake,
        rejection: &NewRejection,
        share: u64,
        max_bytes: u64,
    ) -> rusqlite::Result<Placement> {
        let network = rejection.network();
        let is_alike = |row: &&NoiseRow| row.network == network && row.cause == rejection.cause;
        let total = self.bytes();
        let Some(noise) = self.noise.get_mut(&*rejection.source) else {
            let fits = share <= NOISE_BYTES_PER_SOURCE && total + share <= max_bytes;
            return Ok(if fits { Placement::Written } else { Placement::Dropped });
        };
        let alike = noise.rows.iter().filter(is_alike).count();
        if alike >= NOISE_PER_NETWORK_AND_CAUSE || share > NOISE_BYTES_PER_SOURCE {
            return Ok(Placement::Dropped);
        }
        let mut freed = 0;
        while noise.rows.len() >= NOISE_PER_SOURCE
            || noise.bytes + share > NOISE_BYTES_PER_SOURCE
            || total - freed + share > max_bytes
        {
            let Some(oldest) = noise.rows.pop_front() else { return Ok(Placement::Dropped) };
            noise.bytes -= oldest.bytes;
            freed += oldest.bytes;
            delete_row(connection, oldest.id)?;
            intake.count(&rejection.source, oldest.cause, RejectionKind::Noise);
        }
        Ok(Placement::Written)
    }

    pub fn inserted(&mut self, id: RejectionId, rejection: &NewRejection, share: u64) {
        let network = rejection.network();
        match rejection.kind {
            RejectionKind::Candidate => {
                self.candidates.add(&rejection.source, network, share);
                self.candidate_rows += 1;
            }
            RejectionKind::Noise => {
                let row = NoiseRow { id, bytes: share, network, cause: Cow::Borrowed(rejection.cause) };
                self.noise.entry(rejection.source.to_string()).or_default().push(row);
            }
        }
    }

    /// Evicts the next row: the oldest noise of the source with the most noise bytes, or, without
    /// noise, the oldest candidate of the network that [`Shares::heaviest`] returns. Returns the
    /// bytes of the row; `None` if there is no row.
    pub fn evict(&mut self, connection: &Connection, intake: &Intake) -> rusqlite::Result<Option<u64>> {
        let noisiest = self.noise.values().filter(|noise| !noise.rows.is_empty()).max_by_key(|one| one.bytes);
        if let Some(id) = noisiest.and_then(|noise| noise.rows.front()).map(|row| row.id) {
            return self.evict_row(connection, intake, id);
        }
        while let Some((source, network)) = self.candidates.heaviest() {
            if let Some(id) = oldest_candidate(connection, source, &network.to_string())? {
                return self.evict_row(connection, intake, id);
            }
            let is_same = |one: &ForeignText| one.source == source && one.network == network;
            if let Some(place) = self.foreign_texts.iter().position(is_same) {
                let text = &self.foreign_texts[place].text;
                if let Some(id) = oldest_candidate(connection, source, text)? {
                    return self.evict_row(connection, intake, id);
                }
                self.foreign_texts.swap_remove(place);
                continue;
            }
            // Another process has deleted rows of this table.
            let (source, held) = (source.to_owned(), self.candidates.of(source, network));
            self.candidates.remove(&source, network, held);
        }
        Ok(None)
    }

    fn evict_row(
        &mut self,
        connection: &Connection,
        intake: &Intake,
        id: RejectionId,
    ) -> rusqlite::Result<Option<u64>> {
        let Some(row) = self.delete(connection, id)? else { return Ok(Some(0)) };
        intake.count(&Arc::from(row.source), Cow::Owned(row.cause), row.kind);
        Ok(Some(row.bytes))
    }

    /// Deletes a row, if it exists.
    pub fn delete(
        &mut self,
        connection: &Connection,
        id: RejectionId,
    ) -> rusqlite::Result<Option<DeletedRow>> {
        let deleted = connection
            .prepare_cached(
                "DELETE FROM rejections WHERE id = ?1 RETURNING source, network, cause, bytes, candidate",
            )?
            .query_row([id], |row| {
                let is_candidate: bool = row.get(4)?;
                Ok(DeletedRow {
                    source: row.get(0)?,
                    network: row.get(1)?,
                    cause: row.get(2)?,
                    bytes: row.get(3)?,
                    kind: if is_candidate { RejectionKind::Candidate } else { RejectionKind::Noise },
                })
            })
            .optional()?;
        match &deleted {
            Some(row) if row.kind == RejectionKind::Candidate => {
                self.candidates.remove(&row.source, parsed(&row.network), row.bytes);
                self.candidate_rows = self.candidate_rows.saturating_sub(1);
            }
            _ => self.forget_noise(id),
        }
        Ok(deleted)
    }

    fn forget_noise(&mut self, id: RejectionId) {
        for noise in self.noise.values_mut() {
            if let Some(place) = noise.rows.iter().position(|row| row.id == id)
                && let Some(row) = noise.rows.remove(place)
            {
                noise.bytes -= row.bytes;
            }
        }
        self.noise.retain(|_, noise| !noise.rows.is_empty());
    }
}

impl Noise {
    fn push(&mut self, row: NoiseRow) {
        self.bytes += row.bytes;
        self.rows.push_back(row);
    }
}

/// Parses a stored network. Unreadable text, written by another program, counts as 0.0.0.0/24, so
/// that its rows are counted.
fn parsed(text: &str) -> ClientNetwork {
    ClientNetwork::parse(text).unwrap_or(ClientNetwork::of(std::net::Ipv4Addr::UNSPECIFIED.into()))
}

/// Returns the oldest candidate of a source whose column `network` has this text.
fn oldest_candidate(
    connection: &Connection,
    source: &str,
    network: &str,
) -> rusqlite::Result<Option<RejectionId>> {
    connection
        .prepare_cached(
            "SELECT id FROM rejections INDEXED BY rejections_candidates
             WHERE candidate = 1 AND source = ?1 AND network = ?2 ORDER BY id LIMIT 1",
        )?
        .query_row([source, network], |row| row.get(0))
        .optional()
}

fn delete_row(connection: &Connection, id: RejectionId) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM rejections WHERE id = ?1")?.execute([id]).map(drop)
}
