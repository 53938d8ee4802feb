"""leaderboard.csv: every entry with every number, fractions as they are in the entries."""

import csv
import io
from collections.abc import Iterator, Sequence

from xferbench.leaderboard.entry import ORDER
from xferbench.leaderboard.rankings import Standings
from xferbench.leaderboard.view import CONTRASTS, Row

GAIN = ("value", "low", "high", "p", "p_holm", "mde")
COST = ("seconds", "tokens", "flops", "dollars")
HEADS = (
    "model", "source", "target", "recipe", "submitter", "label", "badge", "seeds", "n", "own_domain", *ORDER,
    "gain", *(f"gain_{name}" for name in GAIN[1:]),
    *(f"{name}{end}" for name in CONTRASTS for end in ("", "_low", "_high")), *COST, "rank_best", "rank_worst", "entry",
)  # fmt: skip


def sheet(rows: Sequence[Row], standings: Standings) -> str:
    """Return leaderboard.csv: one line an entry, in the order of their paths; an empty cell is a number not known."""
    ranks = {one["row"].id: (one["best"], one["worst"]) for found in standings.sources for one in found["rows"]}
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(HEADS)
    for row in rows:
        lines.writerow(_values(row, ranks.get(row.id, (None, None))))
    return text.getvalue()


def _values(row: Row, rank: tuple[int | None, int | None]) -> Iterator[object]:
    yield from map(_safe, (row.model, row.source, row.target, row.recipe, row.submitter, row.label, row.badge))
    yield from (row.seeds, row.n, int(row.own))
    yield from (None if score is None else float(f"{score.mean:.10g}") for score in row.scores)
    yield from (row.gain[name] if name != "p_holm" else _ten(row.gain[name]) for name in GAIN)
    for value, low, high, _ in row.others:
        yield from (value, low, high)
    yield from row.cost
    yield from (*rank, row.place)


def _ten(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.10g}")


def _safe(text: str) -> str:
    """A text that a spreadsheet would run as a formula begins with an apostrophe instead (OWASP, CSV injection)."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
