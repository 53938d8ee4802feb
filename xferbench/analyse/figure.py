"""Findings as a picture: the conditions of a few pairs as dots with intervals, or a whole matrix of gains as a heatmap.

The same findings give the same bytes: no date, no random ids, fonts that come with matplotlib.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
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


def canvas(rows: int, columns: int, size: tuple[float, float]) -> "tuple[Figure, list[Axes]]":
    """An empty figure of rows x columns panels, `size` in inches, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
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


def dots(axis: "Axes", names: Sequence[str], places: Sequence[tuple[float, float]]) -> None:
    """Plot points, each named above, below or beside it where there is room, and not named where there is none."""
    wide, tall = (max(values) - min(values) or 1.0 for values in zip(*places, strict=True))
    named: list[tuple[float, float]] = []
    sides = [(0, 5, "center", 0.0, 0.04), (0, -11, "center", 0.0, -0.045)]
    sides += [(6, -3, "left", 0.16, 0.0), (-6, -3, "right", -0.16, 0.0)]
    for name, (x, y) in sorted(zip(names, places, strict=True), key=lambda point: (-point[1][1], point[0])):
        axis.plot(x, y, "o", color="#0072B2", markersize=4.5)
        for right, up, anchor, dx, dy in sides:
            at = (x + dx * wide, y + dy * tall)
            clear = not any(abs(at[0] - a) < 0.3 * wide and abs(at[1] - b) < 0.05 * tall for a, b in named)
            others = (place for place in places if place != (x, y))
            if clear and not any(abs(at[0] - a) < 0.14 * wide and abs(at[1] - b) < 0.035 * tall for a, b in others):
                axis.annotate(name, (x, y), (right, up), textcoords="offset points", fontsize=7, ha=anchor, zorder=3)
                named.append(at)
                break
    axis.margins(0.18)


def _forest(findings: Sequence[Mapping[str, Any]], cells: Sequence[Cell]) -> "Figure":
    """One panel a finding: for each condition a dot a seed, a bar for the mean, a line for its 95 % interval."""
    shown = findings[:12]
    columns = min(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure, axes = canvas(rows, columns, (6.4 * columns, 3.5 * rows + 0.3))
    found = {(p.source, p.target, p.recipe): p.cells for p in pairs(Results({}, list(cells), [], []))}
    for axis, finding in zip(axes, shown, strict=False):
        _panel(axis, finding, found.get((finding["source"], finding["target"], finding["recipe"]), {}))
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    figure.supxlabel("dots: training seeds; bar, line: mean with its 95 % interval; dotted: baseline", fontsize=8)
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
        axis.annotate(f"{mean:.1f}", (mean, place), (0, 11), textcoords="offset points", ha="center", fontsize=9)
    if finding["baseline"] is not None:
        axis.axvline(100 * finding["baseline"], color=COLOURS["baseline"], linewidth=1, linestyle=":", zorder=1)
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.75)
    axis.margins(x=0.08)
    axis.set_xlabel("score, points of 100", fontsize=9)
    axis.set_title(
        f"{finding['source']} → {finding['target']} ({finding['recipe']})\n{_gain(finding)}", fontsize=10, loc="left"
    )


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
    """One panel a recipe, sources down, targets across, all on one colour scale around 0."""
    recipes = list(dict.fromkeys(finding["recipe"] for finding in findings))
    sources = list(dict.fromkeys(finding["source"] for finding in findings))
    targets = list(dict.fromkeys(finding["target"] for finding in findings))
    size = (2.6 + 0.95 * len(targets), 2.2 + 0.62 * len(sources))
    figure, axes = canvas(1, len(recipes), (size[0] * len(recipes), size[1]))
    values = [abs(100 * f["gain"]["value"]) for f in findings if f["gain"]["value"] is not None]
    top = max(values, default=1.0) or 1.0
    for axis, recipe in zip(axes, recipes, strict=True):
        found = {(f["source"], f["target"]): f for f in findings if f["recipe"] == recipe}
        image = _heatmap(axis, found, sources, targets, top)
        axis.set_title(f"{recipe}: gain over the baseline, points", fontsize=10, loc="left")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    figure.supxlabel("● after Holm, ○ interval without 0; framed: the target's own domain", fontsize=8)
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
            axis.text(j, i, f"{value:+.1f}{_mark(finding)}", ha="center", va="center", color=colour, fontsize=9)
            if finding["gain"]["p"] is not None and finding["gain"]["p_holm"] is None:
                axis.add_patch(Rectangle((j - 0.48, i - 0.46), 0.96, 0.92, fill=False, edgecolor="black", linewidth=1))
    axis.set_xticks(range(len(targets)), targets, rotation=30, ha="right", rotation_mode="anchor", fontsize=9)
    axis.set_yticks(range(len(sources)), sources, fontsize=9)
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
        return " ●"
    return " ○" if gain["low"] is not None and (gain["low"] > 0 or gain["high"] < 0) else ""
