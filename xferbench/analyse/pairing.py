"""Which cells belong to one (source, target, recipe), and their scores lined up item by item, never by row order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.errors import UsageError
from xferbench.results import Cell, Results

CONDITIONS = ("baseline", "transfer", "direct", "sequential", "joint", "placebo")
Seeds = dict[int | None, Cell]


@dataclass
class Pair:
    """All conditions of one source, target and recipe: for each, the cell of every training seed."""

    source: str
    target: str
    recipe: str
    cells: dict[str, Seeds] = field(default_factory=dict)
    domain: str | None = None
    """What direct would train on, measured or not; None where the run does not say."""

    def curriculum(self, condition: str) -> str | None:
        """What a condition was trained on; None when it was not measured."""
        return next((cell.curriculum for cell in self.cells[condition].values()), None)

    def own(self) -> bool:
        """Tell whether the source, treated or not, is the target's own domain, which direct trains on."""
        trained = self.curriculum("transfer")
        return trained is not None and trained.partition("~")[0] in (self.curriculum("direct"), self.domain)


def pairs(results: Results) -> list[Pair]:
    """Group the cells of a run: one Pair for each source, target and recipe, in the order of the rows."""
    asked = [c for c in results.cells if c.condition in ("transfer", "sequential", "joint")]
    asked = asked or [c for c in results.cells if c.condition in ("direct", "placebo") and c.source]
    asked = sorted(asked, key=lambda c: c.condition != "transfer")
    donors = {c.source for c in asked}
    domains = results.run.get("own_domains") or {}
    by_target: dict[str, list[Cell]] = {}
    for cell in results.cells:
        by_target.setdefault(cell.target, []).append(cell)
    found: dict[tuple[str, str, str], Pair] = {}
    for cell in asked:
        key = (cell.source, cell.target, cell.recipe)
        if key in found:
            continue
        same = [c for c in by_target[cell.target] if c.metric == cell.metric]
        cells = {name: _pick(name, key, same, donors) for name in CONDITIONS}
        found[key] = Pair(*key, cells, domains.get(cell.target))
    return list(found.values())


def _pick(condition: str, key: tuple[str, str, str], cells: Sequence[Cell], donors: set[str]) -> Seeds:
    """The cells of one condition by seed: those of the pair itself, or those that all pairs on the target share."""
    source, target, recipe = key
    cells = [c for c in cells if c.condition == condition]
    exact = [c for c in cells if c.source == source and c.recipe == recipe]
    if not exact and condition in ("baseline", "direct"):
        exact = [c for c in cells if c.recipe == recipe] or (cells if condition == "baseline" else [])
    if not exact and condition == "placebo":
        exact = [c for c in cells if c.recipe == recipe and c.source not in donors]
    by_seed: Seeds = {}
    for cell in exact:
        other = by_seed.setdefault(cell.seed, cell)
        if other.step != cell.step or other.value != cell.value:
            raise UsageError(
                f"{target}: two different cells for {condition} of {source} ({recipe}), seed {cell.seed}: "
                f"steps {other.step} and {cell.step}"
            )
    return dict(sorted(by_seed.items(), key=lambda kv: (kv[0] is not None, kv[0] or 0)))


class Scores:
    """The item scores of one run or several, read once each, in one order of items for each target."""

    def __init__(self, *results: Results) -> None:
        self._results = results
        self._order: dict[tuple[str, str], tuple[str, dict[tuple[str, str], int]]] = {}
        self._read: dict[str, NDArray[np.float64] | None] = {}

    def of(self, cells: Iterable[Cell]) -> list[NDArray[np.float64]] | None:
        """Return the scores (items,) of each cell, all in one order; None when no cell has items.

        UsageError when only some have, or when two cells of a target were not asked the same items.
        """
        cells = list(cells)
        rows = [(cell, self._one(cell)) for cell in cells]
        found = [row for _, row in rows if row is not None]
        if found and len(found) < len(rows):
            bare = next(cell for cell, row in rows if row is None)
            raise UsageError(f"{bare.target}: the items of step {bare.step} ({bare.condition}) are missing")
        return found or None

    def _one(self, cell: Cell) -> NDArray[np.float64] | None:
        if cell.step not in self._read:
            items = next((found for one in self._results if (found := self._items(one, cell))), None)
            self._read[cell.step] = self._line_up(cell, items) if items else None
        return self._read[cell.step]

    def _items(self, results: Results, cell: Cell) -> Mapping[tuple[str, str], float]:
        try:
            return results.items(cell.step)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise UsageError(f"{cell.target}: the items of step {cell.step} cannot be read: {error}") from None

    def _line_up(self, cell: Cell, items: Mapping[tuple[str, str], float]) -> NDArray[np.float64]:
        name = f"{cell.condition} {cell.curriculum}".strip()
        fresh = (name, {key: place for place, key in enumerate(sorted(items))})
        first, order = self._order.setdefault((cell.target, cell.metric), fresh)
        if order.keys() != items.keys():
            ids, others = {i for i, _ in order}, {i for i, _ in items}
            moved = sum(1 for i, p in items if i in ids and (i, p) not in order)
            raise UsageError(
                f"{cell.target}: {first} and {name} (step {cell.step}) were not asked the same items: {moved} of "
                f"{len(order)} prompts differ, {len(ids - others)} items are missing, {len(others - ids)} are new"
            )
        row = np.array([items[key] for key in order], dtype=float)
        if not np.isfinite(row).all():
            bad = int((~np.isfinite(row)).sum())
            raise UsageError(f"{cell.target}: step {cell.step} has {bad} scores that are not a finite number")
        return row


def common(first: Seeds, second: Seeds) -> list[tuple[Cell, Cell]]:
    """Match the cells of two conditions by seed; what was not trained (seed None) goes with every seed."""
    if None in first and None not in second:
        return [(first[None], cell) for cell in second.values()]
    if None in second and None not in first:
        return [(cell, second[None]) for cell in first.values()]
    return [(first[seed], second[seed]) for seed in first if seed in second]


def number(x: Any) -> float | None:
    """A number for JSON: ten significant digits (the same on every machine), None for what is not finite."""
    return float(f"{float(x):.10g}") if x is not None and np.isfinite(x) else None
