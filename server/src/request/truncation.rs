//! A conversation that is longer than the context: whole oldest exchanges are left out until the rest fits, where
//! the request says so. What the system says and the last question always stay. Knows turns and positions only.

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
    let whole = of(turns);
    let room = room_for_answer(&valid.stopping, budget.max_model_len);
    let fits = |request: &EngineRequest| {
        least_positions(request, budget).saturating_add(room) <= budget.max_model_len
    };
    if !valid.may_drop_turns || fits(&whole) {
        return FittedRequest { request: whole, dropped: Vec::new() };
    }
    let exchanges = exchanges(turns);
    let num_droppable = exchanges.last().copied().unwrap_or(0);
    // The more is left out, the shorter it is: the first number that fits is searched by halves.
    let (mut too_few, mut enough) = (0, num_droppable);
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        if fits(&of(&kept(turns, &exchanges, middle))) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    let request = of(&kept(turns, &exchanges, enough));
    let is_dropped =
        |index: &usize| exchanges[*index] < enough && turns[*index].speaker != Speaker::System;
    FittedRequest { request, dropped: (0..turns.len()).filter(is_dropped).collect() }
}

/// Positions that the answer is to have.
fn room_for_answer(stopping: &StoppingParams, max_model_len: usize) -> usize {
    let wanted = stopping.max_tokens.unwrap_or(max_model_len / DEFAULT_ROOM);
    wanted.min(max_model_len / MOST_ROOM)
}

/// Which exchange each turn belongs to, counted from 0; the last one is the question to be answered.
fn exchanges<P>(turns: &[Turn<P>]) -> Vec<usize> {
    let (mut current, mut has_begun) = (0, false);
    let number = |turn: &Turn<P>| {
        match turn.speaker {
            Speaker::User if has_begun => current += 1,
            Speaker::User | Speaker::Assistant => has_begun = true,
            Speaker::System => {}
        }
        current
    };
    turns.iter().map(number).collect()
}

/// What is left without the first `count` exchanges.
fn kept(
    turns: &[Turn<Arc<Picture>>],
    exchanges: &[usize],
    count: usize,
) -> Vec<Turn<Arc<Picture>>> {
    let numbered = turns.iter().zip(exchanges);
    let kept =
        numbered.filter(|(turn, exchange)| **exchange >= count || turn.speaker == Speaker::System);
    kept.map(|(turn, _)| turn.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(speakers: &str) -> Vec<Turn<()>> {
        let turn = |speaker| Turn {
            speaker: match speaker {
                's' => Speaker::System,
                'u' => Speaker::User,
                _ => Speaker::Assistant,
            },
            pieces: Vec::new(),
        };
        speakers.chars().map(turn).collect()
    }

    #[test]
    fn an_exchange_is_a_question_and_all_that_is_answered() {
        assert_eq!(exchanges(&turns("suauau")), [0, 0, 0, 1, 1, 2]);
        assert_eq!(exchanges(&turns("uaauu")), [0, 0, 0, 1, 2]);
        assert_eq!(exchanges(&turns("auau")), [0, 1, 1, 2], "a greeting is one");
        assert_eq!(exchanges(&turns("uasu")), [0, 0, 0, 1]);
        assert_eq!(exchanges(&turns("u")), [0]);
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
