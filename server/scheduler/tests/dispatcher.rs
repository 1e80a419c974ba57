//! Named stories of the front, event by event: what is said to whom when a worker dies, a client stalls,
//! a key is used again, the daemon drains.

use reverie_scheduler::FinishReason;
use reverie_scheduler::dispatcher::{
    Abilities, Action, AdmissionConfig, ConditionHandle, Digest, Dispatcher, DispatcherConfig,
    DownCause, Ending, Entry, Epoch, Event, ExitReason, Failure, IdempotencyConfig, JobId,
    LivenessConfig, Micros, NumericsClass, Order, OutboxConfig, PrefixKey, QuarantineConfig,
    Rejection, RequestId, Role, RoutingConfig, Submission, TenantId, WorkerId, WorkerMessage,
};

const FIRST: Epoch = Epoch(1);

/// A front whose workers are up, at the time 0.
struct Front(Dispatcher);

impl Front {
    fn new(roles: &[Role]) -> Self {
        let ids = (0..).map(WorkerId);
        let mut front = Self(Dispatcher::new(config(ids.zip(roles.iter().copied()).collect())));
        front.hear(Event::Tick);
        for index in 0..roles.len() as u32 {
            let abilities = Abilities { max_jobs: 2, class: NumericsClass(1) };
            front.hear(Event::WorkerUp { worker: WorkerId(index), epoch: FIRST, abilities });
        }
        front
    }

    fn hear(&mut self, event: Event) -> Vec<Action> {
        self.0.handle(Micros(0), event)
    }

    fn submit(&mut self, request: u64) -> Vec<Action> {
        self.hear(Event::Submit(submission(request)))
    }

    fn say(&mut self, worker: u32, message: WorkerMessage) -> Vec<Action> {
        self.hear(Event::Message { worker: WorkerId(worker), epoch: FIRST, message })
    }

    fn produce(&mut self, worker: u32, job: u64, position: usize) -> Vec<Action> {
        let entry = Entry::Token(position as u32);
        self.say(worker, WorkerMessage::Produced { job: JobId(job), position, entry, num_bytes: 4 })
    }

    fn lose(&mut self, worker: u32, cause: DownCause) -> Vec<Action> {
        self.hear(Event::WorkerDown { worker: WorkerId(worker), epoch: FIRST, cause })
    }
}

fn config(workers: Vec<(WorkerId, Role)>) -> DispatcherConfig {
    DispatcherConfig {
        workers,
        admission: AdmissionConfig {
            max_positions: 100,
            max_waiting: 2,
            max_waiting_per_tenant: 2,
            max_open: 50,
            max_reserved_bytes: 1_000,
            retry_after: (Micros(1_000_000), Micros(9_000_000)),
        },
        liveness: LivenessConfig {
            suspect_after: Micros(100),
            hung_after: Micros(1_000),
            start_timeout: Micros(1_000),
            first_backoff: Micros(10),
            max_backoff: Micros(100),
            stable_after: Micros(10_000),
            max_failed_starts: 2,
            listen_every: Micros(50),
        },
        routing: RoutingConfig { max_prefixes: 10, max_imbalance: 10 },
        outbox: OutboxConfig { max_bytes: 12, max_stall: Micros(500) },
        quarantine: QuarantineConfig {
            max_deaths: 9,
            max_fingerprints: 4,
            block_for: Micros(1_000),
        },
        idempotency: IdempotencyConfig {
            max_keys_per_tenant: 4,
            max_keys: 8,
            max_bytes: 1_000,
            keep_for: Micros(1_000),
        },
    }
}

fn submission(request: u64) -> Submission {
    Submission {
        request: RequestId(request),
        tenant: TenantId(1),
        priority: 0,
        cost: 10,
        least_positions: 10,
        num_bytes: 10,
        max_entries: 50,
        draws: false,
        prefix: vec![PrefixKey(u128::from(request))],
        deadline: None,
        fingerprint: Digest([request as u8; 32]),
        idempotency_key: None,
    }
}

fn send(worker: u32, order: Order) -> Action {
    Action::Send { worker: WorkerId(worker), epoch: FIRST, order }
}

fn write(worker: u32, job: u64, request: u64, journal: &[Entry]) -> Action {
    let (job, request, journal) = (JobId(job), RequestId(request), journal.to_vec());
    send(worker, Order::Write { job, request, journal })
}

fn deliver(request: u64, position: usize) -> Action {
    let entry = Entry::Token(position as u32);
    Action::Deliver { request: RequestId(request), position, entry }
}

fn finish(request: u64, ending: Ending) -> Action {
    Action::Finish { request: RequestId(request), ending }
}

fn reject(request: u64, rejection: Rejection) -> Action {
    Action::Reject { request: RequestId(request), rejection }
}

#[test]
fn a_killed_workers_request_goes_on_after_what_its_client_has() {
    let mut front = Front::new(&[Role::Both, Role::Both]);
    let admitted = Action::Admit { request: RequestId(7) };
    assert_eq!(front.submit(7), [admitted, write(0, 1, 7, &[])]);
    assert_eq!(front.produce(0, 1, 0), [deliver(7, 0)]);
    assert_eq!(front.lose(0, DownCause::Killed), [write(1, 2, 7, &[Entry::Token(0)])]);
    assert_eq!(front.produce(0, 1, 1), [], "the dead are not heard");
    assert_eq!(front.produce(1, 2, 1), [deliver(7, 1)]);
    assert_eq!(front.produce(1, 2, 1), [], "nothing is delivered twice");
    let ended =
        WorkerMessage::Ended { job: JobId(2), num_entries: 2, reason: FinishReason::EndOfText };
    assert_eq!(front.say(1, ended), [finish(7, Ending::Complete(FinishReason::EndOfText))]);
}

#[test]
fn a_worker_that_leaves_an_entry_out_is_replaced() {
    let mut front = Front::new(&[Role::Both, Role::Both]);
    front.submit(7);
    let killed = Action::Kill { worker: WorkerId(0), epoch: FIRST };
    assert_eq!(front.produce(0, 1, 1), [killed, write(1, 2, 7, &[])]);
}

#[test]
fn the_culprit_of_two_deaths_is_quarantined_and_its_neighbour_goes_on_alone() {
    let mut front = Front::new(&[Role::Both, Role::Both, Role::Both]);
    front.hear(Event::Cancel(RequestId(0)));
    front.submit(1);
    for other in 2..=3 {
        front.submit(other);
    }
    let fourth = front.submit(4);
    assert_eq!(fourth[1], write(0, 4, 4, &[]), "1 and 4 are on worker 0");
    let after = front.lose(0, DownCause::Crashed);
    assert_eq!(after, [], "both wait for a worker to be empty, one at a time");
    let ended = |job| WorkerMessage::Ended {
        job: JobId(job),
        num_entries: 0,
        reason: FinishReason::MaxTokens,
    };
    let freed = front.say(1, ended(2));
    assert_eq!(freed[1], write(1, 5, 1, &[]), "the first is alone on worker 1");
    let guilty = front.lose(1, DownCause::Crashed);
    assert_eq!(guilty[0], finish(1, Ending::Failed(Failure::Quarantined)));
    let freed = front.say(2, ended(3));
    assert_eq!(freed[1], write(2, 6, 4, &[]), "its neighbour is alone on worker 2");
    let complete = finish(4, Ending::Complete(FinishReason::MaxTokens));
    assert_eq!(front.say(2, ended(6)), [complete]);
    let again = Submission { request: RequestId(9), ..submission(1) };
    let until = Micros(1_000);
    let refused = front.hear(Event::Submit(again));
    assert_eq!(refused, [reject(9, Rejection::Quarantined { until })]);
}

#[test]
fn a_picture_is_drawn_on_another_worker_and_again_if_that_one_dies() {
    let mut front = Front::new(&[Role::Decode, Role::Denoise, Role::Denoise]);
    front.hear(Event::Submit(Submission { draws: true, ..submission(7) }));
    let condition = ConditionHandle { request: RequestId(7), position: 0 };
    let asked = WorkerMessage::NeedsPicture { job: JobId(1), position: 0, cost: 5 };
    let draw = |job| Order::Draw { job: JobId(job), condition };
    assert_eq!(front.say(0, asked), [send(1, draw(2))]);
    assert_eq!(front.lose(1, DownCause::Killed), [send(2, draw(3))]);
    let picture = Digest([9; 32]);
    let drawn = WorkerMessage::Drawn { job: JobId(3), picture, num_bytes: 4 };
    let entry = Entry::Picture(picture);
    assert_eq!(
        front.say(2, drawn),
        [
            send(0, Order::Picture { job: JobId(1), position: 0, picture }),
            Action::Deliver { request: RequestId(7), position: 0, entry },
        ]
    );
}

#[test]
fn a_client_that_does_not_read_costs_no_worker_and_is_taken_up_again() {
    let mut front = Front::new(&[Role::Both]);
    front.submit(7);
    front.produce(0, 1, 0);
    front.produce(0, 1, 1);
    let stalled = front.produce(0, 1, 2);
    assert_eq!(stalled, [deliver(7, 2), send(0, Order::Abort { job: JobId(1) })]);
    assert_eq!(front.say(0, WorkerMessage::Aborted { job: JobId(1) }), []);
    let read = front.hear(Event::Consumed { request: RequestId(7), num_entries: 2 });
    let journal = [Entry::Token(0), Entry::Token(1), Entry::Token(2)];
    assert_eq!(read, [write(0, 2, 7, &journal)]);
}

#[test]
fn what_can_never_fit_and_what_does_not_fit_now_are_different_facts() {
    let mut front = Front::new(&[Role::Both]);
    let long = Submission { least_positions: 101, ..submission(1) };
    let fact = Rejection::TooLong { positions: 101, limit: 100 };
    assert_eq!(front.hear(Event::Submit(long)), [reject(1, fact)]);
    for request in 2..=5 {
        assert_eq!(front.submit(request)[0], Action::Admit { request: RequestId(request) });
    }
    let retry_after = Micros(9_000_000);
    let fact = Rejection::QueueFull { waiting: 2, retry_after };
    assert_eq!(front.submit(6), [reject(6, fact)]);
}

#[test]
fn a_key_means_one_request() {
    let mut front = Front::new(&[Role::Both]);
    let idempotency_key = Some(Digest([5; 32]));
    let keyed =
        |request, of| Submission { request: RequestId(request), idempotency_key, ..submission(of) };
    front.hear(Event::Submit(keyed(1, 1)));
    let (request, to) = (RequestId(2), RequestId(1));
    assert_eq!(front.hear(Event::Submit(keyed(2, 1))), [Action::Attach { request, to }]);
    let conflict = front.hear(Event::Submit(keyed(3, 3)));
    assert_eq!(conflict, [reject(3, Rejection::KeyConflict)]);
    let left = front.hear(Event::Cancel(RequestId(1)));
    assert_eq!(left, [Action::Detach { request: RequestId(1) }], "another still reads");
    let left = front.hear(Event::Cancel(RequestId(2)));
    let abort = send(0, Order::Abort { job: JobId(1) });
    assert_eq!(left, [abort, finish(1, Ending::Cancelled)]);
    let anew = front.hear(Event::Submit(keyed(4, 4)));
    assert_eq!(anew[0], Action::Admit { request: RequestId(4) }, "a cancelled one frees its key");
}

#[test]
fn a_drain_finishes_what_runs_and_a_second_ends_it() {
    let mut front = Front::new(&[Role::Both]);
    front.submit(1);
    assert_eq!(front.hear(Event::Drain), []);
    assert_eq!(front.submit(2), [reject(2, Rejection::Draining)]);
    let mut hurried = Front::new(&[Role::Both]);
    hurried.submit(1);
    hurried.hear(Event::Drain);
    let aborted = hurried.hear(Event::Drain);
    assert_eq!(aborted[1], finish(1, Ending::Failed(Failure::Aborted)));
    assert_eq!(aborted.last(), Some(&Action::Exit(ExitReason::Aborted)));
    let ended =
        WorkerMessage::Ended { job: JobId(1), num_entries: 0, reason: FinishReason::MaxTokens };
    let drained = front.say(0, ended);
    assert_eq!(drained[1], send(0, Order::Shutdown));
    assert_eq!(drained[2], Action::Exit(ExitReason::Drained));
}

#[test]
fn the_holder_of_the_longest_beginning_is_preferred_until_it_has_too_much() {
    let mut front = Front::new(&[Role::Both, Role::Both]);
    let shared = |request| Submission { prefix: vec![PrefixKey(1)], ..submission(request) };
    let first = front.hear(Event::Submit(shared(1)));
    assert_eq!(first[1], write(0, 1, 1, &[]));
    let second = front.hear(Event::Submit(shared(2)));
    assert_eq!(second[1], write(0, 2, 2, &[]), "it holds the prefix and has no more than 10 extra");
    let third = front.hear(Event::Submit(shared(3)));
    assert_eq!(third[1], write(1, 3, 3, &[]), "it is full");
}

#[test]
fn silence_is_suspected_then_ended_but_not_if_the_front_itself_stood_still() {
    let mut front = Front::new(&[Role::Both, Role::Both]);
    assert_eq!(front.0.handle(Micros(1_000_000), Event::Tick), [], "one late look counts little");
    for _ in 0..30 {
        let due = front.0.next_deadline().expect("workers are watched");
        let actions = front.0.handle(due, Event::Tick);
        let heartbeat = WorkerMessage::Heartbeat;
        let said = Event::Message { worker: WorkerId(1), epoch: FIRST, message: heartbeat };
        front.0.handle(due, said);
        if actions.contains(&Action::Kill { worker: WorkerId(0), epoch: FIRST }) {
            assert!(front.0.is_ready(), "the other one serves");
            return;
        }
    }
    panic!("a silent worker is never replaced");
}

#[test]
fn a_place_that_never_starts_is_given_up_and_nobody_waits_for_it() {
    let mut front = Front(Dispatcher::new(config(vec![(WorkerId(0), Role::Both)])));
    let refused = front.submit(1);
    assert_eq!(refused[0], reject(1, Rejection::NotReady));
    let (worker, cause) = (WorkerId(0), DownCause::Crashed);
    assert_eq!(refused[1], Action::Start { worker, epoch: FIRST });
    front.lose(0, cause);
    let due = front.0.next_deadline().expect("it is started again");
    let epoch = Epoch(2);
    assert_eq!(front.0.handle(due, Event::Tick), [Action::Start { worker, epoch }]);
    let last = front.0.handle(due, Event::WorkerDown { worker, epoch, cause });
    assert_eq!(last, [Action::Exit(ExitReason::NoWorkerLeft)]);
}
