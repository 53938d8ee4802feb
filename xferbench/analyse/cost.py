"""What a gain costs: points gained by each condition for an hour, a million tokens, 10^15 operations, a dollar."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xferbench.analyse.contrast import contrast
from xferbench.analyse.figure import lines, room, save, short, stack
from xferbench.analyse.pairing import CONDITIONS, Scores, Seeds, number, pairs
from xferbench.analyse.table import grid, points
from xferbench.errors import UsageError
from xferbench.results import Results

UNITS = {
    "seconds": (3600.0, "hours", "an hour"), "tokens": (1e6, "million tokens", "a million tokens"),
    "flops": (1e15, "10^15 operations", "10^15 operations"), "dollars": (1.0, "dollars", "a dollar"),
}  # fmt: skip
"""Key of a cell's cost -> how much of it is counted as one, and what many and one are called."""
MANY = 24


def costs(results: Results) -> list[dict[str, Any]]:
    """Return one row for each source, target, recipe and trained condition: the gain over the baseline, and its price.

    gain: value, low, high (fractions; see `contrast`). cost: {seconds, tokens, flops, dollars} of one training, all of
    its stages, with its measurement, mean over seeds; None where a seed's is not known. per: for each key of cost the
    gain in points for 3600 seconds, 10^6 tokens, 10^15 operations and 1 dollar: value, low, high, None beside a reason.
    The interval is that of the gain: the cost is taken as it was. Dollars are hours at the price an hour that the run
    was given (`run --price`).
    """
    scores = Scores(results)
    found, seen = [], set()
    for pair in pairs(results):
        for condition in CONDITIONS[1:]:
            cells = pair.cells[condition]
            steps = (condition, pair.target, *(cell.step for cell in cells.values()))
            if not cells or steps in seen:  # what all sources share, such as direct, is told once
                continue
            seen.add(steps)
            gain = contrast(cells, pair.cells["baseline"], scores)
            cost = {key: _mean(cells, key) for key in UNITS}
            names = {"source": pair.source, "target": pair.target, "recipe": pair.recipe, "condition": condition}
            learnt = next(iter(cells.values())).curriculum
            found.append({
                **names, "curriculum": learnt, "seeds": len(cells), "n": min(cell.n for cell in cells.values()),
                "gain": {key: gain[key] for key in ("value", "low", "high", "reason")}, "cost": cost,
                "per": {key: _per(gain, cost[key], key) for key in UNITS},
            })  # fmt: skip
    return found


def _mean(cells: Seeds, key: str) -> float | None:
    known = [cell.cost.get(key) for cell in cells.values()]
    values = [float(value) for value in known if value is not None]
    return number(np.mean(values)) if values and len(values) == len(known) else None


def _per(gain: Mapping[str, Any], cost: float | None, key: str) -> dict[str, Any]:
    """Points for one unit of the cost."""
    found: dict[str, Any] = dict.fromkeys(("value", "low", "high"))
    if gain["value"] is None:
        return {**found, "reason": gain["reason"]}
    if cost is None or cost <= 0:
        known = "no price an hour was given (run --price)" if key == "dollars" else f"its {key} are not known"
        return {**found, "reason": known if cost is None else f"its {key} are 0"}
    unit = 100 * UNITS[key][0] / cost
    ends = {end: None if gain[end] is None else number(unit * gain[end]) for end in found}
    return {**ends, "reason": gain["reason"]}


def text(found: Sequence[Mapping[str, Any]]) -> str:
    """Gain, cost and points for the cost of every condition; units that nobody knows are left out."""
    if not found:
        return "no pair of a source and a target was measured"
    known = [key for key in UNITS if any(row["cost"][key] for row in found)]
    rows = [["learnt → target", "recipe", "gain [95 %]"]]
    for key in known:
        rows[0] += [UNITS[key][1], f"points for {UNITS[key][2]} [95 %]"]
    for row in found:
        line = [f"{row['curriculum']} → {row['target']}", row["recipe"], _ends(row["gain"])]
        for key in known:
            cost = row["cost"][key]
            line += ["." if cost is None else f"{cost / UNITS[key][0]:.3g}", _ends(row["per"][key], False)]
        rows.append(line)
    lines = [grid(rows, ["left"] * 2 + ["right"] * (len(rows[0]) - 2)), ""]
    lines.append("Of one training with its measurement, mean over seeds; intervals: those of the gain.")
    if "dollars" not in known:
        lines.append("No dollars: the run was given no price (the same command with --price DOLLARS_AN_HOUR adds it).")
    return "\n".join(lines)


def _ends(row: Mapping[str, Any], fraction: bool = True) -> str:
    """A number with its interval: a fraction as points, or what points for a unit are."""
    told = [None if row[key] is None else points(row[key], True) if fraction else plain(row[key])
            for key in ("value", "low", "high")]  # fmt: skip
    return "." if told[0] is None else told[0] + ("" if told[1] is None else f" [{told[1]}, {told[2]}]")


def plain(value: float) -> str:
    """A signed number of about three digits, without an exponent where it is large."""
    return f"{value:+,.0f}" if abs(value) >= 100 else f"{value:+.3g}"


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the points for each unit that is known, a panel a unit, with the gain's interval."""
    units = [key for key in UNITS if any(row["per"][key]["value"] is not None for row in found)]
    shown = [row for row in found if row["gain"]["value"] is not None][:MANY]
    if not units or not shown:
        raise UsageError("there is nothing to draw: no gain has a cost")
    from matplotlib.ticker import EngFormatter, MaxNLocator

    names = [lines(f"{short(row['curriculum'])} → {short(row['target'])} ({row['recipe']})") for row in shown]
    figure, axes = stack([1.0 + room(names, 0.34)] * len(units))
    for axis, key in zip(axes, units, strict=True):
        for place, row in enumerate(shown):
            per = row["per"][key]
            if per["value"] is None:
                continue
            if per["low"] is not None:
                axis.plot([per["low"], per["high"]], [place, place], color="#0072B2", linewidth=1.6)
            axis.plot(per["value"], place, "o", color="#0072B2", markersize=5)
        axis.axvline(0, color="#767676", linewidth=1)
        axis.set_yticks(range(len(shown)), names, fontsize=8)
        axis.set_ylim(len(shown) - 0.5, -0.5)
        axis.tick_params(axis="x", labelsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.xaxis.set_major_formatter(EngFormatter(sep=""))  # 100k: there is no room for six digits
        axis.set_xlabel(f"points gained for {UNITS[key][2]}\n(line: 95 % interval)", fontsize=9)
    save(figure, path)
