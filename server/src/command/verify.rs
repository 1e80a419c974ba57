//! `reverie verify`: the report of parity, invariance, memory and speed on this machine.

use std::io::Write as _;
use std::process::ExitCode;

use reverie_model::parity::{Goldens, ParityError};

use super::{Failure, SOFTWARE, SYSTEM, cache_dir};
use crate::args::{DtypeChoice, VerifyArgs};
use crate::assets;
use crate::startup::PreparedModel;
use crate::verify::{self, MemoryUse};

impl From<ParityError> for Failure {
    fn from(error: ParityError) -> Self {
        let exit_code = match &error {
            ParityError::Vectors { .. } => 65,
            ParityError::Model(_) => SOFTWARE,
            ParityError::Checkpoint(error) => error.exit_code(),
        };
        Self::new(exit_code, error)
    }
}

pub(super) fn run(args: &VerifyArgs) -> Result<ExitCode, Failure> {
    let cache = cache_dir(args.cache_dir.clone());
    let (model, goldens) = match (&args.model, &args.goldens) {
        (Some(model), Some(goldens)) => (model.clone(), goldens.clone()),
        (None, None) => {
            let embedded = assets::goldens(&cache).map_err(|error| Failure::new(SYSTEM, error))?;
            (embedded.join("checkpoint"), embedded.join("vectors"))
        }
        (Some(_), None) | (None, Some(_)) => {
            let reason =
                "--model and --goldens belong together: recorded results are of one checkpoint";
            return Err(Failure::new(super::USAGE, reason));
        }
    };
    // The recorded results are float32; any other precision would measure rounding, not correctness.
    let prepared = PreparedModel::open(Some(&model), &cache, args.device, DtypeChoice::F32)?
        .with_kernels(args.kernels);
    let memory = MemoryUse { estimate: prepared.memory_estimate, peak: None };
    let loaded = prepared.load().map_err(ParityError::from)?;
    let report = verify::run(&loaded, &Goldens::new(&goldens), memory, &mut |stage| {
        eprintln!("{stage} …");
    })?;
    let text = if args.json {
        format!("{:#}\n", report.to_json())
    } else {
        let device = verify::describe(&prepared.device, prepared.dtype);
        let class = prepared.kernels.numerics_class(prepared.family, prepared.dtype);
        let version = env!("CARGO_PKG_VERSION");
        format!("reverie {version} on {device}, numerics {class}\n\n{report}\n")
    };
    std::io::stdout().write_all(text.as_bytes())?;
    if let Some(path) = &args.report {
        std::fs::write(path, text)
            .map_err(|error| Failure::new(SYSTEM, format_args!("{}: {error}", path.display())))?;
    }
    Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(SOFTWARE) })
}
