"""The linear datamodeling score: do summed scores rank random halves of a source as the losses after training do?"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from xferbench.analyse.pairing import number
from xferbench.analyse.rank import spearman
from xferbench.results import Results

FEWEST = 4
EMPTY = {"lds": None, "lds_low": None, "lds_high": None, "lds_subsets": 0, "lds_pairs": 0, "lds_reason": None}


def lds(
    results: Results, scorer: str, recipe: str, *, resamples: int = 2000, seed: int = 0
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the score of one scorer and recipe, ready for JSON, and its points (one a subset, source and target).

    Park et al. 2023 (TRAK, arXiv 2303.14186), sec. 4.1, with the mean loss of a target's queries as the one output:
        rho = Spearman over subsets S_j of ( sum_{i in S_j} score_i , - loss of the target after training on S_j )
    |S_j| half of the source. `lds` is the mean of rho over the pairs of source and target. Interval: 95 % percentiles
    over subsets drawn with replacement, the same draw for all targets of a source, since they share its trainings.
    Simulated with normal scores and one pair it covers 94-97 % for 8, 16 and 32 subsets; with 8 it is 1 to 1.5 wide.
    The noise of one training seed is not taken out: it lowers rho for every scorer alike.
    """
    rows = [row for row in results.subsets if row["recipe"] == recipe and scorer in row["scores"]]
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["source"], row["target"]), []).append(row)
    points = [
        {"source": row["source"], "target": row["target"], "subset": row["number"],
         "predicted": number(row["scores"][scorer]), "loss": number(row["value"])}
        for row in rows
    ]  # fmt: skip
    tables = {pair: _table(some, scorer) for pair, some in groups.items()}
    rho = {pair: spearman(table[0], table[1]) for pair, table in tables.items() if table.shape[1] >= FEWEST}
    known = {pair: value for pair, value in rho.items() if value is not None}
    if not groups:
        return dict(EMPTY), []
    sizes = [tables[pair].shape[1] for pair in known or tables]
    found = {**EMPTY, "lds_subsets": min(sizes), "lds_pairs": len(known)}
    if not known:
        why = "all sums of scores, or all losses, are equal" if rho else f"fewer than {FEWEST} subsets were trained on"
        return {**found, "lds_reason": why}, points
    mean = float(np.mean(list(known.values())))
    low, high = _resampled([(pair[0], tables[pair]) for pair in known], resamples, seed) or (None, None)
    return {**found, "lds": number(mean), "lds_low": number(low), "lds_high": number(high)}, points


def _table(rows: Sequence[Mapping[str, Any]], scorer: str) -> NDArray[np.float64]:
    """Sums of scores and minus the losses: (2, subsets), in the order of the subsets."""
    ordered = sorted(rows, key=lambda row: row["number"])
    return np.array([[row["scores"][scorer] for row in ordered], [-row["value"] for row in ordered]], float)


def _resampled(
    tables: Sequence[tuple[str, NDArray[np.float64]]], resamples: int, seed: int
) -> tuple[float, float] | None:
    rng = np.random.default_rng(seed)
    places: dict[tuple[str, int], NDArray[np.int64]] = {}
    draws = []
    for source, table in tables:
        m = table.shape[1]
        if (source, m) not in places:
            places[source, m] = rng.integers(0, m, (resamples, m))
        x, y = (rankdata(row[places[source, m]], axis=1) for row in table)
        x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
        scale = np.sqrt((x * x).sum(axis=1) * (y * y).sum(axis=1))
        draws.append(np.divide((x * y).sum(axis=1), scale, out=np.full(resamples, np.nan), where=scale > 0))
    some = np.array(draws)
    some = some[:, np.isfinite(some).any(axis=0)]
    if some.shape[1] < 100:
        return None
    low, high = np.quantile(np.nanmean(some, axis=0), [0.025, 0.975])
    return float(low), float(high)
