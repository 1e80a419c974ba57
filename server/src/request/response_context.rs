//! The conversation that a response goes on from: what is stored under `previous_response_id` and before it, then what is new;
//! whatever is only named is found. Counted before any picture is decoded or read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reverie_model::config::{Abilities, Ability};
use reverie_proto::message::MAX_MESSAGES;
use reverie_proto::{InputItem, InputPart, OutputItem, Role};

use super::own_pictures::{self, MarkdownPiece, OwnPictures, markdown_pieces};
use super::stored_response::{ItemId, StoredItem, StoredResponse};
use super::{
    EncodedPicture, Limits, PictureUrlFault, Piece, PromptForm, RequestError, RequestedPicture,
    Speaker, Turn, abilities, conversation,
};
use crate::store::StoredId;

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

/// The turns of `instructions`, of what is stored under `previous` and before it, and of `input`.
pub(super) fn turns(
    instructions: Option<&str>,
    previous: Option<&str>,
    input: &[InputItem],
    kept: &dyn KeptItems,
    limits: &Limits,
) -> Result<Vec<Turn<RequestedPicture>>, RequestError> {
    let mut gathering = Gathering::new(kept, limits);
    if let Some(text) = instructions {
        gathering.said(Role::System, Said::Text(text.to_owned()), "instructions")?;
    }
    gathering.go_on_from(previous)?;
    for (index, item) in input.iter().enumerate() {
        gathering.asked(item, &format!("input[{index}]"))?;
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

/// A conversation as it is gathered: who says what, and where it is named.
struct Gathering<'a> {
    kept: &'a dyn KeptItems,
    limits: &'a Limits,
    said: Vec<(Role, Said, String)>,
    num_pictures: usize,
    positions: usize,
    /// Bytes that surely take room, and bytes in all.
    text_bytes: (usize, usize),
}

impl<'a> Gathering<'a> {
    fn new(kept: &'a dyn KeptItems, limits: &'a Limits) -> Self {
        let positions = 1; // `<s>`
        Self { kept, limits, said: Vec::new(), num_pictures: 0, positions, text_bytes: (0, 0) }
    }

    /// Everything before, oldest first.
    fn go_on_from(&mut self, previous: Option<&str>) -> Result<(), RequestError> {
        let mut chain: Vec<StoredResponse> = Vec::new();
        let mut next = previous.map(str::to_owned);
        let mut num_pictures = 0;
        while let Some(id) = next.take() {
            let missing = || RequestError::NoPreviousResponse { id: id.clone() };
            let stored = match id.parse() {
                Ok(id) => self.kept.response(id)?.ok_or_else(missing)?,
                Err(_not_an_id) => return Err(missing()),
            };
            num_pictures += num_pictures_of(&stored);
            // No longer chain can fit: what is held meanwhile stays in proportion.
            if num_pictures > self.limits.max_input_images || chain.len() == MAX_MESSAGES {
                let (param, limit) = (PREVIOUS.to_owned(), self.limits.max_input_images);
                return Err(RequestError::TooManyPictures { param, limit });
            }
            next.clone_from(&stored.response.previous_response_id);
            chain.push(stored);
        }
        for stored in chain.into_iter().rev() {
            for item in &stored.input {
                self.asked(item, PREVIOUS)?;
            }
            for item in stored.response.output {
                self.answered(item, PREVIOUS)?;
            }
        }
        Ok(())
    }

    fn asked(&mut self, item: &InputItem, param: &str) -> Result<(), RequestError> {
        match item {
            InputItem::Message { id: _, role, content } => {
                for (index, part) in content.iter().enumerate() {
                    let at = |field: &str| match param {
                        PREVIOUS => PREVIOUS.to_owned(),
                        _ => format!("{param}.content[{index}].{field}"),
                    };
                    match part {
                        InputPart::InputText(text) | InputPart::OutputText(text) => {
                            self.said(*role, Said::Text(text.clone()), &at("text"))?;
                        }
                        InputPart::ImageUrl(url) => {
                            let picture = Said::Picture(Source::Url(url.clone()));
                            self.said(*role, picture, &at("image_url"))?;
                        }
                        InputPart::ImageFile(id) => {
                            let picture = Said::Picture(Source::File(id.clone()));
                            self.said(*role, picture, &at("file_id"))?;
                        }
                    }
                }
                Ok(())
            }
            InputItem::ImageGenerationCall { id: _, result: Some(result) } => {
                let picture = Said::Picture(Source::Base64(result.clone()));
                self.said(Role::Assistant, picture, &format!("{param}.result"))
            }
            InputItem::ImageGenerationCall { id: Some(id), result: None }
            | InputItem::Reference { id } => self.referred(id, param),
            InputItem::ImageGenerationCall { id: None, result: None } => Ok(()),
        }
    }

    fn answered(&mut self, item: OutputItem, param: &str) -> Result<(), RequestError> {
        match item {
            OutputItem::Message { content, .. } => {
                for text in content {
                    self.said(Role::Assistant, Said::Text(text.text), param)?;
                }
                Ok(())
            }
            OutputItem::ImageGenerationCall { result: Some(result), .. } => {
                self.said(Role::Assistant, Said::Picture(Source::Drawn(result)), param)
            }
            OutputItem::ImageGenerationCall { result: None, .. } => Ok(()),
        }
    }

    /// An item by its name.
    fn referred(&mut self, id: &str, param: &str) -> Result<(), RequestError> {
        let param = match param {
            PREVIOUS => PREVIOUS.to_owned(),
            _ => format!("{param}.id"),
        };
        let missing = || RequestError::NoItem { param: param.clone(), id: id.to_owned() };
        let item_id: ItemId = id.parse().map_err(|_| missing())?;
        let stored = self.kept.response(item_id.response)?.ok_or_else(missing)?;
        match stored.item(item_id).ok_or_else(missing)? {
            StoredItem::Input(InputItem::Reference { .. }) => Err(missing()),
            StoredItem::Input(item) => self.asked(&item, &param),
            StoredItem::Output(item) => self.answered(item, &param),
        }
    }

    /// Counts one thing, and takes it up if it can still fit.
    fn said(&mut self, role: Role, said: Said, param: &str) -> Result<(), RequestError> {
        let num_pictures = match &said {
            Said::Text(text) => {
                self.text_bytes.1 += text.len();
                conversation::check_length("input", self.text_bytes.1, self.limits)?;
                self.count_text(role, text)
            }
            Said::Picture(_) => 1,
        };
        self.num_pictures += num_pictures;
        let limits = self.limits;
        if self.num_pictures > limits.max_input_images {
            let (param, limit) = (param.to_owned(), limits.max_input_images);
            return Err(RequestError::TooManyPictures { param, limit });
        }
        self.positions += num_pictures * positions_of_picture(role, limits);
        conversation::check_room(self.positions, self.text_bytes.0, limits)?;
        self.check_trained(role, num_pictures, param)?;
        self.said.push((role, said, param.to_owned()));
        Ok(())
    }

    /// Counts a text; the pictures in it, as Markdown.
    fn count_text(&mut self, role: Role, text: &str) -> usize {
        let pieces = match role {
            Role::Assistant => markdown_pieces(text),
            Role::System | Role::Developer | Role::User => vec![MarkdownPiece::Text(text)],
        };
        let mut num_pictures = 0;
        for piece in pieces {
            match piece {
                MarkdownPiece::Text(text) => {
                    self.text_bytes.0 += self.limits.countable_bytes(text);
                }
                MarkdownPiece::Picture(_) => num_pictures += 1,
            }
        }
        num_pictures
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
    fn finish(self) -> Result<Vec<Turn<RequestedPicture>>, RequestError> {
        let Self { kept, limits, said, .. } = self;
        match said.last() {
            Some((Role::User, ..)) => {}
            Some((Role::System | Role::Developer | Role::Assistant, ..)) | None => {
                let wanted = "something said, the last of it by the user";
                return Err(RequestError::out_of_range("input", wanted));
            }
        }
        let is_caption = abilities::prompt_form(limits) == PromptForm::Caption;
        if is_caption && said.iter().any(|(role, ..)| *role != Role::User) {
            let wanted = "the user's words alone: this model draws from a bare caption";
            return Err(RequestError::out_of_range("input", wanted));
        }
        let turn = |(role, said, param): (Role, Said, String)| {
            let speaker = match role {
                Role::System | Role::Developer => Speaker::System,
                Role::User => Speaker::User,
                Role::Assistant => Speaker::Assistant,
            };
            let pieces = match (speaker, said) {
                (Speaker::Assistant, Said::Text(text)) => {
                    own_pictures::restored(kept, &param, text)?
                }
                (_, Said::Text(text)) => vec![Piece::Text(text)],
                (Speaker::System, Said::Picture(_)) => {
                    return Err(RequestError::conflict(&param, "is a picture in a system message"));
                }
                (_, Said::Picture(source)) => {
                    vec![Piece::Picture(read(source, param, kept, limits)?)]
                }
            };
            Ok(Turn { speaker, pieces })
        };
        said.into_iter().map(turn).collect()
    }
}

/// Names what came before.
const PREVIOUS: &str = "previous_response_id";

/// Pictures that it holds itself.
fn num_pictures_of(stored: &StoredResponse) -> usize {
    let is_drawn = |item: &&OutputItem| match item {
        OutputItem::Message { .. } => false,
        OutputItem::ImageGenerationCall { .. } => true,
    };
    let shown = stored.input.iter().map(|item| match item {
        InputItem::Message { content, .. } => {
            content.iter().filter(|part| is_picture(part)).count()
        }
        InputItem::ImageGenerationCall { .. } => 1,
        InputItem::Reference { .. } => 0,
    });
    shown.sum::<usize>() + stored.response.output.iter().filter(is_drawn).count()
}

fn is_picture(part: &InputPart) -> bool {
    match part {
        InputPart::InputText(_) | InputPart::OutputText(_) => false,
        InputPart::ImageUrl(_) | InputPart::ImageFile(_) => true,
    }
}

fn positions_of_picture(role: Role, limits: &Limits) -> usize {
    match role {
        Role::Assistant => limits.picture_positions + limits.dream_positions,
        Role::System | Role::Developer | Role::User => limits.picture_positions,
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
            let bytes = STANDARD.decode(base64).map_err(|_| RequestError::StoreFailed)?;
            Ok(file(param, bytes))
        }
        Source::Base64(base64) => {
            let fault = |fault| RequestError::PictureUrl { param: param.clone(), fault };
            let limit = limits.max_image_bytes;
            if base64.len().div_ceil(4).saturating_mul(3) > limit.saturating_add(2) {
                return Err(fault(PictureUrlFault::TooLarge { limit }));
            }
            let bytes = STANDARD.decode(base64).map_err(|_| fault(PictureUrlFault::Base64))?;
            if bytes.is_empty() {
                return Err(fault(PictureUrlFault::Empty));
            }
            Ok(file(param, bytes))
        }
    }
}
