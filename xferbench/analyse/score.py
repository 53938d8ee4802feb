"""One score on its own: the standard error and the interval of a mean over test items."""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri


def standard_error(scores: ArrayLike) -> float | None:
    """Return the standard error of the mean of scores (items,): sd / sqrt(n) (Miller 2024, arXiv 2411.00640).

    In the units of the scores; None for one item.
    """
    s = np.asarray(scores, float)
    return None if s.size < 2 else float(s.std(ddof=1) / math.sqrt(s.size))


def clustered_error(scores: ArrayLike, clusters: ArrayLike) -> float | None:
    """Return the standard error when items share a passage or question, labelled by `clusters` (items,).

    SE^2 = standard_error^2 + (1/n^2) sum_c sum_{i != j in c} (s_i - mean)(s_j - mean) (Miller 2024). None for fewer
    than two clusters; 0 at the least, where the cross terms outweigh the rest.
    """
    s = np.asarray(scores, float)
    _, groups = np.unique(np.asarray(clusters), return_inverse=True)
    if groups.shape != s.shape:
        raise ValueError(f"{groups.size} cluster labels for {s.size} items")
    if s.size < 2 or groups.max() < 1:
        return None
    rest = s - s.mean()
    sums = np.bincount(groups, rest)
    cross = float(sums @ sums - rest @ rest)
    return math.sqrt(max(float(s.var(ddof=1)) / s.size + cross / s.size**2, 0.0))


def wilson(hits: float, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the 1 - alpha interval of a proportion hits / n (Wilson 1927, J. Am. Stat. Assoc. 22).

    (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n): never outside [0, 1], and sound for few items.
    """
    if n < 1 or not 0 <= hits <= n:
        raise ValueError(f"{hits} hits of {n}")
    p, z = hits / n, -float(ndtri(alpha / 2))
    middle, spread = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)
    return min(max(low, 0.0), p), max(min(high, 1.0), p)
