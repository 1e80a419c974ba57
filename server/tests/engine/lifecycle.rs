//! Who is let in, who is given up and what failures take with them, step by step: the runner tells every
//! plan and waits. Refuses to know weights and HTTP.

use std::time::Duration;

use reverie_scheduler::{Piece, StepPlan};
use reverie_server::engine::EngineFailure;
use reverie_server::engine::document_engine::{
    DocumentEngine, EngineStatus, EventStream, SubmitError,
};
use reverie_server::engine::event::{EngineError, EngineEvent};
use reverie_server::engine::request::PromptSegment;
use reverie_server::engine::scripted_runner::{Observation, ScriptItem, StepControl};
use reverie_server::pool::PoolFailure;

use crate::kit::{self, Kit, collect, request, story, text_of, word};

async fn end(stream: EventStream) -> EngineEvent {
    collect(stream).await.pop().expect("a stream ends with an event")
}

async fn finishes(stream: EventStream) -> bool {
    matches!(end(stream).await, EngineEvent::Finished { .. })
}

/// Lets the engine go on until it is about to execute a plan that `is_wanted`.
fn wait_for(control: &StepControl, is_wanted: impl Fn(&StepPlan) -> bool) -> StepPlan {
    loop {
        let plan = control.plan();
        if is_wanted(&plan) {
            return plan;
        }
        control.proceed();
    }
}

/// The client leaves while `plan` is executed: nothing of it is computed any more.
fn leaves_at_once(kit: &Kit, control: &StepControl, stream: EventStream, plan: &StepPlan) {
    drop(stream);
    kit.settle();
    control.proceed();
    assert_eq!(control.observe(), Observation::Closed(plan.sequences()[0]));
}

#[tokio::test]
async fn requests_beyond_the_queue_are_refused_and_later_ones_accepted_again() {
    let (kit, control) = Kit::controlled(vec![]);
    let running = kit.handle.submit(request(5)).expect("runs");
    control.plan();
    let waiting: Vec<_> = (0..2).map(|_| kit.handle.submit(request(5)).expect("waits")).collect();
    let Err(SubmitError::QueueFull { waiting: 2, retry_after }) = kit.handle.submit(request(5))
    else {
        panic!("the queue is full");
    };
    assert!(retry_after >= Duration::from_secs(1));
    control.proceed();
    assert!(finishes(running).await);
    let late = kit.handle.submit(request(5)).expect("a place is free");
    drop(control);
    for stream in waiting {
        assert!(finishes(stream).await);
    }
    assert!(finishes(late).await);
    kit.stop();
}

#[tokio::test]
async fn beams_that_the_kv_cache_can_never_hold_are_refused_with_both_numbers() {
    let kit = Kit::start(vec![]);
    let wide = |num_beams| {
        let mut request = request(5);
        request.sampling.num_beams = num_beams;
        request
    };
    // A context of a hundred takes seven blocks of sixteen, and there are fifty-six.
    let refused = kit.handle.submit(wide(9)).map(|_stream| ());
    assert_eq!(refused, Err(SubmitError::TooWide { positions: 1008, limit: 896 }));
    drop(kit.handle.submit(wide(8)).expect("it fits"));
    kit.stop();
}

#[tokio::test]
async fn a_client_that_leaves_during_its_prompt_frees_its_place_at_the_next_step() {
    let (kit, control) = Kit::controlled(vec![]);
    let stream = kit.handle.submit(request(90)).expect("accepted");
    let plan = control.plan();
    assert_eq!(plan.decode[0].num_positions(), 32, "a chunk of the prompt");
    leaves_at_once(&kit, &control, stream, &plan);
    drop(control);
    kit.stop();
}

#[tokio::test]
async fn a_client_that_leaves_while_its_picture_is_encoded_frees_its_place_at_the_next_step() {
    let (kit, control) = Kit::controlled(vec![]);
    let mut request = request(5);
    request.prompt.extend(vec![PromptSegment::Picture(kit::picture()); 2]);
    let stream = kit.handle.submit(request).expect("accepted");
    let plan = control.plan();
    assert_eq!(plan.encode.len(), 1, "the second picture is not encoded yet");
    leaves_at_once(&kit, &control, stream, &plan);
    drop(control);
    kit.stop();
}

#[tokio::test]
async fn a_client_that_leaves_while_a_picture_is_denoised_makes_way_for_the_next() {
    let (kit, control) = Kit::controlled(vec![vec![ScriptItem::Dream]]);
    let stream = kit.handle.submit(request(5)).expect("accepted");
    let plan = wait_for(&control, |plan| plan.denoise.is_some());
    let next = kit.handle.submit(request(6)).expect("waits");
    leaves_at_once(&kit, &control, stream, &plan);
    let plan = control.plan();
    assert_eq!(plan.decode[0].pieces, [Piece::Tokens { start: 0, len: 6 }]);
    drop(control);
    assert!(finishes(next).await);
    kit.stop();
}

#[tokio::test]
async fn a_client_that_leaves_in_the_last_denoising_step_has_no_pixels_computed() {
    let (kit, control) = Kit::controlled(vec![vec![ScriptItem::Dream]]);
    let stream = kit.handle.submit(request(5)).expect("accepted");
    let plan = wait_for(&control, |plan| plan.denoise_rows().iter().any(|row| row.step == 1));
    leaves_at_once(&kit, &control, stream, &plan);
    drop(control);
    kit.stop();
}

#[tokio::test]
async fn a_client_that_leaves_the_queue_is_never_computed() {
    let (kit, control) = Kit::controlled(vec![]);
    let running = kit.handle.submit(request(5)).expect("runs");
    control.plan();
    let leaving = kit.handle.submit(request(6)).expect("waits");
    let staying = kit.handle.submit(request(7)).expect("waits");
    drop(leaving);
    kit.settle();
    control.proceed();
    let plan = control.plan();
    assert_eq!(plan.decode[0].pieces, [Piece::Tokens { start: 0, len: 7 }]);
    drop(control);
    assert!(finishes(running).await);
    assert!(finishes(staying).await);
    kit.stop();
}

#[tokio::test]
async fn a_deadline_that_passes_ends_the_request_at_the_next_step() {
    let (kit, control) = Kit::controlled(vec![vec![word("a"), word("b")]]);
    let mut hurried = request(5);
    hurried.deadline = Some(Duration::from_secs(10));
    let stream = kit.handle.submit(hurried).expect("accepted");
    control.plan();
    kit.clock.advance(Duration::from_secs(9));
    control.proceed();
    let plan = control.plan();
    kit.clock.advance(Duration::from_secs(1));
    kit.settle();
    control.proceed();
    assert_eq!(control.observe(), Observation::Closed(plan.sequences()[0]));
    assert!(matches!(end(stream).await, EngineEvent::Failed(EngineError::Deadline)));
    drop(control);
    kit.stop();
}

#[tokio::test]
async fn a_drain_finishes_what_was_accepted_and_refuses_the_rest() {
    let (kit, control) = Kit::controlled(vec![vec![word("a"), ScriptItem::Dream]]);
    let running = kit.handle.submit(request(5)).expect("runs");
    let waiting = kit.handle.submit(request(5)).expect("waits");
    control.plan();
    kit.handle.drain();
    kit.handle.drain();
    assert_eq!(kit.handle.status(), EngineStatus::Draining);
    assert!(matches!(kit.handle.submit(request(5)), Err(SubmitError::Draining)));
    drop(control);
    let events = collect(running).await;
    assert_eq!(story(&events), ["a", "started 0", "image 0", "EndOfText"]);
    assert!(finishes(waiting).await);
    kit.joined().expect("a drained engine ends in peace");
}

#[tokio::test]
async fn an_engine_whose_handles_are_gone_finishes_its_work_and_ends() {
    let kit = Kit::start(vec![vec![word("a")]]);
    let stream = kit.handle.submit(request(5)).expect("accepted");
    let Kit { handle, thread, .. } = kit;
    drop(handle);
    assert_eq!(story(&collect(stream).await), ["a", "EndOfText"]);
    thread.join().expect("the thread does not panic").expect("and ends in peace");
}

#[tokio::test]
async fn a_failing_step_fails_its_request_and_no_other() {
    let kit = Kit::start(vec![
        vec![word("a"), ScriptItem::Fail("no memory".to_owned())],
        vec![word("b")],
    ]);
    let streams: Vec<_> =
        (0..2).map(|_| kit.handle.submit(request(5)).expect("accepted")).collect();
    let mut ends = Vec::new();
    for stream in streams {
        ends.push(text_of(&end(stream).await));
    }
    assert_eq!(ends, ["failed: model: no memory", "EndOfText"]);
    assert_eq!(kit.handle.status(), EngineStatus::Ready);
    kit.stop();
}

#[tokio::test]
async fn a_request_whose_engine_panics_is_written_by_the_next_one_from_where_it_was() {
    let panic = || ScriptItem::Panic("out of range".to_owned());
    let kit = Kit::start_lives(vec![
        vec![vec![word("a"), word("b"), panic()]],
        vec![vec![word("a"), word("b"), word("b")]],
    ]);
    let events = kit.run(request(5)).await;
    assert_eq!(story(&events), ["a", "b", "a", "b", "b", "EndOfText"]);
    kit.stop();
}

#[tokio::test]
async fn a_request_that_is_alone_with_two_engines_that_panic_is_quarantined() {
    // All lives know the word.
    let panic = || vec![vec![ScriptItem::Panic("out of range".to_owned()), word("x")]];
    let kit = Kit::start_lives(vec![panic(), panic(), vec![vec![word("x")]]]);
    let events = kit.run(request(5)).await;
    assert!(matches!(events[..], [EngineEvent::Failed(EngineError::Quarantined)]));
    assert_eq!(kit.handle.loaded().await, EngineStatus::Recovering);
    let again = kit.handle.submit(request(5)).expect_err("the same request");
    assert!(matches!(again, SubmitError::Quarantined { .. }));
    let mut other = request(5);
    other.identity.fingerprint = [1; 32];
    assert_eq!(story(&kit.run(other).await), ["x", "EndOfText"]);
    kit.stop();
}

#[tokio::test]
async fn an_empty_prompt_fails_its_request_and_no_other() {
    let kit = Kit::start(vec![vec![word("a")]]);
    let mut empty = request(0);
    empty.prompt.push(PromptSegment::Tokens(Vec::new()));
    let failed = kit.run(empty).await;
    assert_eq!(story(&failed), ["failed: model: the prompt has no position"]);
    assert_eq!(story(&kit.run(request(5)).await), ["a", "EndOfText"]);
    kit.stop();
}

#[tokio::test]
async fn a_poisoned_runner_fails_everything_and_the_engine_with_it() {
    let (kit, control) = Kit::controlled(vec![vec![word("a"), ScriptItem::Poison]]);
    let running = kit.handle.submit(request(5)).expect("runs");
    let waiting = kit.handle.submit(request(5)).expect("waits");
    control.plan();
    drop(control);
    for stream in [running, waiting] {
        assert!(matches!(end(stream).await, EngineEvent::Failed(EngineError::NoWorker)));
    }
    let handle = kit.handle.clone();
    assert!(matches!(kit.joined(), Err(PoolFailure::Engine(EngineFailure::Poisoned(_)))));
    assert_eq!(handle.status(), EngineStatus::Failed);
    assert!(matches!(handle.submit(request(5)), Err(SubmitError::Failed)));
}

#[tokio::test]
async fn an_engine_that_is_loading_says_so() {
    let (handle, thread, go_on) = kit::engine_that_waits_before_it_loads();
    assert!(matches!(handle.submit(request(5)), Err(SubmitError::Loading)));
    drop(go_on);
    assert_eq!(handle.loaded().await, EngineStatus::Failed);
    assert!(matches!(handle.submit(request(5)), Err(SubmitError::Failed)));
    let ended = thread.join().expect("no panic");
    assert!(matches!(ended, Err(PoolFailure::Engine(EngineFailure::Load(_)))));
}

#[tokio::test]
async fn a_model_that_does_not_load_leaves_a_failed_engine_that_says_why() {
    let (handle, thread) = kit::engine_that_cannot_load();
    assert_eq!(handle.loaded().await, EngineStatus::Failed);
    let ended = thread.join().expect("no panic");
    assert!(matches!(ended, Err(PoolFailure::Engine(EngineFailure::Load(_)))));
    let (handle, thread) = kit::engine_that_panics_while_loading();
    assert_eq!(handle.loaded().await, EngineStatus::Failed);
    let ended = thread.join().expect("no panic");
    assert!(matches!(ended, Err(PoolFailure::Engine(EngineFailure::Panicked(_)))));
}
