//! The catalogue as data: rows, cases, daemons, and what is expected. Sends nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::client::{Answer, Request};
use crate::expansion::expand;

/// Every row there is. One that is missing from the file is a mistake.
const IDS: [(&str, u32, u32); 6] =
    [("J", 1, 10), ("P", 1, 16), ("I", 1, 21), ("U", 0, 16), ("K", 1, 8), ("E", 1, 1)];
/// What a front may grow by while a request is answered, where a case does not say, MiB.
const PEAK_MIB: u64 = 64;
const TAIL: &str = r#""max_tokens":2,"image_choice":"none""#;
const CHAT: &str = "/v1/chat/completions";

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("server/ lies in the root").to_owned()
}

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Catalogue {
    #[serde(default)]
    daemon: BTreeMap<String, Options>,
    #[serde(rename = "row")]
    pub(crate) rows: Vec<Row>,
}

/// What a daemon is started with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    #[serde(default)]
    pub(crate) flags: Vec<String>,
    #[serde(default)]
    pub(crate) environment: Vec<String>,
}

/// A row.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) what: String,
    #[serde(default)]
    daemon: Option<String>,
    #[serde(default, rename = "case")]
    pub(crate) cases: Vec<Case>,
    /// `FILE::TEST`.
    #[serde(default)]
    pub(crate) elsewhere: Vec<String>,
    /// Why a part of the row does not exist here.
    #[serde(default)]
    pub(crate) apart: Option<String>,
}

/// Requests of one kind.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    #[serde(default)]
    route: Option<String>,
    #[serde(default)]
    method: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    bytes: Option<String>,
    #[serde(default)]
    content: Option<String>,
    #[serde(default)]
    with: Option<String>,
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    each: Vec<String>,
    #[serde(default)]
    field: Vec<String>,
    #[serde(default)]
    pub(crate) program: Option<String>,
    expect: String,
    #[serde(default = "peak_mib", rename = "peak")]
    pub(crate) peak_mib: u64,
}

fn peak_mib() -> u64 {
    PEAK_MIB
}

impl Catalogue {
    pub(crate) fn read() -> Self {
        let text =
            fs::read_to_string(root().join("tests/hostile/catalogue.toml")).expect("the file");
        toml::from_str(&text).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The options of each daemon that rows ask for, by its name; the one without a name first.
    pub(crate) fn daemons(&self) -> Vec<(Option<&str>, Options)> {
        let named =
            self.daemon.iter().map(|(name, options)| (Some(name.as_str()), options.clone()));
        std::iter::once((None, Options::default())).chain(named).collect()
    }

    /// Rows that meet this daemon.
    pub(crate) fn rows_for(&self, daemon: Option<&str>) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| !row.cases.is_empty() && row.daemon.as_deref() == daemon)
    }

    /// All rows are there once; the tests that they name exist; none is without any test.
    pub(crate) fn check(&self) {
        let wanted: Vec<String> = IDS
            .iter()
            .flat_map(|(family, first, last)| {
                (*first..=*last).map(move |number| format!("{family}{number}"))
            })
            .collect();
        let ids: Vec<_> = self.rows.iter().map(|row| row.id.clone()).collect();
        assert_eq!(ids, wanted, "every row once, in order");
        for row in &self.rows {
            assert!(!row.cases.is_empty() || !row.elsewhere.is_empty(), "{}: never tested", row.id);
            if let Some(name) = &row.daemon {
                assert!(self.daemon.contains_key(name), "{}: no daemon {name}", row.id);
            }
            for test in &row.elsewhere {
                let (file, name) = test.split_once("::").expect("FILE::TEST");
                let text = fs::read_to_string(root().join(file)).unwrap_or_default();
                assert!(text.contains(&format!("fn {name}(")), "{}: no test {test}", row.id);
            }
        }
    }
}

impl Case {
    /// Every request of the case.
    pub(crate) fn requests(&self, trap: u16) -> Vec<Request> {
        let one = [String::new()];
        let each: &[String] = if self.each.is_empty() { &one } else { &self.each };
        let field: &[String] = if self.field.is_empty() { &one } else { &self.field };
        let pairs = field.iter().flat_map(|field| each.iter().map(move |each| (field, each)));
        pairs.map(|(field, each)| self.request(field, each, trap)).collect()
    }

    fn request(&self, field: &str, each: &str, trap: u16) -> Request {
        let filled = |text: &str| text.replace("${field}", field).replace("${each}", each);
        let text = filled(&self.template());
        let route = self.route.as_deref().unwrap_or(CHAT);
        let body = match &self.bytes {
            Some(digits) => bytes_of(digits),
            None => expand(&text, trap).into_bytes(),
        };
        let header = |line: &String| {
            let line = expand(&filled(line), trap);
            let (name, value) = line.split_once(": ").expect("NAME: VALUE");
            (name.to_owned(), value.to_owned())
        };
        Request {
            name: format!("{route} {field} {each:.60} {text:.200}"),
            method: self.method.clone().unwrap_or_else(|| "POST".to_owned()),
            path: filled(route),
            headers: self.headers.iter().map(header).collect(),
            body,
            field: field.to_owned(),
            each: each.to_owned(),
        }
    }

    fn template(&self) -> String {
        if let Some(body) = &self.body {
            return body.clone();
        }
        let tail = self.with.as_deref().unwrap_or(TAIL);
        let content = self.content.as_deref().unwrap_or(r#""Hello, ${canary}.""#);
        format!(r#"{{"model":"mini",{tail},"messages":[{{"role":"user","content":{content}}}]}}"#)
    }

    /// What is expected of a request.
    pub(crate) fn expectation(&self, request: &Request) -> Expectation {
        let filled =
            self.expect.replace("${field}", &request.field).replace("${each}", &request.each);
        Expectation { alternatives: filled.split(" | ").map(Outcome::parse).collect() }
    }
}

fn bytes_of(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16);
    pairs.map(|pair| byte(pair).expect("hexadecimal digits")).collect()
}

/// What may come.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) alternatives: Vec<Outcome>,
}

/// Status, and code and parameter of an error where they matter.
#[derive(Debug)]
pub(crate) struct Outcome {
    status: u16,
    code: Option<String>,
    param: Option<String>,
}

impl Outcome {
    fn parse(text: &str) -> Self {
        let mut words = text.split(' ');
        let status = words.next().and_then(|word| word.parse().ok()).expect("a status");
        Self {
            status,
            code: words.next().map(str::to_owned),
            param: words.next().map(str::to_owned),
        }
    }

    pub(crate) fn is(&self, answer: &Answer) -> bool {
        let says = |name: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| answer.json()["error"][name] == wanted.as_str())
        };
        self.status == answer.status && says("code", &self.code) && says("param", &self.param)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.status)?;
        self.code.as_ref().map_or(Ok(()), |code| write!(formatter, " {code}"))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alternatives: Vec<_> = self
            .alternatives
            .iter()
            .map(|outcome| format!("{outcome} {}", outcome.param.as_deref().unwrap_or_default()))
            .collect();
        formatter.write_str(&alternatives.join(" or "))
    }
}
