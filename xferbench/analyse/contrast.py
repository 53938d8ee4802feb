"""The difference of two conditions on the same items, as one row of a finding."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.pairing import Scores, Seeds, common, number
from xferbench.analyse.uncertainty import Estimate, describe, marginal, two_level
from xferbench.results import Cell

Matrix = NDArray[np.float64]


def contrast(top: Seeds, bottom: Seeds, scores: Scores) -> dict[str, Any]:
    """Return the mean of top - bottom with its interval, p-value and minimum detectable effect.

    Keys: value, low, high, p, mde (fractions; None where undefined), method, reason (None when nothing is missing).
    Seeds that both conditions have are paired; without items the difference is that of two independent means.
    """
    if not top or not bottom:
        return empty("one of the two conditions was not measured")
    matched = common(top, bottom)
    if not matched:
        return empty("the two conditions have no training seed in common")
    first, second = matrices(matched, scores)
    if first is None or second is None:
        return _marginal(matched)
    unit = adjustment(first, second)
    estimate = two_level(first - second, unit=unit)
    value = float((first - second).mean())
    if estimate is None or estimate.se == 0:
        return empty("one item is too few for an interval" if estimate is None else "all differences are equal", value)
    bounded = min(first.min(), second.min()) >= 0 and max(first.max(), second.max()) <= 1
    return row(estimate, describe(estimate), bounded)


def average(pairs: list[tuple[Seeds, Seeds]], scores: Scores) -> dict[str, Any]:
    """Return the mean over several targets of top - bottom, as `contrast` does for one.

    Each target has items of its own, so their variances add; the seeds are the same trainings on all targets, so theirs
    is that of the mean over targets. Degrees of freedom are those of the target with fewest items.
    """
    matched = [common(top, bottom) for top, bottom in pairs]
    value = float(np.mean([np.mean([a.value - b.value for a, b in one]) for one in matched])) if all(matched) else None
    if value is None:
        return empty("the conditions have no training seed in common on some target")
    if len({tuple(a.seed if b.seed is None else b.seed for a, b in one) for one in matched}) > 1:
        return empty("the targets were not measured with the same seeds", value)
    known: list[Estimate] = []
    by_seed = np.zeros(len(matched[0]))
    for one in matched:
        first, second = matrices(one, scores)
        if first is None or second is None:
            return empty("no items, so there is no interval", value)
        part = two_level(first - second, unit=adjustment(first, second))
        if part is None:
            return empty("one item is too few for an interval", value)
        known.append(part)
        by_seed += (first - second).mean(axis=1) / len(matched)
    seeds, n = len(by_seed), min(part.n for part in known)
    between = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    within = sum(part.item_variance for part in known) / len(known) ** 2
    estimate = Estimate(value, seeds, n, between, within, min(part.item_df for part in known))
    return row(estimate, f"{describe(estimate)}; mean over {len(known)} targets", False)


def matrices(matched: list[tuple[Cell, Cell]], scores: Scores) -> tuple[Matrix, Matrix] | tuple[None, None]:
    """The scores (seeds, items) of both sides of matched cells; None, None when there are no items."""
    rows = scores.of([cell for pair in matched for cell in pair])
    return (None, None) if rows is None else (np.stack(rows[0::2]), np.stack(rows[1::2]))


def adjustment(first: Matrix, second: Matrix) -> float:
    """The `unit` of `two_level`: 1 where scores are right-or-wrong, or where they never differ; else 0."""
    both = np.concatenate([first.ravel(), second.ravel()])
    if ((both == 0) | (both == 1)).all():
        return 1.0
    if np.ptp(first - second) < 1e-12:
        return 1.0 if both.min() >= 0 and both.max() <= 1 else float(np.ptp(both))
    return 0.0


def row(estimate: Estimate, method: str, bounded: bool) -> dict[str, Any]:
    """One estimate as JSON; `bounded`: both means lie in [0, 1], so the interval ends at -1 and 1."""
    low, high = estimate.interval()
    if bounded:
        low, high = max(low, -1.0), min(high, 1.0)
    return {
        "value": number(estimate.value), "low": number(low), "high": number(high), "p": number(estimate.p()),
        "mde": number(estimate.mde()), "method": method, "reason": None,
    }  # fmt: skip


def empty(reason: str, value: float | None = None) -> dict[str, Any]:
    """A row of which nothing but perhaps the value is known, and why."""
    return {
        "value": number(value),
        "low": None,
        "high": None,
        "p": None,
        "mde": None,
        "method": "none",
        "reason": reason,
    }


def _marginal(matched: list[tuple[Cell, Cell]]) -> dict[str, Any]:
    """The unpaired normal approximation, from values, standard errors and counts alone."""
    values = [a.value - b.value for a, b in matched]
    n = min(cell.n for pair in matched for cell in pair)
    errors = [np.hypot(_stderr(a), _stderr(b)) for a, b in matched]
    estimate = marginal(values, errors, n)
    if estimate is None or estimate.se == 0:
        return empty("no items and no count of items, so there is no interval", float(np.mean(values)))
    bounded = all(0 <= cell.value <= 1 for pair in matched for cell in pair)
    return row(estimate, f"unpaired, from {n} items that are not at hand, {len(matched)} seed(s); t", bounded)


def _stderr(cell: Cell) -> float:
    """The standard error of one cell: as reported, else binomial with two items of each kind added (Agresti-Coull)."""
    if cell.stderr > 0:
        return cell.stderr
    if cell.n < 1 or not 0 <= cell.value <= 1:
        return float("nan")
    share = (cell.value * cell.n + 2) / (cell.n + 4)
    return float(np.sqrt(share * (1 - share) / (cell.n + 4)))
