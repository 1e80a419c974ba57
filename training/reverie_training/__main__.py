"""The commands: one a stage, one for all. `python -m reverie_training --help` lists them."""

from __future__ import annotations

import argparse

STAGES = ("vae", "vit", "unet", "llm", "joint")


def _stage(name: str):
    """Stages are imported when they run: the networks' libraries take seconds to load."""
    match name:
        case "vae":
            from .stages.vae import VaeStage as Stage
        case "vit":
            from .stages.vit import VitStage as Stage
        case "unet":
            from .stages.unet import UnetStage as Stage
        case "llm":
            from .stages.llm import LlmStage as Stage
        case "joint":
            from .stages.joint import JointStage as Stage
        case _:
            raise ValueError(f"no stage {name}")
    return Stage()


def main() -> None:
    parser = argparse.ArgumentParser(prog="reverie_training")
    parser.add_argument("command", choices=STAGES)
    arguments = parser.parse_args()
    from .stages import run

    run(_stage(arguments.command))


if __name__ == "__main__":
    main()
