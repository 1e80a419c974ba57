//! `DocumentRules` at its boundaries: which tokens are legal, what an end of text means, and the
//! exact position, token or picture at which a document ends. Refuses to know the scheduler.

use reverie_scheduler::{
    Budget, DocumentLimits, DocumentRules, FinishReason, ImageChoice, LegalTokens, NextMove,
    WrittenCounts,
};

/// A drawn picture takes 10 positions.
const BUDGET: Budget = Budget { max_model_len: 100, dream_positions: 4, image_positions: 6 };

fn limits(choice: ImageChoice, max_images: usize) -> DocumentLimits {
    DocumentLimits {
        choice,
        max_images,
        max_tokens: None,
        min_tokens: 0,
        ignore_eos: false,
        ends_with_images: false,
    }
}

fn rules(limits: DocumentLimits) -> DocumentRules {
    DocumentRules::new(BUDGET, limits)
}

fn legal(next: NextMove) -> LegalTokens {
    match next {
        NextMove::Sample(legal) => legal,
        NextMove::Draw | NextMove::Finish(_) => panic!("expected a token to be sampled: {next:?}"),
    }
}

const BOTH: LegalTokens = LegalTokens { dream_start: true, end_of_text: true };
const NO_PICTURE: LegalTokens = LegalTokens { dream_start: false, end_of_text: true };

#[test]
fn auto_leaves_pictures_and_the_end_to_the_model() {
    let mut rules = rules(limits(ImageChoice::Auto, 3));
    assert_eq!(legal(rules.next_move(5)), BOTH);
    assert_eq!(rules.dream_start_sampled(5), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(15)), BOTH);
    assert_eq!(rules.end_of_text_sampled(15), NextMove::Finish(FinishReason::EndOfText));
    assert_eq!(rules.num_images(), 1);
    assert_eq!(rules.num_text_tokens(), 1);
}

#[test]
fn the_wish_for_a_picture_beyond_max_images_ends_the_document() {
    let mut rules = rules(limits(ImageChoice::Auto, 1));
    assert_eq!(rules.dream_start_sampled(5), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(15)), BOTH);
    assert_eq!(rules.dream_start_sampled(15), NextMove::Finish(FinishReason::MaxImages));
}

#[test]
fn none_and_a_limit_of_zero_pictures_mask_dream_start() {
    for limits in [
        limits(ImageChoice::None, 3),
        limits(ImageChoice::Auto, 0),
        limits(ImageChoice::Required, 0),
        limits(ImageChoice::Exactly(2), 0),
        limits(ImageChoice::Exactly(0), 3),
    ] {
        let mut rules = rules(limits);
        assert_eq!(legal(rules.next_move(5)), NO_PICTURE, "{limits:?}");
        assert_eq!(rules.end_of_text_sampled(5), NextMove::Finish(FinishReason::EndOfText));
    }
}

#[test]
fn required_turns_the_first_end_of_text_into_a_picture_and_no_later_one() {
    let mut rules = rules(limits(ImageChoice::Required, 3));
    assert_eq!(rules.end_of_text_sampled(5), NextMove::Draw);
    assert_eq!(rules.num_text_tokens(), 0, "an end that became a picture is no text token");
    assert_eq!(legal(rules.image_drawn(15)), BOTH);
    assert_eq!(rules.end_of_text_sampled(15), NextMove::Finish(FinishReason::EndOfText));
}

#[test]
fn exactly_draws_so_many_and_then_masks_dream_start() {
    let mut rules = rules(limits(ImageChoice::Exactly(2), 5));
    assert_eq!(rules.end_of_text_sampled(5), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(15)), BOTH);
    assert_eq!(rules.dream_start_sampled(15), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(25)), NO_PICTURE);
}

#[test]
fn exactly_never_exceeds_max_images() {
    let mut rules = rules(limits(ImageChoice::Exactly(9), 1));
    assert_eq!(rules.end_of_text_sampled(5), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(15)), NO_PICTURE);
    assert_eq!(rules.end_of_text_sampled(15), NextMove::Finish(FinishReason::EndOfText));
}

#[test]
fn max_tokens_ends_the_document_with_exactly_that_token() {
    let mut rules = rules(DocumentLimits { max_tokens: Some(2), ..limits(ImageChoice::Auto, 3) });
    assert_eq!(legal(rules.text_sampled(6)), BOTH);
    assert_eq!(rules.text_sampled(7), NextMove::Finish(FinishReason::MaxTokens));
    assert_eq!(rules.num_text_tokens(), 2);
}

#[test]
fn pictures_do_not_count_as_tokens() {
    let mut rules = rules(DocumentLimits { max_tokens: Some(1), ..limits(ImageChoice::Auto, 3) });
    assert_eq!(rules.dream_start_sampled(5), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(15)), BOTH);
    assert_eq!(rules.text_sampled(16), NextMove::Finish(FinishReason::MaxTokens));
}

#[test]
fn max_tokens_waits_for_the_pictures_that_the_request_insists_on() {
    let mut rules =
        rules(DocumentLimits { max_tokens: Some(1), ..limits(ImageChoice::Exactly(2), 2) });
    assert_eq!(rules.text_sampled(6), NextMove::Draw);
    assert_eq!(rules.image_drawn(16), NextMove::Draw);
    assert_eq!(rules.image_drawn(26), NextMove::Finish(FinishReason::MaxTokens));
}

#[test]
fn no_tokens_at_all_draws_right_after_the_prompt() {
    let mut rules =
        rules(DocumentLimits { max_tokens: Some(0), ..limits(ImageChoice::Exactly(1), 1) });
    assert_eq!(rules.next_move(5), NextMove::Draw);
    assert_eq!(rules.image_drawn(15), NextMove::Finish(FinishReason::EndOfText));
    let rules = self::rules(DocumentLimits { max_tokens: Some(0), ..limits(ImageChoice::Auto, 1) });
    assert_eq!(rules.next_move(5), NextMove::Finish(FinishReason::EndOfText));
}

#[test]
fn a_document_that_ends_with_its_pictures_writes_before_them_and_not_after() {
    let ending = |choice| DocumentLimits { ends_with_images: true, ..limits(choice, 2) };
    let mut rules = rules(ending(ImageChoice::Exactly(2)));
    assert_eq!(legal(rules.text_sampled(6)), BOTH);
    assert_eq!(legal(rules.image_drawn(16)), BOTH);
    assert_eq!(rules.image_drawn(26), NextMove::Finish(FinishReason::EndOfText));
    let mut unsure = self::rules(ending(ImageChoice::Auto));
    assert_eq!(legal(unsure.image_drawn(15)), BOTH, "nothing was insisted on");
}

#[test]
fn a_stop_string_waits_for_the_pictures_that_the_request_insists_on() {
    let mut rules = rules(limits(ImageChoice::Required, 3));
    assert_eq!(rules.stop_string_sampled(6), NextMove::Draw);
    assert_eq!(rules.image_drawn(16), NextMove::Finish(FinishReason::StopString));
    let mut rules = self::rules(limits(ImageChoice::Auto, 3));
    assert_eq!(rules.stop_string_sampled(6), NextMove::Finish(FinishReason::StopString));
}

#[test]
fn min_tokens_forbids_the_end_up_to_exactly_that_many() {
    let mut rules = rules(DocumentLimits { min_tokens: 2, ..limits(ImageChoice::None, 0) });
    assert!(!legal(rules.next_move(5)).end_of_text);
    assert!(!legal(rules.text_sampled(6)).end_of_text);
    assert!(legal(rules.text_sampled(7)).end_of_text);
}

#[test]
fn ignore_eos_forbids_the_end_and_a_picture_that_would_be_one() {
    let mut rules = rules(DocumentLimits { ignore_eos: true, ..limits(ImageChoice::Auto, 1) });
    let only_picture = LegalTokens { dream_start: true, end_of_text: false };
    let only_text = LegalTokens { dream_start: false, end_of_text: false };
    assert_eq!(legal(rules.next_move(5)), only_picture);
    assert_eq!(rules.dream_start_sampled(5), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(15)), only_text, "a second picture would end the document");
    assert_eq!(legal(rules.next_move(90)), only_text);
}

#[test]
fn a_picture_fits_up_to_the_last_possible_position_and_ends_the_document_after_it() {
    let rules = rules(limits(ImageChoice::Auto, 3));
    assert_eq!(rules.dream_start_sampled(89), NextMove::Draw);
    assert_eq!(rules.dream_start_sampled(90), NextMove::Finish(FinishReason::ContextFull));
}

#[test]
fn the_last_position_of_the_context_takes_a_token_and_ends_the_document() {
    let mut rules = rules(limits(ImageChoice::Auto, 3));
    assert_eq!(legal(rules.next_move(99)), BOTH);
    assert_eq!(rules.text_sampled(100), NextMove::Finish(FinishReason::ContextFull));
}

#[test]
fn a_token_that_is_both_the_last_allowed_and_the_last_that_fits_ends_by_max_tokens() {
    let mut rules = rules(DocumentLimits { max_tokens: Some(1), ..limits(ImageChoice::Auto, 3) });
    assert_eq!(rules.text_sampled(100), NextMove::Finish(FinishReason::MaxTokens));
}

#[test]
fn an_insisted_picture_is_drawn_before_a_token_takes_its_room() {
    let mut rules = rules(limits(ImageChoice::Exactly(2), 2));
    assert_eq!(legal(rules.text_sampled(78)), BOTH);
    assert_eq!(rules.text_sampled(79), NextMove::Draw, "79 + 2 pictures + 1 token is all there is");
    assert_eq!(rules.image_drawn(89), NextMove::Draw);
    assert_eq!(legal(rules.image_drawn(99)), NO_PICTURE);
    assert_eq!(rules.text_sampled(100), NextMove::Finish(FinishReason::ContextFull));
}

#[test]
fn an_insisted_picture_that_can_never_fit_does_not_keep_the_document_open() {
    let mut rules = rules(limits(ImageChoice::Exactly(1), 1));
    assert_eq!(rules.end_of_text_sampled(95), NextMove::Finish(FinishReason::ContextFull));
    assert_eq!(rules.text_sampled(100), NextMove::Finish(FinishReason::ContextFull));
}

#[test]
fn a_beam_search_reports_the_tokens_of_its_best_hypothesis() {
    let mut rules = rules(limits(ImageChoice::None, 0));
    assert!(matches!(rules.text_sampled(6), NextMove::Sample(_)));
    assert_eq!(
        rules.beams_finished(7, FinishReason::EndOfText),
        NextMove::Finish(FinishReason::EndOfText)
    );
    assert_eq!(rules.num_text_tokens(), 7);
}

/// Everything that can be asked of two rules, after the same positions.
fn assert_same(resumed: &DocumentRules, counted: &DocumentRules, used: usize) {
    assert_eq!(resumed.next_move(used), counted.next_move(used));
    assert_eq!(resumed.num_text_tokens(), counted.num_text_tokens());
    assert_eq!(resumed.num_images(), counted.num_images());
}

#[test]
fn rules_that_begin_in_the_middle_are_those_that_have_counted_so_far() {
    for (max_tokens, choice) in [
        (None, ImageChoice::Auto),
        (Some(3), ImageChoice::Auto),
        (Some(2), ImageChoice::Exactly(2)),
        (Some(0), ImageChoice::Exactly(2)),
        (None, ImageChoice::Required),
    ] {
        let limits = DocumentLimits { max_tokens, min_tokens: 2, ..limits(choice, 2) };
        let mut counted = rules(limits);
        let mut written = WrittenCounts::default();
        let mut used = 5;
        while let (false, false) = (used > 60, written.is_stopped) {
            assert_same(&DocumentRules::resumed(BUDGET, limits, written), &counted, used);
            match counted.next_move(used) {
                NextMove::Finish(_) => break,
                NextMove::Draw => {
                    used += 10;
                    written.num_images += 1;
                    counted.image_drawn(used);
                }
                NextMove::Sample(_) => {
                    used += 1;
                    written.num_text_tokens += 1;
                    written.is_stopped = written.num_text_tokens == 7;
                    if written.is_stopped {
                        counted.stop_string_sampled(used);
                    } else {
                        counted.text_sampled(used);
                    }
                }
            }
        }
        assert_same(&DocumentRules::resumed(BUDGET, limits, written), &counted, used);
    }
}
