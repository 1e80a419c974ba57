//! Deaths on demand, so that tests can have a worker die at a certain point of a certain request. Without the
//! feature `failpoints` there is nothing here that could be asked for.
//!
//! `REVERIE_FAILPOINT=PHASE:SEED:HOW[:FILE]`: in a step that computes PHASE (`prefill`, `decode`, `denoise`,
//! `render`) of a request with that seed, or at the `start`, the process ends by HOW (`abort`, `kill`, `segv`, `bus`,
//! `stop`, `panic`, `exit`, or `garbage` to the front); with a FILE only if that does not exist yet, which is
//! made. By the HOW `nan` nothing ends: that request's numbers are not finite in such a step.

use reverie_scheduler::{SequenceId, StepPlan};

use super::event::EngineError;
use super::request::EngineRequest;
use super::runner::StepOutput;

/// The HOW by which nothing ends.
#[cfg(feature = "failpoints")]
const NOT_FINITE: &str = "nan";

/// Strikes if a worker is not to start.
pub(super) fn strike_at_start() {
    #[cfg(feature = "failpoints")]
    if let Some(wanted) = Wanted::read().filter(|wanted| wanted.phase == "start") {
        wanted.strike();
    }
}

/// Strikes if `plan` is what is waited for.
#[cfg(not(feature = "failpoints"))]
pub(super) fn strike<'a>(
    _plan: &StepPlan,
    _request_of: impl Fn(SequenceId) -> Option<&'a EngineRequest>,
) {
}

/// Strikes if `plan` is what is waited for.
#[cfg(feature = "failpoints")]
pub(super) fn strike<'a>(
    plan: &StepPlan,
    request_of: impl Fn(SequenceId) -> Option<&'a EngineRequest>,
) {
    let Some(wanted) = Wanted::read().filter(|wanted| wanted.how != NOT_FINITE) else { return };
    if !wanted.met_by(plan, request_of).is_empty() {
        wanted.strike();
    }
}

/// Whose numbers are not to be finite in `plan`.
#[cfg(not(feature = "failpoints"))]
pub(super) fn not_finite<'a>(
    _plan: &StepPlan,
    _request_of: impl Fn(SequenceId) -> Option<&'a EngineRequest>,
) -> Vec<SequenceId> {
    Vec::new()
}

/// Whose numbers are not to be finite in `plan`.
#[cfg(feature = "failpoints")]
pub(super) fn not_finite<'a>(
    plan: &StepPlan,
    request_of: impl Fn(SequenceId) -> Option<&'a EngineRequest>,
) -> Vec<SequenceId> {
    let Some(wanted) = Wanted::read().filter(|wanted| wanted.how == NOT_FINITE) else {
        return Vec::new();
    };
    wanted.met_by(plan, request_of)
}

/// Takes what a step yielded for `sequences` for numbers that are not finite.
pub(super) fn spoil(output: &mut StepOutput, sequences: &[SequenceId]) {
    output.sampled.retain(|token| !sequences.contains(&token.sequence));
    output.rendered.retain(|picture| !sequences.contains(&picture.sequence));
    for sequence in sequences {
        output.fail(*sequence, EngineError::NotFinite("a failpoint".to_owned()));
    }
}

/// What is waited for, and what happens then.
#[cfg(feature = "failpoints")]
struct Wanted {
    phase: String,
    seed: String,
    how: String,
    once: Option<String>,
}

#[cfg(feature = "failpoints")]
impl Wanted {
    fn read() -> Option<Self> {
        let text = std::env::var("REVERIE_FAILPOINT").ok()?;
        let mut parts = text.splitn(4, ':').map(str::to_owned);
        let mut part = || parts.next();
        let (phase, seed, how) = (part()?, part()?, part()?);
        Some(Self { phase, seed, how, once: part() })
    }

    /// Sequences of the wanted request in a step of the wanted phase.
    fn met_by<'a>(
        &self,
        plan: &StepPlan,
        request_of: impl Fn(SequenceId) -> Option<&'a EngineRequest>,
    ) -> Vec<SequenceId> {
        let is_wanted = |id: &SequenceId| {
            request_of(*id).is_some_and(|request| request.pictures.seed.to_string() == self.seed)
        };
        self.rows(plan).into_iter().filter(is_wanted).collect()
    }

    fn rows(&self, plan: &StepPlan) -> Vec<SequenceId> {
        match self.phase.as_str() {
            "prefill" => {
                let begins = plan.decode.iter().filter(|row| row.start == 0);
                begins.map(|row| row.sequence).collect()
            }
            "decode" => {
                let goes_on = plan.decode.iter().filter(|row| {
                    row.start > 0 && row.num_positions() == 1 && row.sample.is_some()
                });
                goes_on.map(|row| row.sequence).collect()
            }
            "denoise" => {
                let later = plan.denoise_rows().iter().filter(|row| row.step == 1);
                later.map(|row| row.sequence).collect()
            }
            "render" => plan.render.iter().map(|row| row.sequence).collect(),
            _ => Vec::new(),
        }
    }

    fn strike(&self) {
        use rustix::process::{Signal, getpid, kill_process};
        let is_done = |file: &String| std::fs::File::create_new(file).is_err();
        if self.once.as_ref().is_some_and(is_done) {
            return;
        }
        let signal = match self.how.as_str() {
            "abort" => std::process::abort(),
            "exit" => std::process::exit(70),
            "panic" => panic!("a failpoint"),
            "garbage" => return speak_garbage(),
            "kill" => Signal::KILL,
            "segv" => Signal::SEGV,
            "bus" => Signal::BUS,
            "stop" => Signal::STOP,
            other => panic!("REVERIE_FAILPOINT knows no end {other}"),
        };
        kill_process(getpid(), signal).expect("a process may signal itself");
    }
}

/// Says something to the front that is no frame.
#[cfg(feature = "failpoints")]
fn speak_garbage() {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;
    let socket = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
    let mut front = std::os::unix::net::UnixStream::from(socket);
    front.write_all(&[0x5a; 64]).expect("a front that listens");
}
