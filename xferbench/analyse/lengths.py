"""How long the answers became: their distribution after a training beside the untrained model's.

"Latent Traits and Cross-Task Transfer" (arXiv 2509.13624) sees lengths move from the base model's toward those of the
answers that were learnt: lambda = (mean after - mean before) / (mean learnt - mean before), 0 unmoved, 1 all the way.
"""

from typing import Any

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

from xferbench.analyse.answers import Answers
from xferbench.analyse.contrast import empty, row
from xferbench.analyse.figure import COLOURS as CONDITIONS
from xferbench.analyse.pairing import number
from xferbench.analyse.ratio import Ratio, fieller
from xferbench.analyse.uncertainty import describe, two_level

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
SWAPS = 400
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B0568C", "#E69F00", "#56B4E9")
"""Of the curricula of one target: no two share one."""
NO_TEXT = "nothing was written: the target compares given options"


def lengths(one: Answers, seed: int = 0) -> dict[str, Any]:
    """Return what became of the lengths (tokens of the text written, blanks at its ends and the end token left out).

    mean, base_mean, quantiles (10, 25, 50, 75, 90 %); shift: mean after - before, paired by item and seed, with its
    interval; wasserstein (tokens) and ks: distances of the two distributions, seeds pooled; wasserstein_floor: what
    95 % of 400 relabellings, before and after swapped item by item, stay below; learnt: mean tokens of the answers
    learnt from;
    interpolation: lambda with Fieller's interval, None beside a reason where it means nothing.
    """
    found: dict[str, Any] = {**one.about, "reason": None, "learnt": number(one.learnt)}
    if np.isnan(one.length).any() or np.isnan(one.base_length).any():
        return found | {"reason": NO_TEXT}
    gaps = one.length - one.base_length
    estimate = two_level(gaps)
    shift = empty("one item is too few for an interval", float(gaps.mean()))
    if estimate is not None:
        same = "no length differs" if not gaps.any() else "all lengths differ by as much"
        shift = empty(same, estimate.value) if estimate.se == 0 else row(estimate, describe(estimate), False)
    whole = one.length.ravel()
    ratio = interpolation(one)
    return found | {
        "mean": number(whole.mean()), "base_mean": number(one.base_length.mean()),
        "quantiles": np.quantile(whole, QUANTILES).tolist(),
        "base_quantiles": np.quantile(one.base_length, QUANTILES).tolist(), "shift": shift,
        "wasserstein": number(wasserstein_distance(whole, one.base_length)), "wasserstein_floor": _floor(one, seed),
        "ks": number(ks_2samp(whole, one.base_length).statistic),
        "interpolation": {"value": number(ratio.value), "low": number(ratio.low), "high": number(ratio.high),
                          "reason": ratio.reason},
    }  # fmt: skip


def interpolation(one: Answers) -> Ratio:
    """Lambda of the module's docstring, by items and seeds; a training on shorter answers counts the same way."""
    if one.learnt is None:
        return Ratio(None, None, None, "the length of what was learnt is not known: no answers, or an earlier version")
    way = one.learnt - one.base_length
    sign = 1.0 if way.mean() >= 0 else -1.0
    return fieller(sign * (one.length - one.base_length), sign * np.broadcast_to(way, one.length.shape))


def _floor(one: Answers, seed: int) -> float | None:
    """The Wasserstein distance that chance reaches: before and after swapped for half of the items."""
    rng = np.random.default_rng(seed)
    draws = []
    for swapped in rng.integers(0, 2, (SWAPS, one.base_length.size)).astype(bool):
        before = np.broadcast_to(one.base_length, one.length.shape)
        after, base = np.where(swapped, before, one.length), np.where(swapped, one.length, before)
        draws.append(wasserstein_distance(after.ravel(), base.ravel()))
    return number(np.quantile(draws, 0.95))


def panel(axis: Any, group: list[Answers], most: int = len(COLOURS)) -> None:
    """Draw the distribution functions of one target's lengths: the untrained model, then each curriculum."""
    _steps(axis, group[0].base_length, "untrained", CONDITIONS["baseline"], "--", 4.0)
    for place, one in enumerate(group[:most]):
        colour = COLOURS[place]
        _steps(axis, one.length.ravel(), one.about["curriculum"], colour, "-", 3.0 - 0.4 * place)
        if one.learnt is not None:
            axis.plot(one.learnt, 3, marker=6, color=colour, markersize=7, clip_on=False)
    axis.set_ylim(0, 101)
    if group[most:]:
        axis.plot([], [], " ", label=f"({len(group) - most} more not shown)")
    axis.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.25))
    axis.set_xlabel("tokens written (▲: mean of what was learnt)", fontsize=8)
    axis.set_ylabel("answers as short, %", fontsize=8)


def _steps(axis: Any, values: Any, name: str, colour: str, style: str, width: float) -> None:
    """A distribution function; the first are the widest, so that none is hidden by one that runs over it."""
    ordered = np.sort(values)
    share = 100 * np.arange(1, ordered.size + 1) / ordered.size
    look = {"color": colour, "linestyle": style, "linewidth": width, "label": name}
    axis.step(np.r_[ordered[0], ordered], np.r_[0, share], where="post", **look)
