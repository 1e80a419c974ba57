//! A conversation that is longer than the context, or has more than is read of one: whole oldest exchanges are left out
//! until the rest fits, where the request says so. What the system says and the last question always stay. Knows turns
//! and positions only.

use std::sync::Arc;

use reverie_model::Picture;
use reverie_scheduler::Budget;

use super::{Speaker, Turn, ValidRequest};
use crate::engine::request::{EngineRequest, StoppingParams};
use crate::engine::sequence_spec::least_positions;
use crate::prompt::PromptEncoder;
use crate::template::PromptTemplate;

/// Of a context's positions, one in so many is kept free for an answer of unknown length.
const DEFAULT_ROOM: usize = 4;
/// An answer that is given much room leaves the conversation one in so many positions at least.
const MOST_ROOM: usize = 2;

/// Whether exchanges may be left out of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropping {
    /// None may.
    Never,
    /// As few as possible may, the oldest first. So many must: they are beyond what is read of a conversation, and their
    /// turns are empty.
    Oldest {
        /// Exchanges.
        at_least: usize,
    },
}

/// A request whose conversation fits, or cannot be made to fit.
#[derive(Debug)]
pub struct FittedRequest {
    /// What the engine is asked for.
    pub request: EngineRequest,
    /// Places of the turns that were left out, in order.
    pub dropped: Vec<usize>,
}

/// What a conversation is compared with, and written down by.
pub struct Fitting<'a> {
    /// What fits into a context.
    pub budget: Budget,
    /// How conversations are written down.
    pub template: &'a PromptTemplate,
    /// Text to ids.
    pub encoder: PromptEncoder<'a>,
}

/// The engine's request for `valid`, whose turns are `turns`. If it is too long for the context, with room for an
/// answer, and may be cut, as few of its oldest exchanges as possible are left out; an exchange is what the user
/// says and all that is answered. Encodes the conversation a few times.
pub fn fit(
    valid: &ValidRequest,
    turns: &[Turn<Arc<Picture>>],
    fitting: &Fitting<'_>,
) -> FittedRequest {
    let Fitting { budget, template, encoder } = fitting;
    let of = |turns: &[Turn<Arc<Picture>>]| valid.engine_request(turns, template, *encoder, None);
    let Dropping::Oldest { at_least } = valid.dropping else {
        return FittedRequest { request: of(turns), dropped: Vec::new() };
    };
    let exchanges = exchanges(turns.iter().map(|turn| turn.speaker));
    let without = |count: usize| of(&kept(turns, &exchanges, count));
    let is_dropped = |index: &usize, count: usize| is_before(exchanges[*index], count);
    let fitted = |request, count| FittedRequest {
        request,
        dropped: (0..turns.len()).filter(|index| is_dropped(index, count)).collect(),
    };
    let room = room_for_answer(&valid.stopping, budget.max_model_len);
    let fits = |request: &EngineRequest| {
        least_positions(request, budget).saturating_add(room) <= budget.max_model_len
    };
    let longest = without(at_least);
    if fits(&longest) {
        return fitted(longest, at_least);
    }
    // The more is left out, the shorter it is: the first number that fits is searched by halves.
    let (mut too_few, mut enough) = (at_least, num_droppable(&exchanges));
    while enough.saturating_sub(too_few) > 1 {
        let middle = too_few + (enough - too_few) / 2;
        if fits(&without(middle)) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    fitted(without(enough), enough)
}

/// Positions that the answer is to have.
fn room_for_answer(stopping: &StoppingParams, max_model_len: usize) -> usize {
    let wanted = stopping.max_tokens.unwrap_or(max_model_len / DEFAULT_ROOM);
    wanted.min(max_model_len / MOST_ROOM)
}

/// Which exchange each turn belongs to, counted from 0; the last one is the question to be answered. What the system
/// says belongs to none.
pub(super) fn exchanges(speakers: impl Iterator<Item = Speaker>) -> Vec<Option<usize>> {
    let (mut current, mut has_begun) = (0, false);
    let number = |speaker| {
        match speaker {
            Speaker::System => return None,
            Speaker::User if has_begun => current += 1,
            Speaker::User | Speaker::Assistant => has_begun = true,
        }
        Some(current)
    };
    speakers.map(number).collect()
}

/// All exchanges but the last.
fn num_droppable(exchanges: &[Option<usize>]) -> usize {
    exchanges.iter().flatten().max().copied().unwrap_or(0)
}

/// How many of the oldest exchanges must be left out so that the turns that stay have no more than `limit` of what each
/// turn has so much of as `loads` says; all but the last, if that is not enough.
pub(super) fn num_beyond(exchanges: &[Option<usize>], loads: &[usize], limit: usize) -> usize {
    let mut left: usize = loads.iter().sum();
    let is_needed = |exchange: &usize| {
        let is_needed = left > limit;
        let turns = exchanges.iter().zip(loads).filter(|(of, _)| **of == Some(*exchange));
        left -= turns.map(|(_, load)| load).sum::<usize>();
        is_needed
    };
    (0..num_droppable(exchanges)).take_while(is_needed).count()
}

/// Whether a turn of this exchange is left out together with the first `count`.
pub(super) fn is_before(exchange: Option<usize>, count: usize) -> bool {
    exchange.is_some_and(|exchange| exchange < count)
}

/// What is left without the first `count` exchanges.
fn kept(
    turns: &[Turn<Arc<Picture>>],
    exchanges: &[Option<usize>],
    count: usize,
) -> Vec<Turn<Arc<Picture>>> {
    let numbered = turns.iter().zip(exchanges);
    let kept = numbered.filter(|(_, exchange)| !is_before(**exchange, count));
    kept.map(|(turn, _)| turn.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(speakers: &str) -> Vec<Option<usize>> {
        let speaker = |letter| match letter {
            's' => Speaker::System,
            'u' => Speaker::User,
            _ => Speaker::Assistant,
        };
        exchanges(speakers.chars().map(speaker))
    }

    #[test]
    fn an_exchange_is_a_question_and_all_that_is_answered() {
        let (zero, one, two) = (Some(0), Some(1), Some(2));
        assert_eq!(numbers("suauau"), [None, zero, zero, one, one, two]);
        assert_eq!(numbers("uaauu"), [zero, zero, zero, one, two]);
        assert_eq!(numbers("auau"), [zero, one, one, two], "a greeting is one");
        assert_eq!(numbers("uasu"), [zero, zero, None, one]);
        assert_eq!(numbers("u"), [zero]);
    }

    #[test]
    fn as_few_exchanges_as_possible_are_beyond_a_limit() {
        let exchanges = numbers("suauau");
        let loads = [1, 4, 0, 3, 1, 2];
        for (limit, beyond) in [(11, 0), (10, 1), (7, 1), (6, 2), (3, 2), (0, 2)] {
            assert_eq!(num_beyond(&exchanges, &loads, limit), beyond, "{limit}");
        }
        assert_eq!(num_beyond(&numbers("u"), &[9], 3), 0, "the question stays");
    }

    #[test]
    fn an_answer_has_the_room_that_it_asks_for_but_not_all() {
        let stopping = |max_tokens| StoppingParams {
            max_tokens,
            min_tokens: 0,
            ignore_eos: false,
            ends_with_images: false,
            stop: Vec::new(),
        };
        assert_eq!(room_for_answer(&stopping(None), 1000), 250);
        assert_eq!(room_for_answer(&stopping(Some(16)), 1000), 16);
        assert_eq!(room_for_answer(&stopping(Some(900)), 1000), 500);
    }
}
