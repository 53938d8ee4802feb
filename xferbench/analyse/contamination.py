"""Is a gain more than the test's own text come back? Each pair on all its items, on the clean and on the dirty ones.

The gain on the clean items is the contamination-adjusted gain. An item is dirty when the source holds it (see
xferbench/contamination.py for the rule); an item too short to be judged counts under `all` alone.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xferbench.analyse.contrast import contrast, empty
from xferbench.analyse.figure import lines, save, short, stack
from xferbench.analyse.pairing import Pair, Scores, Seeds, number, pairs
from xferbench.analyse.table import grid, points
from xferbench.errors import UsageError
from xferbench.results import Cell, Results

PARTS = ("all", "clean", "dirty")
KNOWN = ("items", "near", "coverage_8", "coverage_13", "reason")


def contamination(results: Results) -> list[dict[str, Any]]:
    """Return one row a source, target and recipe whose overlap was looked for: counts, and the gain on each part.

    Scores are fractions; a part without items has null values and the reason.
    """
    looked = {(row["domain"], row["target"]): row for row in results.contamination}
    found = []
    for pair in pairs(results):
        row = looked.get((pair.source, pair.target))
        if row is None or not pair.cells["transfer"]:
            continue
        about = {"source": pair.source, "target": pair.target, "recipe": pair.recipe}
        if row["reason"]:
            nothing = {"n": 0, "baseline": None, "transfer": None, "gain": empty(row["reason"])}
            known: dict[str, Any] = {"items": 0, "near": 0, "coverage_8": None, "coverage_13": None}
            found.append({**about, **known, "reason": row["reason"], **dict.fromkeys(PARTS, nothing)})
            continue
        dirty = results.dirty(row["overlap"])
        keep = {"clean": {i for i, d in dirty.items() if d is False}, "dirty": {i for i, d in dirty.items() if d}}
        parts = {name: _part(results, pair, keep.get(name)) for name in PARTS}
        found.append({**about, **{name: row[name] for name in KNOWN}, **parts})
    return found


def _part(results: Results, pair: Pair, keep: Collection[str] | None) -> dict[str, Any]:
    """The pair on the items in `keep` (None: on all)."""
    sides = [pair.cells["baseline"], pair.cells["transfer"]]
    held: dict[str, Mapping[tuple[str, str], float]] = {}
    if keep is not None:
        sides = [{seed: _cut(results, cell, keep, held) for seed, cell in side.items()} for side in sides]
    baseline, transfer = sides
    n = min((cell.n for side in sides for cell in side.values()), default=0)
    if n == 0:
        return {"n": 0, "baseline": None, "transfer": None, "gain": empty("there is no such item")}
    gain = contrast(transfer, baseline, Scores(replace(results, held=held)))
    return {"n": n, "baseline": _mean(baseline), "transfer": _mean(transfer), "gain": gain}


def _cut(results: Results, cell: Cell, keep: Collection[str], held: dict[str, Mapping[tuple[str, str], float]]) -> Cell:
    try:
        whole = results.items(cell.step)
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(f"{cell.target}: the items of step {cell.step} cannot be read: {error}") from None
    held[cell.step] = items = {key: score for key, score in whole.items() if key[0] in keep}
    scores = np.array(list(items.values()))
    spread = float(scores.std(ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else 0.0
    return replace(cell, n=len(scores), value=float(scores.mean()) if len(scores) else 0.0, stderr=spread)


def _mean(cells: Seeds) -> float | None:
    return number(np.mean([cell.value for cell in cells.values()])) if cells else None


def line(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say in a line or two, below a run's findings, which gains are to be read with care."""
    dirty = [row for row in rows if row["dirty"]["n"]]
    if not dirty:
        judged = sum(not row["reason"] for row in rows)
        return f"Contamination: no test item stands in its source ({judged} of {len(rows)} pairs looked at)."
    by = _by(rows)
    return "\n".join(
        f"Contamination: {row['source']} holds {row['dirty']['n']} of the {row['items']} items of {row['target']}; "
        f"gain{by[row['recipe']]} on the clean ones {_gain(row['clean'])}, on all {_gain(row['all'])}"
        for row in dirty
    )


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Render the rows in points, a line a pair."""
    if not rows:
        return "no pair of this run was looked at for contamination: run it again"
    by = _by(rows)
    heads = ["source → target", "8-gram", "13-gram", "near", *(f"{p} n" for p in PARTS), *(f"gain {p}" for p in PARTS)]
    shown = [
        [
            f"{row['source']} → {row['target']}{by[row['recipe']]}",
            points(row["coverage_8"]), points(row["coverage_13"]), str(row["near"]),
            *(str(row[part]["n"]) for part in PARTS), *(_gain(row[part]) for part in PARTS),
        ]
        for row in rows
    ]  # fmt: skip
    notes = [
        "8-gram, 13-gram: mean share of an item's words in n-grams that the source holds, in points; near: items of",
        "which one example holds three fifths of the 3-grams. dirty: near, or more than half covered by 8-grams.",
    ]
    notes += [f"{row['source']} → {row['target']}: {row['reason']}" for row in rows if row["reason"]]
    return "\n".join([grid([heads, *shown], ["left", *["right"] * (len(heads) - 1)]), "", *notes])


def _by(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """How a line names each recipe: nothing where there is one."""
    recipes = {row["recipe"] for row in rows}
    return {recipe: f" by {recipe}" if len(recipes) > 1 else "" for recipe in recipes}


def _gain(part: Mapping[str, Any]) -> str:
    gain = part["gain"]
    ends = "" if gain["low"] is None else f" [{points(gain['low'], True)}, {points(gain['high'], True)}]"
    return points(gain["value"], sign=True) + ends


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Draw the gain of each pair on all, clean and dirty items with its 95 % interval; png or svg."""
    if not rows:
        raise UsageError("there is nothing to draw: no pair was looked at for contamination")
    figure, (axes,) = stack([1.1 + 0.6 * len(rows)])
    for place, (part, colour, mark) in enumerate(zip(PARTS, ("#555555", "#0072B2", "#D55E00"), "osD", strict=True)):
        for at, row in enumerate(rows):
            gain = row[part]["gain"]
            if gain["value"] is None:
                continue
            low, high = (gain["value"] if gain[end] is None else gain[end] for end in ("low", "high"))
            y, x = at + 0.22 * (place - 1), 100 * gain["value"]
            axes.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=2)
            axes.plot([x], [y], mark, color=colour, label=part)
    axes.axvline(0, color="black", linewidth=0.8)
    names = [
        lines(f"{short(r['source'])} → {short(r['target'])}") + f"\n{r['dirty']['n']} of {r['items']} dirty"
        for r in rows
    ]
    axes.set_yticks(range(len(rows)), names, fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("gain over the untrained model, points, 95 % interval", fontsize=9)
    handles = {h.get_label(): h for h in axes.get_lines() if not str(h.get_label()).startswith("_")}
    names = [f"{name} items" for name in handles]
    figure.legend(handles.values(), names, fontsize=8, frameon=False, loc="outside upper left", ncols=3)
    save(figure, path)
    return path
