//! What a document of the simulated model is, whoever else is served: a function of its request alone. The
//! choice at a position, the content of a picture, and the whole document written by itself.

use reverie_scheduler::{
    Budget, ContentHash, DocumentRules, FinishReason, LegalTokens, NextMove, Sampled, SequenceSpec,
    Span, TenantId, TokenId,
};

use crate::dice::mix;

/// What stands at one position of a context, as a number.
pub(crate) type Label = u64;

/// Labels and, for each position, the number of everything up to it and of the tenant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Contents {
    pub(crate) labels: Vec<Label>,
    pub(crate) prefixes: Vec<u64>,
    root: u64,
}

impl Contents {
    pub(crate) fn new(tenant: TenantId) -> Self {
        Self { labels: Vec::new(), prefixes: Vec::new(), root: mix(0, tenant.0 as u64) }
    }

    pub(crate) fn push(&mut self, label: Label) {
        let before = self.prefixes.last().copied().unwrap_or(self.root);
        self.labels.push(label);
        self.prefixes.push(mix(before, label));
    }

    pub(crate) fn push_span(&mut self, span: &Span, budget: &Budget) {
        match span {
            Span::Tokens(ids) => ids.iter().for_each(|id| self.push(token_label(*id))),
            Span::Picture(content) => {
                (0..budget.image_positions)
                    .for_each(|place| self.push(picture_label(*content, place)));
            }
            Span::Dream => {
                (0..budget.dream_positions).for_each(|place| self.push(dream_label(place)));
            }
        }
    }
}

pub(crate) fn token_label(token: TokenId) -> Label {
    mix(1, u64::from(token.0))
}

pub(crate) fn picture_label(ContentHash(bytes): ContentHash, place: usize) -> Label {
    let mut head = [0; 8];
    head.copy_from_slice(&bytes[..8]);
    mix(mix(2, u64::from_le_bytes(head)), place as u64)
}

pub(crate) fn dream_label(place: usize) -> Label {
    mix(3, place as u64)
}

pub(crate) fn content(number: u64) -> ContentHash {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    ContentHash(bytes)
}

/// What the model draws as picture `picture` of the request with this seed.
pub(crate) fn drawn(seed: u64, picture: usize) -> ContentHash {
    content(mix(mix(seed, 17), picture as u64))
}

/// What the model chooses behind `used` positions. A few tokens only, so that prefixes meet.
pub(crate) fn chosen(seed: u64, used: usize, legal: LegalTokens, num_beams: usize) -> Sampled {
    let number = mix(seed, used as u64);
    let token = TokenId((number >> 32) as u32 % 5);
    if num_beams > 1 {
        return if number.is_multiple_of(8) {
            let reason = FinishReason::EndOfText;
            Sampled::BeamsFinished { num_tokens: 1, reason }
        } else {
            Sampled::BeamsAdvanced
        };
    }
    match number % 16 {
        0 if legal.end_of_text => Sampled::EndOfText,
        1 | 2 if legal.dream_start => Sampled::DreamStart,
        3 if number.is_multiple_of(5) => Sampled::StopString(token),
        _ => Sampled::Text(token),
    }
}

/// A beam search that would meet a limit ends instead, as a runner's does.
pub(crate) fn bounded(
    sampled: Sampled,
    rules: &DocumentRules,
    used: usize,
    max_model_len: usize,
    max_tokens: Option<usize>,
) -> Sampled {
    let num_tokens = rules.num_text_tokens() + 1;
    let is_last = used + 1 >= max_model_len || max_tokens.is_some_and(|max| num_tokens >= max);
    match sampled {
        Sampled::BeamsAdvanced if is_last => {
            Sampled::BeamsFinished { num_tokens, reason: FinishReason::MaxTokens }
        }
        other => other,
    }
}

/// What a client sees of a document, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Chosen(Sampled),
    Picture(ContentHash),
    End(FinishReason),
}

/// The document, written with nobody else there.
pub(crate) fn written_alone(spec: &SequenceSpec, seed: u64, budget: &Budget) -> Vec<Part> {
    let mut rules = DocumentRules::new(*budget, spec.limits);
    let mut used = budget.positions(&spec.prompt);
    let mut next = rules.next_move(used);
    let mut parts = Vec::new();
    loop {
        next = match next {
            NextMove::Sample(legal) => {
                let sampled = chosen(seed, used, legal, spec.num_beams);
                let max_tokens = spec.limits.max_tokens;
                let sampled = bounded(sampled, &rules, used, budget.max_model_len, max_tokens);
                parts.push(Part::Chosen(sampled));
                follow(&mut rules, &mut used, sampled)
            }
            NextMove::Draw => {
                parts.push(Part::Picture(drawn(seed, rules.num_images())));
                used += budget.drawing_positions();
                rules.image_drawn(used)
            }
            NextMove::Finish(reason) => {
                parts.push(Part::End(reason));
                return parts;
            }
        }
    }
}

/// What a choice means.
pub(crate) fn follow(rules: &mut DocumentRules, used: &mut usize, sampled: Sampled) -> NextMove {
    match sampled {
        Sampled::Text(_) | Sampled::BeamsAdvanced => {
            *used += 1;
            rules.text_sampled(*used)
        }
        Sampled::StopString(_) => {
            *used += 1;
            rules.stop_string_sampled(*used)
        }
        Sampled::EndOfText => rules.end_of_text_sampled(*used),
        Sampled::DreamStart => rules.dream_start_sampled(*used),
        Sampled::BeamsFinished { num_tokens, reason } => rules.beams_finished(num_tokens, reason),
    }
}
