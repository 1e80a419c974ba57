//! Text and pictures as HTML. Knows no case.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Text that cannot become markup.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// A picture file inside the page.
pub(super) fn picture(file: &[u8], alt: &str) -> String {
    let kind = image::guess_format(file).map_or("image/png", |format| format.to_mime_type());
    let data = STANDARD.encode(file);
    format!("<img src=\"data:{kind};base64,{data}\" alt=\"{}\">", escape(alt))
}
