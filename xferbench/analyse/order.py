"""Does it matter in which order domains are learnt, and is mixing them better than either order?

After "When Domains Interact" (arXiv 2602.01365). P(c; t) is the score of curriculum c on the target t of a domain.
Where there are item scores every difference is paired by item and seed and has an interval; from a table of published
scores it has none.
"""

from collections.abc import Iterable, Mapping
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np

from xferbench.analyse.contrast import contrast
from xferbench.analyse.figure import canvas, save
from xferbench.analyse.pairing import Scores, Seeds, number
from xferbench.analyse.table import grid, points
from xferbench.errors import UsageError
from xferbench.results import Results

Cells = dict[tuple[str, str], Seeds]


def order(results: Results, recipe: str | None = None) -> dict[str, Any]:
    """Return what order does, for one recipe (default: the first), all scores as fractions:

    order         O(a, b; t)   = P(a>b; t) - P(b>a; t)          for every target t
    interference  Bwd(a; b)    = P(a>b; a) - P(a; a)            what learning b afterwards did to a
    initialising  Fwd(a, b)    = P(a>b; b) - P(b; b)            what a first did for b
    mixing        M(D; t)      = P(mix of D; t) - max over orders of D of P(order; t)
    strategies    for each set of domains, the scores of each way to learn them on their own targets: mean, min, max,
                  and which is best for each target, on the mean (balance) and on the max (peak)

    Rows of the first four hold value, low, high, p, mde, method, reason (see `contrast`).
    """
    scores = Scores(results)
    cells = _cells(results, recipe)
    own = _own(results, cells)
    known = list(dict.fromkeys(row for row, _ in cells))
    targets = list(dict.fromkeys(target for _, target in cells))
    domains = list(dict.fromkeys(part for row in known for part in _parts(row)))
    domains.sort(key=lambda domain: (list(own).index(domain) if domain in own else len(own), domain))

    def minus(top: str, bottom: str, target: str, **names: Any) -> list[dict[str, Any]]:
        if (top, target) not in cells or (bottom, target) not in cells:
            return []
        return [{**names, "target": target, **contrast(cells[top, target], cells[bottom, target], scores)}]

    found: dict[str, Any] = {"order": [], "interference": [], "initialising": [], "mixing": []}
    for a, b in combinations(domains, 2):
        for target in targets:
            found["order"] += minus(f"{a}>{b}", f"{b}>{a}", target, first=a, then=b)
    for a, b in permutations(domains, 2):
        if a in own:
            found["interference"] += minus(f"{a}>{b}", a, own[a], domain=a, after=b)
        if b in own:
            found["initialising"] += minus(f"{a}>{b}", b, own[b], first=a, domain=b)
    for group, ways in _groups(known, domains).items():
        mixed = [way for way in ways if ">" not in way]
        for target in targets if mixed else []:
            turns = [way for way in ways if "+" not in way and (way, target) in cells]
            if turns:
                best = max(turns, key=lambda way: _mean(cells[way, target]))
                found["mixing"] += minus(mixed[0], best, target, domains=list(group), best_order=best)
    found["strategies"] = [row for group, ways in _groups(known, domains).items()
                           if (row := _strategies(group, ways, cells, own))]  # fmt: skip
    if not any(found.values()):
        found["reason"] = "no curriculum of two domains in turn or mixed was measured together with its parts"
    return found


def _cells(results: Results, recipe: str | None) -> Cells:
    trained = [c for c in results.cells if c.curriculum and c.condition != "placebo"]
    recipe = recipe or (trained[0].recipe if trained else "")
    cells: Cells = {}
    for cell in trained:
        if cell.recipe == recipe:
            cells.setdefault((cell.curriculum, cell.target), {}).setdefault(cell.seed, cell)
    return cells


def _own(results: Results, cells: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The target of each domain: that which `direct` trains on it for, or that of the same name."""
    own = {c.curriculum: c.target for c in results.cells if c.condition == "direct"}
    return own | {target: target for row, target in cells if row == target}


def _groups(known: Iterable[str], domains: list[str]) -> dict[tuple[str, ...], list[str]]:
    """Every set of two or more domains that were learnt together, and the curricula that did so; small sets first."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for row in known:
        group = tuple(sorted(set(_parts(row)), key=domains.index))
        if len(group) > 1:
            groups.setdefault(group, []).append(row)
    return dict(sorted(groups.items(), key=lambda item: len(item[0])))


def _parts(row: str) -> list[str]:
    return row.replace("+", ">").split(">")


def _mean(seeds: Seeds) -> float:
    return float(np.mean([cell.value for cell in seeds.values()]))


def _strategies(
    group: tuple[str, ...], together: list[str], cells: Cells, own: Mapping[str, str]
) -> dict[str, Any] | None:
    """Every way to learn a set of domains, on their own targets; None when it has fewer than two complete ways."""
    if not all(domain in own for domain in group):
        return None
    targets = [own[domain] for domain in group]
    rows: list[dict[str, Any]] = []
    for way in [*group, *together]:
        values = [_mean(cells[way, t]) if (way, t) in cells else None for t in targets]
        full = [v for v in values if v is not None]
        if full:
            whole = len(full) == len(targets)
            rows.append(
                {"curriculum": way, "scores": dict(zip(targets, map(number, values), strict=True)),
                 "mean": number(np.mean(full)) if whole else None, "min": number(min(full)) if whole else None,
                 "max": number(max(full)) if whole else None}
            )  # fmt: skip
    whole_rows = [row for row in rows if row["mean"] is not None]
    if len(whole_rows) < 2:
        return None
    best = {t: max((r for r in rows if r["scores"][t] is not None), key=lambda r: r["scores"][t]) for t in targets}
    named = {t: row["curriculum"] for t, row in best.items()}
    champions = {name: max(whole_rows, key=lambda r: r[key])["curriculum"] for name, key in
                 (("balance", "mean"), ("worst_case", "min"), ("peak", "max"))}  # fmt: skip
    return {"domains": list(group), "rows": rows, "best_by_target": named, **champions}


def text(found: Mapping[str, Any]) -> str:
    """The differences and the strategies as tables, in points."""
    heads = {
        "order": "Order: one order less the other",
        "interference": "Interference: what the second did to the first",
        "initialising": "Initialising: what the first did for the second",
        "mixing": "Mixing: the mix less the best order",
    }
    parts = []
    for name, head in heads.items():
        if found[name]:
            lines = [["", "target", "difference", "95 %"]]
            lines += [[_title(name, row), row["target"], points(row["value"], True), _ends(row)] for row in found[name]]
            parts.append(f"{head} (points)\n" + grid(lines, ["left", "left", "right", "right"]))
    for row in found["strategies"]:
        targets = list(row["best_by_target"])
        lines = [["learnt", *targets, "mean", "min", "max"]]
        for way in row["rows"]:
            values = [*way["scores"].values(), way["mean"], way["min"], way["max"]]
            lines.append([way["curriculum"], *map(points, values)])
        best = f"best mean: {row['balance']}; best worst case: {row['worst_case']}; highest peak: {row['peak']}"
        parts.append(grid(lines, ["left"] + ["right"] * (len(lines[0]) - 1)) + "\n" + best)
    return "\n\n".join(parts) or f"nothing to compare: {found['reason']}"


def _title(name: str, row: Mapping[str, Any]) -> str:
    if name == "order":
        return f"{row['first']}>{row['then']} - {row['then']}>{row['first']}"
    if name == "interference":
        return f"{row['domain']}>{row['after']} - {row['domain']}"
    if name == "initialising":
        return f"{row['first']}>{row['domain']} - {row['domain']}"
    return f"{'+'.join(row['domains'])} - {row['best_order']}"


def _ends(row: Mapping[str, Any]) -> str:
    return "." if row["low"] is None else f"[{points(row['low'], True)}, {points(row['high'], True)}]"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw all differences as dots around 0, with intervals where there are any."""
    colours = {"order": "#0072B2", "interference": "#D55E00", "initialising": "#009E73", "mixing": "#B0568C"}
    rows = [(name, row) for name in colours for row in found[name]]
    if not rows:
        raise UsageError("there is nothing to draw: no two orders were measured")
    figure, (axis,) = canvas(1, 1, (7.5, 1.2 + 0.3 * len(rows)))
    for place, (name, row) in enumerate(rows):
        label = name if name not in [n for n, _ in rows[:place]] else None
        axis.plot(100 * row["value"], place, "o", color=colours[name], label=label)
        if row["low"] is not None:
            axis.plot([100 * row["low"], 100 * row["high"]], [place, place], color=colours[name], linewidth=1.5)
    axis.axvline(0, color="#767676", linewidth=1)
    axis.set_yticks(range(len(rows)), [f"{_title(name, row)} on {row['target']}" for name, row in rows], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("difference, points")
    axis.legend(fontsize=8, frameon=False)
    save(figure, path)
