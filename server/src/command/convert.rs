//! `reverie convert`: a published checkpoint into one self-contained folder, with progress on a terminal.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};
use reverie_model::checkpoint::{Checkpoint, convert};
use reverie_model::tokenizer::Tokenizer;

use super::Failure;
use crate::args::ConvertArgs;

pub(super) fn run(args: &ConvertArgs) -> Result<ExitCode, Failure> {
    let vocab_size = Checkpoint::open(&args.source)?.config().llama.vocab_size;
    let tokenizer = Tokenizer::load(&args.source, vocab_size)?;
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    bar.set_style(
        ProgressStyle::with_template(
            "{msg:32} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let manifest =
        convert(&args.source, &args.destination, tokenizer.to_json(), &mut |progress| {
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes_done);
            if bar.message() != progress.file {
                bar.set_message(progress.file.to_owned());
            }
        })?;
    bar.finish_and_clear();
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    writeln!(
        std::io::stdout(),
        "{}: {} tensors, {} parameters, {} files, {bytes} bytes",
        args.destination.display(),
        manifest.num_tensors,
        manifest.num_parameters,
        manifest.files.len()
    )?;
    Ok(ExitCode::SUCCESS)
}
