//! The conversation that a response goes on from: what is stored under `previous_response_id` and before it, then what is new;
//! whatever is only named is found. Counted before any picture is decoded or read.

use std::sync::Arc;

use reverie_model::config::{Abilities, Ability};
use reverie_proto::{InputItem, InputPart, OutputItem, Role};

use super::conversation::{self, positions_of_picture, speaker};
use super::own_pictures::{self, MarkdownPiece, OwnPictures};
use super::response_chain::{self, Before, DroppedItem, PREVIOUS};
use super::stored_response::{ItemId, StoredItem, StoredResponse, output_id};
use super::truncation::{self, Dropping};
use super::{
    EncodedPicture, Limits, Piece, PromptForm, RequestError, RequestedPicture, Speaker, Turn,
    abilities, data_url,
};
use crate::store::StoredId;

/// Responses that are read for one request's references, one at a time: each may be as large as the store allows.
const MAX_READ: usize = 256;

/// Finds what one client has stored.
pub trait KeptItems: OwnPictures {
    /// The response under this id, if it is the client's.
    ///
    /// # Errors
    /// If the store fails.
    fn response(&self, id: StoredId) -> Result<Option<StoredResponse>, RequestError>;

    /// The file under this id, if it is the client's.
    ///
    /// # Errors
    /// If the store fails.
    fn file(&self, id: StoredId) -> Result<Option<Vec<u8>>, RequestError>;
}

/// The conversation that a response goes on from.
#[derive(Debug)]
pub(super) struct ResponseContext {
    /// An item's is one turn.
    pub(super) turns: Vec<Turn<RequestedPicture>>,
    /// What each turn is called: a stored item's id, or its place in the request.
    pub(super) names: Vec<String>,
    /// Which turns may be dropped.
    pub(super) dropping: Dropping,
}

/// Where a conversation comes from.
pub(super) struct Sources<'a> {
    pub(super) instructions: Option<&'a str>,
    /// What is stored under this id, and before it, comes first.
    pub(super) previous: Option<&'a str>,
    pub(super) input: &'a [InputItem],
    /// Whether it need not fit, because turns of it may be dropped.
    pub(super) may_drop_turns: bool,
}

/// The conversation of `sources`; what is only named is found in `kept`.
pub(super) fn gathered(
    sources: &Sources<'_>,
    kept: &dyn KeptItems,
    limits: &Limits,
) -> Result<ResponseContext, RequestError> {
    let mut gathering = Gathering::new(kept, sources.may_drop_turns, limits);
    if let Some(text) = sources.instructions {
        gathering.open(Role::System, "instructions");
        gathering.said(Said::Text(text.to_owned()), "instructions")?;
    }
    gathering.go_on_from(sources.previous)?;
    for (index, item) in sources.input.iter().enumerate() {
        let place = format!("input[{index}]");
        gathering.asked(item, &place, &place)?;
    }
    gathering.finish()
}

/// One thing that somebody says, its picture not yet read.
enum Said {
    Text(String),
    Picture(Source),
}

/// Where a picture is.
enum Source {
    Url(String),
    File(String),
    Base64(String),
    /// As we wrote it ourselves, however large that is.
    Drawn(String),
}

/// What somebody says in one item.
struct Gathered {
    role: Role,
    name: String,
    /// With the parameter that each is to be blamed on.
    said: Vec<(Said, String)>,
    num_pictures: usize,
    num_bytes: usize,
    /// Nothing of it is read: it is beyond what is looked at of a conversation.
    is_dropped: bool,
}

/// A conversation as it is gathered.
struct Gathering<'a> {
    kept: &'a dyn KeptItems,
    may_drop_turns: bool,
    limits: &'a Limits,
    items: Vec<Gathered>,
    /// The response that was referred to last: what belongs together is mostly referred to together.
    referred: Option<(StoredId, Arc<StoredResponse>)>,
    /// Responses read for a reference.
    num_read: usize,
    /// Of what is not dropped.
    num_pictures: usize,
    positions: usize,
    /// Bytes that surely take room, and bytes in all of what is not dropped.
    text_bytes: (usize, usize),
}

impl<'a> Gathering<'a> {
    fn new(kept: &'a dyn KeptItems, may_drop_turns: bool, limits: &'a Limits) -> Self {
        let positions = 1; // `<s>`
        Self {
            kept,
            may_drop_turns,
            limits,
            items: Vec::new(),
            referred: None,
            num_read: 0,
            num_pictures: 0,
            positions,
            text_bytes: (0, 0),
        }
    }

    /// From here on, until the next item, everything is said by `role`.
    fn open(&mut self, role: Role, name: &str) {
        self.items.push(Gathered {
            role,
            name: name.to_owned(),
            said: Vec::new(),
            num_pictures: 0,
            num_bytes: 0,
            is_dropped: false,
        });
    }

    /// Takes up no more than that it was there.
    fn open_dropped(&mut self, role: Role, name: &str) {
        self.open(role, name);
        if let Some(item) = self.items.last_mut() {
            item.is_dropped = true;
        }
    }

    /// Everything before, oldest first.
    fn go_on_from(&mut self, previous: Option<&str>) -> Result<(), RequestError> {
        let Some(previous) = previous else { return Ok(()) };
        let chain = response_chain::chain(previous, self.kept, self.may_drop_turns, self.limits)?;
        for before in chain {
            match before {
                Before::Read(stored) => self.take_up(*stored)?,
                Before::Dropped(items) => {
                    for DroppedItem { role, name, of_system } in items {
                        match of_system {
                            Some(item) => self.asked(&item, PREVIOUS, &name)?,
                            None => self.open_dropped(role, &name),
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn take_up(&mut self, stored: StoredResponse) -> Result<(), RequestError> {
        for item in &stored.input {
            self.asked(item, PREVIOUS, item.id().unwrap_or(PREVIOUS))?;
        }
        for item in stored.response.output {
            let name = output_id(&item).to_owned();
            self.answered(item, PREVIOUS, &name)?;
        }
        Ok(())
    }

    fn asked(&mut self, item: &InputItem, param: &str, name: &str) -> Result<(), RequestError> {
        match item {
            InputItem::Message { id: _, role, content } => {
                self.open(*role, name);
                for (index, part) in content.iter().enumerate() {
                    let at = |field: &str| match param {
                        PREVIOUS => PREVIOUS.to_owned(),
                        _ => format!("{param}.content[{index}].{field}"),
                    };
                    match part {
                        InputPart::InputText(text) | InputPart::OutputText(text) => {
                            self.said(Said::Text(text.clone()), &at("text"))?;
                        }
                        InputPart::ImageUrl(url) => {
                            let picture = Said::Picture(Source::Url(url.clone()));
                            self.said(picture, &at("image_url"))?;
                        }
                        InputPart::ImageFile(id) => {
                            let picture = Said::Picture(Source::File(id.clone()));
                            self.said(picture, &at("file_id"))?;
                        }
                    }
                }
                Ok(())
            }
            InputItem::ImageGenerationCall { id: _, result: Some(result) } => {
                self.open(Role::Assistant, name);
                let picture = Said::Picture(Source::Base64(result.clone()));
                self.said(picture, &format!("{param}.result"))
            }
            InputItem::ImageGenerationCall { id: Some(id), result: None }
            | InputItem::Reference { id } => self.referred(id, param, name),
            InputItem::ImageGenerationCall { id: None, result: None } => Ok(()),
        }
    }

    fn answered(&mut self, item: OutputItem, param: &str, name: &str) -> Result<(), RequestError> {
        self.open(Role::Assistant, name);
        match item {
            OutputItem::Message { content, .. } => {
                for text in content {
                    self.said(Said::Text(text.text), param)?;
                }
                Ok(())
            }
            OutputItem::ImageGenerationCall { result: Some(result), .. } => {
                self.said(Said::Picture(Source::Drawn(result)), param)
            }
            OutputItem::ImageGenerationCall { result: None, .. } => Ok(()),
        }
    }

    /// An item by its id.
    fn referred(&mut self, id: &str, param: &str, name: &str) -> Result<(), RequestError> {
        let param = match param {
            PREVIOUS => PREVIOUS.to_owned(),
            _ => format!("{param}.id"),
        };
        let missing = || RequestError::NoItem { param: param.clone(), id: id.to_owned() };
        let item_id: ItemId = id.parse().map_err(|_| missing())?;
        let stored = self.response_referred_to(item_id.response)?.ok_or_else(missing)?;
        match stored.item(item_id).ok_or_else(missing)? {
            StoredItem::Input(InputItem::Reference { .. }) => Err(missing()),
            StoredItem::Input(item) => self.asked(&item, &param, name),
            StoredItem::Output(item) => self.answered(item, &param, name),
        }
    }

    fn response_referred_to(
        &mut self,
        id: StoredId,
    ) -> Result<Option<Arc<StoredResponse>>, RequestError> {
        if let Some((known, response)) = &self.referred
            && *known == id
        {
            return Ok(Some(Arc::clone(response)));
        }
        self.num_read += 1;
        if self.num_read > MAX_READ {
            let allowed = format!("references that lead to at most {MAX_READ} responses");
            return Err(RequestError::out_of_range("input", &allowed));
        }
        let Some(response) = self.kept.response(id)?.map(Arc::new) else { return Ok(None) };
        self.referred = Some((id, Arc::clone(&response)));
        Ok(Some(response))
    }

    /// Counts one thing more of the open item, and takes it up if it can still fit, after older things were dropped if
    /// they may be.
    fn said(&mut self, said: Said, param: &str) -> Result<(), RequestError> {
        let Some(role) = self.items.last().map(|item| item.role) else { return Ok(()) };
        let num_pictures = match &said {
            Said::Text(text) => self.count_text(role, text)?,
            Said::Picture(_) => 1,
        };
        let limits = self.limits;
        self.count(num_pictures, 0);
        while self.num_pictures > limits.max_input_images {
            if !self.drop_oldest() {
                let (param, limit) = (param.to_owned(), limits.max_input_images);
                return Err(RequestError::TooManyPictures { param, limit });
            }
        }
        self.positions += num_pictures * positions_of_picture(role, limits);
        self.check_room()?;
        self.check_trained(role, num_pictures, param)?;
        if let Some(item) = self.items.last_mut() {
            item.said.push((said, param.to_owned()));
        }
        Ok(())
    }

    fn count(&mut self, num_pictures: usize, num_bytes: usize) {
        self.num_pictures += num_pictures;
        self.text_bytes.1 += num_bytes;
        if let Some(item) = self.items.last_mut() {
            item.num_pictures += num_pictures;
            item.num_bytes += num_bytes;
        }
    }

    /// Drops the oldest exchange that is still there, if it may be dropped and is not the last one.
    fn drop_oldest(&mut self) -> bool {
        let exchanges = truncation::exchanges(self.items.iter().map(|item| speaker(item.role)));
        let numbered = exchanges.iter().zip(&self.items);
        let oldest = numbered.filter(|(_, item)| !item.is_dropped).find_map(|(number, _)| *number);
        let last = exchanges.iter().flatten().max().copied();
        if !self.may_drop_turns || oldest.is_none() || oldest == last {
            return false;
        }
        for (item, exchange) in self.items.iter_mut().zip(exchanges) {
            if exchange == oldest {
                self.num_pictures -= item.num_pictures;
                self.text_bytes.1 -= item.num_bytes;
                item.said.clear();
                (item.num_pictures, item.num_bytes, item.is_dropped) = (0, 0, true);
            }
        }
        true
    }

    fn check_room(&self) -> Result<(), RequestError> {
        if self.may_drop_turns {
            return Ok(());
        }
        conversation::check_room(self.positions, self.text_bytes.0, self.limits)
    }

    /// Counts a text; the pictures in it, as Markdown. They are not looked for in what is too long anyway.
    fn count_text(&mut self, role: Role, text: &str) -> Result<usize, RequestError> {
        self.count(0, text.len());
        while self.text_bytes.1 > self.limits.max_text_bytes() && self.drop_oldest() {}
        if self.text_bytes.1 > self.limits.max_text_bytes() {
            self.text_bytes.0 += self.limits.countable_bytes(text);
            self.check_room()?;
            conversation::check_length("input", self.text_bytes.1, self.limits)?;
        }
        let mut num_pictures = 0;
        for piece in conversation::said(role, text) {
            match piece {
                MarkdownPiece::Text(text) => {
                    self.text_bytes.0 += self.limits.countable_bytes(text);
                }
                MarkdownPiece::Picture(_) => num_pictures += 1,
            }
        }
        Ok(num_pictures)
    }

    fn check_trained(
        &self,
        role: Role,
        num_pictures: usize,
        param: &str,
    ) -> Result<(), RequestError> {
        let untrained = |ability| RequestError::Untrained { param: param.to_owned(), ability };
        match (self.limits.abilities, role, num_pictures) {
            (Abilities::Both, ..) | (_, _, 0) => Ok(()),
            // The assistant's own pictures stand behind dream queries, which this model lacks.
            (Abilities::ComprehensionOnly, Role::Assistant, _) => Err(untrained(Ability::Creation)),
            (Abilities::ComprehensionOnly, ..) => Ok(()),
            (Abilities::CreationOnly, ..) => Err(untrained(Ability::Comprehension)),
        }
    }

    /// Reads the pictures.
    fn finish(self) -> Result<ResponseContext, RequestError> {
        let Self { kept, may_drop_turns, limits, items, .. } = self;
        let is_there = |item: &Gathered| item.is_dropped || !item.said.is_empty();
        let items: Vec<Gathered> = items.into_iter().filter(is_there).collect();
        match items.last().map(|item| item.role) {
            Some(Role::User) => {}
            Some(Role::System | Role::Developer | Role::Assistant) | None => {
                let wanted = "something said, the last of it by the user";
                return Err(RequestError::out_of_range("input", wanted));
            }
        }
        let is_caption = abilities::prompt_form(limits) == PromptForm::Caption;
        if is_caption && items.iter().any(|item| item.role != Role::User) {
            let wanted = "the user's words alone: this model draws from a bare caption";
            return Err(RequestError::out_of_range("input", wanted));
        }
        let dropping = if may_drop_turns { dropping(&items) } else { Dropping::Never };
        let (mut turns, mut names) = (Vec::new(), Vec::new());
        for Gathered { role, name, said, .. } in items {
            let speaker = speaker(role);
            let mut pieces = Vec::with_capacity(said.len());
            for (said, param) in said {
                pieces.extend(pieces_of(speaker, said, param, kept, limits)?);
            }
            turns.push(Turn { speaker, pieces });
            names.push(name);
        }
        Ok(ResponseContext { turns, names, dropping })
    }
}

/// What is dropped already is dropped in any case.
fn dropping(items: &[Gathered]) -> Dropping {
    let exchanges = truncation::exchanges(items.iter().map(|item| speaker(item.role)));
    let dropped = exchanges.iter().zip(items).filter(|(_, item)| item.is_dropped);
    let last = dropped.filter_map(|(exchange, _)| *exchange).max();
    Dropping::Oldest { at_least: last.map_or(0, |exchange| exchange + 1) }
}

/// What one thing said comes to; the assistant's texts may hold pictures of ours.
fn pieces_of(
    speaker: Speaker,
    said: Said,
    param: String,
    kept: &dyn KeptItems,
    limits: &Limits,
) -> Result<Vec<Piece<RequestedPicture>>, RequestError> {
    match (speaker, said) {
        (Speaker::Assistant, Said::Text(text)) => own_pictures::restored(kept, &param, text),
        (_, Said::Text(text)) => Ok(vec![Piece::Text(text)]),
        (Speaker::System, Said::Picture(_)) => {
            Err(RequestError::conflict(&param, "is a picture in a system message"))
        }
        (_, Said::Picture(source)) => Ok(vec![Piece::Picture(read(source, param, kept, limits)?)]),
    }
}

fn read(
    source: Source,
    param: String,
    kept: &dyn KeptItems,
    limits: &Limits,
) -> Result<RequestedPicture, RequestError> {
    let file = |param, bytes| RequestedPicture::File(EncodedPicture { param, bytes });
    match source {
        Source::Url(url) => conversation::picture(&param, &url, kept, limits),
        Source::File(id) => {
            let found = match id.parse() {
                Ok(id) => kept.file(id)?,
                Err(_not_an_id) => None,
            };
            let missing = RequestError::NoFile { param: param.clone(), id };
            Ok(file(param, found.ok_or(missing)?))
        }
        Source::Drawn(base64) => {
            let bytes = data_url::decode_base64(&base64, usize::MAX);
            Ok(file(param, bytes.map_err(|_| RequestError::StoreFailed)?))
        }
        Source::Base64(base64) => match data_url::decode_base64(&base64, limits.max_image_bytes) {
            Ok(bytes) => Ok(file(param, bytes)),
            Err(fault) => Err(RequestError::PictureUrl { param, fault }),
        },
    }
}
