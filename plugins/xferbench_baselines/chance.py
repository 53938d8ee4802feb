"""Random scores that belong to the example: the same whatever else is scored beside it, and in whatever order."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from xferbench import Example


def draws(seed: int, examples: Sequence[Example], queries: Sequence[Sequence[Example]]) -> Any:
    """Return standard normal draws (examples, groups), each row fixed by the seed and the example's id."""
    scores = np.empty((len(examples), len(queries)))
    for row, example in enumerate(examples):
        digest = hashlib.sha256(f"{seed}\n{example.id}".encode()).digest()
        scores[row] = np.random.default_rng(int.from_bytes(digest[:16], "big")).standard_normal(len(queries))
    return scores
