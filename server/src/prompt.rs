//! From a conversation to what the context consists of. Pure: it knows the template's strings and is
//! given an encoder; it never looks at pixels, and no text it is given becomes a control token.
//!
//! Layout (spec of training, `builder_dreamllm.py`): a user's picture is an image block; the
//! assistant's own picture is a dream block followed by an image block. All text between two splices
//! is encoded as one string, because the tokenizer prefixes every piece with a space mark.

use std::sync::Arc;

use reverie_model::Picture;

use crate::engine::request::PromptSegment;
use crate::request::{Piece, Speaker, Turn};
use crate::template::{AssistantEnd, PromptTemplate, Trim};

/// What turns text into ids.
#[derive(Clone, Copy)]
pub struct PromptEncoder<'a> {
    /// Text to ids: no `<s>`, and never a control token, whatever the text spells.
    pub encode: &'a dyn Fn(&str) -> Vec<u32>,
    /// `<s>`.
    pub bos: u32,
    /// `</s>`.
    pub eos: u32,
}

/// The context of a conversation: `<s>`, the template filled with `turns`, and the opening of the
/// assistant's next turn.
pub fn build_prompt(
    turns: &[Turn<Arc<Picture>>],
    template: &PromptTemplate,
    encoder: PromptEncoder<'_>,
) -> Vec<PromptSegment> {
    let mut writer = Writer::new(template.trim, encoder);
    let system = system_text(turns, template);
    if !system.is_empty() {
        writer.text(&system);
        writer.text(&template.system_separator);
    }
    for (speaker, pieces) in merged(turns, &template.text_separator) {
        match speaker {
            Side::User => write_user(&mut writer, &pieces, template),
            Side::Assistant => write_assistant(&mut writer, &pieces, template),
        }
    }
    writer.text(&template.assistant.prefix);
    writer.finish()
}

/// The context of a bare caption: `<s>` and the text, as the reference's `get_prompt_embeds` writes
/// text-to-image and negative prompts.
pub fn raw_prompt(text: &str, encoder: PromptEncoder<'_>) -> Vec<PromptSegment> {
    let mut ids = vec![encoder.bos];
    if !text.is_empty() {
        ids.extend((encoder.encode)(text));
    }
    vec![PromptSegment::Tokens(ids)]
}

/// Who speaks, once system texts are gathered in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
}

fn system_text(turns: &[Turn<Arc<Picture>>], template: &PromptTemplate) -> String {
    let texts: Vec<&str> = turns
        .iter()
        .filter(|turn| turn.speaker == Speaker::System)
        .flat_map(|turn| &turn.pieces)
        .filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Picture(_) => None,
        })
        .collect();
    if texts.is_empty() {
        return template.system.clone();
    }
    texts.join(&template.text_separator)
}

/// Neighbouring turns of one side as one, neighbouring texts of a turn as one.
fn merged(turns: &[Turn<Arc<Picture>>], separator: &str) -> Vec<(Side, Vec<Piece<Arc<Picture>>>)> {
    let mut sides: Vec<(Side, Vec<Piece<Arc<Picture>>>)> = Vec::new();
    for turn in turns {
        let side = match turn.speaker {
            Speaker::System => continue,
            Speaker::User => Side::User,
            Speaker::Assistant => Side::Assistant,
        };
        if sides.last().is_none_or(|(last, _)| *last != side) {
            sides.push((side, Vec::new()));
        }
        let Some((_, pieces)) = sides.last_mut() else { continue };
        for piece in &turn.pieces {
            match (pieces.last_mut(), piece) {
                (Some(Piece::Text(before)), Piece::Text(text)) => {
                    before.push_str(separator);
                    before.push_str(text);
                }
                (_, piece) => pieces.push(piece.clone()),
            }
        }
    }
    sides
}

fn write_user(writer: &mut Writer<'_>, pieces: &[Piece<Arc<Picture>>], template: &PromptTemplate) {
    writer.text(&template.user.prefix);
    for piece in pieces {
        match (piece, template.trim) {
            (Piece::Text(text), Trim::AssistantChunks) => writer.text(text),
            (Piece::Text(text), Trim::EveryRun) => writer.text(text.trim()),
            (Piece::Picture(picture), _) => {
                writer.splice(PromptSegment::Picture(Arc::clone(picture)));
            }
        }
    }
    writer.text(&template.user.suffix);
}

fn write_assistant(
    writer: &mut Writer<'_>,
    pieces: &[Piece<Arc<Picture>>],
    template: &PromptTemplate,
) {
    let wrapper = &template.assistant;
    writer.text(&wrapper.prefix);
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                let chunk = text.trim();
                if !chunk.is_empty() && writer.has_open_text() {
                    writer.text(&wrapper.text_separator);
                }
                writer.text(chunk);
            }
            Piece::Picture(picture) => {
                writer.splice(PromptSegment::Dream);
                writer.splice(PromptSegment::Picture(Arc::clone(picture)));
            }
        }
    }
    writer.text(&wrapper.suffix);
    match wrapper.end {
        AssistantEnd::EndOfSequence => writer.end_of_sequence(),
        AssistantEnd::Nothing => {}
    }
}

/// Gathers text until something else must be spliced in, then encodes it as one string.
struct Writer<'a> {
    trim: Trim,
    encoder: PromptEncoder<'a>,
    run: String,
    ids: Vec<u32>,
    segments: Vec<PromptSegment>,
}

impl<'a> Writer<'a> {
    fn new(trim: Trim, encoder: PromptEncoder<'a>) -> Self {
        Self { trim, encoder, run: String::new(), ids: vec![encoder.bos], segments: Vec::new() }
    }

    fn text(&mut self, text: &str) {
        self.run.push_str(text);
    }

    fn has_open_text(&self) -> bool {
        !self.run.is_empty()
    }

    fn encode_run(&mut self) {
        let run = match self.trim {
            Trim::AssistantChunks => self.run.as_str(),
            Trim::EveryRun => self.run.trim(),
        };
        if !run.is_empty() {
            self.ids.extend((self.encoder.encode)(run));
        }
        self.run.clear();
    }

    fn end_of_sequence(&mut self) {
        self.encode_run();
        self.ids.push(self.encoder.eos);
    }

    fn splice(&mut self, segment: PromptSegment) {
        self.encode_run();
        self.flush_ids();
        self.segments.push(segment);
    }

    fn flush_ids(&mut self) {
        if !self.ids.is_empty() {
            self.segments.push(PromptSegment::Tokens(std::mem::take(&mut self.ids)));
        }
    }

    fn finish(mut self) -> Vec<PromptSegment> {
        self.encode_run();
        self.flush_ids();
        self.segments
    }
}

#[cfg(test)]
mod tests;
