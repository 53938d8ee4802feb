"""The same questions in other words: how much of a score is the question, and how much is how it is put?

Targets are wordings of one another when they ask the same items (their ids are the same) and are named alike but for
settings (lmeval:gsm8k:num_fewshot=0 and =5), or have the same own domain (mini/gpqa and mini/gpqa_options).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.contrast import adjustment, empty, row
from xferbench.analyse.pairing import number
from xferbench.analyse.uncertainty import describe, two_level
from xferbench.results import Cell, Results

Learnt = tuple[str, str, str]
"""Condition, curriculum, recipe."""


def prompts(results: Results) -> list[dict[str, Any]]:
    """Return one row for each set of wordings and each thing learnt, all scores as fractions.

    target (the first wording), condition, curriculum, recipe, wordings {target: mean}, mean, sd (over wordings, with
    K - 1), worst, best, range {value ... : best - worst wording, paired by item}, flip_rate {value, low, high ...}: the
    share of items whose score is not the same in all wordings, seeds n. Intervals are over items and training seeds,
    not over wordings; the best of several noisy means is too high by chance.
    """
    by_target: dict[str, dict[Learnt, dict[int | None, Cell]]] = {}
    for cell in results.cells:
        key = (cell.condition, cell.curriculum, cell.recipe)
        by_target.setdefault(cell.target, {}).setdefault(key, {})[cell.seed] = cell
    found = []
    for group in _alike(results, by_target):
        for key in by_target[group[0]]:
            cells = {target: by_target[target][key] for target in group if key in by_target[target]}
            seeds = [seed for seed in cells[group[0]] if all(seed in one for one in cells.values())]
            if len(cells) == len(group) and seeds:
                names = dict(zip(("condition", "curriculum", "recipe"), key, strict=True))
                found.append({"target": group[0], **names, **_spread(results, cells, seeds)})
    return found


def _alike(results: Results, by_target: Mapping[str, Mapping[Learnt, Mapping[int | None, Cell]]]) -> list[list[str]]:
    """Sets of two or more targets that are wordings of one another."""
    own = results.run.get("own_domains") or {}
    groups: list[list[str]] = []
    asked: dict[str, frozenset[str]] = {}
    for target, learnt in by_target.items():
        cell = next(cell for seeds in learnt.values() for cell in seeds.values())
        asked[target] = frozenset(_items(results, cell))
        for group in groups:
            named = group[0].partition(":num_fewshot=")[0] == target.partition(":num_fewshot=")[0]
            if asked[target] and asked[target] == asked[group[0]] and (named or _same(own, group[0], target)):
                group.append(target)
                break
        else:
            groups.append([target])
    return [group for group in groups if len(group) > 1]


def _same(own: Mapping[str, str | None], first: str, second: str) -> bool:
    return own.get(first) is not None and own.get(first) == own.get(second)


def _items(results: Results, cell: Cell) -> dict[str, float]:
    """Item id -> score of one cell; nothing where its items are not at hand."""
    try:
        return {item: score for (item, _), score in results.items(cell.step).items()}
    except FileNotFoundError:
        return {}


def _spread(
    results: Results, cells: Mapping[str, Mapping[int | None, Cell]], seeds: Sequence[int | None]
) -> dict[str, Any]:
    """What the wording does to one thing learnt: scores (wordings, seeds, items), lined up by item id."""
    order: list[str] = sorted(_items(results, next(iter(cells.values()))[seeds[0]]))
    scores = np.array(
        [[[_items(results, one[seed])[item] for item in order] for seed in seeds] for one in cells.values()]
    )
    means = scores.mean(axis=(1, 2))
    flipped = (np.ptp(scores, axis=0) > 1e-12).astype(float)
    best, worst = scores[means.argmax()], scores[means.argmin()]
    return {
        "wordings": {target: number(mean) for target, mean in zip(cells, means, strict=True)},
        "mean": number(means.mean()), "sd": number(means.std(ddof=1)), "worst": number(means.min()),
        "best": number(means.max()), "range": _estimate(best - worst, adjustment(best, worst)),
        "flip_rate": _estimate(flipped, 1.0), "seeds": len(seeds), "n": len(order),
    }  # fmt: skip


def _estimate(scores: NDArray[np.float64], unit: float) -> dict[str, Any]:
    estimate = two_level(scores, unit=unit)
    if estimate is None or estimate.se == 0:
        return empty("one item is too few for an interval" if estimate is None else "all are equal", scores.mean())
    found = row(estimate, describe(estimate), True)
    low, high = found["low"], found["high"]
    # A share of items lies between 0 and 1.
    return found | {"low": max(low, 0.0), "high": min(high, 1.0)} if scores.min() >= 0 else found
