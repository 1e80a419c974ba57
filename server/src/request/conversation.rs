//! Messages to turns: every shape a client may send history in becomes one. Knows who may say what and
//! how much surely fits; renders nothing.

use reverie_proto::{Content, ContentPart, ImageItem, Message, OrderedPart, Role};

use super::own_pictures::{self, MarkdownPiece, OwnPictures, markdown_pieces};
use super::truncation::{self, Dropping};
use super::{Limits, Piece, RequestError, RequestedPicture, Speaker, Turn};

/// The conversation of `messages`, which need not fit where turns of it may be dropped; pictures of ours come from
/// `own`. What surely is dropped is not read.
pub(super) fn turns(
    mut messages: Vec<Message>,
    may_drop_turns: bool,
    own: &dyn OwnPictures,
    limits: &Limits,
) -> Result<(Vec<Turn<RequestedPicture>>, Dropping), RequestError> {
    messages.iter_mut().for_each(Message::restore_order);
    match messages.last().map(|message| message.role) {
        Some(Role::User) => {}
        Some(Role::System | Role::Developer | Role::Assistant) | None => {
            return Err(RequestError::out_of_range(
                "messages",
                "at least one message, the last of them the user's",
            ));
        }
    }
    let exchanges = truncation::exchanges(messages.iter().map(|message| speaker(message.role)));
    let num_dropped =
        check_all_room(&messages, may_drop_turns.then_some(exchanges.as_slice()), limits)?;
    let reading = Reading { own, limits };
    let turn = |(index, message): (usize, Message)| {
        if truncation::is_before(exchanges[index], num_dropped) {
            return Ok(Turn { speaker: speaker(message.role), pieces: Vec::new() });
        }
        reading.turn(index, message)
    };
    let turns = messages.into_iter().enumerate().map(turn).collect::<Result<_, _>>()?;
    let oldest = Dropping::Oldest { at_least: num_dropped };
    Ok((turns, if may_drop_turns { oldest } else { Dropping::Never }))
}

/// Checks that `positions` and the least that `text_bytes` encode to can fit, without encoding.
pub(super) fn check_room(
    positions: usize,
    text_bytes: usize,
    limits: &Limits,
) -> Result<(), RequestError> {
    let positions = positions.saturating_add(text_bytes / limits.max_token_bytes.max(1));
    if positions > limits.max_model_len {
        return Err(RequestError::ContextLength { positions, limit: limits.max_model_len });
    }
    Ok(())
}

/// Refuses text that is far longer than what can fit, whatever it consists of.
pub(super) fn check_length(param: &str, bytes: usize, limits: &Limits) -> Result<(), RequestError> {
    let limit = limits.max_text_bytes();
    if bytes > limit {
        return Err(RequestError::TextTooLong { param: param.to_owned(), limit });
    }
    Ok(())
}

/// Counts pictures and text before any of it is decoded: how many of the oldest exchanges have to be dropped, where
/// they may be. Pictures are not looked for in texts that are too long anyway.
fn check_all_room(
    messages: &[Message],
    droppable: Option<&[Option<usize>]>,
    limits: &Limits,
) -> Result<usize, RequestError> {
    let beyond = |loads: &[usize], limit| {
        droppable.map_or(0, |exchanges| truncation::num_beyond(exchanges, loads, limit))
    };
    let is_dropped = |index: usize, count| {
        droppable.is_some_and(|exchanges| truncation::is_before(exchanges[index], count))
    };
    let length = |message| texts(message).into_iter().map(str::len).sum::<usize>();
    let lengths: Vec<usize> = messages.iter().map(length).collect();
    let too_long = beyond(&lengths, limits.max_text_bytes());
    let kept = messages.iter().enumerate().filter(|(index, _)| !is_dropped(*index, too_long));
    let all_bytes = kept.clone().map(|(index, _)| lengths[index]).sum();
    if let Err(far_too_long) = check_length("messages", all_bytes, limits) {
        if droppable.is_none() {
            let all_texts = messages.iter().flat_map(texts);
            check_room(1, all_texts.map(|text| limits.countable_bytes(text)).sum(), limits)?;
        }
        return Err(far_too_long);
    }
    let mut counts = vec![Count::default(); messages.len()];
    kept.for_each(|(index, message)| counts[index] = Count::of(message, limits));
    let num_pictures: Vec<usize> = counts.iter().map(|count| count.num_pictures).collect();
    let too_many = beyond(&num_pictures, limits.max_input_images);
    let num_dropped = too_long.max(too_many);

    let mut sum = Count { positions: 1, ..Count::default() }; // `<s>`
    for (index, message) in messages.iter().enumerate() {
        if is_dropped(index, num_dropped) {
            continue;
        }
        sum = sum.and(counts[index]);
        if sum.num_pictures > limits.max_input_images {
            let has_images = message.images.as_ref().is_some_and(|images| !images.is_empty());
            let list = if has_images { "images" } else { "content" };
            let param = format!("messages[{index}].{list}");
            return Err(RequestError::TooManyPictures { param, limit: limits.max_input_images });
        }
    }
    if droppable.is_none() {
        check_room(sum.positions, sum.text_bytes, limits)?;
    }
    Ok(num_dropped)
}

/// What messages surely take.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    num_pictures: usize,
    /// Of pictures.
    positions: usize,
    text_bytes: usize,
}

impl Count {
    fn of(message: &Message, limits: &Limits) -> Self {
        let mut num_pictures = message.images.as_ref().map_or(0, Vec::len);
        num_pictures += match &message.content {
            None | Some(Content::Text(_)) => 0,
            Some(Content::Parts(parts)) => parts.iter().filter(|part| is_picture(part)).count(),
        };
        let mut text_bytes = 0;
        for piece in texts(message).into_iter().flat_map(|text| said(message.role, text)) {
            match piece {
                MarkdownPiece::Text(text) => text_bytes += limits.countable_bytes(text),
                MarkdownPiece::Picture(_) => num_pictures += 1,
            }
        }
        let positions = num_pictures * positions_of_picture(message.role, limits);
        Self { num_pictures, positions, text_bytes }
    }

    fn and(self, other: Self) -> Self {
        Self {
            num_pictures: self.num_pictures + other.num_pictures,
            positions: self.positions + other.positions,
            text_bytes: self.text_bytes + other.text_bytes,
        }
    }
}

/// Positions that a picture of this role takes.
pub(super) fn positions_of_picture(role: Role, limits: &Limits) -> usize {
    match role {
        Role::Assistant => limits.picture_positions + limits.dream_positions,
        Role::System | Role::Developer | Role::User => limits.picture_positions,
    }
}

/// Who speaks in this role.
pub(super) fn speaker(role: Role) -> Speaker {
    match role {
        Role::System | Role::Developer => Speaker::System,
        Role::User => Speaker::User,
        Role::Assistant => Speaker::Assistant,
    }
}

/// What a text of this role says: the assistant's may hold pictures of ours as Markdown.
pub(super) fn said(role: Role, text: &str) -> Vec<MarkdownPiece<'_>> {
    match role {
        Role::Assistant => markdown_pieces(text),
        Role::System | Role::Developer | Role::User => vec![MarkdownPiece::Text(text)],
    }
}

/// Whether `message` is the assistant's and holds pictures as Markdown.
pub(super) fn has_markdown_picture(message: &Message) -> bool {
    let pieces = texts(message).into_iter().flat_map(|text| said(message.role, text));
    pieces.into_iter().any(|piece| match piece {
        MarkdownPiece::Text(_) => false,
        MarkdownPiece::Picture(_) => true,
    })
}

/// The texts that `message` puts into the context: `content_parts`, where they are given, stand for
/// `content`.
fn texts(message: &Message) -> Vec<&str> {
    match (&message.content_parts, &message.content) {
        (Some(order), _) => order
            .iter()
            .filter_map(|part| match part {
                OrderedPart::Text { text } => Some(text.as_str()),
                OrderedPart::ImageRef { index: _ } => None,
            })
            .collect(),
        (None, None) => Vec::new(),
        (None, Some(Content::Text(text))) => vec![text],
        (None, Some(Content::Parts(parts))) => parts
            .iter()
            .filter_map(|part| match part {
                ContentPart::Text { text } => Some(text.as_str()),
                ContentPart::ImageUrl { .. } => None,
            })
            .collect(),
    }
}

fn is_picture(part: &ContentPart) -> bool {
    match part {
        ContentPart::Text { .. } => false,
        ContentPart::ImageUrl { .. } => true,
    }
}

/// Reads messages within limits, with whoever finds pictures of ours.
struct Reading<'a> {
    own: &'a dyn OwnPictures,
    limits: &'a Limits,
}

impl Reading<'_> {
    fn turn(&self, index: usize, message: Message) -> Result<Turn<RequestedPicture>, RequestError> {
        let place = format!("messages[{index}]");
        let speaker = speaker(message.role);
        let pieces = match speaker {
            Speaker::Assistant => self.assistant_pieces(&place, message)?,
            Speaker::System | Speaker::User => {
                if message.images.is_some() || message.content_parts.is_some() {
                    let field = if message.images.is_some() { "images" } else { "content_parts" };
                    return Err(RequestError::conflict(
                        &format!("{place}.{field}"),
                        "belongs to the assistant's messages only",
                    ));
                }
                let content = message.content.ok_or_else(|| content_missing(&place))?;
                self.content_pieces(&place, content)?
            }
        };
        if speaker == Speaker::System {
            refuse_pictures(&pieces)?;
        }
        Ok(Turn { speaker, pieces })
    }

    fn content_pieces(
        &self,
        place: &str,
        content: Content,
    ) -> Result<Vec<Piece<RequestedPicture>>, RequestError> {
        let parts = match content {
            Content::Text(text) => return Ok(vec![Piece::Text(text)]),
            Content::Parts(parts) if parts.is_empty() => return Err(content_missing(place)),
            Content::Parts(parts) => parts,
        };
        let piece = |(index, part)| match part {
            ContentPart::Text { text } => Ok(Piece::Text(text)),
            ContentPart::ImageUrl { image_url } => {
                let param = format!("{place}.content[{index}].image_url.url");
                picture(&param, &image_url.url, self.own, self.limits).map(Piece::Picture)
            }
        };
        parts.into_iter().enumerate().map(piece).collect()
    }

    /// The assistant's own words and pictures: content with pictures in it, or an answer of ours as it was
    /// (`content`, `images`, `content_parts`), or text with its pictures appended. Pictures of ours may also stand
    /// in its texts, as Markdown.
    fn assistant_pieces(
        &self,
        place: &str,
        message: Message,
    ) -> Result<Vec<Piece<RequestedPicture>>, RequestError> {
        let images = message.images.unwrap_or_default();
        let indices: Vec<u64> = images
            .iter()
            .enumerate()
            .map(|(position, image)| image.index.unwrap_or(position as u64))
            .collect();
        let pictures = self.listed_pictures(place, images)?;
        let pieces = if let Some(order) = message.content_parts {
            let numbered = indices.into_iter().zip(pictures).collect();
            in_order(place, order, numbered, message.content.as_ref())?
        } else {
            let mut pieces = match message.content {
                Some(content) => self.content_pieces(place, content)?,
                None if pictures.is_empty() => return Err(content_missing(place)),
                None => Vec::new(),
            };
            pieces.extend(pictures);
            pieces
        };
        let param = format!("{place}.content");
        let mut restored = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    restored.extend(own_pictures::restored(self.own, &param, text)?);
                }
                Piece::Picture(_) => restored.push(piece),
            }
        }
        Ok(restored)
    }

    fn listed_pictures(
        &self,
        place: &str,
        images: Vec<ImageItem>,
    ) -> Result<Vec<Piece<RequestedPicture>>, RequestError> {
        let piece = |(index, image): (usize, ImageItem)| {
            let param = format!("{place}.images[{index}].image_url.url");
            picture(&param, &image.image_url.url, self.own, self.limits).map(Piece::Picture)
        };
        images.into_iter().enumerate().map(piece).collect()
    }
}

/// The picture at `url`: one of ours, a data URL's, or one to be fetched.
pub(super) fn picture(
    param: &str,
    url: &str,
    own: &dyn OwnPictures,
    limits: &Limits,
) -> Result<RequestedPicture, RequestError> {
    match own_pictures::find(own, param, url) {
        Some(found) => found.map(RequestedPicture::File),
        None => RequestedPicture::at(param.to_owned(), url, limits),
    }
}

fn content_missing(place: &str) -> RequestError {
    RequestError::OutOfRange {
        param: format!("{place}.content"),
        wanted: "a string or an array of parts".to_owned(),
    }
}

fn refuse_pictures(pieces: &[Piece<RequestedPicture>]) -> Result<(), RequestError> {
    for piece in pieces {
        match piece {
            Piece::Text(_) => {}
            Piece::Picture(picture) => {
                let reason = "is a picture in a system message";
                return Err(RequestError::conflict(picture.param(), reason));
            }
        }
    }
    Ok(())
}

/// `numbered` pictures placed by `order`, which must name each of them once and repeat `content`.
fn in_order(
    place: &str,
    order: Vec<OrderedPart>,
    mut numbered: Vec<(u64, Piece<RequestedPicture>)>,
    content: Option<&Content>,
) -> Result<Vec<Piece<RequestedPicture>>, RequestError> {
    let param = format!("{place}.content_parts");
    let mut pieces = Vec::with_capacity(order.len());
    let mut text = String::new();
    for part in order {
        match part {
            OrderedPart::Text { text: chunk } => {
                text.push_str(&chunk);
                // Clients that gather a stream have a part for each delta: together they are one text.
                match pieces.last_mut() {
                    Some(Piece::Text(before)) => before.push_str(&chunk),
                    Some(Piece::Picture(_)) | None => pieces.push(Piece::Text(chunk)),
                }
            }
            OrderedPart::ImageRef { index } => {
                let position = numbered.iter().position(|(number, _)| *number == index);
                let Some(position) = position else {
                    return Err(RequestError::conflict(
                        &param,
                        "names a picture that `images` does not hold, or names it twice",
                    ));
                };
                pieces.push(numbered.remove(position).1);
            }
        }
    }
    if !numbered.is_empty() {
        return Err(RequestError::conflict(&param, "leaves out a picture of `images`"));
    }
    match content {
        Some(Content::Text(content)) if content.trim() != text.trim() => {
            Err(RequestError::conflict(&param, "and `content` say different things"))
        }
        Some(Content::Parts(_)) => {
            Err(RequestError::conflict(&param, "needs `content` to be a string or null"))
        }
        Some(Content::Text(_)) | None => Ok(pieces),
    }
}
