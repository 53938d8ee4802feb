"""Which class a model names, after a training and before it: confusion matrices, and the shift toward some classes.

A classifier may lose points because it errs at random, or because it says "positive" to everything; the second is a
bias of its predicted classes ("Latent Traits and Cross-Task Transfer", arXiv 2509.13624, Figs. 5-6).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.answers import NONE, Answers
from xferbench.analyse.pairing import number

NO_CLASSES = "the target has no classes: its right answers are many"


def classes(one: Answers, resamples: int = 4000, seed: int = 0) -> dict[str, Any]:
    """Return what became of the predicted classes; the last column, (none), is an answer that names no class.

    confusion, base_confusion: counts [right class][class named], mean over seeds; predicted, base_predicted, truth:
    shares of each class (fractions); bias, base_bias: total variation distance (half the sum of absolute differences)
    of predicted and right shares; shift: that of the shares after and before, with its percentile interval over items
    (low is biased upward where nothing moved: see p) and p, the share of relabellings, before and after swapped item
    by item, with a shift as great. same: share of items on which the class named did not change.
    """
    names = one.classes
    found: dict[str, Any] = {**one.about, "reason": None, "classes": names}
    if not names:
        return found | {"reason": NO_CLASSES}
    known = one.truth != ""
    columns = [*names, NONE]
    after = _hot(one.chosen[:, known], columns)
    before, truth = _hot(one.base_chosen[None, known], columns)[0], _hot(one.truth[None, known], columns)[0]
    mean = after.mean(axis=0)
    moved = mean - before
    low, high, p = _chance(moved, resamples, seed)
    marginal, base, right = mean.mean(axis=0), before.mean(axis=0), truth.mean(axis=0)
    same = one.chosen[:, known] == one.base_chosen[known]
    return found | {
        "columns": columns,
        "confusion": (truth.T @ mean)[:-1].round(6).tolist(), "base_confusion": (truth.T @ before)[:-1].tolist(),
        "predicted": marginal.round(9).tolist(), "base_predicted": base.round(9).tolist(),
        "truth": right.round(9).tolist(), "bias": number(distance(marginal, right)),
        "base_bias": number(distance(base, right)), "same": number(same.mean()),
        "shift": {"value": number(distance(marginal, base)), "low": low, "high": high, "p": p,
                  "reason": "one item is too few for an interval" if low is None else None},
    }  # fmt: skip


def distance(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Total variation distance of two distributions: half the sum of absolute differences, 0 to 1."""
    return float(np.abs(first - second).sum() / 2)


def _hot(chosen: NDArray[np.str_], columns: list[str]) -> NDArray[np.float64]:
    """One-hot (seeds, items, classes); what is none of the classes counts as the last."""
    place = {name: i for i, name in enumerate(columns)}
    at = np.vectorize(lambda name: place.get(str(name), len(columns) - 1), otypes=[int])(chosen)
    return np.asarray(np.eye(len(columns))[at])


def _chance(moved: NDArray[np.float64], resamples: int, seed: int) -> tuple[float | None, float | None, float | None]:
    """Interval of the shift over items drawn with replacement, and the p-value of swapping before and after."""
    n = len(moved)
    if n < 2:
        return None, None, None
    rng = np.random.default_rng(seed)
    drawn = np.abs(rng.multinomial(n, np.full(n, 1 / n), resamples) @ moved).sum(axis=1) / 2 / n
    signs = rng.choice([-1.0, 1.0], (resamples, n))
    chance = np.abs(signs @ moved).sum(axis=1) / 2 / n
    value = np.abs(moved.mean(axis=0)).sum() / 2
    low, high = np.quantile(drawn, [0.025, 0.975])
    return number(low), number(high), number((1 + (chance >= value - 1e-12).sum()) / (1 + resamples))


def panel(axis: Any, found: dict[str, Any], key: str, title: str) -> None:
    """Draw one confusion matrix in percent of each right class."""
    counts = np.array(found[key], dtype=float)
    share = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1e-12)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    if share.size <= 42:
        for (i, j), value in np.ndenumerate(share):
            axis.text(
                j, i, f"{value:.0f}", ha="center", va="center", fontsize=8, color="white" if value > 60 else "black"
            )
    axis.set_xticks(range(len(found["columns"])), found["columns"], fontsize=8, rotation=30 if share.size > 20 else 0)
    axis.set_yticks(range(len(found["classes"])), found["classes"], fontsize=8)
    axis.set_xlabel("class named", fontsize=8)
    axis.set_ylabel("right class", fontsize=8)
    axis.set_title(title, fontsize=9, loc="left")
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
