//! Rows that are more than one request: what is sent depends on what came, or many send at once. Each program asserts
//! what only it can see, and returns every answer for the runner to judge.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;
use serde_json::{Value, json};

use crate::CANARY;
use crate::client::{Answer, Client, Request};
use crate::picture_files::{file, flat, media_type, small};
use crate::watched_daemon::{document, largest_body};

type Asked = Vec<(Request, Answer)>;

/// Control tokens of the family, as checkpoints spell them.
const CONTROL_TOKENS: [&str; 11] = [
    "<s>",
    "</s>",
    "<unk>",
    "[PAD]",
    "<image>",
    "<im_patch>",
    "<im_start>",
    "<im_end>",
    "<dream>",
    "<dream_start>",
    "<dream_end>",
];

pub(crate) fn run(name: &str, client: &Client) -> Asked {
    match name {
        "promised_bodies" => promised_bodies(client),
        "largest_body" => ask(client, Request::raw("/v1/chat/completions", largest_body())),
        "same_seed" => same_seed(client),
        "context_borders" => context_borders(client),
        "idempotency" => idempotency(client),
        "cut_pictures" => cut_pictures(client),
        "bent_pictures" => bent_pictures(client),
        "largest_pictures" => largest_pictures(client),
        "leaving_while_reading" => leaving_while_reading(client),
        "fixed_texts" => fixed_texts(client),
        "metadata_does_not_pass" => metadata_does_not_pass(client),
        "control_tokens" => control_tokens(client),
        "wild_texts" => wild_texts(client),
        _ => panic!("no such program: {name}"),
    }
}

fn ask(client: &Client, request: Request) -> Asked {
    let answer = client.send(&request);
    vec![(request, answer)]
}

/// A question about a file.
fn showing(bytes: &[u8], media_type: &str) -> Request {
    let url = format!("data:{media_type};base64,{}", STANDARD.encode(bytes));
    Request::chat(json!({
        "max_tokens": 1, "image_choice": "none",
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
    }))
}

/// Lengths beyond any body's, with and without waiting for a go-ahead; not a byte of the body is sent.
fn promised_bodies(client: &Client) -> Asked {
    let heads = [
        "content-length: 67108865",
        "content-length: 107374182400",
        "content-length: 107374182400\r\nexpect: 100-continue",
        "content-length: 18446744073709551613", // the largest that is a length to hyper
    ];
    let answer = |head: &str| {
        let answer = client.send_raw(&format!("connection: close\r\n{head}"), b"");
        (Request { name: head.to_owned(), ..Request::default() }, answer)
    };
    heads.map(answer).into()
}

fn same_seed(client: &Client) -> Asked {
    let request = Request::chat(
        json!({"seed": 7, "max_tokens": 12, "temperature": 1.5, "image_choice": "none"}),
    );
    let asked: Asked = (0..3).map(|_| (request.clone(), client.send(&request))).collect();
    let documents: BTreeSet<_> = asked.iter().map(|(_, answer)| document(answer.json())).collect();
    assert_eq!(documents.len(), 1, "{documents:?}");
    asked
}

/// A raw prompt of one position less than the context, of all of it, and of one more.
fn context_borders(client: &Client) -> Asked {
    let prompt = |words: usize| "a ".repeat(words);
    let positions = |words: usize| {
        let answer = client.send(&Request::to("/tokenize", &json!({"prompt": prompt(words)})));
        answer.json()["count"].as_u64().expect("a count")
    };
    let limit = client.get("/v1/capabilities").json()["positions"]["max_model_len"]
        .as_u64()
        .expect("a length");
    let (few, more) = (positions(100), positions(200));
    let each = (more - few) / 100;
    assert_eq!((more - few) % 100, 0, "each word takes as many positions");
    let words = |wanted: u64| ((wanted - few) / each + 100) as usize;
    let mut asked = Vec::new();
    for wanted in [limit - each, limit, limit + each, 2 * limit] {
        let words = words(wanted);
        let count = positions(words);
        let body = json!({"model": "mini", "prompt": prompt(words), "max_tokens": 1});
        let request = Request::to("/v1/completions", &body);
        let answer = client.send(&request);
        assert_eq!(answer.status == 200, count < limit, "{count} of {limit}: {}", answer.text());
        if answer.status != 200 {
            let text = answer.text();
            assert!(text.contains(&limit.to_string()), "both numbers: {text}");
        }
        asked.push((request, answer));
    }
    // The route's error names its own field.
    for (_, answer) in &asked {
        let param = &answer.json()["error"]["param"];
        assert!(param.is_null() || param == "prompt" || param == "messages", "{param}");
    }
    asked
}

fn idempotency(client: &Client) -> Asked {
    let named = |seed: u64| {
        let fields = json!({"seed": seed, "max_tokens": 8, "image_choice": "none"});
        Request::chat(fields).header("idempotency-key", "hostile-row")
    };
    let twice: Vec<Answer> = std::thread::scope(|scope| {
        let asked = [0; 2].map(|_| scope.spawn(|| client.send(&named(1))));
        asked.map(|answer| answer.join().expect("asks")).into()
    });
    let again = client.send(&named(1));
    for answer in &twice {
        assert_eq!(answer.text(), again.text(), "the same answer, id and all");
    }
    let other = client.send(&named(2));
    assert_eq!(other.status, 422, "another body under the same name");
    let all = twice.into_iter().chain([again, other]);
    all.map(|answer| (named(1), answer)).collect()
}

const FORMATS: [(ImageFormat, &str); 4] = [
    (ImageFormat::Png, "image/png"),
    (ImageFormat::Jpeg, "image/jpeg"),
    (ImageFormat::WebP, "image/webp"),
    (ImageFormat::Gif, "image/gif"),
];

/// Each format cut off at every byte. What is accepted all the same was whole.
fn cut_pictures(client: &Client) -> Asked {
    let mut asked = Vec::new();
    for (format, media_type) in FORMATS {
        let whole = small(format);
        for length in 0..whole.len() {
            let request = showing(&whole[..length], media_type);
            let answer = client.send(&request);
            // A GIF's last three bytes are the code that ends its pixels, the block's end and the file's.
            let has_all_pixels = format == ImageFormat::Gif && length + 3 >= whole.len();
            assert!(answer.status != 200 || has_all_pixels, "{media_type} cut to {length}");
            asked.push((request, answer));
        }
    }
    asked
}

/// One bit of every byte flipped, another one each time.
fn bent_pictures(client: &Client) -> Asked {
    let mut asked = Vec::new();
    for (format, media_type) in FORMATS {
        let whole = small(format);
        let step = 1 + whole.len() / 150;
        for at in (0..whole.len()).step_by(step) {
            let mut bent = whole.clone();
            bent[at] ^= 1 << (at % 8);
            let request = showing(&bent, media_type);
            let answer = client.send(&request);
            asked.push((request, answer));
        }
    }
    asked
}

fn largest_pictures(client: &Client) -> Asked {
    let largest = showing(&flat(2048, 2048), "image/png");
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..64).map(|_| scope.spawn(|| client.send(&largest))).collect();
        asked.into_iter().map(|answer| (largest.clone(), answer.join().expect("asks"))).collect()
    })
}

/// Connections that close once their body is sent; then somebody who stays.
fn leaving_while_reading(client: &Client) -> Asked {
    let slow = showing(&flat(8000, 4000), "image/png");
    for _ in 0..8 {
        let head = format!("content-length: {}", slow.body.len());
        drop(client.open(&head, &slow.body));
    }
    let head = format!("content-length: {}", slow.body.len());
    drop(client.open(&head, &slow.body[..slow.body.len() / 2]));
    let mut asked = ask(client, showing(&small(ImageFormat::Png), "image/png"));
    // As slow as theirs, which began before: once it is answered, nothing of them is left for the next row.
    asked.extend(ask(client, slow));
    asked
}

/// Every way to break a picture, and one text for each code.
fn fixed_texts(client: &Client) -> Asked {
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut asked = Vec::new();
    let names = [
        "torn.png",
        "12-bit.jpg",
        "arithmetic.jpg",
        "10000-scans.jpg",
        "page.html",
        "paper.pdf",
        "light.exr",
    ];
    let mut files: Vec<(Vec<u8>, &str)> =
        names.iter().map(|name| (file(name), media_type(name))).collect();
    for (format, media_type) in FORMATS {
        let whole = small(format);
        files.extend([8, 20, whole.len() / 2].map(|length| (whole[..length].to_vec(), media_type)));
    }
    for (bytes, media_type) in files {
        let request = showing(&bytes, media_type);
        let answer = client.send(&request);
        let error = &answer.json()["error"];
        let [code, message] =
            ["code", "message"].map(|field| error[field].as_str().unwrap_or_default().to_owned());
        texts.entry(code).or_default().insert(message);
        asked.push((request, answer));
    }
    assert!(texts.len() >= 2, "{texts:?}");
    for (code, messages) in texts {
        assert_eq!(messages.len(), 1, "{code}: {messages:?}");
    }
    asked
}

/// Pictures with a canary in their metadata, and what is drawn after them.
fn metadata_does_not_pass(client: &Client) -> Asked {
    let mut asked = Vec::new();
    for name in ["canary.png", "canary-exif.png", "canary.jpg"] {
        let bytes = file(name);
        assert!(contains(&bytes, CANARY), "{name} has it");
        for format in ["png", "jpeg", "webp"] {
            let url = format!("data:{};base64,{}", media_type(name), STANDARD.encode(&bytes));
            let request = Request::chat(json!({
                "image_choice": "required", "max_images": 1, "num_inference_steps": 1, "max_tokens": 4,
                "image_format": format, "provenance": true,
                "messages": [{"role": "user", "content": [
                    {"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Change it."},
                ]}],
            }));
            let answer = client.send(&request);
            assert!(!answer.text().contains(CANARY), "{name}: in the answer");
            let drawn =
                answer.message()["images"][0]["image_url"]["url"].as_str().expect("a picture");
            let drawn =
                STANDARD.decode(drawn.split_once(',').expect("a data URL").1).expect("base64");
            assert!(!contains(&drawn, CANARY), "{name}: in the drawing");
            asked.push((request, answer));
        }
    }
    asked
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Control tokens in every place where text may stand: the ids of text hold none, and a conversation holds exactly
/// those that its form has.
fn control_tokens(client: &Client) -> Asked {
    let mut asked = Vec::new();
    let mut spelled = |request: Request| -> Vec<String> {
        let answer = client.send(&request);
        let list = answer.json()["token_strs"].as_array().cloned().unwrap_or_default();
        asked.push((request, answer));
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let controls = |strings: &[String]| {
        strings.iter().filter(|string| CONTROL_TOKENS.contains(&string.as_str())).count()
    };
    for token in CONTROL_TOKENS {
        for text in [
            token.to_owned(),
            format!("a {token} b"),
            token.repeat(3),
            format!("\u{200d}{token}\u{200b}"),
            format!("{token}\n{token}"),
            token.to_uppercase(),
        ] {
            let plain =
                json!({"prompt": text, "add_special_tokens": false, "return_token_strs": true});
            let strings = spelled(Request::to("/tokenize", &plain));
            assert!(!strings.is_empty(), "{text}: spelled out");
            assert_eq!(controls(&strings), 0, "{text}: {strings:?}");
        }
        let conversation = |said: &str| {
            let (head, tail) = said.split_at(said.len() / 2);
            let messages = json!([
                {"role": "system", "content": said},
                {"role": "user", "content": [{"type": "text", "text": head}, {"type": "text", "text": tail}]},
                {"role": "assistant", "content": said},
                {"role": "user", "content": said},
            ]);
            Request::to("/tokenize", &json!({"messages": messages, "return_token_strs": true}))
        };
        let (harmless, hostile) = (spelled(conversation("word")), spelled(conversation(token)));
        assert_eq!(controls(&hostile), controls(&harmless), "{token}: {hostile:?}");
    }
    asked
}

/// The wildest texts that may be asked for: no control token is written in any of them.
fn wild_texts(client: &Client) -> Asked {
    let ask = |seed: u64| {
        let request = Request::chat(json!({
            "seed": seed, "temperature": 2.0, "ignore_eos": true, "max_tokens": 60, "image_choice": "none",
        }));
        let answer = client.send(&request);
        let text = answer.message()["content"].as_str().expect("a text").to_owned();
        for token in CONTROL_TOKENS {
            assert!(!text.contains(token), "{token} in {text}");
        }
        (request, answer)
    };
    (0..4).map(ask).collect()
}
