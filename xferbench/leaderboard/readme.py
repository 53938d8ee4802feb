"""README.md of a board: what it found as tables that a forge shows, at a length that it shows."""

from collections.abc import Sequence
from typing import Any

from xferbench.analyse.table import points
from xferbench.leaderboard.entry import ORDER
from xferbench.leaderboard.markdown import literal, table
from xferbench.leaderboard.rankings import Standings
from xferbench.leaderboard.reading import FOOTER, READING, RULES, counts, notices, paragraphs, prefix
from xferbench.leaderboard.rules import Rules
from xferbench.leaderboard.view import Row, View

SETTINGS, WIDE, ENTRIES = 6, 20, 120
"""Of more models and recipes, more targets or sources, or more entries the README shows so many, and says so."""


def readme(rules: Rules, view: View, standings: Standings, figures: Sequence[str]) -> str:
    """Return README.md; `figures` are paths below the board."""
    rows, cut = view.rows, len(prefix(view.rows))
    numbers = ", ".join(f"{count} {what}" for count, what in counts(rows))
    parts = [f"# {literal(rules.title)}", *(literal(text) for text in paragraphs(rules.about))]
    parts += [f"> **{notice}**" for notice in notices(rules)]
    parts.append(f"{numbers}.")
    parts.append(
        "[board.html](board.html) shows all of it: open it in a browser, it needs nothing else. "
        "[leaderboard.csv](leaderboard.csv) has every number."
    )
    parts += [f"![Gains over the untrained model, source by target]({figure})" for figure in figures]
    if not rows:
        return "\n\n".join([*parts, "No entries yet.", FOOTER]) + "\n"
    if cut:
        parts.append(f"Names are short: all begin with {literal(prefix(rows))}")
    parts += _matrices(rows, cut)
    parts += _sources(standings, rows, cut)
    parts += _rivals("Recipes: which training helps", RULES["recipes"], standings.recipes, _recipe)
    parts += _rivals("Predictors: which score foretells the gain", RULES["predictors"], standings.predictors, _predictor)
    parts += _entries(rows, cut)
    parts += ["## How to read it", "\n".join(f"- **{term}**: {text}" for term, text in READING)]
    return "\n\n".join([*parts, FOOTER]) + "\n"


def _settings(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.model, row.recipe), []).append(row)
    return found


def _named(setting: Sequence[str]) -> str:
    return literal(", ".join(setting))


def _matrices(rows: Sequence[Row], cut: int) -> list[str]:
    """Source x target tables of gains, one a model and recipe."""
    parts = ["## Which training helps where", "Gain over the untrained model in points; bold: sure after Holm's correction."]
    every = _settings(rows)
    for setting, mine in list(every.items())[:SETTINGS]:
        found = {row.pair: row for row in reversed(mine)}
        sources, targets = ({row.pair[i]: None for row in mine} for i in (0, 1))
        donors, asked = sorted(sources)[:WIDE], sorted(targets)[:WIDE]
        body = [[literal(s[cut:]), *(_cell(found.get((s, t))) for t in asked)] for s in donors]
        parts += [f"### {_named(setting)}", table(["source", *(literal(t[cut:]) for t in asked)], body, len(asked))]
        if len(sources) > WIDE or len(targets) > WIDE:
            parts.append(f"The first {WIDE} of {len(sources)} sources and of {len(targets)} targets.")
    if len(every) > SETTINGS:
        parts.append(f"The first {SETTINGS} of {len(every)} models and recipes.")
    return parts


def _cell(row: Row | None) -> str:
    if row is None or row.gain["value"] is None:
        return "–"
    shown = points(row.gain["value"], sign=True)
    return f"**{shown}**" if row.sure else f"({shown})" if row.own else shown


def _sources(standings: Standings, rows: Sequence[Row], cut: int) -> list[str]:
    """For each target one line: its sources in order, equal ranks marked."""
    if not standings.sources:
        return []
    parts = ["## Sources: which data helps", RULES["sources"]]
    found: dict[tuple[str, str], list[list[str]]] = {}
    for one in standings.sources:
        shown = [f"{rank(one['rows'], r)} {literal(r['row'].source[cut:])} {points(r['row'].gain['value'], sign=True)}" for r in one["rows"]]
        left = f" · and {len(shown) - WIDE} more" if len(shown) > WIDE else ""
        found.setdefault((one["model"], one["recipe"]), []).append([literal(one["target"][cut:]), " · ".join(shown[:WIDE]) + left])
    for setting, lines in list(found.items())[:SETTINGS]:
        parts += [f"### {_named(setting)}", table(["target", "rank, source, gain"], lines[:WIDE])]
        parts += [f"The first {WIDE} of {len(lines)} targets."] if len(lines) > WIDE else []
    return parts


def rank(rows: Sequence[dict[str, Any]], row: dict[str, Any]) -> str:
    """A rank for people: 1, =2 (2-4), – where there is none."""
    if row["best"] is None:
        return "–"
    shared = "=" if sum(other["best"] == row["best"] for other in rows) > 1 else ""
    return f"**{shared}{row['best']}**" + (f" ({row['best']}-{row['worst']})" if row["worst"] != row["best"] else "")


def _rivals(title: str, rule: str, rankings: Sequence[dict[str, Any]], line: Any) -> list[str]:
    if not rankings:
        return []
    parts = [f"## {title}", rule]
    for one in rankings[:SETTINGS]:
        heads, lines = line(one)
        named = literal(", ".join(one[key] for key in ("model", "recipe") if key in one))
        parts += [f"### {named}", table(heads, lines, len(heads) - 2), literal(one["reason"] or "") + "."]
    return parts


def _recipe(one: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    lines = [
        [rank(one["rows"], r), literal(r["name"]), points(r["value"], sign=True), _ends(r, lambda v: points(v, sign=True)),
         f"{r['helped']} / {r['harmed']} of {one['pairs']}"]
        for r in one["rows"]
    ]  # fmt: skip
    return ["rank", "recipe", "mean gain", "95 %", "surely helped / harmed"], lines


def _predictor(one: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    lines = [
        [rank(one["rows"], r), literal(r["name"]), _two(r["value"]), _ends(r, _two),
         "–" if r["top1"] is None else f"{r['top1']:.0%}", points(r["regret1"]), points(r["regret1_chance"])]
        for r in one["rows"]
    ]  # fmt: skip
    return ["rank", "scorer", "Spearman", "95 %", "best source named", "regret@1", "by chance"], lines


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _ends(row: dict[str, Any], form: Any) -> str:
    return "–" if row["low"] is None else f"{form(row['low'])} to {form(row['high'])}"


def _entries(rows: Sequence[Row], cut: int) -> list[str]:
    """The entries with the highest lower ends of their intervals first."""
    firm = sorted(rows, key=lambda row: (row.gain["low"] is None, -(row.gain["low"] or 0), -(row.gain["value"] or 0), row.id))
    lines = []
    for row in firm[:ENTRIES]:
        scores = dict(zip(ORDER, row.scores, strict=True))
        before, after, direct = (points(s.mean) if s else "–" for s in (scores["baseline"], scores["transfer"], scores["direct"]))
        link = f"[{literal(row.source[cut:])} → {literal(row.target[cut:])}]({row.place})"
        gain = _cell(row) if row.gain["low"] is None else f"{_cell(row)} [{points(row.gain['low'], sign=True)}, {points(row.gain['high'], sign=True)}]"
        lines.append([link, literal(row.recipe), literal(row.model), literal(row.label), literal(row.badge), before, after, direct, gain, points(row.gain["mde"])])
    heads = ["entry", "recipe", "model", "label", "badge", "before", "after", "direct", "gain [95 %]", "MDE"]
    note = f"The first {ENTRIES} of {len(rows):,}, by the lower end of the interval; all are in leaderboard.csv." if len(rows) > ENTRIES else "By the lower end of the interval; a gain in brackets is that of the target's own domain."
    return ["## Entries", note, table(heads, lines, 5)]
