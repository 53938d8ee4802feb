"""The paired bootstrap over items, clusters of items and seeds: thousands of resamples as one matrix product.

Drawing items with replacement is the same as weighting each by how often it was drawn, so all resamples of all
conditions on one target are (resamples, items) @ (items, conditions x seeds). Every condition sees the same draws, so
differences and ratios of the resampled means are paired.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

CHUNK = 500
"""Resamples weighed at a time: bounds the memory at CHUNK x items."""


def means(
    scores: ArrayLike, resamples: int = 10_000, seed: int = 0, clusters: ArrayLike | None = None, seeds: bool = True
) -> NDArray[np.float64]:
    """Return means of scores (conditions, seeds, items): (1 + resamples, conditions), the first row not resampled.

    Two levels (Davison and Hinkley 1997, sec. 3.8, crossed): items, or whole clusters labelled by `clusters` (items,),
    are drawn with replacement, and so are seeds, jointly for all conditions (`seeds=False`: items only). With few seeds
    S the spread between seeds comes out too small by (S - 1)/S; the draws are for ratios and indices of many seeds or
    of items alone, and as a second opinion on `uncertainty.two_level`, which is calibrated for few seeds.
    """
    y = np.asarray(scores, dtype=float)
    conditions, runs, items = y.shape
    rng = np.random.default_rng(seed)
    groups = None if clusters is None else np.unique(np.asarray(clusters), return_inverse=True)[1]
    flat = np.ascontiguousarray(y.reshape(conditions * runs, items).T)
    out = np.empty((1 + resamples, conditions))
    out[0] = y.mean(axis=(1, 2))
    for start, weights in _weights(rng, resamples, items, groups):
        by_seed = (weights @ flat / weights.sum(axis=1, keepdims=True)).reshape(len(weights), conditions, runs)
        if seeds and runs > 1:
            drawn = _counts(rng, len(weights), runs) / runs
            mean = np.einsum("rcs,rs->rc", by_seed, drawn)
        else:
            mean = by_seed.mean(axis=2)
        out[1 + start : 1 + start + len(weights)] = mean
    return out


def percentile(draws: ArrayLike, alpha: float = 0.05) -> tuple[float, float]:
    """Return the percentile interval of draws (1 + resamples,) whose first entry is the estimate on the sample."""
    x = np.asarray(draws, float)
    low, high = np.quantile(x[1:], [alpha / 2, 1 - alpha / 2])
    return min(float(low), float(x[0])), max(float(high), float(x[0]))


def _counts(rng: np.random.Generator, resamples: int, size: int) -> NDArray[np.float64]:
    """How often each of `size` things is drawn in `size` draws with replacement: (resamples, size)."""
    drawn = rng.integers(0, size, (resamples, size), dtype=np.int32)
    drawn += (np.arange(resamples, dtype=np.int32) * size)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size).astype(float)


def _weights(
    rng: np.random.Generator, resamples: int, items: int, groups: NDArray[np.intp] | None
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield (number of the first resample, weights (chunk, items))."""
    for start in range(0, resamples, CHUNK):
        chunk = min(CHUNK, resamples - start)
        if groups is None:
            yield start, _counts(rng, chunk, items)
        else:
            yield start, _counts(rng, chunk, int(groups.max()) + 1)[:, groups]
