//! The model that every world's workers run, and what it answers when asked alone: a chain of hashes over
//! all that came before, so that a document that goes on from a wrong history shows it at once.

use reverie_scheduler::dispatcher::{Digest, Entry};
use reverie_scheduler::{
    Budget, DocumentLimits, DocumentRules, FinishReason, LegalTokens, NextMove, Sampled, TokenId,
};

use super::dice::mix;
use super::script::Wish;

/// Bytes that a client gets for an entry.
pub(crate) fn num_bytes(entry: Entry) -> u64 {
    match entry {
        Entry::Token(_) | Entry::LastToken(_) => 4,
        Entry::Picture(_) => PICTURE_BYTES,
    }
}

/// The largest entry.
pub(crate) const PICTURE_BYTES: u64 = 900;

/// All that a model knows of a document: what came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory(pub(crate) u64);

impl Memory {
    pub(crate) fn of(wish: &Wish) -> Self {
        Self(mix(wish.content, wish.prompt.len() as u64))
    }

    /// After the first entries of an answer.
    pub(crate) fn after(wish: &Wish, entries: &[Entry]) -> Self {
        entries.iter().fold(Self::of(wish), |memory, entry| memory.and(*entry))
    }

    pub(crate) fn and(self, entry: Entry) -> Self {
        let content = match entry {
            Entry::Token(id) => u64::from(id),
            Entry::LastToken(id) => mix(1, u64::from(id)),
            Entry::Picture(Digest(bytes)) => mix(2, u64::from(bytes[0]) << 8 | u64::from(bytes[1])),
        };
        Self(mix(self.0, content))
    }

    /// The picture that is drawn from here.
    pub(crate) fn picture(self, num_steps: usize) -> Digest {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&mix(self.0, num_steps as u64).to_le_bytes());
        Digest(bytes)
    }

    /// What is sampled from here, `num_images` having been drawn, and its entry.
    pub(crate) fn sample(
        self,
        legal: LegalTokens,
        limits: &DocumentLimits,
        num_images: usize,
    ) -> (Sampled, Option<Entry>) {
        let draw = mix(self.0, 7);
        let id = (draw >> 32) as u32;
        match draw % 24 {
            0 if legal.end_of_text => (Sampled::EndOfText, None),
            1..=3 if legal.dream_start && num_images < limits.max_images => {
                (Sampled::DreamStart, None)
            }
            4 if id.is_multiple_of(3) => {
                (Sampled::StopString(TokenId(id)), Some(Entry::LastToken(id)))
            }
            _ => (Sampled::Text(TokenId(id)), Some(Entry::Token(id))),
        }
    }
}

/// The whole answer to a wish that is alone in the world.
pub(crate) fn answer(wish: &Wish, budget: &Budget) -> (Vec<Entry>, FinishReason) {
    let mut rules = DocumentRules::new(*budget, wish.limits);
    let mut used = budget.positions(&wish.prompt);
    let mut entries = Vec::new();
    let mut memory = Memory::of(wish);
    let mut next = rules.next_move(used);
    loop {
        let entry = match next {
            NextMove::Finish(reason) => return (entries, reason),
            NextMove::Draw => {
                used += budget.drawing_positions();
                next = rules.image_drawn(used);
                Entry::Picture(memory.picture(wish.num_steps))
            }
            NextMove::Sample(legal) => {
                let (sampled, entry) = memory.sample(legal, &wish.limits, rules.num_images());
                used += usize::from(entry.is_some());
                next = match sampled {
                    Sampled::Text(_) => rules.text_sampled(used),
                    Sampled::StopString(_) => rules.stop_string_sampled(used),
                    Sampled::EndOfText => rules.end_of_text_sampled(used),
                    Sampled::DreamStart => rules.dream_start_sampled(used),
                    Sampled::BeamsAdvanced | Sampled::BeamsFinished { .. } => {
                        unreachable!("there are no beams here")
                    }
                };
                let Some(entry) = entry else { continue };
                entry
            }
        };
        memory = memory.and(entry);
        entries.push(entry);
    }
}
