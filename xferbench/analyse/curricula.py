"""Curricula asked for by name: what each scored on each target, and its gain over the untrained model."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xferbench.analyse.contrast import contrast
from xferbench.analyse.pairing import Scores, Seeds, number
from xferbench.analyse.table import grid, points
from xferbench.results import Results


def curricula(results: Results) -> list[dict[str, Any]]:
    """Return one row for each curriculum, recipe and target: the mean over seeds, and the paired gain (fractions)."""
    scores = Scores(results)
    base: dict[str, Seeds] = {}
    asked: dict[tuple[str, str, str], Seeds] = {}
    for cell in results.cells:
        if cell.condition == "baseline":
            base.setdefault(cell.target, {})[cell.seed] = cell
        elif cell.condition == "curriculum" and cell.curriculum:
            asked.setdefault((cell.curriculum, cell.recipe, cell.target), {})[cell.seed] = cell
    return [
        {"curriculum": curriculum, "recipe": recipe, "target": target, "seeds": len(seeds),
         "n": min(cell.n for cell in seeds.values()), "value": number(np.mean([cell.value for cell in seeds.values()])),
         "gain": contrast(seeds, base.get(target, {}), scores)}
        for (curriculum, recipe, target), seeds in asked.items()
    ]  # fmt: skip


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table, in points."""
    lines = [["curriculum", "recipe", "target", "score", "gain over the untrained model [95 %]", "seeds"]]
    for row in rows:
        gain = row["gain"]
        ends = "" if gain["low"] is None else f" [{points(gain['low'], True)}, {points(gain['high'], True)}]"
        lines.append([row["curriculum"], row["recipe"], row["target"], points(row["value"]),
                      points(gain["value"], True) + ends, str(row["seeds"])])  # fmt: skip
    return grid(lines, ["left", "left", "left", "right", "right", "right"])
