"""README.md of a board: what it found as tables that a forge shows, at a length that it shows."""

from collections.abc import Callable, Sequence
from typing import Any

from xferbench.analyse.table import points
from xferbench.leaderboard.entry import ORDER
from xferbench.leaderboard.markdown import literal, table
from xferbench.leaderboard.rankings import Standings, chosen
from xferbench.leaderboard.reading import FOOTER, READING, RULES, counts, notices, paragraphs, prefix
from xferbench.leaderboard.rules import Rules
from xferbench.leaderboard.view import Row

SETTINGS, WIDE, ENTRIES = 6, 20, 120
"""Of more models and recipes, more sources or targets, or more entries the README shows so many, and says so."""
NONE = "–"
Ranking = dict[str, Any]


def readme(rules: Rules, rows: Sequence[Row], standings: Standings, figures: Sequence[str]) -> str:
    """Return README.md; `figures` are paths below the board."""
    parts = [f"# {literal(rules.title)}", *(literal(text) for text in paragraphs(rules.about))]
    parts += [f"> **{notice}**" for notice in notices(rules)]
    parts.append(", ".join(f"{count} {what}" for count, what in counts(rows)) + ".")
    parts.append(
        "[board.html](board.html) shows all of it: open it in a browser, it needs nothing else. "
        "[leaderboard.csv](leaderboard.csv) has every number."
    )
    parts += [f"![Gains over the untrained model, source by target]({figure})" for figure in figures]
    if not rows:
        return "\n\n".join([*parts, "No entries yet.", FOOTER]) + "\n"
    cut = len(prefix(rows))
    if cut:
        parts.append(f"Names are short: all begin with {literal(prefix(rows))}")
    parts += _matrices(rows, cut)
    parts += _sources(standings.sources, cut)
    parts += _rivals("Recipes: which training helps", RULES["recipes"], standings.recipes, _recipes)
    parts += _rivals(
        "Predictors: which score foretells the gain", RULES["predictors"], standings.predictors, _predictors
    )
    parts += _entries(rows, cut)
    parts += ["## How to read it", "\n".join(f"- **{term}**: {text}" for term, text in READING)]
    return "\n\n".join([*parts, FOOTER]) + "\n"


def _matrices(rows: Sequence[Row], cut: int) -> list[str]:
    """Source x target tables of gains, one a model and recipe."""
    parts = ["## Which training helps where"]
    parts.append("Gain over the untrained model in points; bold: differs from 0 after Holm; in brackets: own domain.")
    settings: dict[tuple[str, str], list[Row]] = {}
    for row in chosen(rows):
        settings.setdefault((row.model, row.recipe), []).append(row)
    for setting, mine in list(settings.items())[:SETTINGS]:
        found = {row.pair: row for row in mine}
        sources, targets = (sorted({row.pair[side] for row in mine}) for side in (0, 1))
        heads = ["source", *(literal(target[cut:]) for target in targets[:WIDE])]
        body = [[literal(s[cut:]), *(_gain(found.get((s, t))) for t in targets[:WIDE])] for s in sources[:WIDE]]
        parts += [f"### {literal(', '.join(setting))}", table(heads, body, len(heads) - 1)]
        if max(len(sources), len(targets)) > WIDE:
            parts.append(f"The first {WIDE} of {len(sources)} sources and of {len(targets)} targets.")
    return parts + _left_out(len(settings), SETTINGS, "models and recipes")


def _left_out(count: int, most: int, what: str) -> list[str]:
    return [f"The first {most} of {count:,} {what}; board.html has all."] if count > most else []


def _gain(row: Row | None) -> str:
    if row is None or row.gain["value"] is None:
        return NONE
    shown = points(row.gain["value"], sign=True)
    return f"**{shown}**" if row.sure else f"({shown})" if row.own else shown


def _sources(rankings: Sequence[Ranking], cut: int) -> list[str]:
    """For each target one line: its sources in order, equal ranks marked."""
    if not rankings:
        return []
    found: dict[tuple[str, str], list[list[str]]] = {}
    for one in rankings:
        shown = [f"{rank(one['rows'], rival)} {_source(rival['row'], cut)}" for rival in one["rows"]]
        more = f" · and {len(shown) - WIDE} more" if len(shown) > WIDE else ""
        line = [literal(one["target"][cut:]), " · ".join(shown[:WIDE]) + more]
        found.setdefault((one["model"], one["recipe"]), []).append(line)
    parts = ["## Sources: which data helps", RULES["sources"]]
    for setting, lines in list(found.items())[:SETTINGS]:
        parts += [f"### {literal(', '.join(setting))}", table(["target", "rank, source, gain"], lines[:WIDE])]
        parts += _left_out(len(lines), WIDE, "targets")
    return parts + _left_out(len(found), SETTINGS, "models and recipes")


def _source(row: Row, cut: int) -> str:
    return f"{literal(row.source[cut:])} {points(row.gain['value'], sign=True)}"


def rank(rows: Sequence[Ranking], row: Ranking) -> str:
    """A rank for people: 1; =2 (2-4), shared and within what the data allow; – where there is none."""
    if row["best"] is None:
        return NONE
    shared = "=" if sum(other["best"] == row["best"] for other in rows) > 1 else ""
    return f"**{shared}{row['best']}**" + (f" ({row['best']}-{row['worst']})" if row["worst"] != row["best"] else "")


def _rivals(
    title: str, rule: str, rankings: Sequence[Ranking], lay: Callable[[Ranking], tuple[list[str], list[list[str]]]]
) -> list[str]:
    if not rankings:
        return []
    parts = [f"## {title}", rule]
    for one in rankings[:SETTINGS]:
        heads, lines = lay(one)
        named = literal(", ".join(one[key] for key in ("model", "recipe") if key in one))
        reason = literal(one["reason"] or "")
        parts += [f"### {named}", table(heads, lines, len(heads) - 2), f"{reason[:1].upper()}{reason[1:]}."]
    return parts + _left_out(len(rankings), SETTINGS, "rankings")


def _recipes(one: Ranking) -> tuple[list[str], list[list[str]]]:
    lines = [
        [
            rank(one["rows"], row), literal(row["name"]), _signed(row["value"]), _ends(row, _signed),
            f"{row['helped']} / {row['harmed']} of {one['pairs']}",
        ]
        for row in one["rows"]
    ]  # fmt: skip
    return ["rank", "recipe", "mean gain", "95 %", "surely helped / harmed"], lines


def _predictors(one: Ranking) -> tuple[list[str], list[list[str]]]:
    lines = [
        [
            rank(one["rows"], row), literal(row["name"]), _two(row["value"]), _ends(row, _two),
            NONE if row["top1"] is None else f"{row['top1']:.0%}", points(row["regret1"]),
            points(row["regret1_chance"]),
        ]
        for row in one["rows"]
    ]  # fmt: skip
    return ["rank", "scorer", "Spearman", "95 %", "best source named", "regret@1", "by chance"], lines


def _signed(value: float | None) -> str:
    return points(value, sign=True)


def _two(value: float | None) -> str:
    return NONE if value is None else f"{value:+.2f}"


def _ends(row: Ranking, form: Callable[[float | None], str]) -> str:
    return NONE if row["low"] is None else f"{form(row['low'])} to {form(row['high'])}"


def _entries(rows: Sequence[Row], cut: int) -> list[str]:
    """The entries by the lower ends of their intervals, the highest first."""

    def firm(row: Row) -> tuple[bool, float, float, str]:
        return row.gain["low"] is None, -(row.gain["low"] or 0.0), -(row.gain["value"] or 0.0), row.id

    by = len({row.submitter for row in rows}) > 1
    lines = []
    for row in sorted(rows, key=firm)[:ENTRIES]:
        scores = dict(zip(ORDER, row.scores, strict=True))
        means = [points(s.mean) if (s := scores[name]) else NONE for name in ("baseline", "transfer", "direct")]
        link = f"[{literal(row.source[cut:])} → {literal(row.target[cut:])}]({row.place})"
        texts = [literal(text) for text in (row.recipe, row.model, *([row.submitter] * by), row.label, row.badge)]
        lines.append([link, *texts, *means, f"{_gain(row)} {_interval(row)}", points(row.gain["mde"])])
    heads = ["entry", "recipe", "model", *(["by"] * by), "label", "badge"]
    heads += ["before", "after", "direct", "gain \\[95 %\\]", "MDE"]
    note = "By the lower end of the interval."
    if len(rows) > ENTRIES:
        note += f" The first {ENTRIES} of {len(rows):,}: leaderboard.csv has all."
    return ["## Entries", note, table(heads, lines, 5)]


def _interval(row: Row) -> str:
    low, high = row.gain["low"], row.gain["high"]
    return "" if low is None else f"\\[{_signed(low)}, {_signed(high)}\\]"
