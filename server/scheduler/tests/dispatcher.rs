//! Named stories of the front, event by event: what is said to whom when a worker dies, a client stalls,
//! a key is used again, the daemon drains.

use reverie_scheduler::FinishReason;
use reverie_scheduler::dispatcher::{
    Abilities, Action, AdmissionConfig, ConditionHandle, Digest, Dispatcher, DispatcherConfig,
    DownCause, Ending, Entry, Epoch, Event, ExitReason, Failure, IdempotencyConfig, JobFault,
    JobId, LivenessConfig, Micros, NumericsClass, Order, OutboxConfig, PictureDemand, PrefixKey,
    QuarantineConfig, Rejection, RequestId, Role, RoutingConfig, Submission, TenantId, WorkerId,
    WorkerMessage,
};

const FIRST: Epoch = Epoch(1);
const ONE_PICTURE: Option<PictureDemand> = Some(PictureDemand { least: 1, cost: 10 });

/// A front whose workers are up, at the time 0.
struct Front(Dispatcher);

impl Front {
    fn new(roles: &[Role]) -> Self {
        let ids = (0..).map(WorkerId);
        Self::of(config(ids.zip(roles.iter().copied()).collect()))
    }

    fn of(config: DispatcherConfig) -> Self {
        let num_workers = config.workers.len() as u32;
        let mut front = Self(Dispatcher::new(config));
        front.hear(Event::Tick);
        for index in 0..num_workers {
            let class = NumericsClass(1);
            let abilities = Abilities { max_jobs: 2, kv_positions: 50, class };
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
            max_wait: None,
            metered_over: Micros(1_000),
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
            max_not_finite: 1,
            not_finite_within: Micros(500),
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
        pictures: None,
        kv_positions: 20,
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
    front.hear(Event::Submit(Submission { pictures: ONE_PICTURE, ..submission(7) }));
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
    let retry_after = Micros(1_000_000);
    let fact = Rejection::QueueFull { waiting: 2, retry_after };
    assert_eq!(front.submit(6), [reject(6, fact)]);
}

#[test]
fn what_no_worker_can_hold_at_once_is_refused_with_both_numbers() {
    let mut front = Front::new(&[Role::Both, Role::Decode]);
    let wide = Submission { kv_positions: 51, ..submission(1) };
    let fact = Rejection::KvTooSmall { positions: 51, limit: 50 };
    assert_eq!(front.hear(Event::Submit(wide)), [reject(1, fact)]);
    let fits = Submission { kv_positions: 50, ..submission(2) };
    assert_eq!(front.hear(Event::Submit(fits))[0], Action::Admit { request: RequestId(2) });
}

/// A front with one worker of two places, where nobody is to wait longer than 100.
fn impatient() -> Front {
    let mut config = config(vec![(WorkerId(0), Role::Both)]);
    config.admission = AdmissionConfig {
        max_waiting: 20,
        max_waiting_per_tenant: 20,
        max_wait: Some(Micros(100)),
        retry_after: (Micros(1), Micros(1_000)),
        ..config.admission
    };
    config.liveness.listen_every = Micros(1_000);
    config.liveness.hung_after = Micros(1_000_000);
    config.liveness.suspect_after = Micros(1_000_000);
    let mut front = Front(Dispatcher::new(config));
    front.hear(Event::Tick);
    let abilities = Abilities { max_jobs: 2, kv_positions: 50, class: NumericsClass(1) };
    front.hear(Event::WorkerUp { worker: WorkerId(0), epoch: FIRST, abilities });
    front
}

fn ended(job: u64) -> Event {
    let reason = FinishReason::EndOfText;
    let message = WorkerMessage::Ended { job: JobId(job), num_entries: 0, reason };
    Event::Message { worker: WorkerId(0), epoch: FIRST, message }
}

#[test]
fn who_would_wait_too_long_is_refused_and_who_finds_a_place_is_not() {
    let mut front = impatient();
    let admits = |actions: &[Action]| matches!(actions[0], Action::Admit { .. });
    assert!((1..=4).all(|request| admits(&front.submit(request))), "two run, two may wait");
    let fact = Rejection::QueueFull { waiting: 2, retry_after: Micros(1) };
    assert_eq!(front.submit(5), [reject(5, fact)], "nobody knows yet for how long");
    // A place comes free every 40: two places, 80 each.
    front.0.handle(Micros(40), ended(1));
    front.0.handle(Micros(80), ended(2));
    // Those two have places now, and none waits.
    assert!(admits(&front.0.handle(Micros(80), Event::Submit(submission(6)))), "40");
    assert!(admits(&front.0.handle(Micros(80), Event::Submit(submission(7)))), "80");
    let refused = front.0.handle(Micros(80), Event::Submit(submission(8)));
    let (wait, limit, retry_after) = (Micros(120), Micros(100), Micros(20));
    assert_eq!(refused, [reject(8, Rejection::WaitTooLong { wait, limit, retry_after })]);
    let hurried = Submission { deadline: Some(Micros(110)), ..submission(9) };
    let other = Submission { tenant: TenantId(2), ..hurried.clone() };
    let refused = front.0.handle(Micros(80), Event::Submit(hurried));
    let (wait, left, retry_after) = (Micros(120), Micros(30), Micros(120));
    assert_eq!(refused, [reject(9, Rejection::DeadlineInfeasible { wait, left, retry_after })]);
    let late = Submission { request: RequestId(10), deadline: Some(Micros(200)), ..other };
    assert!(
        admits(&front.0.handle(Micros(80), Event::Submit(late))),
        "another tenant's turn comes: 40"
    );
    for job in 3..=5 {
        front.0.handle(Micros(80), ended(job));
    }
    let hurried = Submission { deadline: Some(Micros(81)), ..submission(11) };
    front.0.handle(Micros(80), ended(6));
    assert!(admits(&front.0.handle(Micros(80), Event::Submit(hurried))), "a place is free");
}

#[test]
fn who_draws_waits_for_what_is_drawn_and_who_writes_does_not() {
    let mut front = impatient();
    let asks = |request, pictures| Event::Submit(Submission { pictures, ..submission(request) });
    let three = Some(PictureDemand { least: 3, cost: 10 });
    front.hear(asks(1, three));
    front.hear(asks(2, None));
    front.hear(asks(3, None));
    front.say(0, WorkerMessage::Drawing { job: JobId(1) });
    let picture = WorkerMessage::Produced {
        job: JobId(1),
        position: 0,
        entry: Entry::Picture(Digest([1; 32])),
        num_bytes: 4,
    };
    let said = Event::Message { worker: WorkerId(0), epoch: FIRST, message: picture };
    front.0.handle(Micros(60), said);
    front.0.handle(Micros(60), ended(2));
    // A picture takes 60, and two of the first request's three are to come.
    let refused = front.0.handle(Micros(60), asks(4, ONE_PICTURE));
    let (wait, limit, retry_after) = (Micros(120), Micros(100), Micros(20));
    assert_eq!(refused, [reject(4, Rejection::WaitTooLong { wait, limit, retry_after })]);
    let admitted = front.0.handle(Micros(60), asks(5, None));
    assert_eq!(admitted, [Action::Admit { request: RequestId(5) }], "it waits for a place alone");
}

#[test]
fn a_worker_that_many_requests_are_not_finite_on_is_replaced_and_nobody_there_is_suspected() {
    let mut front = Front::new(&[Role::Both]);
    for request in 1..=3 {
        front.submit(request);
    }
    let not_finite = |job| WorkerMessage::Failed { job: JobId(job), fault: JobFault::NotFinite };
    let failed = |request| finish(request, Ending::Failed(Failure::Fault(JobFault::NotFinite)));
    assert_eq!(front.say(0, not_finite(1))[0], failed(1));
    let recycled = front.say(0, not_finite(2));
    assert_eq!(recycled[..2], [failed(2), Action::Kill { worker: WorkerId(0), epoch: FIRST }]);
    assert!(!front.0.is_ready());
    let due = front.0.next_deadline().expect("it is started again");
    let epoch = Epoch(2);
    let worker = WorkerId(0);
    assert_eq!(front.0.handle(due, Event::Tick), [Action::Start { worker, epoch }]);
    let abilities = Abilities { max_jobs: 2, kv_positions: 50, class: NumericsClass(1) };
    front.0.handle(due, Event::Submit(submission(4)));
    let up = front.0.handle(due, Event::WorkerUp { worker, epoch, abilities });
    assert_eq!(up.len(), 2, "both go on side by side: {up:?}");
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
fn no_more_clients_read_the_answers_of_others_than_requests_may_be_open() {
    let mut config = config(vec![(WorkerId(0), Role::Both)]);
    config.admission.max_open = 3;
    let mut front = Front::of(config);
    let idempotency_key = Some(Digest([5; 32]));
    let again =
        |request| Submission { request: RequestId(request), idempotency_key, ..submission(1) };
    front.hear(Event::Submit(again(1)));
    for request in 2..5 {
        let attached = Action::Attach { request: RequestId(request), to: RequestId(1) };
        assert_eq!(front.hear(Event::Submit(again(request))), [attached]);
    }
    let retry_after = Micros(1_000_000);
    let full = reject(5, Rejection::QueueFull { waiting: 0, retry_after });
    assert_eq!(front.hear(Event::Submit(again(5))), [full]);
    front.hear(Event::Cancel(RequestId(3)));
    let attached = Action::Attach { request: RequestId(6), to: RequestId(1) };
    assert_eq!(front.hear(Event::Submit(again(6))), [attached]);
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
