//! What a client has been given of an answer, and how much of it has been read. Entries by name; the
//! bytes are elsewhere.

use super::event::Entry;

/// The entries delivered so far, in order. Where a worker dies, another goes on after the last of them.
#[derive(Debug, Default)]
pub(super) struct Journal {
    entries: Vec<Entry>,
    /// Bytes delivered up to and including each entry.
    ends: Vec<u64>,
    num_read: usize,
    num_pictures: usize,
}

impl Journal {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn push(&mut self, entry: Entry, num_bytes: u64) {
        self.num_pictures += match entry {
            Entry::Picture(_) => 1,
            Entry::Token(_) | Entry::LastToken(_) => 0,
        };
        let end = self.bytes_up_to(self.len()).saturating_add(num_bytes);
        self.entries.push(entry);
        self.ends.push(end);
    }

    /// The quickest client has read so many entries. What was not delivered cannot be read.
    pub(super) fn read(&mut self, num_entries: usize) {
        self.num_read = self.num_read.max(num_entries.min(self.len()));
    }

    /// Pictures delivered.
    pub(super) fn num_pictures(&self) -> usize {
        self.num_pictures
    }

    /// Bytes delivered.
    pub(super) fn num_bytes(&self) -> u64 {
        self.bytes_up_to(self.len())
    }

    /// Bytes delivered and not read.
    pub(super) fn unread_bytes(&self) -> u64 {
        self.num_bytes() - self.bytes_up_to(self.num_read)
    }

    fn bytes_up_to(&self, num_entries: usize) -> u64 {
        num_entries.checked_sub(1).map_or(0, |last| self.ends[last])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_counted_in_bytes() {
        let mut journal = Journal::default();
        journal.push(Entry::Token(1), 3);
        journal.push(Entry::Token(2), 4);
        assert_eq!(journal.unread_bytes(), 7);
        journal.read(1);
        assert_eq!(journal.unread_bytes(), 4);
        journal.read(9);
        assert_eq!(journal.unread_bytes(), 0);
        journal.read(0);
        assert_eq!((journal.unread_bytes(), journal.len()), (0, 2));
    }
}
