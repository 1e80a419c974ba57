//! What is not whole yet, under names that nobody else writes to. Processes in containers of their own may all be
//! number 1, and one that was killed has left what it was writing: so a name is taken only by making what it names.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process;

/// What `make` makes new in `folder`, and where: `name`, this process' number, and the first number that is free.
///
/// # Errors
/// Those of `make`, but for [`ErrorKind::AlreadyExists`].
pub(crate) fn draft<T>(
    folder: &Path,
    name: &str,
    make: impl Fn(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    let mut number = 0_u64;
    loop {
        let path = folder.join(format!("{name}-{}-{number}", process::id()));
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}
