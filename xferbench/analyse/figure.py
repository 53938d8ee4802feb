"""Findings as a picture: the conditions of a few pairs as dots with intervals, or a whole matrix of gains as a heatmap.

The same findings give the same bytes: no date, no random ids, fonts that come with matplotlib.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from xferbench.analyse.pairing import CONDITIONS, Seeds, pairs
from xferbench.analyse.uncertainty import marginal
from xferbench.errors import UsageError
from xferbench.results import Cell, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {
    "baseline": "#767676", "transfer": "#0072B2", "direct": "#009E73", "sequential": "#D55E00", "joint": "#B0568C",
    "placebo": "#A6A6A6",
}  # fmt: skip
"""Okabe and Ito's colours, which colour-blind readers tell apart; the names stand beside the dots as well."""


def draw(findings: Sequence[Mapping[str, Any]], cells: Sequence[Cell], path: Path) -> None:
    """Write a figure of the findings and cells of a run to `path` (.png or .svg).

    Two or more sources on two or more targets: a heatmap of gains (one panel a recipe). Else one panel for each pair.
    UsageError for another suffix or when there is nothing to draw.
    """
    if not findings:
        raise UsageError("there is nothing to draw: no pair of a source and a target was measured")
    sources = {finding["source"] for finding in findings}
    targets = {finding["target"] for finding in findings}
    matrix = len(sources) > 1 and len(targets) > 1
    save(_heatmaps(findings) if matrix else _forest(findings, cells), path)


WIDTH = 4.8
"""Inches: a figure no wider is read on a phone as well (8 points are 8.7 pixels there); panels stand in one column."""


def stack(heights: Sequence[float]) -> "tuple[Figure, list[Axes]]":
    """An empty figure of panels one below another, of these heights in inches."""
    return canvas(len(heights), 1, (WIDTH, sum(heights)), heights)


def short(name: str) -> str:
    """A curriculum without the prefixes of its domains: mini/math>mini/code is math>code."""
    return re.sub(r"(^|[>+])[^>+]*/(?=.)", r"\1", name.rstrip("/"))


def lines(name: str, width: int = 26) -> str:
    """A label in lines of at most `width` letters, broken at blanks, and behind the commas between settings."""
    loose = re.sub(r",(?=\S)", ",\x0b", name)  # a blank to `wrap` that nothing else is; none is left in the label
    found = wrap(loose, width, break_long_words=False, break_on_hyphens=False, replace_whitespace=False)
    return "\n".join(found).replace("\x0b", "")


def room(names: Sequence[str], least: float) -> float:
    """The height in inches of as many rows as names: `least` for each, more where a name has more lines than fit."""
    return len(names) * max(least, 0.06 + 0.13 * max(1 + name.count("\n") for name in names))


def canvas(
    rows: int, columns: int, size: tuple[float, float], heights: Sequence[float] | None = None
) -> "tuple[Figure, list[Axes]]":
    """An empty figure of rows x columns panels, `size` in inches, that needs no display; `heights`: of the rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, list(axes.flat)


def save(figure: "Figure", path: Path) -> None:
    """Write png (150 dots an inch) or svg with no date in it."""
    import matplotlib

    kind = path.suffix.lower()
    if kind not in (".png", ".svg"):
        raise UsageError(f"{path}: a figure is written as .png or .svg")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Software": None} if kind == ".png" else {"Date": None, "Creator": None}
    with matplotlib.rc_context({"svg.hashsalt": "xferbench", "svg.fonttype": "path"}):
        figure.savefig(path, dpi=150, metadata=metadata)


def below(figure: "Figure", axes: "Sequence[Axes]", columns: int = 1) -> None:
    """Put one legend of all panels below them, where nothing of it can be taken for data; each name is there once."""
    handles = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, fontsize=8, frameon=False, loc="outside lower center", ncols=columns)


def dots(axis: "Axes", names: Sequence[str], places: Sequence[tuple[float, float]]) -> None:
    """Plot points, each named above, below or beside it where there is room, and not named where there is none."""
    wide, tall = (max(values) - min(values) or 1.0 for values in zip(*places, strict=True))
    middle = sum(f([x for x, _ in places]) for f in (min, max)) / 2
    named: list[tuple[float, float]] = []
    sides = [(0, 5, "center", 0.0, 0.05), (0, -12, "center", 0.0, -0.06)]
    sides += [(6, -3, "left", 0.2, 0.0), (-6, -3, "right", -0.2, 0.0)]
    for name, (x, y) in sorted(zip(names, places, strict=True), key=lambda point: (-point[1][1], point[0])):
        axis.plot(x, y, "o", color="#0072B2", markersize=4.5)
        for right, up, anchor, dx, dy in sides:
            at = (x + dx * wide, y + dy * tall)
            clear = not any(abs(at[0] - a) < 0.4 * wide and abs(at[1] - b) < 0.075 * tall for a, b in named)
            clear &= abs(at[0] - middle) <= 0.54 * wide  # a name takes 0.2 to each side, and must not run over the axis
            others = (place for place in places if place != (x, y))
            if clear and not any(abs(at[0] - a) < 0.2 * wide and abs(at[1] - b) < 0.05 * tall for a, b in others):
                axis.annotate(name, (x, y), (right, up), textcoords="offset points", fontsize=8, ha=anchor, zorder=3)
                named.append(at)
                break
    axis.margins(0.24, 0.18)


def _forest(findings: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> "Figure":
    """One panel a finding: for each condition a dot a seed, a bar for the mean, a line for its 95 % interval."""
    shown = findings[:12]
    figure, axes = stack([1.3 + 0.4 * sum(finding[name] is not None for name in CONDITIONS) for finding in shown])
    found = {(p.source, p.target, p.recipe): p.cells for p in pairs(Results({}, list(cells), [], []))}
    for axis, finding in zip(axes, shown, strict=True):
        _panel(axis, finding, found.get((finding["source"], finding["target"], finding["recipe"]), {}))
    what = "dots: training seeds; bar, line: mean, 95 % interval; dotted: baseline"
    figure.supxlabel(
        what + (f"\n({len(findings) - len(shown)} more pairs not shown)" if findings[12:] else ""), fontsize=8
    )
    return figure


def _panel(axis: "Axes", finding: Mapping[str, Any], cells: Mapping[str, Seeds]) -> None:
    names = [name for name in CONDITIONS if finding[name] is not None]
    for place, name in enumerate(names):
        mine = list(cells.get(name, {}).values())
        seeds = [100 * cell.value for cell in mine]
        low, high = _interval(mine)
        axis.plot([low, high], [place, place], color=COLOURS[name], linewidth=1.5, zorder=1)
        axis.plot(seeds, [place] * len(seeds), "o", color=COLOURS[name], alpha=0.45, markersize=6, zorder=2)
        mean = 100 * finding[name]
        axis.plot(mean, place, "|", color=COLOURS[name], markersize=20, markeredgewidth=3, zorder=3)
        around: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # no line through the number
        number = axis.annotate(f"{mean:.1f}", (mean, place), (0, 11), textcoords="offset points", ha="center", zorder=4)
        number.set(fontsize=9, bbox=around)
    if finding["baseline"] is not None:
        axis.axvline(100 * finding["baseline"], color=COLOURS["baseline"], linewidth=1, linestyle=":", zorder=1)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    axis.set_ylim(len(names) - 0.5, -0.75)
    axis.margins(x=0.08)
    axis.tick_params(axis="x", labelsize=8)
    axis.set_xlabel("score, points of 100", fontsize=9)
    pair = lines(f"{finding['source']} → {finding['target']} ({finding['recipe']})", 44)
    left = -0.2 if "sequential" in names else -0.13  # as far as the names of the conditions reach
    axis.set_title(f"{pair}\n{_gain(finding)}", fontsize=10, loc="left", x=left)


def _gain(finding: Mapping[str, Any]) -> str:
    gain = finding["gain"]
    if gain["value"] is None:
        return finding["label"]
    interval = "" if gain["low"] is None else f" [{100 * gain['low']:+.1f}, {100 * gain['high']:+.1f}]"
    return f"gain {100 * gain['value']:+.1f}{interval}: {finding['label']}"


def _interval(cells: Sequence[Cell]) -> tuple[float, float]:
    """The interval of the mean of one condition, in points and within 0 and 100; not a number without cells."""
    estimate = marginal([c.value for c in cells], [c.stderr for c in cells], min(c.n for c in cells)) if cells else None
    if estimate is None:
        return float("nan"), float("nan")
    low, high = estimate.interval()
    return 100 * max(low, min(0.0, estimate.value)), 100 * min(high, max(1.0, estimate.value))


def _heatmaps(findings: Sequence[Mapping[str, Any]]) -> "Figure":
    """A panel a recipe, one below another, sources down, targets across, all on one colour scale around 0."""
    recipes = list(dict.fromkeys(finding["recipe"] for finding in findings))
    sources = list(dict.fromkeys(finding["source"] for finding in findings))
    targets = list(dict.fromkeys(finding["target"] for finding in findings))
    size = max(WIDTH, 1.3 + 0.5 * len(targets)), 1.5 + 0.4 * len(sources)
    figure, axes = canvas(len(recipes), 1, (size[0], size[1] * len(recipes) + 0.6))
    values = [abs(100 * f["gain"]["value"]) for f in findings if f["gain"]["value"] is not None]
    top = max(values, default=1.0) or 1.0
    for axis, recipe in zip(axes, recipes, strict=True):
        found = {(f["source"], f["target"]): f for f in findings if f["recipe"] == recipe}
        image = _heatmap(axis, found, sources, targets, top)
        axis.set_title(f"{recipe}: gain over the baseline, points", fontsize=10, loc="left", x=-0.1)
    bar = figure.colorbar(image, ax=axes, location="bottom", shrink=0.7, pad=0.02, aspect=40)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("points; ● after Holm, ○ interval without 0;\nframed: the target's own domain", fontsize=8)
    return figure


def _heatmap(
    axis: "Axes", found: Mapping[tuple[str, str], Mapping[str, Any]], sources: list[str], targets: list[str], top: float
) -> Any:
    from matplotlib.patches import Rectangle

    grid = [[_points(found.get((s, t))) for t in targets] for s in sources]
    image = axis.imshow(grid, cmap="PuOr_r", vmin=-top, vmax=top, aspect="auto")
    for i, source in enumerate(sources):
        for j, target in enumerate(targets):
            finding = found.get((source, target))
            value = grid[i][j]
            if finding is None or value != value:
                axis.text(j, i, "–", ha="center", va="center", color="#555555")
                continue
            colour = "white" if abs(value) > 0.62 * top else "black"
            axis.text(j, i, f"{value:+.1f}\n{_mark(finding)}", ha="center", va="center", color=colour, fontsize=8)
            if finding["gain"]["p"] is not None and finding["gain"]["p_holm"] is None:
                axis.add_patch(Rectangle((j - 0.48, i - 0.46), 0.96, 0.92, fill=False, edgecolor="black", linewidth=1))
    names = [short(target) for target in targets]
    axis.set_xticks(range(len(targets)), names, rotation=30, ha="right", rotation_mode="anchor", fontsize=8)
    axis.set_yticks(range(len(sources)), [short(source) for source in sources], fontsize=8)
    axis.set_ylabel("source", fontsize=9)
    axis.set_xlabel("target", fontsize=9)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return image


def _points(finding: Mapping[str, Any] | None) -> float:
    value = None if finding is None else finding["gain"]["value"]
    return float("nan") if value is None else 100 * value


def _mark(finding: Mapping[str, Any]) -> str:
    gain = finding["gain"]
    if gain.get("p_holm") is not None and gain["p_holm"] <= 0.05:
        return "●"
    return "○" if gain["low"] is not None and (gain["low"] > 0 or gain["high"] < 0) else ""
