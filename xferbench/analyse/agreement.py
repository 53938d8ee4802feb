"""Does a scorer foretell transfer? Its predictions against the measured gains, over all pairs of a run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.figure import dots, lines, save, stack
from xferbench.analyse.lds import lds
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.pairing import Pair, number, pairs
from xferbench.analyse.qap import qap
from xferbench.analyse.rank import (
    kendall,
    kendall_interval,
    ndcg,
    regret,
    spearman,
    spearman_interval,
    trusted,
)
from xferbench.analyse.table import grid
from xferbench.errors import UsageError
from xferbench.results import Results

Matrix = NDArray[np.float64]
FEWEST = 4
PANELS = 8
"""A picture of so many panels is looked at; a strip of more is not."""
COLOURS, MARKERS = ("#0072B2", "#D55E00", "#009E73", "#B0568C", "#E69F00", "#767676"), "osD^vX"
NUMBERS = (
    "spearman", "low", "high", "kendall", "kendall_low", "kendall_high", "cluster_low", "cluster_high",
    "kendall_cluster_low", "kendall_cluster_high", "p_qap", "p_holm", "p_floor", "top1", "top1_chance", "regret1",
    "regret1_chance", "regret3", "ndcg",
)  # fmt: skip


def agreement(results: Results, *, resamples: int = 10_000, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row for each scorer and recipe: rank agreement of predicted and measured gain, ready for JSON.

    Predicted: the mean score of a source toward a target, after training by the recipe (or at the base model);
    measured: mean transfer - baseline (a fraction). Cells whose source is what direct trains on are left out. spearman
    with its Bonett-Wright interval (low, high; cells taken as independent) and the percentile interval of a bootstrap
    over sources (cluster_low, cluster_high); kendall likewise
    (Fieller's interval; kendall_cluster_*); p_qap: see `qap`.
    top1: share of targets whose best source was named; regret1, regret3: what trusting the best 1 or 3 costs, mean over
    targets; *_chance: what a random order scores. lds, lds_low, lds_high: the linear datamodeling score (see `lds`),
    where random halves of a source were trained on. p_holm: p_qap after Holm's correction over all rows. Undefined
    numbers are None, beside a reason.
    """
    rows = []
    groups = pairs(results)
    recipes = dict.fromkeys([*(pair.recipe for pair in groups), *(str(row["recipe"]) for row in results.subsets)])
    for scorer in dict.fromkeys(str(row["scorer"]) for row in results.attribution):
        for recipe in recipes:
            table = _table(results, [pair for pair in groups if pair.recipe == recipe], scorer)
            halves, points = lds(results, scorer, recipe, resamples=min(resamples, 2000), seed=seed)
            found = _compare(*table, resamples, seed)
            rows.append({"scorer": scorer, "recipe": recipe, **found, **halves, "lds_points": points})
    tested = [row for row in rows if row["p_qap"] is not None]
    for row, p in zip(tested, holm([row["p_qap"] for row in tested]), strict=True):
        row["p_holm"] = number(p)
    return rows


def _table(results: Results, groups: list[Pair], scorer: str) -> tuple[list[str], list[str], Matrix, Matrix, bool]:
    """Sources, targets, predicted and measured (sources, targets; NaN: none), whether target i is source i's."""
    sources = list(dict.fromkeys(pair.source for pair in groups))
    targets = list(dict.fromkeys(pair.target for pair in groups))
    predicted = np.full((len(sources), len(targets)), np.nan)
    measured = predicted.copy()
    scores: dict[tuple[str, str], list[float]] = {}
    for row in results.attribution:
        fits = row["scorer"] == scorer and row.get("recipe") in (None, *(pair.recipe for pair in groups))
        if fits and row.get("mean") is not None:
            scores.setdefault((row["source"], row["target"]), []).append(float(row["mean"]))
    own: dict[str, str] = {}
    for pair in groups:
        at = sources.index(pair.source), targets.index(pair.target)
        if (pair.source, pair.target) in scores:
            predicted[at] = np.mean(scores[pair.source, pair.target])
        if pair.own():  # of several tests of a domain the one of its name, or the first, is its column in the test
            own[pair.source] = pair.target if pair.target == pair.source else own.get(pair.source, pair.target)
        elif pair.cells["transfer"] and pair.cells["baseline"]:
            base = np.mean([cell.value for cell in pair.cells["baseline"].values()])
            measured[at] = np.mean([cell.value for cell in pair.cells["transfer"].values()]) - base
    paired = len(sources) == len(own) == len(set(own.values()))
    if paired:
        order = [targets.index(own[source]) for source in sources]
        order += [j for j in range(len(targets)) if j not in order]
        targets, predicted, measured = [targets[i] for i in order], predicted[:, order], measured[:, order]
        np.fill_diagonal(predicted, np.nan)
    return sources, targets, predicted, measured, paired


def _compare(
    sources: list[str], targets: list[str], predicted: Matrix, measured: Matrix, paired: bool, resamples: int, seed: int
) -> dict[str, Any]:
    used = np.isfinite(predicted) & np.isfinite(measured)
    points = [
        {"source": sources[i], "target": targets[j], "predicted": number(x), "measured": number(y)}
        for (i, j), x, y in zip(np.argwhere(used), predicted[used], measured[used], strict=True)
    ]
    found: dict[str, Any] = dict.fromkeys(NUMBERS)
    found |= {"permuted": None, "cells": len(points), "reason": None, "by_target": {}, "points": points}
    x, y = predicted[used], measured[used]
    if len(points) < FEWEST:
        found["reason"] = f"it takes {FEWEST} pairs that are both predicted and measured; there are {len(points)}"
        return found
    rho = spearman(x, y)
    if rho is None:
        found["reason"] = "all predictions are equal" if np.ptp(x) == 0 else "all measured gains are equal"
        return found
    low, high = spearman_interval(rho, len(x)) or (None, None)
    tau = kendall(x, y)
    tau_low, tau_high = (kendall_interval(tau, len(x)) if tau is not None else None) or (None, None)
    cluster = _cluster(predicted, measured, spearman, min(resamples, 2000), seed) or (None, None)
    tau_cluster = _cluster(predicted, measured, kendall, min(resamples, 500), seed) or (None, None)
    luck = qap(predicted, measured, paired, resamples, seed)
    found |= {
        "spearman": number(rho), "low": number(low), "high": number(high), "kendall": number(tau),
        "kendall_low": number(tau_low), "kendall_high": number(tau_high),
        "cluster_low": number(cluster[0]), "cluster_high": number(cluster[1]),
        "kendall_cluster_low": number(tau_cluster[0]), "kendall_cluster_high": number(tau_cluster[1]),
    }  # fmt: skip
    if luck is not None:
        found |= {"p_qap": number(luck.p), "p_floor": number(luck.floor), "permuted": luck.permuted}
        if luck.floor > 0.05:
            found["reason"] = f"p_qap cannot fall below {luck.floor:.3g}: too few sources"
    found |= _choices(targets, predicted, measured)
    return found


def _choices(targets: list[str], predicted: Matrix, measured: Matrix) -> dict[str, Any]:
    """What choosing a source by the prediction brings, mean over the targets with at least two sources."""
    rows: dict[str, list[float]] = {}
    by_target: dict[str, float | None] = {}
    for j, target in enumerate(targets):
        used = np.isfinite(predicted[:, j]) & np.isfinite(measured[:, j])
        x, y = predicted[used, j], measured[used, j]
        if len(x) < 2:
            continue
        by_target[target] = number(spearman(x, y))
        gain = ndcg(x, y)
        best = y == y.max()
        new = {
            "top1": float(best[trusted(x, y)[0]]), "top1_chance": float(best.mean()), "regret1": regret(x, y),
            "regret1_chance": float(y.max() - y.mean()),
        } | ({"regret3": regret(x, y, 3)} if len(x) > 3 else {}) | ({} if gain is None else {"ndcg": gain})  # fmt: skip
        for name, value in new.items():
            rows.setdefault(name, []).append(value)
    return {name: number(np.mean(values)) for name, values in rows.items()} | {"by_target": by_target}


def _cluster(
    predicted: Matrix, measured: Matrix, statistic: Callable[..., float | None], resamples: int, seed: int
) -> tuple[float, float] | None:
    """Percentile interval of a correlation over sources drawn with replacement; None with fewer than four sources."""
    k = len(predicted)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(resamples if k >= 4 else 0):
        rows = rng.integers(0, k, k)
        x, y = predicted[rows], measured[rows]
        used = np.isfinite(x) & np.isfinite(y)
        found = statistic(x[used], y[used]) if used.sum() > 1 else None
        if found is not None:
            draws.append(found)
    if len(draws) < 100:
        return None
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def text(found: Sequence[Mapping[str, Any]]) -> str:
    """The scorers side by side, best first: what each foretells, and what choosing by it costs (points)."""
    if not found:
        return "no scorer was run"
    heads = ["scorer", "recipe", "cells", "Spearman", "95 %", "QAP p", "p (Holm)"]
    heads += ["Kendall", "top-1", "regret@1", "NDCG"]
    rows, notes = [], []
    for row in sorted(found, key=lambda row: (2.0 if row["spearman"] is None else -row["spearman"], row["scorer"])):
        ends = "." if row["low"] is None else f"[{row['low']:+.2f}, {row['high']:+.2f}]"
        forms = (("p_qap", ".3f"), ("p_holm", ".3f"), ("kendall", "+.2f"), ("top1", ".0%"))
        shown = [_shown(row[name], form) for name, form in forms]
        cost = None if row["regret1"] is None else 100 * row["regret1"]
        shown += [_shown(cost, ".1f"), _shown(row["ndcg"], ".2f")]
        rows.append([row["scorer"], row["recipe"], str(row["cells"]), _shown(row["spearman"], "+.2f"), ends, *shown])
        if row["reason"]:
            notes.append(f"{row['scorer']}: {row['reason']}.")
    told = [grid([heads, *rows], ["left"] * 2 + ["right"] * 9), ""]
    told.append(
        "Rank correlation of predicted and measured gain; 95 %: as if cells were independent; QAP p: labels permuted;"
    )
    told.append("p (Holm): the same, corrected for every row of the table;")
    told.append("top-1: targets whose best source was named; regret@1: points lost by training on the source named.")
    chance = [row for row in found if row["top1_chance"] is not None]
    if chance:
        best, lost = chance[0]["top1_chance"], 100 * chance[0]["regret1_chance"]
        told.append(f"A random choice of source: top-1 {best:.0%}, regret@1 {lost:.1f}.")
    floor = next((row["p_floor"] for row in found if row["p_floor"] is not None), None)
    if floor is not None:
        told.append(f"QAP p cannot fall below {floor:.2g} here.")
    return "\n".join([*told, *dict.fromkeys(notes), *_halves(found)])


def _halves(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """The linear datamodeling scores as a table, best first; nothing where no half was trained on."""
    known = [row for row in found if row["lds_points"]]
    if not known:
        return []
    heads, rows = ["scorer", "recipe", "pairs", "subsets", "LDS", "95 %"], []
    for row in sorted(known, key=lambda row: (2.0 if row["lds"] is None else -row["lds"], row["scorer"])):
        ends = "." if row["lds_low"] is None else f"[{row['lds_low']:+.2f}, {row['lds_high']:+.2f}]"
        counts = [str(row["lds_pairs"]), str(row["lds_subsets"])]
        rows.append([row["scorer"], row["recipe"], *counts, _shown(row["lds"], "+.2f"), ends])
    notes = [f"{row['scorer']}: {row['lds_reason']}." for row in known if row["lds_reason"]]
    return [
        "",
        grid([heads, *rows], ["left"] * 2 + ["right"] * 4),
        "",
        "LDS: rank correlation, over random halves of a source, of summed scores and minus the target's loss after",
        "training on the half, mean over pairs; 95 %: bootstrap over subsets, one training each.",
        *dict.fromkeys(notes),
    ]


def _shown(value: float | None, form: str) -> str:
    return "." if value is None else format(value, form)


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw predicted against measured gain, one panel a scorer and recipe; then the same of halves of a source.

    Of more panels than `PANELS` no one sees which scorer is best: then two, with the correlations of all scorers.
    """
    halves = [row for row in found if row["lds_points"]]
    # Too few pairs for a correlation are drawn only where there is nothing else to draw.
    shown = [row for row in found if row["points"] and not (halves and row["spearman"] is None)]
    if not shown and not halves:
        raise UsageError("there is nothing to draw: no pair was both predicted and measured")
    known = any(row[key] is not None for row in found for key in ("spearman", "lds"))
    if known and len(shown) + len(halves) > PANELS:
        return _draw_all(found, path)
    figure, axes = stack([3.5] * (len(shown) + len(halves)))
    for axis, row in zip(axes, shown, strict=False):
        names = [f"{p['source'].rpartition('/')[2]} → {p['target'].rpartition('/')[2]}" for p in row["points"]]
        dots(axis, names, [(p["predicted"], 100 * p["measured"]) for p in row["points"]])
        axis.axhline(0, color="#767676", linewidth=1, linestyle=":")
        ends = "" if row["low"] is None else f" [{row['low']:+.2f}, {row['high']:+.2f}]"
        rho = f"rho {_shown(row['spearman'], '+.2f')}{ends}, QAP p {_shown(row['p_qap'], '.3f')}"
        axis.set_title(f"{row['scorer']} ({row['recipe']})\n{rho}", fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
        axis.set_xlabel("predicted: mean score", fontsize=9)
        axis.set_ylabel("measured gain, points", fontsize=9)
    for axis, row in zip(axes[len(shown) :], halves, strict=False):
        _draw_halves(axis, row)
    save(figure, path)


def _draw_all(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """A panel of each scorer's correlation with the gains, one of that with the losses of halves; the best above."""
    several = len({row["recipe"] for row in found}) > 1
    panels = [
        (
            ("spearman", "low", "high"),
            "with the measured gains of pairs\nSpearman; filled: QAP p at most 0.05 after Holm",
        ),
        (("lds", "lds_low", "lds_high"), "with the losses after training on random halves\nlinear datamodeling score"),
    ]
    known = [(keys, title, [row for row in found if row[keys[0]] is not None]) for keys, title in panels]
    known = [panel for panel in known if panel[2]]
    figure, axes = stack([1.0 + 0.26 * len(rows) for _, _, rows in known])
    for axis, (keys, title, rows) in zip(axes, known, strict=True):
        rows = sorted(rows, key=lambda row: (-row[keys[0]], row["scorer"]))
        for place, row in enumerate(rows):
            value, low, high = (row[key] for key in keys)
            if low is not None:
                axis.plot([low, high], [place, place], color=COLOURS[0], linewidth=1.5)
            sure = keys[0] != "spearman" or (row["p_holm"] is not None and row["p_holm"] <= 0.05)
            fill = COLOURS[0] if sure else "white"
            axis.plot(value, place, "o", color=COLOURS[0], markerfacecolor=fill, markersize=5)
        names = [f"{row['scorer']} ({row['recipe']})" if several else row["scorer"] for row in rows]
        axis.set_yticks(range(len(rows)), [lines(name) for name in names], fontsize=8)
        axis.invert_yaxis()
        axis.axvline(0, color="#767676", linewidth=1, linestyle=":")
        axis.tick_params(axis="x", labelsize=8)
        axis.set_xlabel("rank correlation, 95 % interval", fontsize=9)
        axis.set_title(title, fontsize=10, loc="left", x=-0.2)
    save(figure, path)


def _draw_halves(axis: Any, row: Mapping[str, Any]) -> None:
    """Each random half: the sum of its scores, centred in its pair, and the loss of the target after training on it."""
    by_pair: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for point in row["lds_points"]:
        by_pair.setdefault((point["source"], point["target"]), []).append(point)
    for place, (pair, points) in enumerate(by_pair.items()):
        x, y = (np.array([point[key] for point in points], float) for key in ("predicted", "loss"))
        if len(by_pair) > 1:
            x, y = x - x.mean(), y - y.mean()
        style = {"marker": MARKERS[place % len(MARKERS)], "color": COLOURS[place % len(COLOURS)]}
        name = " → ".join(part.rpartition("/")[2] for part in pair)
        axis.plot(x, y, linestyle="", markersize=5, label=name if len(by_pair) <= len(COLOURS) else None, **style)
    if len(by_pair) <= len(COLOURS):
        axis.legend(fontsize=8, frameon=False)
    axis.tick_params(labelsize=8)
    ends = "" if row["lds_low"] is None else f" [{row['lds_low']:+.2f}, {row['lds_high']:+.2f}]"
    about = f"LDS {_shown(row['lds'], '+.2f')}{ends}, m = {row['lds_subsets']}"
    axis.set_title(f"{row['scorer']} ({row['recipe']})\n{about}", fontsize=10, loc="left")
    less = " less its mean" if len(by_pair) > 1 else ""
    axis.set_xlabel(f"sum of scores over a random half{less}", fontsize=9)
    axis.set_ylabel(f"target's loss after training\non it{less}, nats", fontsize=9)
