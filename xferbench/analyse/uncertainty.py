"""How sure a mean over items and training seeds is: two sources of variance, one honest interval, one matching p-value.

A score differs because another test item was asked (level 1) and because another seed was trained (level 2). Both are
sampled, and there are few seeds, so the variance of the mean is split into the part that was seen on S - 1 degrees of
freedom and the part that was seen on n - 1, and the half-width of the interval is built from the t-quantiles of each.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtr, stdtrit

TINY = 1e-100
"""The smallest p-value that is told apart from 0."""


@dataclass(frozen=True)
class Estimate:
    """A mean and the two parts of its variance, in the units of the scores (squared for the variances)."""

    value: float
    seeds: int
    n: int
    """Items (or clusters of items) that count as independent."""
    seed_variance: float
    """Variance of the mean between seeds, s^2 / S; 0 when only one seed was run."""
    item_variance: float
    """What the choice of items adds to it."""
    item_df: float
    """Degrees of freedom of `item_variance` (inf: known)."""

    @property
    def se(self) -> float:
        """The standard error: the root of both variances."""
        return math.sqrt(self.seed_variance + self.item_variance)

    def half(self, alpha: float = 0.05) -> float:
        """Half the width of the two-sided 1 - alpha interval (see `half_width`)."""
        return float(half_width(self.seed_variance, self.seeds - 1, self.item_variance, self.item_df, alpha))

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """The two-sided 1 - alpha interval: value -+ half(alpha)."""
        half = self.half(alpha)
        return self.value - half, self.value + half

    def p(self, null: float = 0.0) -> float:
        """The two-sided p-value of "the mean is `null`": the alpha at which the interval just touches `null`."""
        gap = abs(self.value - null)
        if gap == 0 or self.se == 0:
            return 1.0 if gap == 0 else TINY
        if self.seed_variance == 0:  # in closed form: old versions of scipy invert it to nine digits
            t = gap / self.se
            tail = math.erfc(t / math.sqrt(2)) / 2 if _normal(self.item_df) else float(stdtr(self.item_df, -t))
            return max(TINY, 2 * tail)
        if self.half(TINY) <= gap:
            return TINY
        return float(math.exp(brentq(lambda x: self.half(math.exp(x)) - gap, math.log(TINY), 0.0, xtol=1e-12)))

    def mde(self, alpha: float = 0.05, power: float = 0.8) -> float:
        """The smallest true effect that a design with these variances finds with probability `power`.

        half(alpha) + half(2 (1 - power)): the critical value plus the one-sided `power` quantile, which for many seeds
        and items is (z_{1-alpha/2} + z_power) se (Miller 2024, arXiv 2411.00640).
        """
        return self.half(alpha) + self.half(2 * (1 - power))


def half_width(a: Any, df: int, b: Any, item_df: float, alpha: float) -> Any:
    """Half the width of a 1 - alpha interval for a mean whose variance is a (seen on df) + b (seen on item_df).

    `a` and `b`: numbers or arrays of one shape, which the result has too.

    h^2 = t_b^2 b + t_a^2 a (a / (a + k b))^q, with t_a and t_b the 1 - alpha/2 quantiles of Student's t on `df` and
    `item_df`. With k = 0 this is the interval of Banerjee (1961, Sankhya A 23), which never covers too little
    but up to 99 % for two seeds; the damping (a / (a + k b))^q takes back the excess where the items dominate.
    k and q are calibrated, not derived: with b known the coverage is a one-dimensional integral, and for these values
    it is 93.5-96.5 % for every share of the seeds in the variance (two seeds), 94.6-95.7 % (three to sixteen). k
    shrinks with alpha so that small p-values keep their size as well. Satterthwaite's df falls to 87 % for two seeds.
    """
    t_b = _t(item_df, alpha)
    if df < 1:
        return np.sqrt(t_b**2 * b)
    t_a = _t(df, alpha)
    k, q = (0.18, 2) if df == 1 else (0.8 / df, 1)
    k *= (ndtri(alpha / 2) / t_a) ** 2 / (ndtri(0.025) / stdtrit(df, 0.025)) ** 2 if t_a else 1.0
    share = a / np.maximum(a + k * b, TINY)
    return np.sqrt(t_b**2 * b + t_a**2 * a * share**q)


def _t(df: float, alpha: float) -> float:
    """The lower alpha/2 quantile of Student's t (negative)."""
    return float(ndtri(alpha / 2) if _normal(df) else stdtrit(df, alpha / 2))


def _normal(df: float) -> bool:
    """Whether Student's t on so many degrees of freedom is the normal distribution."""
    return df > 1e6


def two_level(scores: ArrayLike, clusters: ArrayLike | None = None, unit: float = 0.0) -> Estimate | None:
    """Estimate the mean of scores (seeds, items), or (items,), over the population of seeds and of items.

    Model: y_si = mu + u_s + v_i + w_si. Between-seed variance of the mean: a = var_s(mean_i y_si) / S, which holds
    var(u)/S + var(w)/(nS). Between-item variance of the mean, less what w gave it: b = var_i(mean_s y_si)/n -
    var(w)/(nS), not below 0. One seed: b = var_i(y)/n alone (Miller 2024), and seed variance cannot be seen.

    `clusters` (items,) labels items that are not independent (one passage, one document): sums over clusters replace
    items, with the factor C / (C - 1) (Miller 2024). `unit` > 0 adds two items, one at +unit and one at -unit in
    one seed, to the variance only: the adjustment of Bonett and Price (2012, J. Educ. Behav. Stat. 37) to paired
    proportions, without which no disagreement among few items would read as certainty. None when there is one item.
    """
    y = np.atleast_2d(np.asarray(scores, dtype=float))
    seeds, items = y.shape
    groups = _groups(clusters, items)
    count = items if groups is None else int(groups.max()) + 1
    if count < 2:
        return None
    value = float(y.mean())
    sums = _cluster(y.mean(axis=0) - value, groups)
    extra = 2 * (unit / seeds) ** 2
    size = items + (2 if unit else 0)
    b = (float(sums @ sums) + extra) * count / (count - 1) / size**2
    if seeds < 2:
        return Estimate(value, 1, count, 0.0, b, count - 1)
    by_seed = y.mean(axis=1, keepdims=True)
    rest = _cluster(y - by_seed - y.mean(axis=0) + value, groups)
    noise = float((rest * rest).sum()) * count / (count - 1) / (seeds - 1) / seeds / items**2
    a = float(by_seed.var(ddof=1)) / seeds
    floor = extra * count / (count - 1) / size**2
    return Estimate(value, seeds, count, a, max(b - noise, floor, 0.0), count - 1)


def marginal(values: ArrayLike, stderrs: ArrayLike, n: int) -> Estimate | None:
    """Estimate a mean from one value and one standard error a seed, when the items are not at hand.

    The standard errors (over items, one a seed) are taken as one and the same draw of items: b = mean(stderr^2), which
    is never too small. None when there is nothing to go on (n < 2, or a standard error that is not a number).
    """
    v, se = np.atleast_1d(np.asarray(values, float)), np.atleast_1d(np.asarray(stderrs, float))
    if n < 2 or not (np.isfinite(se).all() and np.isfinite(v).all()):
        return None
    a = float(v.var(ddof=1)) / len(v) if len(v) > 1 else 0.0
    return Estimate(float(v.mean()), len(v), n, a, float((se**2).mean()), n - 1)


def describe(estimate: Estimate, pairing: str = "paired by item") -> str:
    """Say in one line how the interval came about."""
    if estimate.seeds < 2:
        return f"t over {estimate.n} items, {pairing}; one seed: the variance between training runs is not in it"
    return f"variance components over {estimate.n} items and {estimate.seeds} seeds, {pairing}; calibrated t"


def _groups(clusters: ArrayLike | None, items: int) -> NDArray[Any] | None:
    if clusters is None:
        return None
    _, groups = np.unique(np.asarray(clusters), return_inverse=True)
    if groups.shape != (items,):
        raise ValueError(f"{len(groups)} cluster labels for {items} items")
    return groups


def _cluster(y: NDArray[Any], groups: NDArray[Any] | None) -> NDArray[Any]:
    """Sum the last axis by cluster."""
    if groups is None:
        return y
    member = np.zeros((y.shape[-1], int(groups.max()) + 1))
    member[np.arange(y.shape[-1]), groups] = 1.0
    return y @ member
