//! The answers of a batch, a line each, in the order of completion. A line is written in one piece, so that
//! whenever a run is cut off, all but the last line are whole; the next run cuts that one off and goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::file_error::FileError;

/// The answer to one request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerLine {
    /// `batch_req_` and the request's line.
    pub id: String,
    /// The client's name for the request.
    pub custom_id: String,
    /// What the server answered.
    pub response: Option<LineResponse>,
    /// Why there is no answer.
    pub error: Option<LineError>,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineResponse {
    /// HTTP's.
    pub status_code: u16,
    /// The server's name for the request.
    pub request_id: String,
    /// The answer.
    pub body: Value,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineError {
    /// For a program.
    pub code: String,
    /// For a person.
    pub message: String,
}

/// As much of a written line as going on needs.
#[derive(Deserialize)]
struct Written {
    custom_id: String,
    // Must be there, if only as null: a line of requests is not taken for one of answers.
    #[serde(deserialize_with = "Option::deserialize")]
    response: Option<serde::de::IgnoredAny>,
}

/// The file of answers.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    file: File,
    answered: Vec<(usize, String)>,
}

impl Output {
    /// Opens or makes the file. A torn last line is cut off; lines that hold no answer are taken out, to be
    /// asked again.
    ///
    /// # Errors
    /// If the file cannot be read or written, or holds something else.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let (answered, is_whole) = match File::open(path) {
            Ok(file) => scan(path, file, &mut io::sink())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), true),
            Err(error) => return Err(FileError::io(path)(error)),
        };
        if !is_whole {
            keep_answers(path)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(FileError::io(path))?;
        Ok(Self { path: path.to_owned(), file, answered })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The `custom_id`s that had an answer when the file was opened, with their lines counted from 1.
    pub fn answered(&self) -> impl Iterator<Item = (usize, &str)> {
        self.answered.iter().map(|(number, id)| (*number, id.as_str()))
    }

    /// Writes one line.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn append(&mut self, line: &AnswerLine) -> Result<(), FileError> {
        let mut text = serde_json::to_string(line)
            .map_err(|error| FileError::io(&self.path)(io::Error::from(error)))?;
        text.push('\n');
        self.file.write_all(text.as_bytes()).map_err(FileError::io(&self.path))
    }
}

/// The answered lines of a file, which are also copied to `kept`; and whether those are all there is.
fn scan(
    path: &Path,
    file: File,
    kept: &mut dyn io::Write,
) -> Result<(Vec<(usize, String)>, bool), FileError> {
    let mut reader = BufReader::new(file);
    let (mut answered, mut is_whole) = (Vec::new(), true);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(FileError::io(path))? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            is_whole = false;
            break;
        }
        let written: Written = serde_json::from_slice(&line).map_err(|error| FileError::Line {
            path: path.to_owned(),
            number,
            reason: format!("not an answer of a batch: {error}"),
        })?;
        if written.response.is_none() {
            is_whole = false;
            continue;
        }
        kept.write_all(&line).map_err(FileError::io(path))?;
        answered.push((number, written.custom_id));
    }
    Ok((answered, is_whole))
}

/// Replaces the file by one with its answered lines alone, in one step.
fn keep_answers(path: &Path) -> Result<(), FileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".draft");
    let draft = PathBuf::from(name);
    let source = File::open(path).map_err(FileError::io(path))?;
    let mut kept = File::create(&draft).map_err(FileError::io(&draft))?;
    scan(path, source, &mut kept)?;
    kept.sync_all().map_err(FileError::io(&draft))?;
    fs::rename(&draft, path).map_err(FileError::io(path))
}
