"""What a treatment of the training data costs or brings: each treated source against the same source left as it is.

For label imbalance, wrong labels and subsampling as in "Latent Traits and Cross-Task Transfer" (Tables 3 and 5), but
paired: the same test items and training seeds, with Holm's correction over all comparisons of the run.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xferbench.analyse.contrast import contrast, empty
from xferbench.analyse.figure import lines, room, save, short, stack
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.pairing import Scores, Seeds, number
from xferbench.analyse.table import grid, points
from xferbench.curriculum import parse
from xferbench.errors import UsageError
from xferbench.results import Results

Key = tuple[str, str, str, str]
PLAIN_MISSING = "{} was not trained on as it is (add it to --source)"


def treatments(results: Results) -> list[dict[str, Any]]:
    """Return one row for each treated curriculum, target and recipe: treated - plain, a fraction.

    Keys: curriculum, plain (the same without treatments), target, recipe, seeds, n, treated_score and plain_score
    (means over seeds), and of `contrast` value, low, high, p, mde, method, reason; p_holm. None beside a reason where
    the plain one was not measured.
    """
    cells: dict[Key, Seeds] = {}
    for cell in results.cells:
        if cell.curriculum:
            cells.setdefault((cell.curriculum, cell.target, cell.recipe, cell.metric), {})[cell.seed] = cell
    scores = Scores(results)
    found: list[dict[str, Any]] = []
    for (curriculum, target, recipe, metric), mine in cells.items():
        if "~" not in curriculum:
            continue
        plain = untreated(curriculum)
        other = cells.get((plain, target, recipe, metric), {})
        shared = [seed for seed in mine if seed in other]
        row = contrast(mine, other, scores) if other else empty(PLAIN_MISSING.format(plain))
        found.append(
            {
                "curriculum": curriculum, "plain": plain, "target": target, "recipe": recipe, "seeds": len(shared),
                "n": min((mine[seed].n for seed in shared), default=0),
                "treated_score": _mean(mine), "plain_score": _mean(other), **row,
            }
        )  # fmt: skip
    tested = [row for row in found if row["p"] is not None]
    for row, p in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = number(p)
    return [{**row, "p_holm": row.get("p_holm"), "tests": len(tested)} for row in found]


def untreated(curriculum: str) -> str:
    """Return a curriculum as it is without treatments: math~shuffled>code is math>code."""
    stages = parse(curriculum).stages
    shown = [[f"{p.plain}:{p.share!r}" if p.share is not None else p.plain for p in stage] for stage in stages]
    return ">".join("+".join(parts) for parts in shown)


def _mean(cells: Seeds) -> float | None:
    return number(np.mean([cell.value for cell in cells.values()])) if cells else None


def text(found: Sequence[Mapping[str, Any]]) -> str:
    """Return the comparisons as a table in points; what differs for sure is marked *."""
    if not found:
        return "no source was treated (math~mislabelled=0.3; `xferbench list treatments` shows what there is)"
    shown = [["learnt from", "target", "recipe", "treated", "plain", "difference [95 %]", "p (Holm)", "MDE", "seeds"]]
    for row in found:
        value = points(row["value"], sign=True) + ("*" if _sure(row) else "")
        if row["low"] is not None:
            value += f" [{points(row['low'], sign=True)}, {points(row['high'], sign=True)}]"
        p = "." if row["p_holm"] is None else f"{row['p_holm']:.3f}"
        ends = [points(row["treated_score"]), points(row["plain_score"]), value, p, points(row["mde"])]
        shown.append([row["curriculum"], row["target"], row["recipe"], *ends, str(row["seeds"])])
    lines = [grid(shown, ["left"] * 3 + ["right"] * 6), ""]
    lines.append("Points; difference: treated - plain on the same items and seeds; * differs from 0 (5 %, Holm's")
    lines.append(f"correction for {found[0]['tests']} tests); MDE: the smallest difference seen with 80 % power.")
    lines += [f"No difference: {why}." for why in dict.fromkeys(r["reason"] for r in found if r["reason"])]
    return "\n".join(lines)


def _sure(row: Mapping[str, Any]) -> bool:
    return row["p_holm"] is not None and row["p_holm"] <= 0.05


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw each difference with its interval, one panel a target; UsageError when there is none."""
    known = [row for row in found if row["low"] is not None]
    if not known:
        raise UsageError("nothing to draw: no treated source was compared with the plain one")
    targets = list(dict.fromkeys(row["target"] for row in known))
    names = list(dict.fromkeys((row["curriculum"], row["recipe"]) for row in known))
    several = len({recipe for _, recipe in names}) > 1
    labels = [lines(short(curriculum) + (f" ({recipe})" if several else "")) for curriculum, recipe in names]
    figure, axes = stack([0.6 + room(labels, 0.36) for _ in targets])
    for axis, target in zip(axes, targets, strict=True):
        axis.axvline(0, color="#767676", linewidth=1, linestyle=":")
        for row in (row for row in known if row["target"] == target):
            place = names.index((row["curriculum"], row["recipe"]))
            low, value, high = (100 * row[key] for key in ("low", "value", "high"))
            colour = "#0072B2" if _sure(row) else "#767676"
            axis.plot([low, high], [place, place], color=colour, linewidth=2)
            axis.plot([value], [place], "o", color=colour, markerfacecolor=colour if _sure(row) else "white")
        axis.set_ylim(len(names) - 0.5, -0.5)
        axis.set_yticks(range(len(names)), labels, fontsize=8)
        axis.set_title(target, fontsize=10, loc="left")
        axis.tick_params(labelsize=8)
    figure.supxlabel("treated - plain, points, 95 % interval\n(filled: differs after Holm)", fontsize=9)
    save(figure, path)
