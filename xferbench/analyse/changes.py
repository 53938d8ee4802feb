"""Which test items changed, both ways: wrong before training and right after it, and right before and wrong after.

A gain of 2 points may be 2 items in a hundred that came right, or 30 that came right and 28 that went wrong. An item
that changes the same way in every seed is the training's doing; how far two seeds differ says how much is not.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.contrast import contrast, matrices
from xferbench.analyse.figure import lines, room, save, short, stack
from xferbench.analyse.pairing import Scores, Seeds, common, number
from xferbench.analyse.table import grid, points
from xferbench.analyse.uncertainty import two_level
from xferbench.errors import UsageError
from xferbench.results import Cell, Results

Matrix = NDArray[np.float64]
LEAST = 1e-9
"""A score that moves by less has not changed."""
GAINED, LOST = "#0072B2", "#D55E00"
NAMED, DRAWN = 3, 14


def changes(results: Results) -> list[dict[str, Any]]:
    """Return one row for each curriculum, recipe and target: what became of the items, beside the baseline's.

    gained, lost: share of items whose score rose or fell (mean over seeds, a fraction) with 95 % intervals over items
    and seeds; always_gained, always_lost: share that did in every seed; net: see `contrast`; between_seeds: share of
    items on which two seeds differ, mean over pairs of seeds. items: those that changed in any seed, with the score
    before, the mean after, and in how many seeds each rose and fell. None beside a reason where there are no items.
    """
    scores = Scores(results)
    return [_row(results, first, seeds, base, scores) for first, seeds, base in trained(results)]


def trained(results: Results) -> list[tuple[Cell, Seeds, Seeds]]:
    """Group the cells of what was trained: (one cell, its seeds, the target's baseline), each curriculum once."""
    groups: dict[tuple[str, ...], Seeds] = {}
    bases: dict[tuple[str, str], Seeds] = {}
    for cell in results.cells:
        if cell.condition == "baseline":
            bases.setdefault((cell.target, cell.metric), {})[cell.seed] = cell
        else:
            key = (cell.curriculum, cell.recipe, cell.target, cell.metric)
            groups.setdefault(key, {}).setdefault(cell.seed, cell)
    return [(next(iter(s.values())), s, bases.get((key[2], key[3]), {})) for key, s in groups.items()]


def _row(results: Results, cell: Cell, seeds: Seeds, base: Seeds, scores: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {
        "condition": cell.condition, "curriculum": cell.curriculum, "recipe": cell.recipe, "target": cell.target,
        "seeds": len(seeds), "n": cell.n, "gained": None, "lost": None, "always_gained": None, "always_lost": None,
        "between_seeds": None, "net": contrast(seeds, base, scores), "items": [], "reason": None,
    }  # fmt: skip
    if not base:
        return row | {"reason": "the baseline was not measured on this target"}
    matched = common(seeds, base)
    after, before = matrices(matched, scores)
    if after is None or before is None:
        return row | {"reason": "no scores item by item"}
    up, down = after - before > LEAST, before - after > LEAST
    row |= {"gained": _share(up), "lost": _share(down)}
    row |= {"always_gained": number(up.all(axis=0).mean()), "always_lost": number(down.all(axis=0).mean())}
    pairs = [np.abs(a - b) > LEAST for a, b in combinations(after, 2)]
    row["between_seeds"] = number(np.mean(pairs)) if pairs else None
    names = sorted(results.items(cell.step))
    row["items"] = [
        {"id": names[i][0], "prompt": names[i][1], "before": number(before[:, i].mean()),
         "after": number(after[:, i].mean()), "gained": int(up[:, i].sum()), "lost": int(down[:, i].sum())}
        for i in np.flatnonzero(up.any(axis=0) | down.any(axis=0))
    ]  # fmt: skip
    return row


def _share(moved: NDArray[np.bool_]) -> dict[str, Any]:
    """Share of moved items (seeds, items) with its interval; no interval for a single item."""
    estimate = two_level(moved.astype(float), unit=0.5)
    value = number(moved.mean())
    if estimate is None:
        return {"value": value, "low": None, "high": None, "reason": "one item is too few for an interval"}
    low, high = estimate.interval()
    return {"value": value, "low": number(max(low, 0.0)), "high": number(min(high, 1.0)), "reason": None}


def text(found: Sequence[Mapping[str, Any]]) -> str:
    """One line for each curriculum and target, points; then the items that changed the same way in every seed."""
    if not found:
        return "nothing was trained, so no item changed"
    heads = ["curriculum → target", "recipe", "seeds", "n", "came right [95 %]", "went wrong [95 %]", "in every seed",
             "net", "two seeds differ"]  # fmt: skip
    rows, named = [], []
    for row in found:
        start = [f"{row['curriculum']} → {row['target']}", row["recipe"], str(row["seeds"]), str(row["n"])]
        if row["reason"]:
            rows.append([*start, ".", ".", ".", points(row["net"]["value"], sign=True), row["reason"]])
            continue
        every = f"+{points(row['always_gained'])} -{points(row['always_lost'])}"
        ends = [_shown(row[way]) for way in ("gained", "lost")]
        rows.append([*start, *ends, every, points(row["net"]["value"], sign=True), points(row["between_seeds"])])
        for way in ("gained", "lost"):
            always = [item["id"] for item in row["items"] if item[way] == row["seeds"]]
            if always:
                more = f" and {len(always) - NAMED} more" if len(always) > NAMED else ""
                what = "came right" if way == "gained" else "went wrong"
                named.append(f"{start[0]}, {what}: {', '.join(always[:NAMED])}{more}")
    notes = [
        "Points: items of 100 whose score rose or fell against the untrained model, mean over seeds; net: the gain.",
        "in every seed: rose or fell in all of them; two seeds differ: items on which two trainings disagree.",
    ]
    ids = ["", "In every seed (all ids: --json):", *named[:DRAWN]] if named else []
    return "\n".join([grid([heads, *rows], ["left"] * 2 + ["right"] * 7), "", *notes, *ids])


def _shown(share: Mapping[str, Any]) -> str:
    ends = "" if share["low"] is None else f" [{points(share['low'])}, {points(share['high'])}]"
    return points(share["value"]) + ends


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw bars both ways, a panel for each target: dark where an item changed in every seed; a cross at the gain."""
    shown = [row for row in found if not row["reason"]]
    if not shown:
        raise UsageError("there is nothing to draw: no scores item by item before and after a training")
    targets = list(dict.fromkeys(row["target"] for row in shown))
    by_target = [[row for row in shown if row["target"] == target] for target in targets]
    recipes = len({row["recipe"] for row in shown}) > 1
    labels = [
        [lines(short(row["curriculum"]) + (f" ({row['recipe']})" if recipes else "")) for row in rows]
        for rows in by_target
    ]
    figure, axes = stack([0.8 + room(names, 0.34) for names in labels])
    for axis, target, rows, names in zip(axes, targets, by_target, labels, strict=True):
        for place, row in enumerate(rows):
            for way, sign, colour in (("gained", 1, GAINED), ("lost", -1, LOST)):
                value, always = 100 * sign * row[way]["value"], 100 * sign * row[f"always_{way}"]
                axis.barh(place, value, color=colour, alpha=0.4, height=0.7)
                axis.barh(place, always, color=colour, height=0.7)
                if row[way]["low"] is not None:
                    ends = [100 * sign * row[way][end] for end in ("low", "high")]
                    axis.plot(ends, [place - 0.15 * sign] * 2, color="black", linewidth=1)
            axis.plot(100 * row["net"]["value"], place, "x", color="black", markersize=6)
        axis.set_yticks(range(len(rows)), names, fontsize=8)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.axvline(0, color="#767676", linewidth=1)
        axis.set_title(target, fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
    what = "← went wrong   items of 100   came right →\ndark: in every seed; line: 95 % interval; ×: net gain"
    figure.supxlabel(what, fontsize=8)
    save(figure, path)
