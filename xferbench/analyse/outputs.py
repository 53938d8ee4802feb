"""What training does to the outputs: how long they are, which class they name, and on which inputs they err."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xferbench.analyse import classes as named
from xferbench.analyse import inputs as asked
from xferbench.analyse import lengths as written
from xferbench.analyse.answers import Answers, answers
from xferbench.analyse.figure import save, stack
from xferbench.analyse.table import grid, points
from xferbench.errors import UsageError
from xferbench.results import Results

ACROSS = 4
"""Panels beside one another in the figure; the rest is in the JSON."""


def outputs(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Return {lengths, classes, inputs}: rows for each curriculum, recipe and target (see the functions of that name).

    A row without outputs has a reason and no numbers.
    """
    found, missing = answers(results)
    return {
        "lengths": [*map(written.lengths, found), *missing],
        "classes": [*map(named.classes, found), *missing],
        "inputs": [*(row for one in found for row in asked.inputs(one)), *missing],
    }


def text(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Three tables: lengths in tokens, shares of classes in points, lengths of the inputs in tokens."""
    if not found["lengths"]:
        return "nothing was trained, so there is nothing to compare the baseline with"
    parts = [_lengths(found["lengths"]), _classes(found["classes"]), _inputs(found["inputs"])]
    reasons = dict.fromkeys(
        f"{kind}: {row['curriculum']} → {row['target']}: {row['reason']}"
        for kind, rows in found.items()
        for row in rows
        if row["reason"]
    )
    return "\n\n".join([*filter(None, parts), *(["\n".join(list(reasons)[:12])] if reasons else [])])


def _pair(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['curriculum']} → {row['target']}", row["recipe"]]


def _ends(row: Mapping[str, Any], form: str = "+.1f", scale: float = 1) -> str:
    if row["value"] is None:
        return "."
    ends = "" if row["low"] is None else f" [{scale * row['low']:{form}}, {scale * row['high']:{form}}]"
    return f"{scale * row['value']:{form}}{ends}"


def _lengths(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = [
        "curriculum → target",
        "recipe",
        "before",
        "after",
        "shift [95 %]",
        "W1",
        "by luck",
        "KS",
        "learnt",
        "lambda [95 %]",
    ]
    lines = []
    for row in rows:
        if not row["reason"]:
            learnt = "." if row["learnt"] is None else f"{row['learnt']:.1f}"
            means = [f"{row['base_mean']:.1f}", f"{row['mean']:.1f}", _ends(row["shift"])]
            far = [f"{row[key]:.2f}" for key in ("wasserstein", "wasserstein_floor", "ks")]
            lines.append([*_pair(row), *means, *far, learnt, _ends(row["interpolation"], "+.2f")])
    if not lines:
        return ""
    return "\n".join([
        "Tokens written", "", grid([heads, *lines], ["left"] * 2 + ["right"] * 8), "",
        "W1, KS: distances of the two distributions; by luck: W1 that before and after swapped at random stay below;",
        "learnt: mean tokens of the answers learnt from; lambda: 0 lengths as before, 1 as learnt.",
    ])  # fmt: skip


def _classes(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = [
        "curriculum → target",
        "recipe",
        "class shares: right / before / after",
        "bias",
        "before",
        "shift [95 %]",
        "p",
        "same",
    ]
    lines = []
    for row in rows:
        if not row["reason"]:
            parts = zip(row["columns"], row["truth"], row["base_predicted"], row["predicted"], strict=True)
            shares = ", ".join(f"{n} {points(a)}/{points(b)}/{points(c)}" for n, a, b, c in parts if a or b or c)
            p = "." if row["shift"]["p"] is None else f"{row['shift']['p']:.4f}"
            shift = _ends(row["shift"], ".1f", 100)
            lines.append(
                [*_pair(row), shares, points(row["bias"]), points(row["base_bias"]), shift, p, points(row["same"])]
            )
    if not lines:
        return ""
    return "\n".join([
        "Classes named, points", "", grid([heads, *lines], ["left"] * 3 + ["right"] * 5), "",
        "bias: distance (total variation) of the shares named and right; shift: of those after and before;",
        "p: before and after swapped at random, item by item; same: items on which the class named did not change.",
    ])  # fmt: skip


def _inputs(rows: Sequence[Mapping[str, Any]]) -> str:
    heads = ["curriculum → target", "recipe", "class", "missed - found [95 %]", "before", "change [95 %]",
             "called - left [95 %]", "before"]  # fmt: skip
    lines = []
    for row in rows:
        gaps = row.get("gaps")
        if gaps:
            first = gaps.get("found") or gaps["right"]
            line = [
                *_pair(row),
                row["class"] or "(right or wrong)",
                _ends(first),
                _ends({**first["base"], "low": None}),
            ]
            line.append(_ends(first["change"]))
            second = gaps.get("kept_out")
            lines.append([*line, *([_ends(second), _ends({**second["base"], "low": None})] if second else [".", "."])])
    if not lines:
        return ""
    return "\n".join([
        "Tokens asked, by outcome", "", grid([heads, *lines], ["left"] * 3 + ["right"] * 5), "",
        "missed - found: mean input of the class's items that were missed less that of those found (FN - TP; without",
        "classes: wrong - right); called - left: of other items wrongly called so, less those rightly not (FP - TN).",
    ])  # fmt: skip


def draw(results: Results, found: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> None:
    """Draw up to four panels of each kind: lengths by target, confusion matrices, lengths of the inputs by outcome."""
    every, _ = answers(results)
    long: dict[str, list[Answers]] = {}
    for one in every:
        if not np.isnan(one.length).any():
            long.setdefault(one.about["target"], []).append(one)
    confused = _distinct([row for row in found["classes"] if not row["reason"]])
    outcomes = [row for row in found["inputs"] if row.get("gaps")][:ACROSS]
    kinds = [list(long)[:ACROSS], confused[:ACROSS], outcomes]
    kinds = [kind for kind in kinds if kind]
    if not kinds:
        raise UsageError("there is nothing to draw: no outputs were kept before and after a training")
    every_panel = [one for kind in kinds for one in kind]
    figure, axes = stack([2.7 + (0.19 * (2 + len(long[one])) if isinstance(one, str) else 0) for one in every_panel])
    for axis, one in zip(axes, every_panel, strict=True):
        axis.tick_params(labelsize=8)
        if isinstance(one, str):
            written.panel(axis, long[one])
            axis.set_title(one, fontsize=9, loc="left")
        elif isinstance(one, tuple):
            named.panel(axis, *one)
        else:
            asked.panel(axis, one)
            what = f", {one['class']}" if one["class"] else ""
            axis.set_title(f"{one['curriculum']}\n→ {one['target']}{what}", fontsize=9, loc="left")
    save(figure, path)


def _distinct(rows: Sequence[Any]) -> list[Any]:
    """The panels of confusion: each target's untrained model once, then its curricula."""
    panels: list[Any] = []
    seen = set()
    for row in rows:
        if row["target"] not in seen:
            seen.add(row["target"])
            panels.append((row, "base_confusion", f"untrained\n→ {row['target']}, % of the right class"))
        panels.append((row, "confusion", f"{row['curriculum']}\n→ {row['target']}, % of the right class"))
    return panels
