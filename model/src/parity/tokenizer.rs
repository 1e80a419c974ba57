//! Text ⇄ ids, exactly.

use serde_json::Value;

use super::Check;
use super::goldens::{Goldens, ParityError, exact};
use crate::dream_model::DreamModel;

const STAGE: &str = "tokenizer";

pub(super) fn run(
    model: &DreamModel,
    goldens: &Goldens,
    on_check: &mut dyn FnMut(Check),
) -> Result<(), ParityError> {
    let cases = goldens.json("tokenizer_cases")?;
    let rows = cases["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let malformed = || ParityError::Vectors {
        path: goldens.path("tokenizer_cases.json"),
        reason: "a row lacks text, ids, decode or decode_skip_special".to_owned(),
    };
    if rows.is_empty() {
        return Err(malformed());
    }
    let (mut ids, mut decoded, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let text = row["text"].as_str().ok_or_else(malformed)?;
        let wanted = ids_of(&row["ids"]).ok_or_else(malformed)?;
        decoded.push((
            model.tokenizer.decode(&wanted, false),
            row["decode"].as_str().ok_or_else(malformed)?.to_owned(),
        ));
        skipped.push((
            model.tokenizer.decode(&wanted, true),
            row["decode_skip_special"].as_str().ok_or_else(malformed)?.to_owned(),
        ));
        ids.push((model.tokenizer.encode_with_control(text), wanted));
    }
    on_check(compared(format!("rows[{}].ids", rows.len()), ids));
    on_check(compared(format!("rows[{}].decode", rows.len()), decoded));
    on_check(compared(format!("rows[{}].decode_skip_special", rows.len()), skipped));
    let special = model.tokenizer.special();
    let found = [
        special.im_start,
        special.im_end,
        special.im_patch,
        special.dream_start,
        special.dream_end,
    ];
    let names = ["<im_start>", "<im_end>", "<im_patch>", "<dream_start>", "<dream_end>"];
    let wanted: Vec<_> = names.iter().map(|name| id_of(&cases["special_ids"][*name])).collect();
    on_check(exact(STAGE, "special_ids".to_owned(), &found.map(Some), &wanted));
    Ok(())
}

fn id_of(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn ids_of(value: &Value) -> Option<Vec<u32>> {
    value.as_array()?.iter().map(id_of).collect()
}

/// One check that counts the pairs that differ.
fn compared<T: PartialEq>(name: String, pairs: Vec<(T, T)>) -> Check {
    let (found, wanted): (Vec<T>, Vec<T>) = pairs.into_iter().unzip();
    exact(STAGE, name, &found, &wanted)
}
