"""Many tests at once: p-values adjusted so that a matrix of claims is not a matrix of accidents."""

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjust m p-values for the chance of even one false claim (Holm 1979, Scand. J. Stat. 6, 65-70).

    In rising order p_(1) ... p_(m): adjusted p_(k) = max_{j<=k} min(1, (m - j + 1) p_(j)). Claims with an adjusted p of
    at most alpha are all true with probability 1 - alpha, however the tests depend on each other. Same order as given.
    """
    q = np.asarray(p, float)
    order = np.argsort(q, kind="stable")
    raised = np.maximum.accumulate(np.minimum(q[order] * np.arange(len(q), 0, -1), 1.0))
    adjusted = np.empty(len(q))
    adjusted[order] = raised
    return [float(x) for x in adjusted]


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """Adjust m p-values for the share of false claims among the claims (Benjamini and Hochberg 1995, JRSS B 57).

    In rising order: adjusted p_(k) = min_{j>=k} min(1, m p_(j) / j). For exploring; for claims use `holm`.
    """
    q = np.asarray(p, float)
    order = np.argsort(q, kind="stable")
    scaled = np.minimum(q[order] * len(q) / np.arange(1, len(q) + 1), 1.0)
    adjusted = np.empty(len(q))
    adjusted[order] = np.minimum.accumulate(scaled[::-1])[::-1]
    return [float(x) for x in adjusted]
