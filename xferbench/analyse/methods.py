"""Which recipe is better? For each source, target and condition, every pair of recipes on the same items and seeds."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from textwrap import wrap
from typing import Any

from xferbench.analyse.contrast import contrast
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.pairing import Pair, Scores, number, pairs
from xferbench.results import Results

TRAINED = ("transfer", "direct", "sequential", "joint", "placebo")


def methods(results: Results) -> list[dict[str, Any]]:
    """Return the differences between recipes: value = score by `recipe` - score by `against`, a fraction.

    Keys: source (of direct: the one it was first measured beside), target, condition, curriculum, recipe, against,
    seeds, n, and of `contrast` value, low, high, p, mde, method, reason. Paired by item and training seed; p_holm
    adjusts all comparisons of the run (Holm 1979). A condition that several sources share is compared once.
    """
    scores = Scores(results)
    alike: dict[tuple[str, str], list[Pair]] = {}
    for pair in pairs(results):
        alike.setdefault((pair.source, pair.target), []).append(pair)
    found: list[dict[str, Any]] = []
    met: set[frozenset[str]] = set()
    for (source, target), group in alike.items():
        for condition in TRAINED:
            measured = [pair for pair in group if pair.cells[condition]]
            for first, second in combinations(measured, 2):
                a, b = second.cells[condition], first.cells[condition]
                steps = frozenset(cell.step for cell in (*a.values(), *b.values()))
                if steps in met:
                    continue
                met.add(steps)
                shared = [a[seed] for seed in a if seed in b]
                found.append(
                    {
                        "source": source,
                        "target": target,
                        "condition": condition,
                        "curriculum": second.curriculum(condition),
                        "recipe": second.recipe,
                        "against": first.recipe,
                        "seeds": len(shared),
                        "n": min((cell.n for cell in shared), default=0),
                        **contrast(a, b, scores),
                    }
                )
    tested = [row for row in found if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = number(p)
    return [{**row, "p_holm": row.get("p_holm"), "tests": len(tested)} for row in found]


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the comparisons as a table in points, what differs for sure marked *, and a line that says which do."""
    from xferbench.analyse.table import grid, points

    if not rows:
        return "no two recipes were measured on the same source, target and condition"
    shown = [["condition", "curriculum → target", "recipe", "against", "difference [95 %]", "p (Holm)", "MDE"]]
    for row in rows:
        value = points(row["value"], sign=True) + ("*" if sure(row) else "")
        if row["low"] is not None:
            value += f" [{points(row['low'], sign=True)}, {points(row['high'], sign=True)}]"
        p = "." if row["p_holm"] is None else f"{row['p_holm']:.3f}"
        end = [row["recipe"], row["against"], value, p, points(row["mde"])]
        shown.append([row["condition"], f"{row['curriculum']} → {row['target']}", *end])
    lines = [grid(shown, ["left"] * 4 + ["right"] * 3), ""]
    about = (
        "Recipes compared on the same test items and training seeds: recipe - against, points, 95 % interval; * differs"
    )
    lines += wrap(f"{about} from 0 (5 %, Holm's correction for {rows[0]['tests']} tests).", 120)
    differing = [row for row in rows if sure(row)]
    lines += [f"{row['condition']}: {_better(row)}." for row in differing]
    if not differing:
        lines.append(
            "No condition differs by method beyond chance; MDE is the smallest difference seen with 80 % power."
        )
    for why in dict.fromkeys(row["reason"] for row in rows if row["reason"] and row["low"] is None):
        lines.append(f"Without an interval: {why}.")
    return "\n".join(lines)


def sure(row: Mapping[str, Any]) -> bool:
    """Tell whether a difference is told apart from 0 after Holm's correction."""
    return row["p_holm"] is not None and row["p_holm"] <= 0.05


def _better(row: Mapping[str, Any]) -> str:
    pair = (row["recipe"], row["against"]) if row["value"] > 0 else (row["against"], row["recipe"])
    return f"{pair[0]} is better than {pair[1]} on {row['target']} after {row['curriculum']}"


def draw(rows: Sequence[Mapping[str, Any]], path: Any) -> None:
    """Draw each difference with its interval, in points, one line a comparison; UsageError when there is none."""
    from xferbench.analyse.figure import lines, room, save, short, stack
    from xferbench.errors import UsageError

    known = [row for row in rows if row["low"] is not None]
    if not known:
        raise UsageError("nothing to draw: no two recipes were compared with an interval")
    names = [
        lines(f"{r['recipe']} -", 30)
        + "\n"
        + lines(f"{r['against']},", 30)
        + "\n"
        + lines(f"{r['condition']} {short(r['source'])} → {short(r['target'])}", 30)
        for r in known
    ]
    figure, (axes,) = stack([1.0 + room(names, 0.46)])
    axes.axvline(0, color="0.6", linewidth=1)
    for height, row in enumerate(reversed(known)):
        low, value, high = (100 * row[key] for key in ("low", "value", "high"))
        colour = "#0072B2" if sure(row) else "0.45"
        axes.plot([low, high], [height, height], color=colour, linewidth=2)
        axes.plot([value], [height], marker="o", color=colour, markerfacecolor=colour if sure(row) else "white")
    axes.set_yticks(range(len(known)), names[::-1], fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("difference in points, 95 % interval\n(filled: differs after Holm's correction)", fontsize=9)
    save(figure, path)
