//! A document as one self-contained HTML page: no script, no style sheet or picture from elsewhere.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::document::{Document, DocumentPart};

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { max-width: 42rem; margin: 3rem auto; padding: 0 1rem; font: 1.1rem/1.6 Georgia, serif; }
.prompt { font: 0.95rem/1.5 system-ui, sans-serif; border-left: 3px solid #8888; padding-left: 1rem; opacity: .8; }
img { display: block; margin: 1.5rem 0; min-width: 16rem; max-width: 100%; border-radius: .4rem; image-rendering: pixelated; }
footer { margin-top: 3rem; font: .8rem system-ui, sans-serif; opacity: .6; }
";

/// Renders the prompt and its answer; `footer` says how the page was made.
pub fn render(prompt: &str, document: &Document, footer: &str) -> String {
    let mut page =
        String::from("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    let _ = write!(
        page,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<p class=\"prompt\">{title}</p>\n<main>\n",
        title = escape(prompt)
    );
    let mut num_images = 0;
    for part in &document.parts {
        match part {
            DocumentPart::Text(text) => {
                for paragraph in text.split("\n\n").map(str::trim).filter(|text| !text.is_empty()) {
                    let _ = writeln!(page, "<p>{}</p>", escape(paragraph).replace('\n', "<br>"));
                }
            }
            DocumentPart::Image(picture) => {
                num_images += 1;
                let png = STANDARD.encode(&picture.png);
                let _ = writeln!(
                    page,
                    "<img src=\"data:image/png;base64,{png}\" width=\"{}\" height=\"{}\" alt=\"Picture {num_images}\">",
                    picture.width, picture.height
                );
            }
        }
    }
    let _ = write!(page, "</main>\n<footer>{}</footer>\n</body>\n</html>\n", escape(footer));
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for symbol in text.chars() {
        match symbol {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::complete::document::PictureFile;

    #[test]
    fn text_cannot_become_markup_and_pictures_stand_in_place() {
        let picture = PictureFile { width: 1, height: 1, png: vec![1, 2, 3] };
        let document = Document {
            parts: vec![
                DocumentPart::Text("before <script>".to_owned()),
                DocumentPart::Image(picture),
                DocumentPart::Text(" after & done".to_owned()),
            ],
        };
        let page = render("a \"prompt\"", &document, "made by a test");
        assert!(!page.contains("<script>"));
        let places = [
            "before &lt;script&gt;",
            "<img src=\"data:image/png;base64,",
            "after &amp; done",
            "made by a test",
        ]
        .map(|needle| page.find(needle).expect(needle));
        assert!(places.is_sorted());
        assert!(!page.contains("http"));
    }
}
