//! Ends text at the first stop string, whatever chunks the text comes in, and never lets a part of a stop
//! string out before it is certain. Knows text only.

/// What may leave after a chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StopOutcome {
    /// Text that is certainly before any stop string.
    pub text: String,
    /// Which stop string ended the text, by its place in the list; nothing follows it.
    pub matched: Option<usize>,
}

/// Watches a text for stop strings. The one that is complete first wins; of those complete at the same
/// character, the longest.
#[derive(Debug, Clone)]
pub struct StopMatcher {
    stops: Vec<String>,
    /// The end of the text so far that may still become a stop string.
    held: String,
    matched: Option<usize>,
}

impl StopMatcher {
    /// Watches for any of `stops`.
    ///
    /// # Panics
    /// If one is empty, which would end every text before it began: a defect of the caller.
    pub fn new(stops: Vec<String>) -> Self {
        assert!(stops.iter().all(|stop| !stop.is_empty()), "stop strings have characters");
        Self { stops, held: String::new(), matched: None }
    }

    /// Adds a chunk. After a match everything is swallowed.
    pub fn push(&mut self, chunk: &str) -> StopOutcome {
        if self.matched.is_some() {
            return StopOutcome { text: String::new(), matched: self.matched };
        }
        self.held.push_str(chunk);
        let certain = match self.first_match() {
            Some((index, start)) => {
                self.matched = Some(index);
                start
            }
            None => self.held.len() - self.undecided(),
        };
        let rest = self.held.split_off(certain);
        let text = std::mem::replace(&mut self.held, rest);
        if self.matched.is_some() {
            self.held.clear();
        }
        StopOutcome { text, matched: self.matched }
    }

    /// The text is over: what was held back is no stop string after all.
    pub fn flush(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// Place in the list and start of the match that ends first, the longest of equals.
    fn first_match(&self) -> Option<(usize, usize)> {
        let matches = self.stops.iter().enumerate().filter_map(|(index, stop)| {
            self.held.find(stop.as_str()).map(|start| (start + stop.len(), start, index))
        });
        matches.min().map(|(_, start, index)| (index, start))
    }

    /// Bytes at the end of `held` that begin some stop string.
    fn undecided(&self) -> usize {
        let longest_start = |stop: &String| {
            let borders = stop.char_indices().map(|(border, _)| border).rev();
            borders.into_iter().find(|border| self.held.ends_with(&stop[..*border])).unwrap_or(0)
        };
        self.stops.iter().map(longest_start).max().unwrap_or(0)
    }
}
