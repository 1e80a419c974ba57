"""The shipped folder: names, sizes, and that it loads back into the same model."""

import json

import pytest
import torch

from reverie_training import beginning, export, models, settings, snapshots, stages
from reverie_training.dreamer import Dreamer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    parts = {
        "dreamer": Dreamer().state_dict(),
        "tower": models.vision_tower().state_dict(),
        "unet": models.unet().state_dict(),
        "vae": models.autoencoder().state_dict(),
        "scale": {"factor": torch.tensor(0.75)},
    }
    place = tmp_path_factory.mktemp("checkpoint")
    return place, parts, export.export(parts, place)


def test_the_weights_are_small_enough_to_ship(folder):
    assert folder[2] <= export.LARGEST


def test_an_exported_checkpoint_loads_back(folder):
    place, parts, _ = folder
    loaded = export.load(place)
    assert float(loaded["scale"]["factor"]) == pytest.approx(0.75)
    for name in ("dreamer", "tower", "unet", "vae"):
        assert loaded[name].keys() == parts[name].keys()
        for key, tensor in parts[name].items():
            assert torch.allclose(loaded[name][key].float(), tensor.float(), rtol=1e-2, atol=1e-6), key


def test_the_folder_names_its_special_sizes(folder):
    config = json.loads((folder[0] / "config.json").read_text())
    assert config["vocab_size"] == settings.VOCABULARY
    assert (config["num_dream_queries"], config["clip_select_layer"]) == (settings.QUERIES, settings.VISION_SELECT)
    assert config["max_position_embeddings"] == settings.POSITIONS


def test_transformers_loads_the_tokenizer(folder):
    from transformers import PreTrainedTokenizerFast

    fast = PreTrainedTokenizerFast(tokenizer_file=str(folder[0] / "tokenizer.json"))
    assert len(fast) == settings.VOCABULARY


def test_every_file_has_its_sum(folder):
    sums = json.loads((folder[0] / "sha256.json").read_text())
    files = {str(path.relative_to(folder[0])) for path in folder[0].rglob("*") if path.is_file()} - {"sha256.json"}
    assert set(sums) == files


def test_the_language_stage_goes_on_from_a_checkpoint(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("REVERIE_TRAINING_CACHE", str(tmp_path / "cache"))
    beginning.begin(folder[0])
    from reverie_training.stages.llm import LlmStage

    stage, loaded = LlmStage(), export.load(folder[0])
    assert stages.resume(stage) == 0
    for key, tensor in stage.dreamer.state_dict().items():
        assert torch.equal(tensor, loaded["dreamer"][key]), key
    for key, tensor in stage.tower.state_dict().items():
        assert torch.equal(tensor, loaded["tower"][key]), key
    assert snapshots.weights("vae")["scale"]["factor"] == pytest.approx(0.75) and "unet" in snapshots.weights("unet")
    with pytest.raises(FileExistsError):
        beginning.begin(folder[0])
