"""The three rankings of a board: sources for each target, recipes, and predictors, with ties where nothing separates.

Sources   for one model, recipe and target: by gain. Two differ by their scores after training (the baseline is one and
          the same), as two independent means whose variances come from their items and seeds. They answer the same
          items, which as a rule makes the true difference surer than this, so it separates too seldom, not too often.
Recipes   for one model: by the mean gain over the pairs that all of them trained.
Predictors  for one model and recipe: by Spearman's correlation of mean score and gain over the pairs that all scored.
          The last two speak of sources and targets at large: jackknife over both (analyse.standing.crossed).

A target's own domain as source is direct training, not transfer, and is in none of them. Two rivals are separated when
their difference is significant after Holm's correction over all pairs of one ranking (analyse.standing).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.rank import regret, spearman, trusted
from xferbench.analyse.standing import above, crossed, independent, order, ranks
from xferbench.leaderboard.entry import ORDER
from xferbench.leaderboard.record import BADGES
from xferbench.leaderboard.text import many
from xferbench.leaderboard.view import Row

TRANSFER = ORDER.index("transfer")
Table = NDArray[np.float64]
Mask = NDArray[np.bool_]
FEW = "it takes pairs of at least two sources or two targets to separate any"


@dataclass(frozen=True)
class Standings:
    """The three rankings, each a list of plain dicts."""

    sources: list[dict[str, Any]]
    recipes: list[dict[str, Any]]
    predictors: list[dict[str, Any]]


def standings(rows: Sequence[Row]) -> Standings:
    """Rank all there is to rank."""
    best = chosen(rows)
    return Standings(sources(best), recipes(best), predictors(best))


def chosen(rows: Sequence[Row]) -> list[Row]:
    """One row for each model, source, target and recipe: by badge, then seeds, then items, then the first by path."""
    best: dict[tuple[str, ...], Row] = {}
    for row in rows:
        key = (row.model, row.recipe, row.source, row.target)
        if key not in best or _worth(row) > _worth(best[key]):
            best[key] = row
    return list(best.values())


def _worth(row: Row) -> tuple[int, int, int]:
    return BADGES.index(row.badge) if row.badge in BADGES else -1, row.seeds, row.n


def _groups(rows: Sequence[Row], *fields: str) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if not row.own and row.gain["value"] is not None:
            found.setdefault(tuple(getattr(row, field) for field in fields), []).append(row)
    return {key: found[key] for key in sorted(found)}


def sources(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rank the sources for each model, recipe and target; rows are [{"row": Row, "best": rank, "worst": rank}]."""
    made = []
    for (model, recipe, target), rivals in _groups(rows, "model", "recipe", "target").items():
        if len(rivals) < 2:
            continue
        gains = [row.gain["value"] for row in rivals]
        scores = [row.scores[TRANSFER] for row in rivals]
        bare = any(score is None or score.item_variance is None for score in scores)
        intervals = ranks(above(gains, _independent(rivals)))
        places = order(gains, intervals, [row.source for row in rivals])
        listed = [{"row": rivals[i], "best": intervals[i][0], "worst": intervals[i][1]} for i in places]
        reason = "some scores have no interval, so they are separated from none" if bare else None
        made.append({"model": model, "recipe": recipe, "target": target, "reason": reason, "rows": listed})
    return made


def _independent(rivals: Sequence[Row]) -> Callable[[float], Table]:
    """Half-widths (k, k) of the differences of two sources' scores, as independent means over items and seeds."""
    scores = [row.scores[TRANSFER] for row in rivals]
    none = (np.nan, np.nan)
    parts = [none if s is None or s.item_variance is None else (s.seed_variance, s.item_variance) for s in scores]
    seeds = min((len(score.seeds) for score in scores if score is not None), default=1)
    n = min(row.n for row in rivals)
    return independent(parts, seeds - 1, max(n - 1, 1))


def _tables(rows: Sequence[Row], values: Sequence[dict[str, float]], names: Sequence[str]) -> tuple[Table, list[str]]:
    """Lay `values`, one {name: number} a row, out as (names, sources, targets), NaN where there is none.

    A name with fewer than half of the cells of the fullest one is left out, and so are cells that not all others have:
    returns the tables of the names that are left, and these.
    """
    donors, targets = sorted({row.source for row in rows}), sorted({row.target for row in rows})
    down, across = ({name: i for i, name in enumerate(found)} for found in (donors, targets))
    made = np.full((len(names), len(donors), len(targets)), np.nan)
    for row, found in zip(rows, values, strict=True):
        for i, name in enumerate(names):
            if name in found:
                made[i, down[row.source], across[row.target]] = found[name]
    counts = np.isfinite(made).sum(axis=(1, 2))
    kept = np.flatnonzero(counts * 2 >= counts.max()) if len(counts) else np.array([], int)
    made = made[kept]
    made[:, ~np.isfinite(made).all(axis=0)] = np.nan
    return made, [names[i] for i in kept]


def recipes(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rank the recipes of each model with two or more by the mean gain over the pairs that all of them have."""
    made = []
    for (model,), mine in _groups(rows, "model").items():
        every = sorted({row.recipe for row in mine})
        if len(every) < 2:
            continue
        cells = {row.pair: row for row in mine}
        gains = {(row.recipe, *row.pair): row for row in mine}
        values = [{r: gains[r, *pair].gain["value"] for r in every if (r, *pair) in gains} for pair in cells]
        table, names = _tables(list(cells.values()), values, every)
        used = np.asarray(np.isfinite(table).all(axis=0))
        means = [float(table[i][used].mean()) if used.any() else np.nan for i in range(len(names))]

        def statistic(mask: Mask, table: Table = table) -> Table:
            return np.array([one[mask].mean() if mask.any() else np.nan for one in table])

        rivals = _stand(means, statistic, used, names)
        pairs = [pair for pair in cells if all((name, *pair) in gains for name in names)]
        for rival in rivals:
            held = [gains[rival["name"], *pair] for pair in pairs]
            rival["helped"] = sum(row.sure and row.gain["value"] > 0 for row in held)
            rival["harmed"] = sum(row.sure and row.gain["value"] < 0 for row in held)
        made.append({"model": model, "reason": _reason(used, every, names), "pairs": int(used.sum()), "rows": rivals})
    return made


def predictors(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rank the scorers of each model and recipe by how well their mean scores foretell the measured gains."""
    made = []
    for (model, recipe), mine in _groups(rows, "model", "recipe").items():
        said = [{scorer: mean for scorer, mean, _ in row.attribution if mean is not None} for row in mine]
        every = sorted({scorer for found in said for scorer in found})
        if not every:
            continue
        predicted, names = _tables(mine, said, every)
        measured, _ = _tables(mine, [{"gain": row.gain["value"]} for row in mine], ["gain"])
        used: Mask = np.isfinite(predicted).all(axis=0) & np.isfinite(measured[0])

        def statistic(mask: Mask, predicted: Table = predicted, gain: Table = measured[0]) -> Table:
            found = [spearman(one[mask], gain[mask]) if mask.sum() > 2 else None for one in predicted]
            return np.array([np.nan if rho is None else rho for rho in found])

        rivals = _stand(list(statistic(used)), statistic, used, names)
        for rival in rivals:
            rival |= _choices(predicted[names.index(rival["name"])], measured[0], used)
        about = {"model": model, "recipe": recipe, "pairs": int(used.sum()), "reason": _reason(used, every, names)}
        made.append({**about, "rows": rivals})
    return made


def _stand(
    values: Sequence[float], statistic: Callable[[Mask], Table], used: Mask, names: Sequence[str]
) -> list[dict[str, Any]]:
    """Rivals in their order, each with its value within -1 and 1, 95 % interval and ranks (None where undefined)."""
    found = crossed(statistic, used)
    unknown = np.full((len(values), len(values)), np.nan)
    half, errors, reach = (lambda alpha: unknown), np.full(len(values), np.nan), np.nan
    if found is not None:
        half, errors, reach = found.half, found.errors, found.quantile(0.05)
    known = [i for i, value in enumerate(values) if np.isfinite(value)]
    intervals = dict(zip(known, ranks(above(values, half)[np.ix_(known, known)]), strict=True))
    places = order([values[i] for i in known], list(intervals.values()), [names[i] for i in known])
    made = []
    for i in [*(known[place] for place in places), *(i for i in range(len(values)) if i not in intervals)]:
        value, width = float(values[i]), float(reach * errors[i])
        row: dict[str, Any] = {"name": names[i], **dict.fromkeys(("value", "low", "high", "best", "worst"))}
        if np.isfinite(value):
            row |= {"value": value, "best": intervals[i][0], "worst": intervals[i][1]}
            row |= {"low": max(-1.0, value - width), "high": min(1.0, value + width)} if np.isfinite(width) else {}
        made.append(row)
    return made


def _choices(predicted: Table, measured: Table, used: Mask) -> dict[str, float | None]:
    """What trusting a scorer brings, mean over the targets with two sources or more: top1, regret1, and by chance."""
    found = []
    for j in np.flatnonzero(used.sum(axis=0) > 1):
        x, y = predicted[used[:, j], j], measured[used[:, j], j]
        found.append((float(y[trusted(x, y)[0]] == y.max()), regret(x, y), float(y.max() - y.mean())))
    names = ("top1", "regret1", "regret1_chance")
    means = np.mean(found, axis=0).tolist() if found else [None] * len(names)
    return dict(zip(names, means, strict=True))


def _reason(used: Mask, every: Sequence[str], kept: Sequence[str]) -> str | None:
    """What a reader should know of a ranking: how many pairs it rests on, and who is missing."""
    if not used.any():
        return "no pair has all of them"
    missing = [name for name in every if name not in kept]
    left = f"; too few pairs to rank {', '.join(missing)}" if missing else ""
    sources, targets = int(used.any(axis=1).sum()), int(used.any(axis=0).sum())
    few = f"; {FEW}" if max(sources, targets) < 2 else ""
    over = f"over {many(int(used.sum()), 'pair')} of {many(sources, 'source')} and {many(targets, 'target')}"
    return f"{over}{left}{few}"
