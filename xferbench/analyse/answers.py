"""What came out of a model, item by item, after a training and before it: lengths in tokens, and classes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.changes import trained
from xferbench.results import Cell, Results

Array = NDArray[np.float64]
NONE = "(none)"
"""An answer that names no class."""


@dataclass(frozen=True)
class Answers:
    """The outputs on one target after one curriculum, (seeds, items), and before, (items,); NaN or "" where unknown."""

    about: Mapping[str, Any]
    length: Array
    base_length: Array
    asked: Array
    """Tokens of each prompt (items,)."""
    chosen: NDArray[np.str_]
    base_chosen: NDArray[np.str_]
    truth: NDArray[np.str_]
    """"" for every item of a target that has no classes."""
    right: Array
    base_right: Array
    """Scores: (seeds, items) and (items,)."""
    learnt: float | None
    """Mean tokens of the answers that were learnt from in the last stage."""

    @property
    def classes(self) -> list[str]:
        """The classes that are right for some item, sorted; [] where the target has none."""
        return sorted(set(self.truth.tolist()) - {""})


def answers(results: Results) -> tuple[list[Answers], list[dict[str, Any]]]:
    """Read all outputs of a run: those that are there, and a row with a reason for each curriculum without."""
    steps = {row["id"]: row for row in results.steps}
    found, missing = [], []
    for cell, seeds, base in trained(results):
        about = {"condition": cell.condition, "curriculum": cell.curriculum, "recipe": cell.recipe,
                 "target": cell.target, "seeds": len(seeds), "n": cell.n}  # fmt: skip
        if not base:
            missing.append({**about, "reason": "the baseline was not measured on this target"})
            continue
        after = [_rows(results, one) for one in seeds.values()]
        before = _rows(results, next(iter(base.values())))
        if not before or not all(after):
            missing.append(
                {**about, "reason": "what came out was not kept: measured by an earlier version, or a table"}
            )
        elif any(one.keys() != before.keys() for one in after):
            missing.append({**about, "reason": "the baseline was not asked the same items"})
        else:
            found.append(_lined_up(about, after, before, _learnt(steps, cell)))
    return found, missing


def _rows(results: Results, cell: Cell) -> dict[tuple[str, str], dict[str, Any]]:
    outputs = {(row["id"], row["prompt"]): row for row in results.outputs(cell.step)}
    scores = results.items(cell.step) if outputs else {}
    return {key: {**row, "score": scores.get(key, float("nan"))} for key, row in sorted(outputs.items())}


def _lined_up(about: Mapping[str, Any], after: Any, before: Any, learnt: float | None) -> Answers:
    def numbers(rows: Any, key: str) -> Array:
        return np.array([np.nan if row[key] is None else row[key] for row in rows.values()], dtype=float)

    def names(rows: Any, key: str, empty: str) -> NDArray[np.str_]:
        return np.array([row[key] if row[key] is not None else empty if row["truth"] else "" for row in rows.values()])

    return Answers(
        about, np.stack([numbers(one, "length") for one in after]), numbers(before, "length"), numbers(before, "asked"),
        np.stack([names(one, "chosen", NONE) for one in after]), names(before, "chosen", NONE),
        names(before, "truth", ""), np.stack([numbers(one, "score") for one in after]), numbers(before, "score"),
        learnt,
    )  # fmt: skip


def _learnt(steps: Mapping[str, Mapping[str, Any]], cell: Cell) -> float | None:
    train = steps.get(cell.step, {}).get("recipe", {}).get("train")
    value = steps.get(train, {}).get("answer_tokens") if train else None
    return None if value is None else float(value)
