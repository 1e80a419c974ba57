//! A document's text on its way out: ids to characters, stop strings cut, held-back text released where a
//! picture or the end follows. What was judged of a token leaves with its text. Knows no events.

use std::collections::VecDeque;

use reverie_model::token_logprobs::TokenLogprobs;
use reverie_model::tokenizer::StopMatcher;

use super::event::JudgedToken;
use super::runner::TextDecoder;

/// The growing text of one document.
pub(crate) struct DocumentText {
    decoder: Box<dyn TextDecoder>,
    stops: StopMatcher,
    num_tokens: usize,
    /// Bytes that the decoder has written.
    num_written: usize,
    /// Bytes of them that have left.
    num_left: usize,
    /// Judged tokens whose text has not left.
    judged: VecDeque<HeldToken>,
}

/// A judged token, and where its text stands.
struct HeldToken {
    token: JudgedToken,
    start: usize,
}

impl HeldToken {
    fn end(&self) -> usize {
        self.start + self.token.text.len()
    }
}

/// Text that may leave.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TextDelta {
    pub(crate) delta: String,
    /// Tokens since the last delta.
    pub(crate) num_tokens: usize,
    /// The judged ones of those whose text this ends.
    pub(crate) judged: Vec<JudgedToken>,
}

impl DocumentText {
    pub(crate) fn new(decoder: Box<dyn TextDecoder>, stop: Vec<String>) -> Self {
        let stop = stop.into_iter().filter(|stop| !stop.is_empty()).collect();
        Self {
            decoder,
            stops: StopMatcher::new(stop),
            num_tokens: 0,
            num_written: 0,
            num_left: 0,
            judged: VecDeque::new(),
        }
    }

    /// Adds a token, and how likely it was if that is wanted. Returns what may leave, and whether a stop string
    /// is complete.
    pub(crate) fn push(
        &mut self,
        id: u32,
        logprobs: Option<TokenLogprobs>,
    ) -> (Option<TextDelta>, bool) {
        self.num_tokens += 1;
        let text = self.decoder.push(id);
        let start = self.num_written;
        self.num_written += text.len();
        let outcome = self.stops.push(&text);
        self.num_left += outcome.text.len();
        if let Some(logprobs) = logprobs {
            self.judged
                .push_back(HeldToken { token: JudgedToken { token: id, text, logprobs }, start });
        }
        let stopped = outcome.matched.is_some();
        let num_complete = if stopped { self.num_begun() } else { self.num_complete() };
        let judged = self.release(num_complete);
        if stopped {
            self.judged.clear();
        }
        (self.delta(outcome.text, judged), stopped)
    }

    /// A picture or the end follows: what was held back leaves. Stop strings do not reach across.
    pub(crate) fn flush(&mut self) -> Option<TextDelta> {
        let rest = self.decoder.flush();
        self.num_written += rest.len();
        let mut text = self.stops.push(&rest).text;
        text.push_str(&self.stops.flush());
        self.num_left = self.num_written;
        let judged = self.release(self.judged.len());
        self.delta(text, judged)
    }

    /// Judged tokens whose text has left. A part of a character leaves with the token that completes it.
    fn num_complete(&self) -> usize {
        let has_left =
            |held: &HeldToken| !held.token.text.is_empty() && held.end() <= self.num_left;
        self.judged.iter().rposition(has_left).map_or(0, |last| last + 1)
    }

    /// The same with one whose text was cut, but not at its beginning.
    fn num_begun(&self) -> usize {
        let has_begun =
            |held: &HeldToken| !held.token.text.is_empty() && held.start < self.num_left;
        self.judged.iter().rposition(has_begun).map_or(0, |last| last + 1)
    }

    fn release(&mut self, count: usize) -> Vec<JudgedToken> {
        self.judged.drain(..count).map(|held| held.token).collect()
    }

    fn delta(&mut self, delta: String, judged: Vec<JudgedToken>) -> Option<TextDelta> {
        if delta.is_empty() && judged.is_empty() {
            return None;
        }
        Some(TextDelta { delta, num_tokens: std::mem::take(&mut self.num_tokens), judged })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids are bytes of UTF-8; a character leaves with its last byte.
    #[derive(Default)]
    struct Bytes(Vec<u8>);

    impl TextDecoder for Bytes {
        fn push(&mut self, id: u32) -> String {
            self.0.push(id as u8);
            match String::from_utf8(self.0.clone()) {
                Ok(whole) => {
                    self.0.clear();
                    whole
                }
                Err(_) => String::new(),
            }
        }

        fn flush(&mut self) -> String {
            self.0.drain(..).map(|_| char::REPLACEMENT_CHARACTER).collect()
        }
    }

    fn likely(id: u8) -> TokenLogprobs {
        TokenLogprobs { chosen: -f32::from(id), top: Vec::new() }
    }

    /// What leaves with each byte of `text` and at the end: text and the ids that were judged.
    fn leave(text: &[u8], stop: &[&str]) -> Vec<(String, Vec<u32>)> {
        let stop = stop.iter().map(|stop| (*stop).to_owned()).collect();
        let mut document = DocumentText::new(Box::new(Bytes::default()), stop);
        let mut left = Vec::new();
        let mut note = |delta: Option<TextDelta>| {
            left.extend(delta.map(|delta| {
                let ids = delta.judged.iter().map(|judged| judged.token).collect();
                (delta.delta, ids)
            }));
        };
        for byte in text {
            let (delta, stopped) = document.push(u32::from(*byte), Some(likely(*byte)));
            note(delta);
            if stopped {
                break;
            }
        }
        note(document.flush());
        left
    }

    fn ids(text: &str) -> Vec<u32> {
        text.bytes().map(u32::from).collect()
    }

    #[test]
    fn a_token_is_told_of_with_its_text() {
        let wanted = [("a", "a"), ("b", "b")].map(|(text, of)| (text.to_owned(), ids(of)));
        assert_eq!(leave(b"ab", &[]), wanted);
    }

    #[test]
    fn parts_of_a_character_are_told_of_together() {
        assert_eq!(leave("é!".as_bytes(), &[]), [("é".into(), ids("é")), ("!".into(), ids("!"))]);
        let broken = [0xC3];
        assert_eq!(leave(&broken, &[]), [("\u{fffd}".to_owned(), vec![0xC3])], "at the end, too");
    }

    #[test]
    fn a_stop_string_takes_its_tokens_with_it() {
        let wanted = [("a".to_owned(), ids("a")), ("b".to_owned(), ids("b"))];
        assert_eq!(leave(b"abEND.", &["END"]), wanted);
        assert_eq!(leave("aéEé".as_bytes(), &["é"]), wanted[..1], "also in parts of a character");
    }

    #[test]
    fn what_was_no_stop_string_is_told_of_later() {
        let wanted = [("a".to_owned(), ids("a")), ("ENd".to_owned(), ids("ENd"))];
        assert_eq!(leave(b"aENd", &["END"]), wanted);
        assert_eq!(leave(b"aEN", &["END"])[1..], [("EN".to_owned(), ids("EN"))]);
    }
}
