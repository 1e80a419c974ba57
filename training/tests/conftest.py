"""Tests use a cache of their own, so that a training under way is never touched."""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ["REVERIE_TRAINING_CACHE"] = os.environ.get("REVERIE_TRAINING_TEST_CACHE") or tempfile.mkdtemp(
    prefix="reverie-training-"
)
