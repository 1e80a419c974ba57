//! Rows shared out to threads for a whole network: each thread takes its own through every layer and waits
//! for nobody, where layers are too small to be shared out one by one. Knows sizes, not networks.

use std::cell::Cell;
use std::ops::Range;

use rayon::prelude::*;

thread_local! {
    /// Whether this thread is one of several that compute shares.
    static HAS_SHARE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the current thread computes a share, and is to leave the others alone.
pub(crate) fn has_share() -> bool {
    HAS_SHARE.get()
}

/// Which neighbouring rows, of the given sizes, each of at most `threads` threads takes: all of them in one
/// share unless others save at least half of what even ones would.
pub fn deal(sizes: &[usize], threads: usize) -> Vec<Range<usize>> {
    let total: usize = sizes.iter().sum();
    let count = threads.min(sizes.len()).max(1);
    let (mut shares, mut largest) = (Vec::with_capacity(count), 0);
    let (mut start, mut dealt) = (0, 0);
    for share in 1..=count {
        let (mut end, mut size) = (start, 0);
        while end < sizes.len() && dealt + size + sizes[end] <= share * total / count {
            size += sizes[end];
            end += 1;
        }
        if end > start {
            shares.push(start..end);
        }
        (start, dealt, largest) = (end, dealt + size, largest.max(size));
    }
    // Even shares take total / count, one alone takes total.
    if 2 * count * largest <= (count + 1) * total {
        shares
    } else {
        std::iter::once(0..sizes.len()).collect()
    }
}

/// Does `work` for each task at the same time, every task on one thread; results in the tasks' order.
pub fn compute_shares<T: Send, R: Send>(tasks: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let alone = |task| {
        let _share = Share::take();
        work(task)
    };
    tasks.into_par_iter().map(alone).collect()
}

/// While it lives, its thread computes a share.
struct Share {
    before: bool,
}

impl Share {
    fn take() -> Self {
        Self { before: HAS_SHARE.replace(true) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        HAS_SHARE.set(self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    #[test]
    fn equal_rows_are_dealt_out_evenly() {
        assert_eq!(deal(&[1; 16], 2), [0..8, 8..16]);
        assert_eq!(deal(&[1; 3], 3), [0..1, 1..2, 2..3]);
        assert_eq!(deal(&[5; 4], 1), std::slice::from_ref(&(0..4)));
    }

    #[test]
    fn every_row_has_one_share_in_order() {
        for threads in 1..6 {
            for len in 1..20 {
                let sizes: Vec<usize> = (0..len).map(|row| 1 + row * 7 % 5).collect();
                let shares = deal(&sizes, threads);
                let rows: Vec<usize> = shares.iter().cloned().flatten().collect();
                assert_eq!(rows, (0..len).collect::<Vec<_>>(), "{sizes:?} on {threads}");
                assert!(shares.len() <= threads && shares.iter().all(|share| !share.is_empty()));
            }
        }
    }

    #[test]
    fn a_row_that_outweighs_the_others_is_not_parted_from_them() {
        assert_eq!(deal(&[100, 1, 1, 1], 2), std::slice::from_ref(&(0..4)));
        assert_eq!(deal(&[1, 1, 1, 100], 2), std::slice::from_ref(&(0..4)));
        assert!(deal(&[], 2).is_empty(), "there is nothing to deal");
    }

    #[test]
    fn who_has_a_share_computes_on_one_thread() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
        pool.install(|| {
            let threads = compute_shares(vec![(); 8], |()| Cpu::detect().threads);
            assert_eq!(threads, [1; 8]);
            assert_eq!(Cpu::detect().threads, 3, "afterwards it has all again");
        });
    }
}
