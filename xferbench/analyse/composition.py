"""Which sources the most influential examples come from: composition curves, and whether a source enters late.

Of all training examples scored toward one target by one scorer, Top_X is the share X with the highest scores. For a
source s with n_s of the N examples: recall R_s(X) = |Top_X n D_s| / n_s, composition C_s(X) = |Top_X n D_s| / |Top_X|,
lift L_s(X) = C_s(X) / (n_s / N) = R_s(X) / X ("Domain Transfer: Weak and Strong", Fig. 2, whose axis fits R_s).
A source that is no more and no less useful than the others has R_s(X) = X, lift 1 and an excess area of 0.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xferbench.analyse.figure import WIDTH, canvas, lines, save, short
from xferbench.analyse.pairing import number
from xferbench.analyse.table import grid
from xferbench.errors import UsageError
from xferbench.results import Results

Scores = Mapping[str, NDArray[np.float64]]
PERCENTS = tuple(range(1, 101))
TOP, LATE = 20, 10
"""Percent: where the heatmap cuts, and below which a source that enters late has nothing."""
FEW = 8
"""So many panels of a figure stand two in a row; more are smaller, four in a row."""
NEGLIGIBLE = 0.5
"""Lift below which a source is called negligible: less than half of its fair share."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#B0568C", "#E69F00", "#56B4E9", "#767676", "#000000")
STYLES = ("-", "--", "-.", ":")


def composition(results: Results, *, resamples: int = 1000, seed: int = 0) -> list[dict[str, Any]]:
    """Return one row for each scorer, target and source: recall, share and lift over the percentiles 1 to 100.

    excess: the area between the recall curve and the diagonal (-0.5 to 0.5; 0: a fair share), with the 95 % percentile
    interval of a bootstrap over the questions of each source: where one has many answers, they are drawn together.
    late: whether the lift stays below 0.5 up to 10 %.
    None, beside a reason, with a single source or no scores.
    """
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in results.attribution:
        groups.setdefault((row["scorer"], row.get("recipe") or "", row["target"]), []).append(row)
    found = []
    for (scorer, recipe, target), rows in groups.items():
        scores = {row["source"]: results.scores(row["step"]) for row in rows}
        name = {"scorer": scorer, "recipe": recipe, "target": target}
        reason = _reason(scores)
        if reason:
            found += [{**name, "source": source, "n": len(scores[source]), "reason": reason} for source in scores]
            continue
        curves = recall(scores)
        asked = {row["source"]: results.questions(row["step"]) for row in rows}
        ends = intervals(scores, resamples, seed, asked)
        total = sum(map(len, scores.values()))
        for source, given in scores.items():
            curve = curves[source]
            lift = curve / (np.array(PERCENTS) / 100)
            found.append(
                {
                    **name, "source": source, "n": len(given),
                    "questions": int(asked[source].max()) + 1, "reason": None,
                    "recall": curve.round(6).tolist(), "share": (lift * len(given) / total).round(6).tolist(),
                    "lift": lift.round(6).tolist(), "excess": number(excess(curve)),
                    "low": number(ends[source][0]), "high": number(ends[source][1]),
                    "late": bool((lift[:LATE] < NEGLIGIBLE).all()),
                }
            )  # fmt: skip
    return found


def _reason(scores: Scores) -> str | None:
    if len(scores) < 2:
        return "one source: there is nothing to share with"
    empty = [source for source, given in scores.items() if not len(given)]
    return f"no finite score of {', '.join(empty)}" if empty else None


def recall(scores: Scores) -> dict[str, NDArray[np.float64]]:
    """Return R_s at the percentiles 1 to 100 for each source; equal scores at the border count in part."""
    every = np.concatenate(list(scores.values()))
    order = np.sort(every)[::-1]
    found = {source: np.empty(len(PERCENTS)) for source in scores}
    for at, percent in enumerate(PERCENTS):
        best = percent / 100 * len(every)  # not rounded: part of an example may be taken
        least = order[min(len(every), int(np.ceil(best))) - 1]
        above, level = int((every > least).sum()), int((every == least).sum())
        part = (best - above) / level
        for source, given in scores.items():
            found[source][at] = ((given > least).sum() + part * (given == least).sum()) / len(given)
    return found


def excess(curve: NDArray[np.float64]) -> float:
    """Area between a recall curve (from 0 at 0) and the diagonal, by trapezoids."""
    whole = np.concatenate([[0.0], curve])
    return float(((whole[1:] + whole[:-1]) / 2).mean() - 0.5)


def intervals(
    scores: Scores, resamples: int, seed: int, questions: Mapping[str, NDArray[np.intp]] | None = None
) -> dict[str, tuple[float, float]]:
    """Percentile interval of each excess over questions drawn with replacement within their source.

    `questions`: beside each score the number of its question, from 0; None: every example is a question of its own.
    The excess of s is, but for the grid, the chance that an example of s outscores one drawn from all, minus 1/2.
    """
    rng = np.random.default_rng(seed)
    draws: dict[str, list[float]] = {source: [] for source in scores}
    levels = np.unique(np.concatenate(list(scores.values())))
    places = {source: np.searchsorted(levels, given) for source, given in scores.items()}
    asked = {source: np.arange(len(given)) if questions is None else questions[source]
             for source, given in scores.items()}  # fmt: skip
    for _ in range(resamples):
        drawn = {}  # {source: how often each level was drawn}
        for source, place in places.items():
            many = int(asked[source].max()) + 1
            times = np.bincount(rng.integers(0, many, many), minlength=many)[asked[source]]
            drawn[source] = np.bincount(place, weights=times, minlength=len(levels))
        every = np.sum(list(drawn.values()), axis=0)
        below = np.cumsum(every) - every / 2  # equal ones count half
        for source, given in drawn.items():
            draws[source].append(float(given @ below / (given.sum() * every.sum())) - 0.5)
    return {source: tuple(np.quantile(given, [0.025, 0.975])) for source, given in draws.items()}


def text(found: Sequence[Mapping[str, Any]]) -> str:
    """One line for each scorer, target and source: its part of the top, its lift there, the area, if it is late."""
    if not found:
        return "no scorer was run"
    several = len({row["recipe"] for row in found}) > 1
    heads = ["scorer", *(["recipe"] if several else []), "target", "source", "n", f"in top {TOP} %"]
    heads += ["lift", "excess area [95 %]", f"first {LATE} %"]
    rows = []
    for row in found:
        start = [row["scorer"], *([row["recipe"]] if several else []), row["target"], row["source"], str(row["n"])]
        if row["reason"]:
            rows.append([*start, ".", ".", ".", row["reason"]])
            continue
        area = f"{row['excess']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
        at = TOP - 1
        late = "negligible" if row["late"] else ""
        rows.append([*start, f"{100 * row['share'][at]:.0f} %", f"{row['lift'][at]:.2f}", area, late])
    return "\n".join(
        [
            grid([heads, *rows], ["left"] * (3 + several) + ["right"] * 4 + ["left"]),
            "",
            "lift: part of the top over part of all examples; excess area: between the recall curve and the diagonal,",
            f"0 where a source has its fair share at every cut; negligible: lift below {NEGLIGIBLE} up to {LATE} %.",
            *_asked(found),
        ]
    )


def _asked(found: Sequence[Mapping[str, Any]]) -> list[str]:
    few = {row["source"]: row["questions"] for row in found if row["reason"] is None and row["questions"] < row["n"]}
    told = ", ".join(f"{source} {many:,}" for source, many in few.items())
    return [f"questions, where one has several answers (drawn together for the interval): {told}"] if few else []


def draw(found: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw the recall curves: a panel for each scorer, recipe and target, a line for each source."""
    shown = [row for row in found if not row["reason"]]
    if not shown:
        raise UsageError("there is nothing to draw: no two sources were scored toward one target")
    scorers = list(dict.fromkeys((row["scorer"], row["recipe"]) for row in shown))
    targets = list(dict.fromkeys(row["target"] for row in shown))
    sources = list(dict.fromkeys(row["source"] for row in shown))
    places = [(scorer, target) for scorer in scorers for target in targets]
    columns, wide, height, letters = (4, 1.5 * WIDTH, 1.7, 20)
    if len(places) <= FEW:
        columns, wide, height = min(2, len(places)), WIDTH, 2.3
        letters = 28 if columns > 1 else 48
    deep = -(-len(places) // columns)
    figure, axes = canvas(deep, columns, (wide, height * deep + 0.2 * len(sources) + 0.4))
    for place, (axis, (scorer, target)) in enumerate(zip(axes, places, strict=False)):
        axis.plot([0, 100], [0, 100], color="#767676", linewidth=1, linestyle=":")
        axis.axvline(TOP, color="#BBBBBB", linewidth=0.8)
        for row in shown:
            if (row["scorer"], row["recipe"]) == scorer and row["target"] == target:
                at = sources.index(row["source"])
                axis.plot(
                    [0, *PERCENTS], [0, *(100 * value for value in row["recall"])], label=row["source"],
                    color=COLOURS[at % len(COLOURS)], linestyle=STYLES[at % len(STYLES)], linewidth=1.6,
                )  # fmt: skip
        by = f", {scorer[1]}" if len({recipe for _, recipe in scorers}) > 1 else ""
        axis.set_title(lines(f"{scorer[0]}{by} → {short(target)}", letters), fontsize=9, loc="left")
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 100)
        axis.tick_params(labelsize=8, labelleft=place % columns == 0, labelbottom=place + columns >= len(places))
    for axis in axes[len(places) :]:
        axis.set_visible(False)
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside upper left", fontsize=8, frameon=False, ncols=2)
    figure.supxlabel("most influential examples taken, % of all\n(dotted: a fair share; grey: top 20 %)", fontsize=9)
    figure.supylabel("of the source's examples, %", fontsize=9)
    save(figure, path)
