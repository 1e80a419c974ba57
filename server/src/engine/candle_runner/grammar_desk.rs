//! Grammars of open requests and of some before them, each compiled once, on a thread of its own: an engine step
//! waits for none. Knows schemas, no sequences.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread;

use reverie_model::json_grammar::{GrammarError, JsonGrammar, JsonGrammars, JsonText};

/// Grammars that are kept, some hundred KiB each.
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
        let (grammars, text) = (Arc::clone(&self.grammars), Arc::clone(schema));
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

    fn find(&mut self, schema: &Arc<String>) -> Option<Compiling> {
        let place = self.known.iter().position(|(known, _)| known == schema)?;
        let (known, compiling) = self.known.remove(place)?;
        self.known.push_back((known, Arc::clone(&compiling)));
        Some(compiling)
    }

    /// A place for a grammar; the one that was asked for longest ago gives way.
    fn keep(&mut self, schema: &Arc<String>) -> Compiling {
        if self.known.len() == MAX_GRAMMARS {
            self.known.pop_front();
        }
        let compiling = Compiling::default();
        self.known.push_back((Arc::clone(schema), Arc::clone(&compiling)));
        compiling
    }
}
