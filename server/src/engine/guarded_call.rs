//! Calls into the runner, whose panics end the engine and nothing else.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::EngineFailure;
use super::event::EngineError;

/// Calls into the runner. After a panic there nothing that it holds can be trusted.
pub(super) fn guarded<T>(
    call: impl FnOnce() -> Result<T, EngineError>,
) -> Result<Result<T, EngineError>, EngineFailure> {
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|panic| EngineFailure::Panicked(panic_text(&*panic).to_owned()))
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}
