//! Who is to blame for a worker's death: suspects, culprits, and fingerprints that are refused. Knows no
//! workers.
//!
//! The scheme. Whoever was on a worker that died by itself is suspected. A suspect leaves every worker
//! and runs **alone** from then on, until it ends: it claims a worker, which gets nothing else. If that
//! one dies by itself too, this is the proof, and the request is quarantined. So
//!
//! - each culprit costs at most **two** workers, the first in company, the second alone; a third only
//!   if both its text and its picture kill, and did so on two workers before it could be withdrawn (its
//!   picture alone is never on two at once);
//! - `k` culprits cost at most `2k` deaths (`3k`), however many neighbours they had;
//! - a neighbour is never quarantined for a culprit's deaths: it is alone when the next one comes;
//! - the price is that the neighbours of a crash run one at a time on each claimed worker.
//!
//! Deaths caused from outside make no suspects. They are only counted, against trying for ever.

use std::collections::{BTreeMap, BTreeSet};

use super::config::QuarantineConfig;
use super::identity::{Digest, Micros};
use crate::planted::{Planted, planted};

/// The deaths that a request has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Record {
    is_suspect: bool,
    deaths: u32,
}

/// How a worker died under a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// From outside.
    Blameless,
    /// By itself, with several requests on it.
    InCompany,
    /// By itself, with this request only.
    Alone,
}

/// What a death means for a request that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on elsewhere, in company.
    Replay,
    /// It goes on elsewhere, alone.
    Suspect,
    /// It killed the worker.
    Guilty,
    /// It has been there too often, whoever did it.
    Lost {
        /// Deaths seen.
        deaths: u32,
    },
}

impl Record {
    /// Whether it has to be alone.
    pub(super) fn is_suspect(self) -> bool {
        self.is_suspect && !planted(Planted::SuspectsInCompany)
    }

    /// Another death.
    pub(super) fn death(&mut self, death: Death, config: &QuarantineConfig) -> Verdict {
        self.deaths += 1;
        let proof = match death {
            Death::Blameless => planted(Planted::KillsBlame),
            Death::InCompany => planted(Planted::CompanyIsProof),
            Death::Alone => !planted(Planted::NeverGuilty),
        };
        if self.is_suspect && proof {
            return Verdict::Guilty;
        }
        match death {
            Death::InCompany | Death::Alone => self.is_suspect = true,
            Death::Blameless => self.is_suspect |= planted(Planted::KillsBlame),
        }
        if self.deaths >= config.max_deaths {
            return Verdict::Lost { deaths: self.deaths };
        }
        if self.is_suspect() { Verdict::Suspect } else { Verdict::Replay }
    }
}

/// Fingerprints of requests that killed workers.
#[derive(Debug)]
pub(super) struct Quarantine {
    config: QuarantineConfig,
    blocked: BTreeMap<Digest, Micros>,
    by_time: BTreeSet<(Micros, Digest)>,
}

impl Quarantine {
    pub(super) fn new(config: QuarantineConfig) -> Self {
        Self { config, blocked: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.blocked.len()
    }

    /// Until when the fingerprint is refused.
    pub(super) fn blocked_until(&self, fingerprint: Digest, now: Micros) -> Option<Micros> {
        self.blocked.get(&fingerprint).copied().filter(|until| now < *until)
    }

    pub(super) fn block(&mut self, now: Micros, fingerprint: Digest) {
        let until = now.after(self.config.block_for);
        if let Some(before) = self.blocked.insert(fingerprint, until) {
            self.by_time.remove(&(before, fingerprint));
        }
        self.by_time.insert((until, fingerprint));
        let outdated = |first: &(Micros, Digest)| first.0 <= now;
        while self.blocked.len() > self.config.max_fingerprints
            || self.by_time.first().is_some_and(outdated)
        {
            let (_, oldest) = self.by_time.pop_first().expect("as many times as fingerprints");
            self.blocked.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: QuarantineConfig =
        QuarantineConfig { max_deaths: 3, max_fingerprints: 2, block_for: Micros(10) };

    #[test]
    fn only_a_suspect_that_was_alone_is_guilty_and_deaths_from_outside_are_only_counted() {
        let mut record = Record::default();
        assert_eq!(record.death(Death::Alone, &CONFIG), Verdict::Suspect);
        assert_eq!(record.death(Death::Alone, &CONFIG), Verdict::Guilty);
        let mut record = Record::default();
        assert_eq!(record.death(Death::Blameless, &CONFIG), Verdict::Replay);
        assert_eq!(record.death(Death::InCompany, &CONFIG), Verdict::Suspect);
        assert_eq!(record.death(Death::InCompany, &CONFIG), Verdict::Lost { deaths: 3 });
    }

    #[test]
    fn blocked_fingerprints_are_bounded_and_expire() {
        let digest = |byte| Digest([byte; 32]);
        let mut quarantine = Quarantine::new(CONFIG);
        for byte in 1..=3 {
            quarantine.block(Micros(u64::from(byte)), digest(byte));
        }
        assert_eq!(quarantine.len(), 2);
        assert_eq!(quarantine.blocked_until(digest(1), Micros(4)), None);
        assert_eq!(quarantine.blocked_until(digest(3), Micros(12)), Some(Micros(13)));
        assert_eq!(quarantine.blocked_until(digest(3), Micros(13)), None);
        quarantine.block(Micros(50), digest(4));
        assert_eq!(quarantine.len(), 1);
    }
}
