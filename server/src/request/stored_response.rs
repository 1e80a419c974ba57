//! A response as it is stored, and how its items are named: by the response's own name and their number, so that an item's
//! name leads to its response. Knows no store.

use std::str::FromStr;

use reverie_proto::{InputItem, OutputItem, Response};
use serde::{Deserialize, Serialize};

use crate::store::stored_id::hexadecimal;
use crate::store::{InvalidId, StoredId, StoredKind};

/// A response, and what it was asked with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// What was answered.
    pub response: Response,
    /// What was new in its input.
    pub input: Vec<InputItem>,
}

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// `msg_…`.
    Message,
    /// `ig_…`.
    ImageGenerationCall,
}

/// The name of an item of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemId {
    /// What it is.
    pub kind: ItemKind,
    /// Whose item it is.
    pub response: StoredId,
    /// Counts the input's items and then the output's, from 0.
    pub number: u16,
}

/// An item of a stored response.
#[derive(Debug, Clone, PartialEq)]
pub enum StoredItem {
    /// It was asked.
    Input(InputItem),
    /// It was answered.
    Output(OutputItem),
}

impl ItemKind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Message => "msg_",
            Self::ImageGenerationCall => "ig_",
        }
    }
}

impl std::fmt::Display for ItemId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, response, number } = self;
        write!(formatter, "{}{:032x}{number:04x}", kind.prefix(), response.unique)
    }
}

impl FromStr for ItemId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let named = |kind: ItemKind| Some((kind, text.strip_prefix(kind.prefix())?));
        let kinds = [ItemKind::Message, ItemKind::ImageGenerationCall];
        let (kind, digits) = kinds.into_iter().find_map(named).ok_or(InvalidId)?;
        let (unique, number) = digits.split_at_checked(32).ok_or(InvalidId)?;
        let unique = hexadecimal(unique).ok_or(InvalidId)?;
        let is_plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if number.len() != 4 || !number.bytes().all(is_plain) {
            return Err(InvalidId);
        }
        let number = u16::from_str_radix(number, 16).map_err(|_| InvalidId)?;
        Ok(Self { kind, response: StoredId { kind: StoredKind::Response, unique }, number })
    }
}

impl StoredResponse {
    /// The item of this name.
    pub fn item(&self, id: ItemId) -> Option<StoredItem> {
        let (name, number) = (id.to_string(), usize::from(id.number));
        if let Some(item) = self.input.get(number) {
            return (item.id() == Some(&name)).then(|| StoredItem::Input(item.clone()));
        }
        let item = self.response.output.get(number - self.input.len())?;
        (output_id(item) == name).then(|| StoredItem::Output(item.clone()))
    }
}

/// An answer's item's own name.
pub(super) fn output_id(item: &OutputItem) -> &str {
    match item {
        OutputItem::Message { id, .. } | OutputItem::ImageGenerationCall { id, .. } => id,
    }
}

/// `items` with names of ours; those that only name another item keep its name.
pub fn named_items(items: Vec<InputItem>, response: StoredId) -> Vec<InputItem> {
    let id =
        |kind, number: usize| Some(ItemId { kind, response, number: number as u16 }.to_string());
    let name = |(number, item)| match item {
        InputItem::Message { id: _, role, content } => {
            InputItem::Message { id: id(ItemKind::Message, number), role, content }
        }
        InputItem::ImageGenerationCall { id: _, result: Some(result) } => {
            let id = id(ItemKind::ImageGenerationCall, number);
            InputItem::ImageGenerationCall { id, result: Some(result) }
        }
        item @ (InputItem::ImageGenerationCall { .. } | InputItem::Reference { .. }) => item,
    };
    items.into_iter().enumerate().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_items_name_leads_to_its_response() {
        let response = StoredId { kind: StoredKind::Response, unique: 0xabc };
        for kind in [ItemKind::Message, ItemKind::ImageGenerationCall] {
            let id = ItemId { kind, response, number: 513 };
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        let id = ItemId { kind: ItemKind::Message, response, number: 1 }.to_string();
        for wrong in
            [id.replace("msg_", "rs_"), id.to_uppercase(), format!("{id}0"), id.replace('a', "é")]
        {
            assert_eq!(wrong.parse::<ItemId>(), Err(InvalidId), "{wrong}");
        }
    }
}
