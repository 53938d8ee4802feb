"""The shape of a matrix of gains: who gives, who takes, whether giving and taking agree, and what stands in the way.

G[s, t] is the gain of source s on the target of domain t over the untrained model; the diagonal, a domain's own
target, is left out of everything but the ceiling. Donor and recipient scores, the asymmetry index and the rates are
those of "Donors and Recipients" (arXiv 2511.13368).
"""

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.contrast import Sides, empty, pooled
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.pairing import Pair, Scores, number, pairs
from xferbench.analyse.rank import spearman
from xferbench.analyse.table import grid, points
from xferbench.analyse.transfer import findings
from xferbench.errors import UsageError
from xferbench.results import Results

Matrix = NDArray[np.float64]
HARM = 0.01
"""A loss of so much (a fraction) is a harm."""


def matrix(results: Results, harm: float = HARM) -> list[dict[str, Any]]:
    """Return one row for each recipe, gains as fractions, None beside a reason where a number is not defined.

    sources, targets, gains [[...]] (sources, targets), own {source: the target that stands for it}. donors {source: its
    mean gain on the targets of others}, recipients {target: its mean gain from other sources}, each a row of
    `contrast`. asymmetry: ||A||^2 / (||A||^2 + ||S||^2) over the pairs measured both ways, A = (G - G^T) / 2, S = (G +
    G^T) / 2: 0 where giving and taking are equal, 1 where they are opposite. both_ways: Spearman of G and G^T.
    negative, harmed: shares of the off-diagonal cells below 0, and of `harm` or more below. certain_loss: how many lie
    below 0 after Holm. each_way: one row for each pair of domains measured both ways, one, other, forth (gain of one's
    training on other's target), back, and the `contrast` row of forth - back with p_holm over these rows; the larger
    gain comes first. ceiling {target: the most that any other source brings, as a share of what its own domain
    brings}.
    """
    known = {(f["source"], f["target"], f["recipe"]): f for f in findings(results, resamples=0)}
    trained: dict[str, list[Any]] = {}
    for pair in pairs(results):
        if pair.cells["transfer"] and pair.cells["baseline"]:
            trained.setdefault(pair.recipe, []).append(pair)
    scores = Scores(results)
    found = []
    for recipe, group in trained.items():
        own = _own(results, group)
        row = _row(recipe, [known[p.source, p.target, p.recipe] for p in group], own, harm)
        away = [p for p in group if own.get(p.target) != p.source]
        row["donors"] = {s: _pooled([p for p in away if p.source == s], scores) for s in row["sources"]}
        row["recipients"] = {t: _pooled([p for p in away if p.target == t], scores) for t in row["targets"]}
        row["each_way"] = _each_way(away, row["own"], scores)
        found.append(row)
    return found


def _pooled(group: list[Pair], scores: Scores) -> dict[str, Any]:
    """The mean gain of some pairs, with its interval."""
    sides: dict[str, list[Sides]] = {}
    for pair in group:
        sides.setdefault(pair.target, []).append((pair.cells["transfer"], pair.cells["baseline"]))
    return pooled(list(sides.values()), scores) if sides else empty("not measured with another domain")


def _each_way(away: list[Pair], home: Mapping[str, str], scores: Scores) -> list[dict[str, Any]]:
    """For each two domains: what one gives the other less what it gets back, the largest first."""
    cells = {(pair.source, pair.target): pair for pair in away}
    rows = []
    for one, other in combinations(home, 2):
        there, here = cells.get((one, home[other])), cells.get((other, home[one]))
        if there is None or here is None:
            continue
        gains = [_pooled([pair], scores) for pair in (there, here)]
        if None not in (gains[0]["value"], gains[1]["value"]) and gains[0]["value"] < gains[1]["value"]:
            one, other, there, here, gains = other, one, here, there, gains[::-1]
        sides = [[(pair.cells["transfer"], pair.cells["baseline"])] for pair in (there, here)]
        difference = pooled(sides, scores, [1.0, -1.0])
        if difference["method"]:
            difference["method"] = difference["method"].replace("mean over 2 targets", "difference of two targets")
        ends = {"one": one, "other": other, "forth": gains[0]["value"], "back": gains[1]["value"]}
        rows.append({**ends, **difference, "p_holm": None})
    tested = [row for row in rows if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = number(p)
    return sorted(rows, key=lambda row: -(row["value"] or 0.0))


def _own(results: Results, group: list[Any]) -> dict[str, str]:
    """Target -> the source that is its own domain."""
    named = results.run.get("own_domains") or {}
    direct = {p.target: p.source for p in group if p.curriculum("direct") == p.curriculum("transfer")}
    same = {p.target: p.source for p in group if p.source == p.target}
    trained = {p.source for p in group}
    own = {p.target: str(named[p.target]) for p in group if named.get(p.target) in trained}
    return {**own, **direct, **same}


def _row(recipe: str, found: list[Mapping[str, Any]], own: dict[str, str], harm: float) -> dict[str, Any]:
    sources, targets = (list(dict.fromkeys(f[end] for f in found)) for end in ("source", "target"))
    gains = np.full((len(sources), len(targets)), np.nan)
    for f in found:
        if f["gain"]["value"] is not None:
            gains[sources.index(f["source"]), targets.index(f["target"])] = f["gain"]["value"]
    off = np.isfinite(gains)
    for target, source in own.items():
        off[sources.index(source), targets.index(target)] = False
    home = _home(own)
    cells = gains[off]
    losses = [f for f in found if f["gain"]["p_holm"] is not None and f["gain"]["p_holm"] <= 0.05
              and f["gain"]["value"] < 0]  # fmt: skip
    return {
        "recipe": recipe, "sources": sources, "targets": targets, "own": home,
        "gains": [[number(value) for value in line] for line in gains], "cells": len(cells),
        **_both_ways(gains, off, sources, targets, home),
        "negative": number((cells < 0).mean()) if len(cells) else None,
        "harmed": number((cells <= -harm + 1e-12).mean()) if len(cells) else None,
        "harm": harm, "certain_loss": len(losses),
        "ceiling": _ceiling(gains, off, sources, targets, own),
        "reason": None if len(cells) else "no source was measured on the target of another domain",
    }  # fmt: skip


def _home(own: Mapping[str, str]) -> dict[str, str]:
    """Source -> the target that stands for it: the one of its name, else the first."""
    home: dict[str, str] = {}
    for target, source in own.items():
        if target == source or source not in home:
            home[source] = target
    return home


def _both_ways(
    gains: Matrix, off: NDArray[np.bool_], sources: list[str], targets: list[str], own: Mapping[str, str]
) -> dict[str, Any]:
    """Asymmetry over the pairs of domains that were measured there and back."""
    forth, back = [], []
    at = {source: targets.index(own[source]) for source in sources if own.get(source) in targets}
    for i, source in enumerate(sources):
        for k, other in enumerate(sources):
            there = i != k and source in at and other in at
            if there and off[i, at[other]] and off[k, at[source]]:
                forth.append(gains[i, at[other]])
                back.append(gains[k, at[source]])
    g, t = np.round(forth, 9), np.round(back, 9)  # differences of rounded scores tie
    part, whole = float(((g - t) ** 2).sum()), float(((g - t) ** 2).sum() + ((g + t) ** 2).sum())
    found: dict[str, Any] = {"pairs_both_ways": len(g) // 2, "asymmetry": None, "both_ways": None}
    if not len(g):
        return found | {"asymmetry_reason": "no two domains were each learnt and measured"}
    if whole == 0:
        return found | {"asymmetry_reason": "all gains are 0"}
    found |= {"asymmetry": number(part / whole), "both_ways": number(spearman(g, t)), "asymmetry_reason": None}
    return found


def _ceiling(
    gains: Matrix, off: NDArray[np.bool_], sources: list[str], targets: list[str], own: Mapping[str, str]
) -> dict[str, float | None]:
    """The best gain from elsewhere over the gain of the target's own domain; None where that is not above 0."""
    found: dict[str, float | None] = {}
    for j, target in enumerate(targets):
        direct = gains[sources.index(own[target]), j] if target in own else np.nan
        others = gains[:, j][off[:, j]]
        found[target] = number(others.max() / direct) if len(others) and direct > 0 else None
    return found


def text(found: list[Mapping[str, Any]]) -> str:
    """Donors, recipients and the rates of each recipe, in points."""
    if not found:
        return "no source was trained on and measured beside the untrained model"
    parts = []
    for row in found:
        lines = [
            ["domain or target", "gives: mean gain elsewhere [95 %]", "takes: mean gain from others [95 %]", "ceiling"]
        ]
        names = list(dict.fromkeys([*row["sources"], *(t for t in row["targets"] if t not in row["own"].values())]))
        for name in names:
            target = row["own"].get(name, name)
            most = row["ceiling"].get(target)
            gives, takes = (row[end].get(at, NOTHING) for end, at in (("donors", name), ("recipients", target)))
            lines.append([name, _gain(gives), _gain(takes), "." if most is None else f"{100 * most:.0f} %"])
        parts.append(f"{row['recipe']}\n" + grid(lines, ["left", "right", "right", "right"]))
        parts.append(_rates(row))
    parts.append("ceiling: the most that another domain brings, of what the target's own domain brings.")
    return "\n\n".join(parts)


NOTHING = {"value": None, "low": None}


def _gain(row: Mapping[str, Any]) -> str:
    ends = "" if row["low"] is None else f" [{points(row['low'], True)}, {points(row['high'], True)}]"
    return points(row["value"], True) + ends


def _rates(row: Mapping[str, Any]) -> str:
    if row["reason"]:
        return f"{row['reason']}."
    lines = [
        f"Of {row['cells']} gains on other domains' targets {100 * row['negative']:.1f} % are below 0, "
        f"{100 * row['harmed']:.1f} % by {100 * row['harm']:g} points or more, {row['certain_loss']} for certain."
    ]
    if row["asymmetry"] is None:
        lines.append(f"Asymmetry: {row['asymmetry_reason']}.")
    else:
        rho = "." if row["both_ways"] is None else f"{row['both_ways']:+.2f}"
        lines.append(
            f"Asymmetry {row['asymmetry']:.2f} over {row['pairs_both_ways']} pairs of domains "
            f"(0: giving is taking); there and back correlate by {rho}."
        )
    uneven = [each for each in row["each_way"] if each["p_holm"] is not None and each["p_holm"] <= 0.05]
    lines += [
        f"{each['one']} gives {each['other']} {points(each['forth'], True)} and takes {points(each['back'], True)}: "
        f"{_gain(each)} more, Holm p {each['p_holm']:.3g}."
        for each in uneven
    ]
    if row["each_way"] and not uneven:
        lines.append(f"Of {len(row['each_way'])} pairs of domains none is certain to give more than it takes (Holm).")
    return "\n".join(lines)


def draw(found: list[Mapping[str, Any]], path: Path) -> None:
    """Draw, for each recipe, how much each domain gives against how much its target takes."""
    from xferbench.analyse.figure import below, save, short, stack

    shown = [row for row in found if not row["reason"]]
    if not shown:
        raise UsageError("there is nothing to draw: no source was measured on the target of another domain")
    figure, axes = stack([1.3 + 0.4 * len(row["sources"]) for row in shown])
    for axis, row in zip(axes, shown, strict=True):
        rows = [s for s in row["sources"] if row["donors"][s]["value"] is not None]
        rows.sort(key=lambda s: -row["donors"][s]["value"])
        for place, source in enumerate(rows):
            _dot(axis, row["donors"][source], place - 0.13, "o", "#0072B2", "gives to others")
            target = row["own"].get(source, source)
            _dot(axis, row["recipients"].get(target, NOTHING), place + 0.13, "D", "#D55E00", "takes from others")
        axis.axvline(0, color="#767676", linewidth=1)
        axis.set_yticks(range(len(rows)), [short(name) for name in rows], fontsize=8)
        axis.tick_params(axis="x", labelsize=8)
        axis.set_ylim(len(rows) - 0.4, -0.6)
        axis.set_xlabel("mean gain off the diagonal, points, 95 % interval", fontsize=9)
        axis.set_title(row["recipe"], fontsize=10, loc="left")
    below(figure, axes, 2)
    save(figure, path)


def _dot(axis: Any, row: Mapping[str, Any], at: float, mark: str, colour: str, name: str) -> None:
    """A mean gain with its interval."""
    if row["value"] is None:
        return
    fill = colour if mark == "o" else "white"
    axis.plot(100 * row["value"], at, mark, color=colour, markerfacecolor=fill, label=name, zorder=3)
    if row["low"] is not None:
        axis.plot([100 * row["low"], 100 * row["high"]], [at, at], color=colour, linewidth=1.6)
