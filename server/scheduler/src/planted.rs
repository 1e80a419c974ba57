//! Mistakes that can be made on purpose, one at a time, so that the simulation can be shown to find
//! them. Without the feature `planted-bugs` every question is a constant `false`.

/// A mistake; the name says what is done wrong.
#[cfg_attr(
    not(feature = "planted-bugs"),
    expect(unreachable_pub, reason = "public with the feature")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Planted {
    /// A worker that is silent still gets new work.
    RouteToSuspected,
    /// A worker gets one job more than it holds.
    OneJobTooMany,
    /// A restarted worker keeps its epoch.
    EpochReused,
    /// Failed starts are not counted.
    StartsForEver,
    /// Silence has no consequence.
    HangUnseen,
    /// The waiting queue takes one request too many.
    QueueOneTooLong,
    /// Bytes are reserved beyond the limit.
    BytesOverbooked,
    /// A tenant's starts cost it nothing.
    TenantsNeverPay,
    /// Suspects are not kept apart.
    SuspectsInCompany,
    /// Deaths from outside are blamed on requests.
    KillsBlame,
    /// A suspect is guilty of a death that it saw in company.
    CompanyIsProof,
    /// Nothing is ever proven.
    NeverGuilty,
    /// A cancelled request's bytes stay reserved.
    CancelKeepsBytes,
    /// A cancelled request's job is not aborted.
    CancelKeepsJob,
    /// An aborted job's worker counts as empty at once.
    AbortedIsGone,
    /// What an aborted job still says is taken.
    AbortedIsHeard,
    /// A request goes on elsewhere without its journal.
    JournalForgotten,
    /// An entry that was said twice is delivered twice.
    DuplicateDelivered,
    /// A picture drawn elsewhere is not delivered.
    DrawnNotDelivered,
    /// A drawing whose worker died is not ordered again.
    DrawingLost,
    /// A document that asks again for a picture that is there waits for ever.
    PictureNotRepeated,
    /// A draining front still accepts.
    DrainAccepts,
    /// A draining front ends before its stalled requests do.
    DrainForgetsStalled,
    /// A stalled request is not taken up again.
    StallForEver,
    /// A stalled request keeps its worker.
    StallKeepsJob,
    /// A key means the same for another body.
    KeyMatchesAnyBody,
    /// Another class of numbers may continue an answer.
    ClassesMixed,
    /// Priorities are not looked at.
    PriorityIgnored,
    /// The newest of a tenant's requests goes first.
    LastComeFirst,
    /// A deadline is not looked at while a request runs.
    DeadlineWhileWaitingOnly,
    /// Nobody is refused for the time that it would wait.
    WaitIgnored,
    /// Time is asked about although a place is free.
    FreePlacesUnseen,
    /// A worker whose numbers are not finite again and again goes on.
    NotFiniteUnseen,
    /// A request goes to a worker whose KV cache cannot hold it.
    KvIgnored,
    /// A document goes on where its picture is drawn again, although that is being drawn elsewhere.
    DrawnTwice,

    // From here on a worker's scheduler makes it.
    /// Who ends keeps its blocks.
    EndKeepsBlocks,
    /// All tenants have the same prefixes.
    PrefixesShared,
    /// Every picture is the same to the prefix cache.
    PicturesAlike,
    /// A context that is known to its end has nothing left to compute.
    WholeContextCached,
    /// Blocks are taken from the oldest of the younger ones.
    OlderGivesWay,
    /// Whoever has lost its blocks waits behind those who never had any.
    PreemptedLosesTurn,
    /// The same kind of work is always planned first.
    TurnNeverPasses,
    /// Work that does not fit is left for later again and again.
    DeferredForEver,
    /// A step takes as long as it likes beside texts that go on.
    GapUnbounded,
    /// Pictures of several sizes are in one pass.
    SizesMixed,
    /// The oldest pictures are in every pass.
    PassesUnfair,
    /// Whoever ends in the middle of a pass stays in it.
    EndedStaysInPass,
    /// Pictures are embedded beyond their budget.
    EncodesUnbounded,
}

#[cfg(feature = "planted-bugs")]
impl Planted {
    /// Those of the front.
    pub const OF_DISPATCHER: [Self; 35] = [
        Self::RouteToSuspected,
        Self::OneJobTooMany,
        Self::EpochReused,
        Self::StartsForEver,
        Self::HangUnseen,
        Self::QueueOneTooLong,
        Self::BytesOverbooked,
        Self::TenantsNeverPay,
        Self::SuspectsInCompany,
        Self::KillsBlame,
        Self::CompanyIsProof,
        Self::NeverGuilty,
        Self::CancelKeepsBytes,
        Self::CancelKeepsJob,
        Self::AbortedIsGone,
        Self::AbortedIsHeard,
        Self::JournalForgotten,
        Self::DuplicateDelivered,
        Self::DrawnNotDelivered,
        Self::DrawingLost,
        Self::PictureNotRepeated,
        Self::DrainAccepts,
        Self::DrainForgetsStalled,
        Self::StallForEver,
        Self::StallKeepsJob,
        Self::KeyMatchesAnyBody,
        Self::ClassesMixed,
        Self::PriorityIgnored,
        Self::LastComeFirst,
        Self::DeadlineWhileWaitingOnly,
        Self::WaitIgnored,
        Self::FreePlacesUnseen,
        Self::NotFiniteUnseen,
        Self::KvIgnored,
        Self::DrawnTwice,
    ];

    /// Those of a worker's scheduler.
    pub const OF_SCHEDULER: [Self; 13] = [
        Self::EndKeepsBlocks,
        Self::PrefixesShared,
        Self::PicturesAlike,
        Self::WholeContextCached,
        Self::OlderGivesWay,
        Self::PreemptedLosesTurn,
        Self::TurnNeverPasses,
        Self::DeferredForEver,
        Self::GapUnbounded,
        Self::SizesMixed,
        Self::PassesUnfair,
        Self::EndedStaysInPass,
        Self::EncodesUnbounded,
    ];
}

#[cfg(feature = "planted-bugs")]
mod selection {
    use std::cell::Cell;

    use super::Planted;

    thread_local! {
        static SELECTED: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    /// Makes this mistake on this thread from now on, or none.
    pub fn plant(mistake: Option<Planted>) {
        SELECTED.set(mistake);
    }

    pub(crate) fn planted(mistake: Planted) -> bool {
        SELECTED.get() == Some(mistake)
    }
}

#[cfg(feature = "planted-bugs")]
pub use selection::plant;
#[cfg(feature = "planted-bugs")]
pub(crate) use selection::planted;

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn planted(_: Planted) -> bool {
    false
}
