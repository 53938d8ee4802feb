"""board.html: one file that needs nothing else and asks for nothing else.

Style, script and data stand in it; its content security policy allows that one style and that one script, by their
hashes, and no request at all. Names reach the page as JSON and become text nodes, never HTML.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xferbench.leaderboard.again import Again
from xferbench.leaderboard.entry import slug
from xferbench.leaderboard.rankings import Standings, chosen
from xferbench.leaderboard.reading import FOOTER, READING, RULES, counts, notices, paragraphs, prefix
from xferbench.leaderboard.rules import Rules
from xferbench.leaderboard.view import Row, Score

HERE = Path(__file__).parent / "page"
SCRIPTS = ("dom", "data", "tip", "matrix", "rankings", "entries", "pair", "scatter", "main")
MEANS = 3
"""Of the first so many conditions the tables show the mean."""
LABELS = ("strong", "weak", "none", "inconclusive", "negative")
FIELDS = (
    "model", "source", "target", "recipe", "submitter", "label", "badge", "seeds", "n", "own", "chosen", "means",
    "gain", "attribution", "id",
)  # fmt: skip
"""Of one entry in the page's data, which data.js reads by these names: what tables, matrix and rankings show."""
DETAILS = ("scores", "gain_reason", "others", "why", "reproduce", "facts")
"""What only the page of an entry shows: a text that the browser reads when somebody opens it, so that a board of a
hundred thousand entries stays quick."""


def templates() -> Any:
    """The environment of the page's templates: whatever stands in a name is written as text (autoescape)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)


def page(rules: Rules, rows: Sequence[Row], standings: Standings) -> str:
    """Return board.html."""
    style = (HERE / "board.css").read_text(encoding="utf-8")
    parts = [(HERE / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    script = '(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"
    text = templates().get_template("board.html").render(
        title=rules.title, about=paragraphs(rules.about), facts=counts(rows), notices=notices(rules),
        shared=prefix(rows), rules=RULES, reading=READING, footer=FOOTER,
        style=style, style_hash=csp_hash(style), script=script, script_hash=csp_hash(script),
        data=embedded(payload(rules, rows, standings)),
    )  # fmt: skip
    return text + "\n"


def csp_hash(text: str) -> str:
    """The source expression of an inline element: CSP level 3, sec. 2.3.1."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def embedded(value: Any) -> str:
    """A value as JSON that may stand in a script element: no sign in it can end the element or open a comment."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class _Once(dict[Any, int]):
    """Values that many entries share, each once: value -> its place."""

    def at(self, value: Any) -> int | None:
        """The place of a value, which is added when it is new; None for None."""
        return None if value is None else self.setdefault(value, len(self))


def payload(rules: Rules, rows: Sequence[Row], standings: Standings) -> dict[str, Any]:
    """Return all that the page's script reads: fractions to four digits, names and texts by their place."""
    words, told = _Once(), _Once()
    kinds = ("model", "source", "target", "recipe", "submitter", "badge")
    names = {f"{kind}s": sorted({getattr(row, kind) for row in rows}) for kind in kinds}
    names["labels"] = sorted({row.label for row in rows}, key=lambda label: (*LABELS, label).index(label))
    names["scorers"] = sorted({scorer for row in rows for scorer, _, _ in row.attribution})
    at = {kind: {name: place for place, name in enumerate(found)} for kind, found in names.items()}
    how = {one: place for place, one in enumerate(dict.fromkeys(row.again for row in rows))}
    best = {row.id for row in chosen(rows)}
    entries = [_entry(row, at, row.id in best) for row in rows]
    details = [json.dumps(_details(row, how, words, told), separators=(",", ":")) for row in rows]
    index = {row.id: place for place, row in enumerate(rows)}
    ranked = {
        "sources": [_sources(one, at, index, words) for one in standings.sources],
        "recipes": [_rivals(one, at, words, "recipe") for one in standings.recipes],
        "predictors": [_rivals(one, at, words, "scorer") for one in standings.predictors],
    }
    return {
        "title": rules.title, "prefix": prefix(rows), "fields": list(FIELDS), **names, "entries": entries,
        "detail_fields": list(DETAILS), "details": details, "facts": [[words.at(one) for one in fact] for fact in told],
        "slugs": {kind: [slug(name) for name in names[kind]] for kind in ("models", "sources", "targets", "recipes")},
        "standings": ranked, "reproduce": [{"title": one.title, "steps": one.texts} for one in how],
        "strings": list(words),
    }  # fmt: skip


def _entry(row: Row, at: dict[str, dict[str, int]], best: bool) -> list[Any]:
    """One entry in the order of FIELDS; `best`: rankings and matrix take it, of several for the same pair."""
    gain = row.gain
    return [
        at["models"][row.model], at["sources"][row.source], at["targets"][row.target], at["recipes"][row.recipe],
        at["submitters"][row.submitter], at["labels"][row.label], at["badges"][row.badge],
        row.seeds, row.n, int(row.own), int(best),
        [None if score is None else _short(score.mean) for score in row.scores[:MEANS]],
        [*(_short(gain[key]) for key in ("value", "low", "high")),
         *(_digits(gain[key]) for key in ("p", "p_holm", "mde"))],
        [[at["scorers"][scorer], _digits(mean), _digits(share)] for scorer, mean, share in row.attribution], row.id,
    ]  # fmt: skip


def _details(row: Row, how: dict[Again, int], words: _Once, told: _Once) -> list[Any]:
    """One entry in the order of DETAILS; a contrast without a value is the place of its reason."""
    return [
        [_score(score) for score in row.scores],
        words.at(row.gain["reason"]),
        [words.at(one[3]) if one[0] is None else [*map(_short, one[:3]), words.at(one[3])] for one in row.others],
        words.at(row.why), how[row.again], [told.at(fact) for fact in row.facts],
    ]  # fmt: skip


def _score(score: Score | None) -> list[Any] | None:
    if score is None:
        return None
    return [_short(score.mean), _short(score.low), _short(score.high), [_short(value) for value in score.seeds]]


def _short(value: float | None) -> float | None:
    """A fraction to a hundredth of a point, far below any interval."""
    return None if value is None else round(value, 4) + 0.0


def _digits(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else float(f"{value:.4g}")


def _sources(
    found: dict[str, Any], at: dict[str, dict[str, int]], index: dict[str, int], words: _Once
) -> dict[str, Any]:
    """One ranking of sources: its rows are [place of the entry, best rank, worst rank]."""
    rows = [[index[one["row"].id], one["best"], one["worst"]] for one in found["rows"]]
    named = {key: at[f"{key}s"][found[key]] for key in ("model", "recipe", "target")}
    return {**named, "reason": words.at(found["reason"]), "rows": rows}


def _rivals(found: dict[str, Any], at: dict[str, dict[str, int]], words: _Once, kind: str) -> dict[str, Any]:
    """One ranking of recipes or scorers, its names by their place."""
    named: dict[str, Any] = {key: at[f"{key}s"][found[key]] for key in ("model", "recipe") if key in found}
    rows = []
    for one in found["rows"]:
        numbers = {key: _digits(value) for key, value in one.items() if key != "name"}
        rows.append({kind: at[f"{kind}s"][one["name"]], "pairs": found["pairs"], **numbers})
    return {**named, "reason": words.at(found["reason"]), "rows": rows}
