"""Does a model err on long questions? Lengths of the inputs by outcome, after a training and before it.

For a class c against the rest: a true positive is c and was called c (TP), a false negative is c and was not (FN), and
so FP and TN ("Latent Traits and Cross-Task Transfer", arXiv 2509.13624, Figs. 7 and 13-15). A target without classes
has two outcomes, right and wrong.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.answers import Answers
from xferbench.analyse.pairing import number

Array = NDArray[np.float64]
GAPS = {"found": ("fn", "tp"), "kept_out": ("fp", "tn"), "right": ("wrong", "right")}
"""The gap that asks whether errors are longer: mean input of the first outcome less that of the second."""
NAMES = {
    "tp": "TP: found",
    "fn": "FN: missed",
    "fp": "FP: called",
    "tn": "TN: left",
    "right": "right",
    "wrong": "wrong",
}
TOLD = "found, missed: items of the class; called, left: other items,\nnamed as the class or not; in brackets: how many"
COLOURS = {"tp": "#0072B2", "fn": "#56B4E9", "tn": "#D55E00", "fp": "#E69F00", "right": "#0072B2", "wrong": "#D55E00"}


def inputs(one: Answers, resamples: int = 2000, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row for each class (or one in all, class None): the inputs' lengths in tokens by outcome.

    outcomes: {tp, fn, fp, tn or right, wrong: {n (mean over seeds), mean, quartiles}}; gaps: {found: mean FN - mean
    TP, kept_out: mean FP - mean TN, or right: mean wrong - mean right}, positive where the longer inputs are the ones
    missed, each with base (before training) and change, and 95 % percentile intervals over items drawn with
    replacement; None beside a reason where an outcome is empty.
    """
    named = one.classes
    if not named:
        good, base = one.right >= 0.5, (one.base_right >= 0.5)[None]
        masks = {"right": (good, base), "wrong": (~good, ~base)}
        return [_row(one, None, masks, resamples, seed)]
    rows = []
    for name in named:
        true, called = one.truth == name, (one.chosen == name, (one.base_chosen == name)[None])
        masks = {
            "tp": tuple(true & c for c in called), "fn": tuple(true & ~c for c in called),
            "fp": tuple(~true & c for c in called), "tn": tuple(~true & ~c for c in called),
        }  # fmt: skip
        rows.append(_row(one, name, masks, resamples, seed))
    return rows


def _row(one: Answers, name: str | None, masks: Mapping[str, Any], resamples: int, seed: int) -> dict[str, Any]:
    outcomes = {outcome: _spread(one.asked, after) for outcome, (after, _) in masks.items()}
    found = {**one.about, "class": name, "outcomes": outcomes, "gaps": {}, "reason": None}
    n = one.asked.size
    if n < 2 or np.ptp(one.asked) == 0:
        why = "one item" if n < 2 else "all inputs are equally long"
        return {**found, "reason": why}
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), resamples)
    weights = np.vstack([np.ones((1, n), dtype=int), weights])
    for gap, (first, second) in GAPS.items():
        if first in masks:
            found["gaps"][gap] = _gap(one.asked, masks[first], masks[second], weights)
    return found


def _gap(asked: Array, first: Any, second: Any, weights: Any) -> dict[str, Any]:
    """Differences of mean lengths after and before training, and the change; draw 0 is the sample itself."""
    after, before = (_mean(asked, a, weights) - _mean(asked, b, weights) for a, b in zip(first, second, strict=True))
    return {**_interval(after), "base": _interval(before), "change": _interval(after - before)}


def _mean(asked: Array, mask: NDArray[np.bool_], weights: Array) -> Array:
    """The mean length of an outcome in each draw of items (draws,), seeds pooled; NaN where none is in it."""
    counts = mask.sum(axis=0)
    total = weights @ counts
    return np.divide(weights @ (counts * asked), total, out=np.full(len(weights), np.nan), where=total > 0)


def _interval(draws: Array) -> dict[str, Any]:
    if not np.isfinite(draws[0]):
        return {"value": None, "low": None, "high": None, "reason": "an outcome is empty"}
    known = draws[1:][np.isfinite(draws[1:])]
    if len(known) < 0.95 * (len(draws) - 1):
        return {"value": number(draws[0]), "low": None, "high": None, "reason": "an outcome has hardly any item"}
    low, high = np.quantile(known, [0.025, 0.975])
    return {"value": number(draws[0]), "low": number(low), "high": number(high), "reason": None}


def _spread(asked: Array, mask: NDArray[np.bool_]) -> dict[str, Any]:
    every = np.repeat(asked, mask.sum(axis=0))
    if not every.size:
        return {"n": 0, "mean": None, "quartiles": None}
    return {"n": number(every.size / len(mask)), "mean": number(every.mean()),
            "quartiles": np.quantile(every, [0.25, 0.5, 0.75]).tolist()}  # fmt: skip


def panel(axis: Any, found: Mapping[str, Any]) -> None:
    """Draw the quartiles and mean of the inputs' lengths for each outcome."""
    names = [name for name, spread in found["outcomes"].items() if spread["n"]]
    for place, name in enumerate(names):
        spread = found["outcomes"][name]
        low, middle, high = spread["quartiles"]
        axis.plot([low, high], [place, place], color=COLOURS[name], linewidth=7, solid_capstyle="butt", alpha=0.5)
        axis.plot(middle, place, "|", color=COLOURS[name], markersize=15, markeredgewidth=2.5)
        axis.plot(spread["mean"], place, "o", color="black", markersize=4)
    counts = [f"{NAMES[name]} ({found['outcomes'][name]['n']:.0f})" for name in names]
    axis.set_yticks(range(len(names)), counts, fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    told = f"\n{TOLD}" if found["class"] else ""
    axis.set_xlabel(f"tokens asked (bar: quartiles; dot: mean){told}", fontsize=8)
