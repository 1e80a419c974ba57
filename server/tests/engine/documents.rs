//! Documents through the engine's public doors, with a scripted runner behind them: the order of events,
//! stop strings, who decides about pictures, and exact ends. Refuses to know weights and HTTP.

use reverie_server::engine::document_engine::{DocumentEngine, SubmitError};
use reverie_server::engine::event::{EngineEvent, FinishReason};
use reverie_server::engine::request::{ImageChoice, ProgressReports, TraceWish};
use reverie_server::engine::scripted_runner::ScriptItem;

use crate::kit::{self, Kit, finished, image_indices, request, story, texts, word};

#[tokio::test]
async fn a_document_with_two_pictures_comes_in_document_order() {
    let kit = Kit::start(vec![vec![
        word("A fox."),
        ScriptItem::Dream,
        word(" It runs."),
        ScriptItem::Dream,
        ScriptItem::End,
    ]]);
    let mut request = request(5);
    request.pictures.progress = Some(ProgressReports { num_previews: 0 });
    let events = kit.run(request).await;
    assert_eq!(
        story(&events),
        [
            "A fox.",
            "started 0",
            "step 0 1/2",
            "step 0 2/2",
            "image 0",
            " It runs.",
            "started 1",
            "step 1 1/2",
            "step 1 2/2",
            "image 1",
            "EndOfText"
        ]
    );
    let (_, usage) = finished(&events);
    assert_eq!((usage.prompt_positions, usage.text_tokens, usage.images), (5, 3, 2));
    assert_eq!((usage.image_positions, usage.positions_used), (20, 27));
    assert_eq!((usage.positions_left, usage.images_left), (73, 7));
    kit.stop();
}

#[tokio::test]
async fn previews_come_as_many_as_were_asked_for_and_evenly_spread() {
    let cases = [
        (10, 3, vec![3, 5, 8]),
        (10, 0, vec![]),
        (10, 1, vec![5]),
        (4, 3, vec![1, 2, 3]),
        (4, 100, vec![1, 2, 3]),
        (1, 3, vec![]),
    ];
    for (num_inference_steps, num_previews, wanted) in cases {
        let kit = Kit::start(vec![vec![ScriptItem::Dream, ScriptItem::End]]);
        let mut request = request(5);
        request.pictures.num_inference_steps = num_inference_steps;
        request.pictures.progress = Some(ProgressReports { num_previews });
        let events = kit.run(request).await;
        let preview = |event: &EngineEvent| match event {
            EngineEvent::ImageProgress { step, preview: Some(preview), .. } => {
                assert_eq!(preview.rgb(), [*step as u8; 3], "the preview of that step");
                Some(*step)
            }
            _ => None,
        };
        let previews: Vec<usize> = events.iter().filter_map(preview).collect();
        assert_eq!(previews, wanted, "{num_previews} of {num_inference_steps}");
        kit.stop();
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_loses_reports_but_no_piece_of_the_answer() {
    let script = || {
        vec![
            word("A fox."),
            ScriptItem::Dream,
            word(" It runs."),
            ScriptItem::Dream,
            word(" Away."),
            ScriptItem::End,
        ]
    };
    let asking = |progress| {
        let mut request = request(5);
        request.pictures.num_inference_steps = 60;
        request.pictures.progress = progress;
        request
    };
    let kit = Kit::start(vec![script(), script()]);
    let unread = kit.handle.submit(asking(Some(ProgressReports { num_previews: 60 })));
    let unread = unread.expect("accepted");
    // Behind it in the only place there is: when this one has ended, the first has.
    let quiet = story(&kit.run(asking(None)).await);
    let late = story(&kit::collect(unread).await);
    let (reports, pieces): (Vec<String>, Vec<String>) =
        late.into_iter().partition(|event| event.starts_with("step"));
    assert_eq!(pieces, quiet, "the answer is whole");
    // The latest ones, all of the second picture; the last step has no preview.
    let last = |step| match step {
        60 => "step 1 60/60".to_owned(),
        step => format!("step 1 {step}/60 shade {step}"),
    };
    assert_eq!(reports, (45..=60).map(last).collect::<Vec<_>>());
    kit.stop();
}

#[tokio::test]
async fn how_pictures_were_drawn_is_told_before_the_end_to_who_asked() {
    let script = || vec![ScriptItem::Dream, word("and"), ScriptItem::Dream, ScriptItem::End];
    let kit = Kit::start(vec![script(), script()]);
    let mut request = request(5);
    request.pictures.trace = Some(TraceWish { max_bytes: 8 });
    let events = kit.run(request.clone()).await;
    let [.., EngineEvent::Traced(pictures), EngineEvent::Finished { .. }] = &events[..] else {
        panic!("{:?}", story(&events))
    };
    let numbers: Vec<f32> = pictures.iter().map(|records| records[0].values[0]).collect();
    assert_eq!(numbers, [0.0, 1.0]);
    request.pictures.trace = None;
    let untold = kit.run(request).await;
    let pieces = |events: &[EngineEvent]| {
        let told = story(events).into_iter();
        told.filter(|event| !event.starts_with("traced")).collect::<Vec<_>>()
    };
    assert_eq!(story(&untold), pieces(&events));
    kit.stop();
}

#[tokio::test]
async fn progress_is_told_only_where_it_was_asked_for() {
    let kit = Kit::start(vec![vec![ScriptItem::Dream, ScriptItem::End]]);
    let events = kit.run(request(5)).await;
    assert_eq!(story(&events), ["started 0", "image 0", "EndOfText"]);
    kit.stop();
}

#[tokio::test]
async fn pictures_have_the_size_that_was_asked_for() {
    let kit = Kit::start(vec![vec![ScriptItem::Dream, ScriptItem::End]]);
    let mut request = request(5);
    (request.pictures.width, request.pictures.height) = (24, 16);
    let events = kit.run(request).await;
    let [EngineEvent::ImageStarted { .. }, EngineEvent::Image { picture, .. }, _] = &events[..]
    else {
        panic!("{events:?}")
    };
    assert_eq!((picture.width(), picture.height()), (24, 16));
    kit.stop();
}

#[tokio::test]
async fn a_stop_string_is_found_across_tokens_and_never_sent() {
    let kit = Kit::start(vec![vec![word("one ST"), word("O"), word("P two"), word("never")]]);
    let mut request = request(5);
    request.stopping.stop = vec!["STOP".to_owned()];
    let events = kit.run(request).await;
    assert_eq!(texts(&events), "one ");
    let (reason, usage) = finished(&events);
    assert_eq!((reason, usage.text_tokens), (FinishReason::StopString, 3));
    kit.stop();
}

#[tokio::test]
async fn text_held_back_for_a_stop_string_is_released_before_a_picture_and_at_the_end() {
    let script = vec![word("a ST"), ScriptItem::Dream, word("OP b ST"), ScriptItem::End];
    let kit = Kit::start(vec![script]);
    let mut request = request(5);
    request.stopping.stop = vec!["STOP".to_owned()];
    let events = kit.run(request).await;
    assert_eq!(story(&events), ["a ", "ST", "started 0", "image 0", "OP b ", "ST", "EndOfText"]);
    kit.stop();
}

#[tokio::test]
async fn every_text_token_is_counted_in_exactly_one_delta() {
    let kit = Kit::start(vec![vec![word("a"), word(""), word("b"), ScriptItem::End]]);
    let events = kit.run(request(5)).await;
    let counts: Vec<usize> = events
        .iter()
        .filter_map(|event| match event {
            EngineEvent::Text { num_tokens, .. } => Some(*num_tokens),
            _ => None,
        })
        .collect();
    assert_eq!(counts, [1, 2]);
    kit.stop();
}

#[tokio::test]
async fn image_choice_none_forbids_what_the_model_wishes() {
    let kit = Kit::start(vec![vec![word("a"), ScriptItem::Dream, word("b"), ScriptItem::End]]);
    let mut request = request(5);
    request.pictures.choice = ImageChoice::None;
    let events = kit.run(request).await;
    assert_eq!(story(&events), ["a", "b", "EndOfText"]);
    kit.stop();
}

#[tokio::test]
async fn image_choice_required_makes_a_picture_of_the_first_end() {
    let kit = Kit::start(vec![vec![word("a"), ScriptItem::End, word("b"), ScriptItem::End]]);
    let mut request = request(5);
    request.pictures.choice = ImageChoice::Required;
    let events = kit.run(request).await;
    assert_eq!(story(&events), ["a", "started 0", "image 0", "b", "EndOfText"]);
    kit.stop();
}

#[tokio::test]
async fn exactly_three_pictures_without_any_text_follow_the_prompt() {
    let kit = Kit::start(vec![vec![word("never")]]);
    let mut request = request(5);
    request.pictures.choice = ImageChoice::Exactly(3);
    request.stopping.max_tokens = Some(0);
    let events = kit.run(request).await;
    assert_eq!((texts(&events).as_str(), image_indices(&events)), ("", vec![0, 1, 2]));
    let (reason, usage) = finished(&events);
    assert_eq!((reason, usage.text_tokens, usage.positions_used), (FinishReason::EndOfText, 0, 35));
    kit.stop();
}

#[tokio::test]
async fn a_third_picture_where_two_are_allowed_ends_the_document() {
    let kit = Kit::start(vec![vec![ScriptItem::Dream, ScriptItem::Dream, ScriptItem::Dream]]);
    let mut request = request(5);
    request.pictures.max_images = 2;
    let events = kit.run(request).await;
    assert_eq!(image_indices(&events), [0, 1]);
    assert_eq!(finished(&events).0, FinishReason::MaxImages);
    kit.stop();
}

#[tokio::test]
async fn a_context_is_filled_to_its_last_position_and_not_beyond() {
    let many = vec![word("x"); 200];
    let kit = Kit::start(vec![many.clone(), many]);
    let events = kit.run(request(90)).await;
    let (reason, usage) = finished(&events);
    assert_eq!((reason, usage.text_tokens), (FinishReason::ContextFull, 10));
    assert_eq!((usage.positions_used, usage.positions_left), (100, 0));
    let mut request = request(90);
    request.stopping.max_tokens = Some(10);
    let events = kit.run(request).await;
    assert_eq!(finished(&events).0, FinishReason::MaxTokens);
    kit.stop();
}

#[tokio::test]
async fn a_picture_that_just_fits_is_drawn_and_one_that_does_not_ends_the_document() {
    let wish = || vec![ScriptItem::Dream, word("x"), word("never")];
    let kit = Kit::start(vec![wish(), wish()]);
    let events = kit.run(request(89)).await;
    assert_eq!((image_indices(&events).len(), texts(&events).as_str()), (1, "x"));
    assert_eq!(finished(&events).1.positions_left, 0);
    let events = kit.run(request(90)).await;
    assert_eq!(image_indices(&events).len(), 0);
    assert_eq!(finished(&events).0, FinishReason::ContextFull);
    kit.stop();
}

#[tokio::test]
async fn a_prompt_that_can_never_fit_is_refused_with_both_numbers() {
    let kit = Kit::start(vec![]);
    let too_long = |request| match kit.handle.submit(request) {
        Err(SubmitError::TooLong { positions, limit }) => (positions, limit),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was accepted"),
    };
    assert_eq!(too_long(request(100)), (101, 100));
    let mut two_pictures = request(80);
    two_pictures.pictures.choice = ImageChoice::Exactly(2);
    assert_eq!(too_long(two_pictures), (101, 100));
    kit.stop();
}

#[tokio::test]
async fn a_beam_search_brings_its_best_text_at_the_end() {
    let best = vec!["the ".to_owned(), "best".to_owned()];
    let script =
        vec![ScriptItem::BeamsAdvance, ScriptItem::BeamsAdvance, ScriptItem::BeamsEnd(best)];
    let kit = Kit::start(vec![script]);
    let mut request = request(5);
    request.sampling.num_beams = 3;
    let events = kit.run(request).await;
    assert_eq!(story(&events), ["the ", "best", "EndOfText"]);
    let (_, usage) = finished(&events);
    assert_eq!((usage.text_tokens, usage.positions_used), (3, 7));
    kit.stop();
}

#[tokio::test]
async fn a_full_context_of_single_letters_loses_no_event_though_nobody_reads_meanwhile() {
    let kit = Kit::start(vec![vec![word("x"); 200]]);
    let stream = kit.handle.submit(request(1)).expect("accepted");
    kit.stop();
    let events = kit::collect(stream).await;
    assert_eq!(events.len(), 100, "99 letters and the end");
}
