//! Who is served earlier, as far as requests may say.

use super::{Limits, RequestError, in_range};

/// Ten classes either way would do; this leaves clients that number theirs some freedom.
pub(crate) const PRIORITIES: std::ops::RangeInclusive<i64> = -100..=100;

/// A request's priority: lower is earlier. Other than 0 only where the operator lets requests choose, for whoever
/// chooses well is served before all others.
pub(super) fn priority(wished: Option<i64>, limits: &Limits) -> Result<i32, RequestError> {
    let priority = in_range("priority", wished.unwrap_or(0), PRIORITIES)?;
    if priority != 0 && !limits.has_priorities {
        let reason = "other than 0 needs a server started with `--scheduling-policy priority`";
        return Err(RequestError::unsupported("priority", reason));
    }
    Ok(priority as i32)
}

impl Limits {
    /// The priority of whoever is served first, as far as requests may say.
    pub(crate) fn first_priority(&self) -> i32 {
        if self.has_priorities { *PRIORITIES.start() as i32 } else { 0 }
    }
}
