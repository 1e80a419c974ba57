//! Suites: requests with what a right answer is. A suite is a JSONL file, one case a line, and the picture
//! files that it names; the named ones are inside the binary. Knows no server.

mod case_line;
mod embedded;
mod pictures;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::file_error::FileError;
use crate::verdict::Expectation;

pub use case_line::{CaseLine, ContentLine};
pub use embedded::names;

/// One request, and what a right answer is.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// The line it was read from.
    pub line: CaseLine,
    /// Text and picture files in order.
    pub content: Vec<Content>,
    /// What a right answer is.
    pub expected: Expectation,
}

/// How an answer is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// Chat: the model decides what to answer with.
    #[default]
    Chat,
    /// Chat that demands exactly one picture, as image routes do: `modalities: ["image"]`.
    Picture,
}

/// A piece of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Words.
    Text(String),
    /// A picture file.
    Picture(Vec<u8>),
}

/// A suite that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// Neither a file nor a name.
    #[error("no suite {name}: neither a file nor one of {}", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// One of its files is at fault.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Where a suite's files are.
enum Source {
    Embedded(String),
    Folder(PathBuf),
}

impl Source {
    fn read(&self, file: &str) -> Result<Vec<u8>, FileError> {
        let (path, bytes) = match self {
            Self::Embedded(name) => (PathBuf::from(name).join(file), embedded::read(name, file)),
            Self::Folder(folder) => (folder.join(file), std::fs::read(folder.join(file))),
        };
        bytes.map_err(|source| FileError::Io { path, source })
    }

    fn path(&self, file: &str) -> PathBuf {
        match self {
            Self::Embedded(name) => PathBuf::from(name).join(file),
            Self::Folder(folder) => folder.join(file),
        }
    }
}

const LINES: &str = "suite.jsonl";

/// The suite that is called so or, where there is none, the JSONL file or folder of that name.
///
/// # Errors
/// [`SuiteError`], for the first line at fault.
pub fn open(name: &str) -> Result<Vec<Case>, SuiteError> {
    if names().iter().any(|known| known == name) {
        return Ok(read(&Source::Embedded(name.to_owned()), LINES)?);
    }
    let path = Path::new(name);
    if path.is_dir() {
        return Ok(read(&Source::Folder(path.to_owned()), LINES)?);
    }
    let (Some(folder), Some(file)) = (path.parent(), path.file_name().and_then(|it| it.to_str()))
    else {
        return Err(SuiteError::Unknown { name: name.to_owned() });
    };
    if !path.is_file() {
        return Err(SuiteError::Unknown { name: name.to_owned() });
    }
    Ok(read(&Source::Folder(folder.to_owned()), file)?)
}

fn read(source: &Source, file: &str) -> Result<Vec<Case>, FileError> {
    let fault = |number: usize, reason: String| FileError::Line {
        path: source.path(file),
        number: number + 1,
        reason,
    };
    let text = String::from_utf8(source.read(file)?)
        .map_err(|error| fault(0, format!("not UTF-8: {error}")))?;
    let mut shelf = pictures::Shelf::default();
    let mut names = HashSet::new();
    let mut cases = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let line: CaseLine =
            serde_json::from_str(line).map_err(|error| fault(number, error.to_string()))?;
        if !names.insert(line.name.clone()) {
            return Err(fault(number, format!("a second case called {}", line.name)));
        }
        let expected = line.expect.clone().try_into().map_err(|reason| fault(number, reason))?;
        let content = line.content.iter().map(|part| shelf.content(part, source));
        let content = content
            .collect::<Result<_, pictures::PictureFault>>()
            .map_err(|error| fault(number, error.to_string()))?;
        cases.push(Case { line, content, expected });
    }
    Ok(cases)
}
