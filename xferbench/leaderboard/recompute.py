"""From the items to every number of an entry: the same functions, whoever calls them, so that a reader can check."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.pairing import number
from xferbench.analyse.transfer import findings
from xferbench.errors import VerificationError
from xferbench.leaderboard.board import rows
from xferbench.leaderboard.entry import Contrast, Efficiency, Finding, Gain, Measure, Method, Ratio, Score, Step
from xferbench.leaderboard.itemfile import Table, column
from xferbench.results import Results

PARTS = {"gain": Gain, "efficiency": Efficiency, "relative_transfer": Ratio}


def score(scores: NDArray[np.float64]) -> tuple[float, float]:
    """Return the mean of scores (items,) and its standard error sd / sqrt(n) (0 for one item), to ten digits."""
    spread = float(scores.std(ddof=1)) / len(scores) ** 0.5 if len(scores) > 1 else 0.0
    return number(scores.mean()) or 0.0, number(spread) or 0.0


def finding(
    source: str, target: str, recipe: str, measure: Measure, cells: Iterable[Score], table: Table | None, method: Method
) -> dict[str, Any]:
    """Return the finding of an entry's cells as plain values, from their items (None: from values and n alone)."""
    cells = tuple(cells)
    held = {}
    for cell in cells if table is not None else ():
        assert table is not None
        if column(cell) not in table.columns:
            raise VerificationError(f"items: there are no scores of {column(cell)}")
        scores = table.scores[:, table.columns.index(column(cell))]
        held[cell.step] = dict(zip(table.keys, scores.tolist(), strict=True))
    found = Results({}, rows(source, target, recipe, measure, cells), [], [], held=held)
    given = findings(found, resamples=method.resamples, seed=method.seed, margin=method.margin)
    if len(given) != 1:
        raise VerificationError(f"cells: they make {len(given)} findings, not one")
    return {name: _part(name, given[0][name]) for name in Finding.__struct_fields__}


def _part(name: str, value: Any) -> Any:
    """Keep what an entry has: p_holm and the number of tests depend on other entries."""
    if not isinstance(value, dict):
        return value
    fields = PARTS.get(name, Contrast).__struct_fields__
    return {key: value[key] for key in fields}


def cost(steps: Iterable[Step], dollars_per_hour: float | None) -> dict[str, Any]:
    """Return the sum over the steps of cells, each once; None where one does not know."""
    total: dict[str, Any] = {"seconds": 0.0, "tokens": 0, "flops": 0.0}
    for step in (step for step in steps if step.content.get("kind") != "attribute"):
        for key in total:
            more = getattr(step.cost, key)
            total[key] = None if more is None or total[key] is None else total[key] + more
    seconds = total["seconds"] = number(total["seconds"])
    total["flops"] = number(total["flops"])
    known = seconds is not None and dollars_per_hour is not None
    total["dollars"] = number(seconds / 3600 * dollars_per_hour) if known else None  # type: ignore[operator]
    return total
