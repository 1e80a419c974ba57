//! Macros in the catalogue's texts: long, deep and pictorial things by their names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::CANARY;
use crate::picture_files::{file, media_type};

/// `text` with every `${…}` replaced; what a macro repeats is expanded first. `trap` is the port of a listener that
/// nobody may connect to.
pub(crate) fn expand(text: &str, trap: u16) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, macro_on)) = rest.split_once("${") {
        expanded.push_str(before);
        let end = closing_brace(macro_on).unwrap_or_else(|| panic!("no end: {macro_on:.80}"));
        expanded.push_str(&value(&macro_on[..end], trap));
        rest = &macro_on[end + 1..];
    }
    expanded.push_str(rest);
    expanded
}

/// Where the brace that closes the macro is: braces inside belong together.
fn closing_brace(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn value(call: &str, trap: u16) -> String {
    let (name, argument) = call.split_once(':').unwrap_or((call, ""));
    match name {
        "canary" => CANARY.to_owned(),
        "port" => trap.to_string(),
        "repeat" => {
            let (count, text) = argument.split_once(':').expect("COUNT:TEXT");
            expand(text, trap).repeat(count.parse().expect("a count"))
        }
        "nested" => {
            let depth = argument.parse().expect("a depth");
            [r#"{"a":"#.repeat(depth), "1".to_owned(), "}".repeat(depth)].concat()
        }
        "base64" => STANDARD.encode(file(argument)),
        "picture" => {
            format!("data:{};base64,{}", media_type(argument), STANDARD.encode(file(argument)))
        }
        _ => panic!("no such macro: {call:.80}"),
    }
}
