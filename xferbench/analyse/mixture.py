"""The curve of a mixture: score over the share of the first domain, chosen by influence, at random, and worst first."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from xferbench.analyse import bootstrap
from xferbench.analyse.contrast import contrast, empty
from xferbench.analyse.figure import lines, save, short, stack
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.pairing import Scores, Seeds, number
from xferbench.analyse.table import grid, points
from xferbench.curriculum import parse
from xferbench.errors import UsageError
from xferbench.results import Cell, Results

ARMS = {"top": "#0072B2", "random": "#767676", "bottom": "#D55E00"}
Curve = dict[tuple[str, float], Seeds]


def mixture(results: Results, resamples: int = 2000) -> dict[str, Any]:
    """Return the curve of what `xferbench mix` made, all scores as fractions; `share` is that of the first domain:

    curve    for every share and arm the mean, and its gain over the untrained model
    against  at every share, top - random and top - bottom: what the choice by influence is worth
    best     the share with the highest mean of arm top; its lead over every other share, with p_holm over these; those
             it is not told apart from (`rivals`); how often each share is best in `resamples` draws of items and seeds;
             None where fewer than two shares were measured

    Differences are paired by item and seed (see `contrast`). The best of several noisy means is too high by chance.
    """
    about = results.run.get("mix")
    if not about:
        raise UsageError(f"{results.root or 'a table'} holds no mixture: `xferbench mix` makes one, in OUT/mix")
    scores = Scores(results)
    base: Seeds = {cell.seed: cell for cell in results.cells if cell.condition == "baseline"}
    curve: Curve = {}
    for cell in results.cells:
        if cell.condition in ARMS:
            curve.setdefault((cell.condition, share(cell, about["source"])), {})[cell.seed] = cell
    shown = [
        {"share": at, "arm": arm, "value": _mean(seeds), "seeds": len(seeds), "n": min(c.n for c in seeds.values()),
         "gain": contrast(seeds, base, scores)}
        for (arm, at), seeds in curve.items()
    ]  # fmt: skip
    against = [
        {"share": at, "over": arm, **_over(curve["top", at], seeds, scores)}
        for (arm, at), seeds in curve.items() if arm != "top" and ("top", at) in curve
    ]  # fmt: skip
    tops = {at: seeds for (arm, at), seeds in curve.items() if arm == "top"}
    about = {**{key: results.run.get(key) for key in ("suite", "model", "notes")}, **about}
    return {
        **about,
        "curve": shown,
        "against": against,
        "best": _best(tops, scores, resamples) if len(tops) > 1 else None,
    }


def share(cell: Cell, source: str) -> float:
    """Return the share of `source` in what a cell learnt: 1 alone, 0 when it is not there."""
    for part in parse(cell.curriculum).stages[0]:
        if part.plain == source:
            return 1.0 if part.share is None else part.share
    return 0.0


def _mean(seeds: Seeds) -> float | None:
    return number(np.mean([cell.value for cell in seeds.values()]))


def _over(top: Seeds, other: Seeds, scores: Scores) -> dict[str, Any]:
    found = contrast(top, other, scores)
    if all(seed in other and other[seed].step == cell.step for seed, cell in top.items()):
        found |= empty("all that was drawn is taken, so there is nothing to choose: the same training", 0.0)
    return found


def _best(tops: Mapping[float, Seeds], scores: Scores, resamples: int) -> dict[str, Any]:
    best = max(tops, key=lambda at: float(np.mean([cell.value for cell in tops[at].values()])))
    leads = [{"share": at, **contrast(tops[best], seeds, scores)} for at, seeds in tops.items() if at != best]
    tested = [lead for lead in leads if lead["p"] is not None]
    for lead, p in zip(tested, holm([lead["p"] for lead in tested]), strict=True):
        lead["p_holm"] = number(p)
    rivals = [lead["share"] for lead in leads if lead.get("p_holm") is None or lead["p_holm"] > 0.05]
    often = _resampled(tops, scores, resamples)
    return {"share": best, "value": _mean(tops[best]), "leads": leads, "rivals": rivals, "often_best": often}


def _resampled(tops: Mapping[float, Seeds], scores: Scores, resamples: int) -> list[dict[str, float]] | None:
    """How often each share is the best, in draws of items and seeds; None without items or without common seeds."""
    common = sorted(set.intersection(*({seed for seed in seeds if seed is not None} for seeds in tops.values())))
    found = [scores.of([seeds[seed] for seed in common]) for seeds in tops.values()] if common else [None]
    if any(rows is None for rows in found):
        return None
    draws = bootstrap.means(np.stack([np.stack(rows) for rows in found if rows is not None]), resamples)[1:]
    wins = np.bincount(draws.argmax(axis=1), minlength=len(tops)) / len(draws)
    return [{"share": at, "of_draws": float(win)} for at, win in zip(tops, wins, strict=True)]


def text(found: Mapping[str, Any]) -> str:
    """The curve as a table in points, and what may be said of the best share."""
    first, second = found["source"], found["with"]
    at: dict[float, dict[str, Any]] = {}
    for row in found["curve"]:
        at.setdefault(row["share"], {})[row["arm"]] = row
    over = {(row["share"], row["over"]): row for row in found["against"]}
    lines = [[f"share of {first}", *ARMS, "top - random", "95 %", "top - bottom", "95 %"]]
    for share_, arms in sorted(at.items()):
        line = [f"{share_:g}", *(points(arms[arm]["value"]) if arm in arms else "." for arm in ARMS)]
        for arm in ("random", "bottom"):
            row = over.get((share_, arm))
            line += [points(row["value"], True), _ends(row)] if row else [".", "."]
        lines.append(line)
    head = (f"{first} mixed with {second} for {found['target']}: {found['slots']} examples in every training "
            f"({found['recipe']}), chosen by {found['scorer']}")  # fmt: skip
    if found["suite"]:
        notes = [f"NOTE: {note}" for note in found["notes"] or []]
        head = "\n".join([f"suite {found['suite']}, model {found['model']['name']}", *notes, head])
    return "\n\n".join([head, grid(lines, ["right"] * 8), *_verdict(found)])


def _verdict(found: Mapping[str, Any]) -> list[str]:
    best = found["best"]
    if best is None:
        return ["A best share takes two that were measured by score."]
    seeds = max(row["seeds"] for row in found["curve"])
    lines = [
        f"Best share of {found['source']} by score: {best['share']:g} ({points(best['value'])} points, {seeds} seeds)."
    ]
    for lead in best["leads"]:
        sure = "" if lead.get("p_holm") is None else f", p after Holm {lead['p_holm']:.2g}"
        lines.append(f"  {best['share']:g} less {lead['share']:g}: {points(lead['value'], True)} {_ends(lead)}{sure}")
    if best["rivals"]:
        lines.append(f"It is not told apart from {', '.join(f'{one:g}' for one in best['rivals'])}.")
    elif best["leads"]:
        lines.append("It is told apart from every other share that was tried.")
    if best["often_best"]:
        often = ", ".join(f"{row['share']:g} in {100 * row['of_draws']:.0f} %" for row in best["often_best"])
        lines.append(f"Best in draws of items and seeds: {often}.")
    return ["\n".join(lines)]


def _ends(row: Mapping[str, Any]) -> str:
    return "." if row["low"] is None else f"[{points(row['low'], True)}, {points(row['high'], True)}]"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw the gain over the untrained model against the share, one line an arm, with 95 % intervals."""
    if not found["curve"]:
        raise UsageError("there is nothing to draw: nothing was measured")
    figure, (axis,) = stack([3.9])
    shares = sorted({row["share"] for row in found["curve"]})
    step = min((b - a for a, b in pairwise(shares)), default=1.0)
    for place, (arm, colour) in enumerate(ARMS.items()):
        rows = [row for row in found["curve"] if row["arm"] == arm and row["gain"]["value"] is not None]
        rows.sort(key=lambda row: row["share"])
        x = [row["share"] + 0.06 * step * (place - 1) for row in rows]
        axis.plot(x, [100 * row["gain"]["value"] for row in rows], "o-", color=colour, label=arm, linewidth=1.6)
        for left, row in zip(x, rows, strict=True):
            if row["gain"]["low"] is not None:
                axis.plot([left, left], [100 * row["gain"][end] for end in ("low", "high")], color=colour, linewidth=1)
    if found["best"]:
        axis.axvline(found["best"]["share"], color="#0072B2", linewidth=1, linestyle=":", zorder=0)
    axis.axhline(0, color="#767676", linewidth=1, zorder=0)
    axis.set_xticks(shares)
    axis.tick_params(labelsize=8)
    axis.set_xlabel(f"share of {found['source']}\n(the rest: {found['with']}); {found['slots']} examples", fontsize=9)
    axis.set_ylabel(f"gain on {short(found['target'])}, points, 95 %", fontsize=9)
    axis.set_title(lines(f"Examples chosen by {found['scorer']}; dotted: the best share", 48), fontsize=10, loc="left")
    axis.legend(fontsize=8, frameon=False)
    save(figure, path)
