//! Who gets the next place: priorities first, then those who had a place before, then tenants in turn,
//! then first come, first served. Knows no blocks and no work.

use std::collections::BTreeMap;

use crate::content::TenantId;
use crate::sequence::SequenceId;

/// Names the moment in which a sequence first got its place. Within a priority the lower is the older.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn(pub(crate) u64);

/// One waiting sequence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    pub(crate) id: SequenceId,
    pub(crate) tenant: TenantId,
    /// Lower is earlier.
    pub(crate) priority: i32,
    /// Set if it had a place before.
    pub(crate) turn: Option<Turn>,
}

/// All waiting sequences, in the order in which they came.
///
/// Within a priority, whoever had a place before comes first, oldest first. All others come by tenant:
/// first the tenant with the fewest running, then the one that got a place longest ago. So a tenant with
/// many waiting is held up by itself only, and whoever is first is never passed over for its size.
#[derive(Debug, Default)]
pub(crate) struct WaitingQueue {
    entries: Vec<Waiting>,
    /// When each tenant in the house last got a place; others are forgotten.
    last_turns: BTreeMap<TenantId, Turn>,
}

impl WaitingQueue {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn push(&mut self, waiting: Waiting) {
        self.entries.push(waiting);
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, id: SequenceId) -> bool {
        let before = self.entries.len();
        self.entries.retain(|waiting| waiting.id != id);
        self.entries.len() < before
    }

    /// Who is next, given how many sequences each tenant has running.
    pub(crate) fn next(&self, running: &BTreeMap<TenantId, usize>) -> Option<Waiting> {
        let order = |waiting: &&Waiting| {
            let tenant = waiting.tenant;
            let num_running = running.get(&tenant).copied().unwrap_or(0);
            let fairness = match waiting.turn {
                Some(turn) => (0, 0, Some(turn)),
                None => (1, num_running, self.last_turns.get(&tenant).copied()),
            };
            (waiting.priority, fairness)
        };
        // Of equals, `min_by_key` takes the one that came first.
        self.entries.iter().min_by_key(order).copied()
    }

    /// `tenant` got a place.
    pub(crate) fn took_turn(&mut self, tenant: TenantId, turn: Turn) {
        self.last_turns.insert(tenant, turn);
    }

    /// Forgets the turns of tenants with nothing waiting and nothing running.
    pub(crate) fn forget_absent(&mut self, running: &BTreeMap<TenantId, usize>) {
        let entries = &self.entries;
        self.last_turns.retain(|tenant, _| {
            running.contains_key(tenant) || entries.iter().any(|waiting| waiting.tenant == *tenant)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(id: u64, tenant: u128, priority: i32, turn: Option<u64>) -> Waiting {
        let (id, tenant) = (SequenceId(id), TenantId(tenant));
        Waiting { id, tenant, priority, turn: turn.map(Turn) }
    }

    fn order(mut queue: WaitingQueue, mut running: BTreeMap<TenantId, usize>) -> Vec<u64> {
        let (mut order, mut turn) = (Vec::new(), 100);
        while let Some(next) = queue.next(&running) {
            queue.remove(next.id);
            queue.took_turn(next.tenant, Turn(turn));
            turn += 1;
            *running.entry(next.tenant).or_default() += 1;
            order.push(next.id.0);
        }
        order
    }

    #[test]
    fn tenants_take_turns_and_each_is_served_in_order() {
        let mut queue = WaitingQueue::default();
        for (id, tenant) in [(1, 7), (2, 7), (3, 7), (4, 8), (5, 9), (6, 8)] {
            queue.push(waiting(id, tenant, 0, None));
        }
        assert_eq!(order(queue, BTreeMap::new()), [1, 4, 5, 2, 6, 3]);
    }

    #[test]
    fn a_tenant_with_fewer_running_comes_first() {
        let mut queue = WaitingQueue::default();
        queue.push(waiting(1, 7, 0, None));
        queue.push(waiting(2, 8, 0, None));
        assert_eq!(order(queue, BTreeMap::from([(TenantId(7), 1)])), [2, 1]);
    }

    #[test]
    fn priorities_come_before_age_and_those_who_had_a_place_before_others() {
        let mut queue = WaitingQueue::default();
        queue.push(waiting(1, 7, 1, Some(1)));
        queue.push(waiting(2, 7, 0, None));
        queue.push(waiting(3, 7, 0, Some(5)));
        queue.push(waiting(4, 7, 0, Some(4)));
        queue.push(waiting(5, 7, -1, None));
        assert_eq!(order(queue, BTreeMap::new()), [5, 4, 3, 2, 1]);
    }
}
