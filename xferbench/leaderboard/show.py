"""What `leaderboard show` prints: entries with their intervals, and ranks that are ties where nothing separates."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xferbench.analyse.standing import above, independent, ranks
from xferbench.analyse.table import grid, points
from xferbench.errors import unknown
from xferbench.leaderboard.board import Board, findings, read_board
from xferbench.leaderboard.entry import ORDER, Entry
from xferbench.leaderboard.record import badges, read_record
from xferbench.leaderboard.text import counted
from xferbench.leaderboard.view import scores

MOST = 500
"""Of more entries than these no ranks are given: ask for fewer (--target, --recipe)."""


def show(root: Path, wanted: Mapping[str, str | None], sort: str, as_json: bool) -> str:
    """Return the table, or the same as JSON, of the entries that match `wanted` ({filter: part of a name}).

    UsageError with the nearest name for a filter that no entry of the board matches.
    """
    board = read_board(root)
    rows = listing(board)
    for key, part in wanted.items():
        known = {_named(row, key) for row in rows}
        if part is not None and known and not any(part in name for name in known):
            raise unknown({"by": "submitter"}.get(key, key), part, known)
    chosen = [row for row in rows if _matches(row, wanted)]
    parts = [row.pop("parts") for row in rows if _matches(row, wanted)]
    fewest = [min((row[key] for row in chosen), default=1) for key in ("seeds", "n")]
    places = ranked([row["gain"]["value"] for row in chosen], parts, fewest[0] - 1, max(fewest[1] - 1, 1))
    for row, place in zip(chosen, places, strict=True):
        row["rank"] = "." if place is None else "-".join(map(str, dict.fromkeys(place)))
    best = {id(row): place for row, place in zip(chosen, places, strict=True)}
    order = {
        "gain": lambda row: (row["gain"]["value"] is None, best[id(row)] or (), -(row["gain"]["value"] or 0)),
        "name": lambda row: (row["target"], row["source"], row["recipe"]),
        "date": lambda row: row["date"],
        "dollars": lambda row: (row["cost"]["dollars"] is None, row["cost"]["dollars"] or 0),
    }[sort]
    chosen.sort(key=order)
    if as_json:
        return json.dumps({"board": board.rules.name, "entries": chosen}, indent=1, allow_nan=False)
    return _text(board, chosen, len(rows))


def listing(board: Board) -> list[dict[str, Any]]:
    """Return the finding of every entry with who, when, what it cost and its badge; p_holm is over the whole board.

    `parts`: the variance of the gain that seeds bring, and that items bring, which `ranked` takes.
    """
    entries = list(board.entries())
    marks = badges(entries, read_record(board))
    return [
        {**finding, **_who(entry), "badge": badge, "parts": _parts(entry)}
        for entry, finding, badge in zip(entries, findings(entries), marks, strict=True)
    ]


def _parts(entry: Entry) -> tuple[float, float]:
    """Of the gain, as of two independent scores: the same items answered twice make it surer than that."""
    found = dict(zip(ORDER, scores(entry), strict=True))
    before, after = found["baseline"], found["transfer"]
    if before is None or after is None or before.item_variance is None or after.item_variance is None:
        return math.nan, math.nan
    return after.seed_variance, after.item_variance + before.item_variance


def _who(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "model": entry.model.name,
        "submitter": entry.submitter.name,
        "date": entry.date.isoformat(),
    }


def ranked(
    gains: Sequence[float | None], parts: Sequence[tuple[float, float]], df: int, item_df: float
) -> list[tuple[int, int] | None]:
    """Return the rank interval of each gain (analyse.standing), None where there is no gain, or there are too many.

    `parts`: see `listing`; `df` and `item_df`: the fewest degrees of freedom of any.
    """
    known = [i for i, gain in enumerate(gains) if gain is not None]
    found: list[tuple[int, int] | None] = [None] * len(gains)
    if known and len(known) <= MOST:
        certainly = above([gains[i] or 0.0 for i in known], independent([parts[i] for i in known], df, item_df))
        for i, place in zip(known, ranks(certainly), strict=True):
            found[i] = place
    return found


def _matches(row: Mapping[str, Any], wanted: Mapping[str, str | None]) -> bool:
    return all(part is None or part in _named(row, key) for key, part in wanted.items())


def _named(row: Mapping[str, Any], key: str) -> str:
    return str(row["submitter" if key == "by" else key])


def _text(board: Board, rows: Sequence[Mapping[str, Any]], count: int) -> str:
    title = f"{board.rules.title}: {len(rows)} of {counted(count)}"
    if not rows:
        return title
    heads = ["rank", "source → target", "recipe", "model", "baseline", "transfer", "gain [95 %]", "seeds", "n"]
    heads += ["dollars", "label", "by", "badge"]
    align = [
        "left" if head in ("source → target", "recipe", "model", "label", "by", "badge") else "right" for head in heads
    ]
    lines = [
        "Points out of 100. A rank a-b is a tie: it may be any of these (Holm's correction over all pairs shown).",
        "* the gain differs from 0 (5 %, Holm's correction over all of the board's pairs off the diagonal).",
    ]
    return "\n".join([title, "", grid([heads, *map(_row, rows)], align), "", *lines])


def _row(row: Mapping[str, Any]) -> list[str]:
    gain = row["gain"]
    sure = gain["p_holm"] is not None and gain["p_holm"] <= 0.05
    shown = points(gain["value"], sign=True) + ("*" if sure else "")
    if gain["low"] is not None:
        shown += f" [{points(gain['low'], sign=True)}, {points(gain['high'], sign=True)}]"
    dollars = row["cost"]["dollars"]
    return [
        row["rank"], f"{row['source']} → {row['target']}", row["recipe"], row["model"], points(row["baseline"]),
        points(row["transfer"]), shown, str(row["seeds"]), str(row["n"]), "." if dollars is None else f"{dollars:.2f}",
        row["label"], row["submitter"], row["badge"],
    ]  # fmt: skip
