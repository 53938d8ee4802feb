"""The difference of two conditions on the same items, as one row of a finding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.pairing import Scores, Seeds, common, number
from xferbench.analyse.uncertainty import Estimate, describe, marginal, two_level
from xferbench.results import Cell

Matrix = NDArray[np.float64]
Sides = tuple[Seeds, Seeds]
"""The cells of two conditions, top and bottom, by seed."""


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
    estimate = two_level(first - second, unit=adjustment(first, second))
    value = float((first - second).mean())
    if estimate is None or estimate.se == 0:
        return empty("one item is too few for an interval" if estimate is None else "all differences are equal", value)
    bounded = min(first.min(), second.min()) >= 0 and max(first.max(), second.max()) <= 1
    return row(estimate, describe(estimate), bounded)


def twice(first: Sides, second: Sides, scores: Scores) -> dict[str, Any]:
    """Return the difference of two differences, (top - bottom) of `first` less that of `second`, as `contrast` does.

    Paired by item and by the seeds that both have, though the trainings behind a seed are not the same ones.
    """
    known = [{a.seed if b.seed is None else b.seed: (a, b) for a, b in common(*sides)} for sides in (first, second)]
    shared = [seed for seed in known[0] if seed in known[1]]
    if not shared:
        return empty("the two differences have no training seed in common")
    gaps: list[Matrix] = []
    unit = 0.0
    for one in known:
        top, bottom = matrices([one[seed] for seed in shared], scores)
        if top is None or bottom is None:
            means = [float(np.mean([d[seed][0].value - d[seed][1].value for seed in shared])) for d in known]
            return empty("no items, so there is no interval", means[0] - means[1])
        gaps.append(top - bottom)
        unit = max(unit, adjustment(top, bottom))
    estimate = two_level(gaps[0] - gaps[1], unit=unit)
    value = float((gaps[0] - gaps[1]).mean())
    if estimate is None or estimate.se == 0:
        return empty("one item is too few for an interval" if estimate is None else "all differences are equal", value)
    return row(estimate, f"{describe(estimate)}; a difference of differences", False)


def pooled(
    targets: Sequence[Sequence[Sides]], scores: Scores, weights: Sequence[float] | None = None
) -> dict[str, Any]:
    """Return the mean of top - bottom over several targets, each with one or more pairs of sides, as `contrast` does.

    The pairs on one target are averaged item by item, since they share its items; targets have items of their own, so
    their variances add. Seed s of all trainings counts as one draw, so the variance between seeds is that of the mean
    over everything: the claim is about these sources and targets. Degrees of freedom: the fewest. `weights`, one a
    target, replace 1 / targets.
    """
    known = estimated(targets, scores, weights)
    if isinstance(known, Estimate):
        return row(known, f"{describe(known)}; mean over {len(targets)} target{'s' * (len(targets) > 1)}", False)
    return empty(*known)


def estimated(
    targets: Sequence[Sequence[Sides]], scores: Scores, weights: Sequence[float] | None = None
) -> Estimate | tuple[str, float | None]:
    """Return the estimate behind `pooled`, or why there is none and the bare value where there is one."""
    matched = [[common(top, bottom) for top, bottom in sides] for sides in targets]
    if not matched or not all(pairs for one in matched for pairs in one):
        return "the conditions have no training seed in common on some target", None
    share = list(weights) if weights is not None else [1 / len(matched)] * len(matched)
    means = [np.mean([a.value - b.value for pairs in one for a, b in pairs]) for one in matched]
    value = float(np.dot(share, means))
    if len({tuple(a.seed if b.seed is None else b.seed for a, b in pairs) for one in matched for pairs in one}) > 1:
        return "the targets were not measured with the same seeds", value
    parts: list[Estimate] = []
    by_seed = np.zeros(len(matched[0][0]))
    for weight, one in zip(share, matched, strict=True):
        rows = [matrices(pairs, scores) for pairs in one]
        gaps = [(first, second) for first, second in rows if first is not None and second is not None]
        if len(gaps) < len(rows):
            return "no items, so there is no interval", value
        mean = np.mean([first - second for first, second in gaps], axis=0)
        part = two_level(mean, unit=max(adjustment(*gap) for gap in gaps) / len(gaps))
        if part is None:
            return "one item is too few for an interval", value
        parts.append(part)
        by_seed += weight * mean.mean(axis=1)
    seeds = len(by_seed)
    between = float(by_seed.var(ddof=1)) / seeds if seeds > 1 else 0.0
    within = sum(weight**2 * part.item_variance for weight, part in zip(share, parts, strict=True))
    if between + within == 0:
        return "all differences are equal", value
    return Estimate(value, seeds, min(p.n for p in parts), between, within, min(p.item_df for p in parts))


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
