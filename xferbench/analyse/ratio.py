"""Ratios of two means, with intervals that know when a ratio means nothing.

A ratio is only as good as its denominator: where the interval of the denominator includes 0, any value is possible, so
the answer is None beside a reason.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

from xferbench.analyse.uncertainty import two_level


@dataclass(frozen=True)
class Ratio:
    """A ratio and its interval; `reason` says why a part is None."""

    value: float | None
    low: float | None
    high: float | None
    reason: str | None = None


def fieller(top: ArrayLike, bottom: ArrayLike, unit: float = 0.0, alpha: float = 0.05) -> Ratio:
    """Return mean(top) / mean(bottom) of scores (seeds, items) that are paired by seed and item.

    The interval is Fieller's (1954, JRSS B 16): all rho for which "mean(top - rho bottom) = 0" is not rejected at
    `alpha` by the two-level test, so ratio and difference never contradict each other. `unit`: as in `two_level`.
    None with a reason when the interval of the denominator includes 0 or the denominator is negative.
    """
    x, y = np.atleast_2d(np.asarray(top, float)), np.atleast_2d(np.asarray(bottom, float))
    below = two_level(y, unit=unit)
    if below is None:
        return Ratio(None, None, None, "one item is too few for an interval")
    low, high = below.interval(alpha)
    if low <= 0 <= high:
        return Ratio(None, None, None, f"the interval of the denominator includes 0 [{low:.3f}, {high:.3f}]")
    if high < 0:
        return Ratio(None, None, None, f"the denominator is negative ({below.value:.3f})")
    value = float(x.mean()) / below.value
    ends = [_end(x, y, value, sign, unit, alpha) for sign in (-1.0, 1.0)]
    if ends[0] is None or ends[1] is None:
        return Ratio(value, None, None, "the interval has no end on one side")
    return Ratio(value, ends[0], ends[1])


def _end(
    x: NDArray[np.float64], y: NDArray[np.float64], value: float, sign: float, unit: float, alpha: float
) -> float | None:
    """Walk from `value` in the direction of `sign` to where the test begins to reject."""

    def excess(step: float) -> float:
        rho = value + sign * step
        estimate = two_level(x - rho * y, unit=unit * max(1.0, abs(rho)))
        assert estimate is not None
        return abs(estimate.value) - estimate.half(alpha)

    start = excess(0.0)
    if start >= -1e-15:
        return value
    step = max(-start / abs(float(y.mean())), 1e-12)
    for _ in range(60):
        if excess(step) > 0:
            return value + sign * float(brentq(excess, 0.0, step, xtol=1e-12))
        step *= 2
    return None


def bootstrap_ratio(top: ArrayLike, bottom: ArrayLike, alpha: float = 0.05) -> Ratio:
    """Return the percentile interval of a ratio from joint bootstrap draws of both means, arrays (resamples,).

    Draw r of `top` and of `bottom` must come from the same resampled items and seeds; the first entry of each is the
    estimate on the sample itself. None with a reason when the percentile interval of the denominator includes 0.
    """
    x, y = np.asarray(top, float), np.asarray(bottom, float)
    low, high = np.quantile(y[1:], [alpha / 2, 1 - alpha / 2])
    if low <= 0 <= high:
        return Ratio(None, None, None, f"the interval of the denominator includes 0 [{low:.3f}, {high:.3f}]")
    first, last = np.quantile(x[1:] / np.where(y[1:] == 0, math.nan, y[1:]), [alpha / 2, 1 - alpha / 2])
    value = float(x[0] / y[0])
    if not (math.isfinite(first) and math.isfinite(last)):
        return Ratio(value, None, None, "a resampled denominator is 0")
    return Ratio(value, min(float(first), value), max(float(last), value))
