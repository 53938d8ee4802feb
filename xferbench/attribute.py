"""Attribute: a scorer says of each training example how much it pushes toward a target."""

import warnings
from collections.abc import Sequence

from xferbench.api import Example, Scorer
from xferbench.errors import PluginError
from xferbench.models import Model


def attribute(
    scorer: Scorer, model: Model, examples: Sequence[Example], queries: Sequence[Example]
) -> tuple[list[float | None], list[str]]:
    """Score each example toward one group of queries: positive helps. None where the scorer found no finite score.

    Beside the scores: what the scorer warned of, such as examples that were cut or have no finite gradient.
    """
    import numpy as np

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found = np.asarray(scorer.score(model, examples, [queries]), dtype=float)
    if found.shape != (len(examples), 1):
        raise PluginError(f"scorer {scorer.name} gave scores of shape {found.shape}, not ({len(examples)}, 1)")
    notes = dict.fromkeys(" ".join(str(one.message).split()) for one in caught if one.category is UserWarning)
    return [float(score) if np.isfinite(score) else None for score in found[:, 0]], list(notes)
