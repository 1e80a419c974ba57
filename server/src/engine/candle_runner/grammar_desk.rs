//! Grammars of open requests and of some before them, each compiled once, on a thread of its own: an engine step
//! waits for none. A request is open as long as it holds its schema. Knows schemas, no sequences.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;

use reverie_model::json_grammar::{GrammarError, JsonGrammar, JsonGrammars, JsonText};

/// Grammars that are kept, some hundred KiB each; more only while more requests are open.
const MAX_GRAMMARS: usize = 16;

/// Empty until the grammar is compiled.
type Compiling = Arc<OnceLock<Result<JsonGrammar, GrammarError>>>;

/// Compiles and keeps grammars.
pub(super) struct GrammarDesk {
    grammars: Arc<JsonGrammars>,
    /// What was asked for last is last.
    known: VecDeque<(Arc<String>, Compiling)>,
}

impl GrammarDesk {
    pub(super) fn new(grammars: JsonGrammars) -> Self {
        Self { grammars: Arc::new(grammars), known: VecDeque::new() }
    }

    /// Whether the grammar of `schema` can be had without waiting; from now on somebody compiles it.
    ///
    /// # Errors
    /// If the operating system has no thread to give.
    pub(super) fn is_ready(&mut self, schema: &Arc<String>) -> io::Result<bool> {
        if let Some(compiling) = self.find(schema) {
            return Ok(compiling.get().is_some());
        }
        // A copy: whoever compiles is no request.
        let (grammars, text) = (Arc::clone(&self.grammars), String::clone(schema));
        let compiling = self.keep(schema);
        let builder = thread::Builder::new().name("grammars".to_owned());
        builder.spawn(move || {
            compiling.get_or_init(|| grammars.compile(&text));
        })?;
        Ok(false)
    }

    /// A text of the grammar of `schema` that has not begun. Waits for the grammar if it is not ready.
    ///
    /// # Errors
    /// Why there is none.
    pub(super) fn begin(&mut self, schema: &Arc<String>) -> Result<JsonText, GrammarError> {
        let compiling = self.find(schema).unwrap_or_else(|| self.keep(schema));
        let grammar = compiling.get_or_init(|| self.grammars.compile(schema));
        grammar.as_ref().map(JsonGrammar::begin).map_err(GrammarError::clone)
    }

    /// The grammar of `schema`, kept under the schema of who asks last: whoever asked before may be gone.
    fn find(&mut self, schema: &Arc<String>) -> Option<Compiling> {
        let place = self.known.iter().position(|(known, _)| known == schema)?;
        let (_, compiling) = self.known.remove(place)?;
        self.known.push_back((Arc::clone(schema), Arc::clone(&compiling)));
        Some(compiling)
    }

    /// A place for a grammar; the one that was asked for longest ago, and that no open request needs, gives way. Those
    /// of open requests stay: each of them would be compiled again at every step, and none ever be ready.
    fn keep(&mut self, schema: &Arc<String>) -> Compiling {
        let is_idle = |(known, _): &(Arc<String>, Compiling)| Arc::strong_count(known) == 1;
        while self.known.len() >= MAX_GRAMMARS {
            let Some(place) = self.known.iter().position(is_idle) else { break };
            self.known.remove(place);
        }
        let compiling = Compiling::default();
        self.known.push_back((Arc::clone(schema), Arc::clone(&compiling)));
        compiling
    }
}

#[cfg(test)]
mod tests {
    use reverie_model::json_grammar::TokenAlphabet;

    use super::*;

    fn desk() -> GrammarDesk {
        let alphabet = || {
            let bytes = (0..=255).map(|byte| vec![byte]).chain([Vec::new()]).collect();
            TokenAlphabet { bytes, eos: 256 }
        };
        GrammarDesk::new(JsonGrammars::new(alphabet))
    }

    fn schemas(count: usize) -> Vec<Arc<String>> {
        (0..count).map(|number| Arc::new(format!(r#"{{"const":{number}}}"#))).collect()
    }

    fn wait_for(desk: &mut GrammarDesk, schema: &Arc<String>) {
        while !desk.is_ready(schema).expect("a thread") {
            thread::yield_now();
        }
    }

    #[test]
    fn as_many_grammars_as_requests_are_open_are_kept() {
        let (mut desk, open) = (desk(), schemas(MAX_GRAMMARS + 4));
        for schema in &open {
            wait_for(&mut desk, schema);
        }
        for schema in &open {
            assert!(desk.is_ready(schema).expect("no thread is needed"), "{schema}");
        }
    }

    #[test]
    fn what_no_request_needs_gives_way_oldest_first() {
        let (mut desk, mut old) = (desk(), schemas(MAX_GRAMMARS + 4));
        for schema in &old {
            wait_for(&mut desk, schema);
        }
        old.truncate(2); // all others are answered
        let new = Arc::new("{}".to_owned());
        wait_for(&mut desk, &new);
        assert_eq!(desk.known.len(), MAX_GRAMMARS);
        for schema in old.iter().chain([&new]) {
            assert!(desk.find(schema).is_some(), "{schema} is still needed");
        }
    }

    #[test]
    fn a_grammar_is_needed_by_who_asks_last() {
        let (mut desk, first) = (desk(), schemas(1).remove(0));
        wait_for(&mut desk, &first);
        let second = Arc::new(first.to_string());
        assert!(desk.is_ready(&second).expect("no thread is needed"), "the same schema");
        drop(first);
        let (known, _) = desk.known.back().expect("one");
        assert!(Arc::ptr_eq(known, &second));
    }
}
