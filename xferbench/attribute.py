"""Attribute: a scorer says of each training example how much it pushes toward a target."""

from collections.abc import Sequence

from xferbench.api import Example, Scorer
from xferbench.errors import PluginError
from xferbench.models import Model


def attribute(
    scorer: Scorer, model: Model, examples: Sequence[Example], queries: Sequence[Example]
) -> list[float | None]:
    """Score each example toward one group of queries: positive helps. None where the scorer found no finite score."""
    import numpy as np

    found = np.asarray(scorer.score(model, examples, [queries]), dtype=float)
    if found.shape != (len(examples), 1):
        raise PluginError(f"scorer {scorer.name} gave scores of shape {found.shape}, not ({len(examples)}, 1)")
    return [float(score) if np.isfinite(score) else None for score in found[:, 0]]
