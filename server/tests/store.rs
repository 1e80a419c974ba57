//! Both stores keep what they are given for as long as they say, within their bounds; the folder also across processes,
//! and whatever lies in it.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use reverie_server::engine::request::TenantId;
use reverie_server::store::{
    DirectoryStore, MemoryStore, Record, RecordStore, StoreError, StoreLimits, StoredId, StoredKind,
};

const LIMITS: StoreLimits = StoreLimits { max_bytes: 400, max_records: 5, max_age: 100 };
const NOW: u64 = 1_700_000_000;

fn id(unique: u128) -> StoredId {
    StoredId { kind: StoredKind::Picture, unique }
}

fn record(owner: u128, byte: u8, len: usize) -> Record {
    Record { owner: TenantId(owner), bytes: vec![byte; len].into() }
}

/// A folder that is removed with its test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = format!("reverie-store-{}-{number}", std::process::id());
        Self(std::env::temp_dir().join(folder))
    }

    fn open(&self) -> DirectoryStore {
        DirectoryStore::open(&self.0, LIMITS, NOW).expect("a folder that can be written")
    }

    fn names(&self) -> Vec<String> {
        let files = fs::read_dir(&self.0).expect("the folder");
        let mut names: Vec<_> = files
            .map(|file| file.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it was made by the test");
    }
}

/// What `check` says of a store in memory, it says of one in a folder.
fn of_both(check: impl Fn(&dyn RecordStore)) {
    check(&MemoryStore::new(LIMITS));
    let scratch = Scratch::new();
    check(&scratch.open());
}

#[test]
fn what_is_put_is_there_until_it_is_removed_or_replaced() {
    of_both(|store| {
        assert_eq!(store.get(id(1), NOW).expect("no fault"), None);
        store.put(id(1), &record(7, 1, 60), NOW).expect("room");
        assert_eq!(store.get(id(1), NOW).expect("no fault"), Some(record(7, 1, 60)));
        store.put(id(1), &record(7, 2, 0), NOW).expect("room");
        assert_eq!(store.get(id(1), NOW).expect("no fault"), Some(record(7, 2, 0)));
        store.remove(id(1)).expect("no fault");
        store.remove(id(1)).expect("removing nothing is no fault");
        assert_eq!(store.get(id(1), NOW).expect("no fault"), None);
    });
}

#[test]
fn a_record_is_gone_some_time_after_its_last_use() {
    of_both(|store| {
        store.put(id(1), &record(7, 1, 10), NOW).expect("room");
        assert!(store.get(id(1), NOW + 99).expect("no fault").is_some());
        assert!(store.get(id(1), NOW + 198).expect("no fault").is_some());
        assert!(store.get(id(1), NOW + 298).expect("no fault").is_none());
    });
}

#[test]
fn bounds_hold_and_one_tenant_cannot_drive_out_another() {
    of_both(|store| {
        store.put(id(100), &record(1, 1, 50), NOW).expect("room");
        for unique in 0..20 {
            store.put(id(unique), &record(2, 2, 90), NOW + 1).expect("room");
        }
        let is_there = |unique| store.get(id(unique), NOW + 2).expect("no fault").is_some();
        assert!(is_there(100), "the other's only record");
        assert_eq!((0..20).filter(|unique| is_there(*unique)).count(), 3, "3 x 90 + 50 bytes");
        let too_large = store.put(id(50), &record(1, 1, 101), NOW);
        assert!(matches!(too_large, Err(StoreError::TooLarge { num_bytes: 101, limit: 100 })));
        for unique in 200..220 {
            store.put(id(unique), &record(1, 1, 0), NOW + 3).expect("room");
        }
        let num_left = (0..220).filter(|unique| is_there(*unique)).count();
        assert_eq!(num_left, LIMITS.max_records);
    });
}

#[test]
fn a_folder_outlives_its_process_and_is_shared() {
    let scratch = Scratch::new();
    let first = scratch.open();
    first.put(id(1), &record(7, 1, 90), NOW).expect("room");
    let second = scratch.open();
    assert_eq!(second.get(id(1), NOW).expect("no fault"), Some(record(7, 1, 90)));
    for unique in 2..5 {
        second.put(id(unique), &record(7, 1, 90), NOW + unique as u64).expect("room");
    }
    assert_eq!(first.get(id(4), NOW + 9).expect("no fault"), Some(record(7, 1, 90)));
    // The first looks around before it writes, so that the bound is one for all.
    first.put(id(5), &record(7, 1, 90), NOW + 20).expect("room");
    assert_eq!(scratch.names().len(), 4);
    assert_eq!(second.get(id(1), NOW + 20).expect("no fault"), None, "not used for longest");
    first.remove(id(3)).expect("no fault");
    assert_eq!(second.get(id(3), NOW + 20).expect("no fault"), None);
}

#[test]
fn what_else_lies_in_the_folder_is_neither_served_nor_removed() {
    let scratch = Scratch::new();
    fs::create_dir_all(&scratch.0).expect("a folder");
    let path = |name: &str| scratch.0.join(name);
    fs::write(path("notes.txt"), "mine").expect("a file");
    fs::write(path(&id(1).to_string()), "cut").expect("a file");
    fs::write(path(&id(2).to_string()), [b'x'; 60]).expect("a file");
    fs::create_dir(path(&id(3).to_string())).expect("a folder");
    let store = scratch.open();
    for unique in [1, 2, 3] {
        assert_eq!(store.get(id(unique), NOW).expect("no fault"), None);
    }
    store.put(id(4), &record(7, 1, 90), NOW + 1000).expect("room");
    assert_eq!(scratch.names().len(), 5);
}

#[test]
fn a_write_that_was_cut_off_leaves_nothing_that_counts() {
    let scratch = Scratch::new();
    let store = scratch.open();
    store.put(id(1), &record(7, 1, 90), NOW).expect("room");
    let cut_off = scratch.0.join(".unfinished-1-0");
    let file = fs::File::create(&cut_off).expect("a file");
    file.set_modified(std::time::UNIX_EPOCH).expect("a time");
    assert_eq!(scratch.open().get(id(1), NOW).expect("no fault"), Some(record(7, 1, 90)));
    assert_eq!(scratch.names(), [id(1).to_string()], "nobody finishes it any more");
}

#[test]
fn what_another_replica_is_writing_under_the_same_number_of_a_process_is_left_to_it() {
    let scratch = Scratch::new();
    let others: Vec<String> = [0, 1, 3]
        .iter()
        .map(|number| format!(".unfinished-{}-{number}", std::process::id()))
        .collect();
    fs::create_dir_all(&scratch.0).expect("a folder");
    for name in &others {
        fs::write(scratch.0.join(name), "half of it").expect("a file");
    }
    let store = scratch.open();
    store.put(id(1), &record(7, 1, 90), NOW).expect("room");
    assert_eq!(store.get(id(1), NOW).expect("no fault"), Some(record(7, 1, 90)));
    assert_eq!(scratch.names(), [others, vec![id(1).to_string()]].concat());
    for name in scratch.names().iter().take(3) {
        assert_eq!(fs::read(scratch.0.join(name)).expect("a file"), b"half of it", "{name}");
    }
}

#[test]
fn only_its_owner_reads_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new();
    scratch.open().put(id(1), &record(7, 1, 9), NOW).expect("room");
    let mode =
        |path: PathBuf| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(scratch.0.clone()), 0o700);
    assert_eq!(mode(scratch.0.join(id(1).to_string())), 0o600);
}
