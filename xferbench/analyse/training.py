"""How training went: every curve that the trainers logged (loss, reward, sampling ratios), per seed and on average."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from xferbench.analyse.figure import below, save, stack
from xferbench.analyse.pairing import number
from xferbench.analyse.table import grid
from xferbench.analyse.uncertainty import marginal
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
    Where a run was measured on its way (`run --eval-points`), the scores on each target (fractions) are curves as well,
    from the untrained model to the end; their mean has low and high, its 95 % interval (`uncertainty.marginal`).
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
    found += _scores(results)
    reason = None if found else "no training of this folder kept a log (DIR/training)"
    return {"curves": found, "reason": reason}


def _scores(results: Results) -> list[dict[str, Any]]:
    """The score on each target over the steps of a training: untrained, at each point on its way, at its end."""
    cells = {(c.curriculum, c.recipe, c.target, c.seed): c for c in results.cells}
    bases = {c.target: c for c in results.cells if c.condition == "baseline"}
    curves: dict[tuple[str, str, str, str], dict[int, dict[int, tuple[float, float, int, str]]]] = {}
    for row in results.points:
        seed = curves.setdefault((row["curriculum"], row["recipe"], row["target"], row["metric"]), {})
        points = seed.setdefault(row["seed"], {})
        points[row["at"]] = (row["value"], row["stderr"], row["n"], row["step"])
        end = cells.get((row["curriculum"], row["recipe"], row["target"], row["seed"]))
        ends = {0: bases.get(row["target"]), row["of"]: end}
        points |= {at: (c.value, c.stderr, c.n, c.step) for at, c in ends.items() if c is not None}
    found = []
    for (curriculum, recipe, target, metric), by_seed in curves.items():
        names = {"trainer": recipe, "curriculum": curriculum, "recipe": recipe, "metric": f"{metric} on {target}"}
        seeds = [
            {"seed": seed, "step": points[max(points)][3], "x": list(points), "y": [one[0] for one in points.values()]}
            for seed, points in ((seed, dict(sorted(points.items()))) for seed, points in by_seed.items())
        ]
        mean = _mean(seeds)
        sure = [_interval([points[x] for points in by_seed.values() if x in points]) for x in mean["x"]]
        mean |= {"low": [low for low, _ in sure], "high": [high for _, high in sure]}
        found.append({**names, "domain": None, "over": "step", "seeds": seeds, "mean": mean, "unit": "fraction"})
    return found


def _interval(points: list[tuple[float, float, int, str]]) -> tuple[float | None, float | None]:
    """The interval of the mean of one point over seeds; what is not trained has one measurement."""
    once = {step: (value, error, n) for value, error, n, step in points}
    values, errors, counts = zip(*once.values(), strict=True)
    estimate = marginal(values, errors, min(counts))
    if estimate is None:
        return None, None
    low, high = estimate.interval()
    return number(max(low, min(0.0, estimate.value))), number(min(high, max(1.0, estimate.value)))


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
    """One line a curve: where its mean began and ended; scores in points."""
    if not found["curves"]:
        return f"nothing to show: {found['reason']}"
    lines = [["trainer", "learnt", "domain", "metric", "first", "last", "points", "seeds"]]
    for curve in found["curves"]:
        y = [value if value is None else _times(curve) * value for value in curve["mean"]["y"]]
        ends = [*("." if value is None else f"{value:.4g}" for value in (y[0], y[-1])), str(len(y))]
        names = [curve["trainer"], curve["curriculum"], curve["domain"] or "", curve["metric"]]
        lines.append([*names, *ends, str(len(curve["seeds"]))])
    return grid(lines, ["left"] * 4 + ["right"] * 4)


def _times(curve: Mapping[str, Any]) -> float:
    return 100.0 if curve.get("unit") == "fraction" else 1.0


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw a panel for each trainer and metric: thin lines the seeds, thick ones their mean; scores with intervals."""
    panels: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for curve in found["curves"]:
        panels.setdefault((curve["trainer"], curve["metric"]), []).append(curve)
    if not panels:
        raise UsageError(f"there is nothing to draw: {found['reason']}")
    lines = list(dict.fromkeys(_name(curve) for curve in found["curves"]))
    looks = {name: (COLOURS[i % len(COLOURS)], STYLES[i // len(COLOURS) % len(STYLES)]) for i, name in enumerate(lines)}
    figure, axes = stack([2.2 + 0.2 * len(lines) / len(panels)] * len(panels))
    for axis, ((trainer, metric), curves) in zip(axes, panels.items(), strict=True):
        for place, curve in enumerate(curves):
            _line(axis, curve, *looks[_name(curve)], 0.008 * place)
        axis.set_title(f"{trainer}: {metric.replace('_', ' ')}", fontsize=10, loc="left")
        axis.set_xlabel({"step": "optimiser step", "call": "call of the reward"}[curves[0]["over"]], fontsize=9)
        axis.tick_params(labelsize=8)
        if _times(curves[0]) > 1:
            axis.set_ylabel("points of 100", fontsize=9)
        elif _wide(metric, curves):
            axis.set_yscale("log")
            axis.set_ylabel("logarithmic", fontsize=9)
    below(figure, axes)
    save(figure, path)


def _wide(metric: str, curves: Iterable[Mapping[str, Any]]) -> bool:
    """Whether losses or norms, none below 0, span a factor of ten: on a linear axis the small ones are all 0."""
    values = [y for curve in curves for one in curve["seeds"] for y in one["y"] if y is not None]
    known = [y for y in values if y > 0]
    if not known or min(values) < 0 or not ("loss" in metric or "norm" in metric):
        return False
    return max(known) > 10 * min(known)


def _line(axis: Any, curve: Mapping[str, Any], colour: str, style: str, aside: float) -> None:
    """The curves of all seeds, their mean, and its intervals, a little `aside`; what is null is a gap."""
    times, mean = _times(curve), curve["mean"]
    shift = aside * (mean["x"][-1] - mean["x"][0])
    for one in curve["seeds"]:
        axis.plot(one["x"], _plain(one["y"], times), style, color=colour, linewidth=0.7, alpha=0.45)
    mark = "o" if len(mean["x"]) == 1 or times > 1 else None
    y = _plain(mean["y"], times)
    axis.plot(mean["x"], y, style, color=colour, linewidth=2.2, marker=mark, markersize=4, label=_name(curve))
    for x, low, high in zip(mean["x"], mean.get("low", ()), mean.get("high", ()), strict=False):
        if low is not None:
            axis.plot([x + shift] * 2, [times * low, times * high], color=colour, linewidth=1.2)


def _plain(values: list[float | None], times: float) -> list[float]:
    return [float("nan") if value is None else times * value for value in values]


def _name(curve: Mapping[str, Any]) -> str:
    placebo = " (placebo)" if curve["curriculum"].endswith("~shuffled") else ""
    return curve["curriculum"] + placebo + (f": {curve['domain']}" if curve["domain"] else "")
