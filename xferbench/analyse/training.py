"""How training went: every curve that the trainers logged (loss, reward, sampling ratios), per seed and on average."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xferbench.analyse.figure import canvas, save
from xferbench.analyse.pairing import number
from xferbench.analyse.table import grid
from xferbench.errors import UsageError
from xferbench.results import Results

CLOCKS = ("step", "call")
"""What a curve runs over: optimiser steps, or calls of the reward."""
NO_CURVE = (*CLOCKS, "seconds", "responses", "failed")
"""Numbers of a log that are no finding."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B0568C", "#E69F00", "#56B4E9", "#767676", "#000000")
STYLES = ("-", "--", ":", "-.")
Curves = dict[tuple[str, str], dict[float, float]]
"""(metric, domain or "") -> {step: value} of one training."""


def training(results: Results) -> dict[str, Any]:
    """Return {"curves": [...]}: one for each trainer, curriculum, recipe, metric and domain (null: all domains).

    `seeds` holds x and y of every training, `mean` their average at each x that any seed has, with how many have it.
    A line of a log belongs to a curve when it has a `step` (or a `call` of the reward); its other numbers are metrics.
    """
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    clocks: dict[tuple[str, ...], str] = {}
    for row in results.training:
        clock, curves = _curves(results.log(row["step"]))
        for (metric, domain), points in curves.items():
            key = (row["trainer"], row["curriculum"], row["recipe"], metric, domain)
            clocks[key] = clock[metric]
            one = {"seed": row["seed"], "step": row["step"], "x": list(points), "y": list(points.values())}
            groups.setdefault(key, []).append(one)
    found = []
    for (trainer, curriculum, recipe, metric, domain), seeds in groups.items():
        key = (trainer, curriculum, recipe, metric, domain)
        names = {"trainer": trainer, "curriculum": curriculum, "recipe": recipe, "metric": metric}
        found.append({**names, "domain": domain or None, "over": clocks[key], "seeds": seeds, "mean": _mean(seeds)})
    reason = None if found else "no training of this folder kept a log (DIR/training)"
    return {"curves": found, "reason": reason}


def _curves(log: Iterable[Mapping[str, Any]]) -> tuple[dict[str, str], Curves]:
    clocks: dict[str, str] = {}
    curves: Curves = {}
    for line in log:
        clock = next((name for name in CLOCKS if name in line), None)
        if clock is None:
            continue  # the last line: what the training cost
        for metric, value in line.items():
            if metric not in NO_CURVE and isinstance(value, (int, float)) and not isinstance(value, bool):
                clocks[metric] = clock
                curves.setdefault((metric, line.get("domain") or ""), {})[line[clock]] = value
    return clocks, curves


def _mean(seeds: list[dict[str, Any]]) -> dict[str, list[Any]]:
    every: dict[float, list[float]] = {}
    for one in seeds:
        for x, y in zip(one["x"], one["y"], strict=True):
            every.setdefault(x, []).append(y)
    order = sorted(every)
    means = [number(sum(every[x]) / len(every[x])) for x in order]
    return {"x": order, "y": means, "n": [len(every[x]) for x in order]}


def text(found: Mapping[str, Any]) -> str:
    """One line a curve: where its mean began and ended."""
    if not found["curves"]:
        return f"nothing to show: {found['reason']}"
    lines = [["trainer", "learnt", "domain", "metric", "first", "last", "points", "seeds"]]
    for curve in found["curves"]:
        y = curve["mean"]["y"]
        ends = [f"{y[0]:.4g}", f"{y[-1]:.4g}", str(len(y)), str(len(curve["seeds"]))]
        lines.append([curve["trainer"], curve["curriculum"], curve["domain"] or "", curve["metric"], *ends])
    return grid(lines, ["left"] * 4 + ["right"] * 4)


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw one panel for each trainer and metric: thin lines the seeds, thick ones their mean."""
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for curve in found["curves"]:
        panels.setdefault((curve["trainer"], curve["metric"]), []).append(curve)
    if not panels:
        raise UsageError(f"there is nothing to draw: {found['reason']}")
    lines = list(dict.fromkeys(_name(curve) for curve in found["curves"]))
    looks = {name: (COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]) for i, name in enumerate(lines)}
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = canvas(rows, columns, (5.2 * columns, 2.9 * rows + 0.25 * len(lines)))
    for axis, ((trainer, metric), curves) in zip(axes, panels.items(), strict=False):
        for curve in curves:
            colour, style = looks[_name(curve)]
            for one in curve["seeds"]:
                axis.plot(one["x"], one["y"], style, color=colour, linewidth=0.7, alpha=0.45)
            mark = "o" if len(curve["mean"]["x"]) == 1 else None
            mean = curve["mean"]
            axis.plot(mean["x"], mean["y"], style, color=colour, linewidth=2.2, marker=mark, label=_name(curve))
        axis.set_title(f"{trainer}: {metric.replace('_', ' ')}", fontsize=10, loc="left")
        axis.set_xlabel({"step": "optimiser step", "call": "call of the reward"}[curves[0]["over"]], fontsize=9)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, fontsize=8, frameon=False, loc="outside lower center", ncols=columns)
    save(figure, path)


def _name(curve: Mapping[str, Any]) -> str:
    return curve["curriculum"] + (f": {curve['domain']}" if curve["domain"] else "")
