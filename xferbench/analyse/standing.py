"""Who stands above whom: ranks with ties wherever the data do not separate two rivals, never a bare sort.

One stands above another when their difference is significant after Holm's correction over all pairs of the ranking. The
rank interval of a rival runs from 1 + (how many stand above it) to k - (how many it stands above): simultaneous
confidence intervals for the ranks (Mogstad, Romano, Shaikh and Wilhelm 2024, Rev. Econ. Stud. 91, 476-518).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from xferbench.analyse.uncertainty import half_width

Matrix = NDArray[np.float64]
Above = NDArray[np.bool_]
GROUPS = 50
"""More sources, or targets, are left out in so many groups of neighbours."""


def above(values: ArrayLike, half: Callable[[float], Matrix], alpha: float = 0.05) -> Above:
    """Return (k, k): whether rival i certainly stands above rival j, all claims true with probability 1 - alpha.

    `values` (k,), higher is better; `half(a)` gives (k, k) half-widths of 1 - a intervals of the pairwise differences.
    Step-down of Holm (1979): of r pairs not yet separated, those with |difference| > half(alpha / r) are, until none
    is new. NaN (a value or a half-width that is not known) separates nothing.
    """
    x = np.asarray(values, float)
    gap = x[:, None] - x[None, :]
    upper = np.triu(np.ones(gap.shape, bool), 1) & np.isfinite(gap)
    apart = np.zeros(gap.shape, bool)
    while (left := int((upper & ~apart).sum())) > 0:
        new = upper & ~apart & (np.abs(gap) > half(alpha / left))
        if not new.any():
            break
        apart |= new
    return (apart | apart.T) & (gap > 0)


def ranks(certainly: Above) -> list[tuple[int, int]]:
    """Return the rank interval (best, worst) of each of k rivals, 1 the best, from `above`."""
    k = len(certainly)
    return [(1 + int(certainly[:, i].sum()), k - int(certainly[i].sum())) for i in range(k)]


def order(values: Sequence[float], intervals: Sequence[tuple[int, int]], names: Sequence[str]) -> list[int]:
    """Return the order to print rivals in: by rank interval; those that share one by value, then by name."""
    return sorted(range(len(values)), key=lambda i: (*intervals[i], -values[i], names[i]))


def independent(parts: Sequence[tuple[float, float]], df: int, item_df: float) -> Callable[[float], Matrix]:
    """Half-widths (k, k) of the pairwise differences of k independent means, as `above` asks for them.

    `parts`: of each mean the variance that its seeds bring (seen on `df`) and that its items bring (on `item_df`);
    NaN where it is not known. Means that share items differ more surely than this: it errs towards ties.
    """
    a, b = (np.array(part)[:, None] + np.array(part)[None, :] for part in zip(*parts, strict=True))
    return lambda alpha: np.asarray(half_width(a, df, b, item_df, alpha), float)


@dataclass(frozen=True)
class Crossed:
    """Standard errors (k,) of k statistics, those of their pairwise differences (k, k), and the degrees of freedom."""

    errors: NDArray[np.float64]
    differences: Matrix
    df: int

    def quantile(self, alpha: float) -> float:
        """The 1 - alpha/2 quantile of Student's t."""
        return -float(stdtrit(self.df, alpha / 2))

    def half(self, alpha: float) -> Matrix:
        """Half-widths (k, k) of the 1 - alpha intervals of the differences."""
        return self.quantile(alpha) * self.differences


def crossed(statistic: Callable[[Above], NDArray[np.float64]], used: Above) -> Crossed | None:
    """Jackknife k statistics of a table (sources, targets) whose cells share both: for sources and targets at large.

    `statistic(mask)` gives (k,) from the cells in a mask (sources, targets); `used`: the cells there are. Each source,
    then each target, is left out in turn: V = V_sources + V_targets with V_d = (m - 1)/m sum (theta_(i) - mean)^2,
    the two-term form, which counts the noise of a cell twice and so errs towards ties; Student's t on the smaller
    number of clusters less one (MacKinnon, Nielsen and Webb 2024, arXiv 2406.08880). More than GROUPS are left out by
    groups. A side with one cluster adds nothing: what follows is about that cluster alone. None when both have one.
    """
    variance: Matrix | None = None
    fewest = 0
    for axis in (0, 1):
        places = np.flatnonzero(used.any(axis=1 - axis))
        if len(places) < 2:
            continue
        groups = np.array_split(places, min(len(places), GROUPS))
        left_out = []
        for group in groups:
            mask = used.copy()
            mask[(group, slice(None)) if axis == 0 else (slice(None), group)] = False
            left_out.append(statistic(mask))
        draws = np.stack(left_out)
        rest = draws - draws.mean(axis=0)
        part = (len(groups) - 1) / len(groups) * rest.T @ rest
        variance = part if variance is None else variance + part
        fewest = min(fewest, len(groups)) or len(groups)
    if variance is None:
        return None
    own = np.diag(variance)
    spread = np.sqrt(np.maximum(own[:, None] + own[None, :] - 2 * variance, 0.0))
    spread[spread < 1e-12] = np.nan  # no spread at all among few clusters is no certainty
    return Crossed(np.sqrt(own), spread, fewest - 1)
