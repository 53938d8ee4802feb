"""Could a prediction of a source x target matrix be that good by luck? A permutation test that knows cells share rows.

Cells of one source or one target are not independent, so the labels are permuted, not the cells: every relabelling of
the sources is a prediction as good as any if the scorer knows nothing.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, permutations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata

from xferbench.analyse.rank import spearman

ENUMERATE = 5040
"""Up to this many permutations (7!) all are tried."""
BATCH = 500


@dataclass(frozen=True)
class Permuted:
    """The result: `p` is one-sided (agreement), never below `floor`."""

    p: float
    floor: float
    permutations: int
    exact: bool
    permuted: str
    """"rows and columns" (every source is a target as well) or "rows"."""


def qap(
    predicted: ArrayLike, measured: ArrayLike, paired: bool, resamples: int = 10_000, seed: int = 0
) -> Permuted | None:
    """Test Spearman's rho of two matrices (sources, targets) by permuting labels (Mantel 1967; Hubert, Schultz 1976).

    NaN marks a cell that is not used. `paired`: source i and target i are the same domain, so rows and columns of the
    prediction are permuted together (QAP), and targets beyond those (columns after the k-th, of no source) stay where
    they are; otherwise rows only. All k! permutations are tried up to 7!, else the identity and `resamples` random
    ones. p = share of permutations with rho at least as high; its floor is 1 / k! (or 1 / (1 + resamples)): with three
    sources nothing can be significant. None when rho is undefined.
    """
    x, y = np.asarray(predicted, float), np.asarray(measured, float)
    used = np.isfinite(x) & np.isfinite(y)
    observed = spearman(x[used], y[used]) if used.any() else None
    if observed is None:
        return None
    exact = math.factorial(len(x)) <= ENUMERATE
    hits = tried = 0
    for orders in _orders(len(x), exact, resamples, seed):
        tried += len(orders)
        many = x[orders]
        if paired:
            others = np.tile(np.arange(len(x), x.shape[1]), (len(orders), 1))
            many = np.take_along_axis(many, np.hstack([orders, others])[:, None, :], axis=2)
        hits += int((_rho(many, y) >= observed - 1e-12).sum())
    return Permuted(hits / tried, 1 / tried, tried, exact, "rows and columns" if paired else "rows")


def _rho(many: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's rho of each of many predictions (batch, sources, targets) with y; NaN where it is undefined."""
    used = np.isfinite(many) & np.isfinite(y)
    if (used == used[0]).all():
        a = rankdata(many[:, used[0]], axis=1)
        b = rankdata(y[used[0]])
        a, b = a - a.mean(axis=1, keepdims=True), b - b.mean()
        scale = np.sqrt((a * a).sum(axis=1) * (b @ b))
        return np.divide(a @ b, scale, out=np.full(len(a), np.nan), where=scale > 0)
    each = [spearman(x[u], y[u]) if u.any() else None for x, u in zip(many, used, strict=True)]
    return np.array([np.nan if rho is None else rho for rho in each])


def _orders(k: int, exact: bool, resamples: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Batches (batch, k) of orders: all of them, or the identity and then random ones."""
    if exact:
        rest = permutations(range(k))
        while batch := list(islice(rest, BATCH)):
            yield np.array(batch)
        return
    yield np.arange(k)[None]
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, BATCH):
        yield rng.permuted(np.tile(np.arange(k), (min(BATCH, resamples - start), 1)), axis=1)
