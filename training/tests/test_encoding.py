"""Tokens, labels, layout and batches; the language side on them."""

import random

import pytest
import sentencepiece
import torch

from reverie_training import dreaming, encoding, models, settings, tokenizer, words
from reverie_training.codes import ATTRIBUTE_WORDS, ConditionCodes, WordVectors
from reverie_training.documents import Dream, Picture, Text
from reverie_training.dreamer import Dreamer
from reverie_training.evaluation import same_scene, segments
from reverie_training.sampling import random_scene
from reverie_training.settings import PATCHES, QUERIES
from reverie_training.tasks import TASKS, document
from reverie_training.tokenizer import token_id


@pytest.fixture(scope="module")
def texts() -> list[str]:
    rng = random.Random(7)
    made = [part.text for _ in range(300) for part in document(rng, "train").parts if isinstance(part, Text)]
    return [*made, "Grüße, 世界 \u2603", "  two  spaces ", "tab\tand\nline", "<s> </s> is text", "zxqj!?"]


def test_both_tokenizers_give_the_same_ids(texts):
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer.folder() / "tokenizer.model"))
    for text in texts:
        if "<s>" not in text:  # the fast one finds control tokens in text; a server must not let it
            assert tokenizer.load().encode(text, add_special_tokens=False).ids == pieces.encode(text)


def test_any_text_comes_back(texts):
    for text in texts:
        if "<s>" not in text:
            assert tokenizer.load().decode(tokenizer.load().encode(text, add_special_tokens=False).ids) == text


def test_a_turn_is_the_same_in_one_string_or_in_segments(texts):
    for text in texts[:200]:
        joined = encoding.text_ids(f"USER: {text} ASSISTANT:")
        assert joined == encoding.text_ids("USER:") + encoding.text_ids(text) + encoding.text_ids("ASSISTANT:")


def test_every_attribute_word_is_one_token():
    assert all(tokenizer.load().token_to_id(f"▁{word}") is not None for word in ATTRIBUTE_WORDS)


def test_control_tokens_follow_the_pieces_in_the_published_order():
    assert [token_id(token) for token in settings.CONTROL_TOKENS] == list(range(settings.PIECES, settings.VOCABULARY))
    assert tokenizer.load().get_vocab_size() == settings.VOCABULARY


@pytest.mark.parametrize("task", TASKS)
def test_documents_fit_the_context_and_have_their_blocks(task):
    rng = random.Random(task)
    for _ in range(20):
        one = encoding.encode(document(rng, "train", task))
        pictures = sum(isinstance(part, Picture | Dream) for part in one.document.parts)
        dreams = sum(isinstance(part, Dream) for part in one.document.parts)
        assert len(one.ids) == len(one.labels) == len(one.weights) <= settings.POSITIONS
        assert one.ids.count(token_id("<im_patch>")) == PATCHES * pictures + QUERIES * dreams
        assert all(one.ids[place - 1] == token_id("<im_start>") for place, _ in one.pictures)
        assert all(one.ids[place - 1] == token_id("<dream_start>") for place, _ in one.dreams)
        learnt = [token for token in one.labels if token != encoding.IGNORED]
        assert token_id("<im_patch>") not in learnt and token_id("</s>") in learnt


def test_a_forced_dream_is_not_the_models_choice():
    scene = random_scene(random.Random(0), "train")
    labels = [encoding.encode(encoding.Document("", "", [Dream(scene, forced)])).labels for forced in (True, False)]
    assert token_id("<dream_start>") not in labels[0] and token_id("<dream_start>") in labels[1]


def test_a_stream_gives_the_same_batch_whenever_it_is_asked():
    def stream():
        return encoding.Stream("test", 600, lambda rng: document(rng, "train"))

    first = [stream().batch(5), stream().batch(30)]
    other = stream()
    second = [other.batch(5), other.batch(30)]
    for a, b in zip(first, second, strict=True):
        assert torch.equal(a.ids, b.ids) and a.ids.numel() > 0


def test_condition_codes_are_read_back_in_spite_of_noise():
    rng, codes = random.Random(1), ConditionCodes()
    wanted = torch.tensor([random_scene(rng, "train").codes() for _ in range(50)])
    torch.manual_seed(0)
    noisy = codes(wanted) + 0.3 * torch.randn(50, QUERIES, settings.CONDITION_WIDTH)
    assert same_scene(codes.read(noisy), wanted).all()


def test_every_patch_speaks_of_its_own_cell():
    vectors = WordVectors()
    scene = random_scene(random.Random(2), "train", 1, 1)
    ((cell, thing),) = scene.things.items()
    patches = vectors.patches(torch.tensor([scene.codes()]))[0]
    likeness = patches @ vectors.vector[thing.shape]
    corner = int(likeness.argmax())
    assert (corner // 4 // 2) * 2 + (corner % 4) // 2 == cell


def test_segments_are_the_runs_of_labels():
    skipped = encoding.IGNORED
    assert segments(torch.tensor([skipped, 5, 6, skipped, 7])) == [(1, 3), (4, 5)]


def test_the_document_loop_computes_what_training_computed():
    torch.manual_seed(0)
    one = next(made for made in iter(lambda: document(random.Random(9), "train", "editing"), None) if made)
    dreamer, tower = Dreamer(layers=settings.LANGUAGE_LAYERS).eval(), models.vision_tower().eval()
    batch = encoding.collate([encoding.encode(one)])
    with torch.no_grad():
        features = models.patch_features(tower, batch.drawn())
        *_, conditions = dreamer(batch, features)
    parts = {"dreamer": dreamer.state_dict(), "tower": tower.state_dict(), "unet": models.unet().state_dict()}
    pipeline = dreaming.Pipeline(
        {**parts, "vae": models.autoencoder().state_dict(), "scale": {"factor": torch.ones(())}}
    )
    pieces = [
        part.text if isinstance(part, Text) else part.scene.draw()
        for part in one.parts[: one.parts.index(next(p for p in one.parts if isinstance(p, Dream)))]
    ]
    seen = []
    pipeline.draw = lambda condition, generator: (
        seen.append(condition) or torch.zeros(1, 64, 64, 3, dtype=torch.uint8).numpy()
    )
    pipeline.answer(pieces, limits=dreaming.Limits(tokens=1), force_picture=True)
    assert torch.allclose(seen[0], conditions[:1], atol=2e-4)


def test_a_batch_without_any_picture_is_trained_all_the_same():
    rng = random.Random(3)
    batch = encoding.collate([encoding.encode(document(rng, "train", "chat")) for _ in range(3)])
    logits, labels, weights, conditions = Dreamer(layers=1)(
        batch, models.patch_features(models.vision_tower(), batch.drawn())
    )
    assert len(logits) == len(labels) == len(weights) > 0 and len(conditions) == 0


def test_every_ordinal_is_one_token():
    assert all(len(encoding.text_ids(word)) == 1 for word in words.ORDINALS)


def test_pictures_are_numbered_in_the_order_of_their_own_document():
    rng = random.Random(4)
    some = [document(rng, "train", task) for task in ("comparison", "caption", "steps", "chat", "composition")]
    batch = encoding.collate([encoding.encode(one) for one in some])
    counts = [len(encoding.encode(one).pictures) for one in some]
    assert batch.picture_orders().tolist() == [number for count in counts for number in range(count)]


def test_patches_that_carry_their_ordinals_word_are_most_like_it():
    rng = random.Random(5)
    some = [document(rng, "train", task) for task in ("comparison", "steps")]
    batch = encoding.collate([encoding.encode(one) for one in some])
    dreamer = Dreamer(layers=1)
    hidden = torch.zeros(*batch.ids.shape, settings.LANGUAGE_WIDTH)
    named = 0
    for position, order in zip(batch.picture_positions.tolist(), batch.picture_orders().tolist(), strict=True):
        if order < len(words.ORDINALS):
            vector = dreamer.llm.model.embed_tokens.weight[encoding.text_ids(words.ORDINALS[order])[0]].detach()
            hidden.view(-1, settings.LANGUAGE_WIDTH)[position : position + settings.PATCHES] = vector
            named += 1
    likeness, wanted = dreamer.orders(batch, hidden)
    assert len(likeness) == named * settings.PATCHES and (likeness.argmax(1) == wanted).all()
