//! The bytes of a body that arrives in several pieces. A large body has its own memory mapping: the
//! system allocates its pages on the first write, so the body grows without a copy, and reclaims
//! them as soon as the body is dropped. An allocator returns freed memory late: after a flood of
//! dropped bodies, it would still hold as much memory as those bodies had used.

use bytes::Bytes;
use memmap2::{MmapMut, MmapOptions};

use crate::http::budget::BudgetExhausted;

/// Capacities of the buffer of a body that is not mapped, in bytes.
const HEAP_STEPS: [usize; 2] = [16 << 10, MAX_HEAP_BYTES];
const MAX_HEAP_BYTES: usize = 128 << 10;

#[derive(Debug)]
pub struct Buffer {
    memory: BufferMemory,
    len: usize,
}

#[derive(Debug)]
enum BufferMemory {
    Heap(Vec<u8>),
    Mapped(MmapMut),
}

impl Buffer {
    /// Creates a buffer from the first two pieces of a body that has at most `at_most` bytes.
    ///
    /// # Errors
    /// If the system has no memory.
    pub fn of(
        first: &Bytes,
        next: &Bytes,
        announced: Option<usize>,
        at_most: usize,
    ) -> Result<Self, BudgetExhausted> {
        let mut buffer = Self { memory: BufferMemory::Heap(Vec::new()), len: 0 };
        let is_large = announced.is_some_and(|length| length > MAX_HEAP_BYTES);
        if is_large && first.len() + next.len() > HEAP_STEPS[0] {
            buffer.map(at_most)?;
        }
        buffer.push(first, at_most)?;
        buffer.push(next, at_most)?;
        Ok(buffer)
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends a piece.
    ///
    /// # Errors
    /// If the system has no memory, or the piece exceeds the mapping.
    pub fn push(&mut self, piece: &[u8], at_most: usize) -> Result<(), BudgetExhausted> {
        let needed = self.len + piece.len();
        if let BufferMemory::Heap(heap) = &mut self.memory {
            if needed <= MAX_HEAP_BYTES {
                grow(heap, needed, at_most)?;
                heap.extend_from_slice(piece);
                self.len = needed;
                return Ok(());
            }
            self.map(at_most.max(needed))?;
        }
        if let BufferMemory::Mapped(map) = &mut self.memory {
            map.get_mut(self.len..needed).ok_or(BudgetExhausted)?.copy_from_slice(piece);
            self.len = needed;
        }
        Ok(())
    }

    /// Moves the received bytes into a mapping.
    fn map(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        let mut map =
            MmapOptions::new().len(bytes).no_reserve_swap().map_anon().map_err(|_| BudgetExhausted)?;
        map[..self.len].copy_from_slice(&self.as_ref()[..self.len]);
        self.memory = BufferMemory::Mapped(map);
        Ok(())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        match &self.memory {
            BufferMemory::Heap(heap) => heap,
            BufferMemory::Mapped(map) => &map[..self.len],
        }
    }
}

/// Makes room for `needed` bytes, and for more in advance; never for more than `at_most` unless
/// `needed` is larger.
fn grow(heap: &mut Vec<u8>, needed: usize, at_most: usize) -> Result<(), BudgetExhausted> {
    if needed <= heap.capacity() {
        return Ok(());
    }
    let step = HEAP_STEPS.into_iter().find(|step| *step >= needed).unwrap_or(needed);
    let capacity = step.min(at_most).max(needed);
    heap.try_reserve_exact(capacity - heap.len()).map_err(|_| BudgetExhausted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_grows_in_steps_and_never_beyond_the_length() {
        let rows = [
            (1, 100, 100),
            (1, 25 << 20, 16 << 10),
            (20 << 10, 25 << 20, 128 << 10),
            (20 << 10, 30 << 10, 30 << 10),
            (1 << 20, 25 << 20, 1 << 20),
            (30, 20, 30),
        ];
        for (needed, at_most, capacity) in rows {
            let mut heap = Vec::new();
            grow(&mut heap, needed, at_most).unwrap();
            assert_eq!(heap.capacity(), capacity, "{needed} of {at_most}");
        }
    }

    #[test]
    fn bytes_stay_in_order_when_moved_into_mapping() {
        for announced in [None, Some(3 << 20)] {
            let all: Vec<u8> = (0..3 << 20).map(|number: u32| number.to_be_bytes()[2]).collect();
            let mut pieces = all.chunks(10_007).map(Bytes::copy_from_slice);
            let (first, second) = (pieces.next().unwrap(), pieces.next().unwrap());
            let mut buffer = Buffer::of(&first, &second, announced, 3 << 20).unwrap();
            for piece in pieces {
                buffer.push(&piece, 3 << 20).unwrap();
            }
            assert!(matches!(buffer.memory, BufferMemory::Mapped(_)));
            assert!(buffer.len() == all.len() && buffer.as_ref() == all);
        }
    }

    #[test]
    fn mapping_is_never_overrun() {
        let piece = Bytes::from(vec![1; 2 << 20]);
        let mut buffer = Buffer::of(&piece, &Bytes::new(), None, 2 << 20).unwrap();
        assert_eq!(buffer.push(b"x", 2 << 20), Err(BudgetExhausted));
        assert_eq!(buffer.len(), 2 << 20);
    }
}
