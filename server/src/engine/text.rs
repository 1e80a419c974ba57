//! A document's text on its way out: ids to characters, stop strings cut, held-back text released where a
//! picture or the end follows. Knows no events.

use reverie_model::tokenizer::StopMatcher;

use super::runner::TextDecoder;

/// The growing text of one document.
pub(crate) struct DocumentText {
    decoder: Box<dyn TextDecoder>,
    stops: StopMatcher,
    num_tokens: usize,
}

/// Text that may leave.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TextDelta {
    pub(crate) delta: String,
    /// Tokens since the last delta.
    pub(crate) num_tokens: usize,
}

impl DocumentText {
    pub(crate) fn new(decoder: Box<dyn TextDecoder>, stop: Vec<String>) -> Self {
        let stop = stop.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self { decoder, stops: StopMatcher::new(stop), num_tokens: 0 }
    }

    /// Adds a token. Returns what may leave, and whether a stop string is complete.
    pub(crate) fn push(&mut self, id: u32) -> (Option<TextDelta>, bool) {
        self.num_tokens += 1;
        let text = self.decoder.push(id);
        let outcome = self.stops.push(&text);
        (self.delta(outcome.text), outcome.matched.is_some())
    }

    /// A picture or the end follows: what was held back leaves. Stop strings do not reach across.
    pub(crate) fn flush(&mut self) -> Option<TextDelta> {
        let rest = self.decoder.flush();
        let mut text = self.stops.push(&rest).text;
        text.push_str(&self.stops.flush());
        self.delta(text)
    }

    fn delta(&mut self, delta: String) -> Option<TextDelta> {
        if delta.is_empty() {
            return None;
        }
        Some(TextDelta { delta, num_tokens: std::mem::take(&mut self.num_tokens) })
    }
}
