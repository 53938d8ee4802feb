"""What `leaderboard show` prints: entries with their intervals; where intervals do not separate, the rank is a tie."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from xferbench.analyse.table import grid, points
from xferbench.leaderboard.board import Board, findings, read_board
from xferbench.leaderboard.entry import Entry
from xferbench.leaderboard.record import badges, read_record


def show(root: Path, wanted: Mapping[str, str | None], sort: str, as_json: bool) -> str:
    """Return the table, or the same as JSON, of the entries that match `wanted` ({filter: part of a name})."""
    board = read_board(root)
    rows = listing(board)
    chosen = [row for row in rows if _matches(row, wanted)]
    ranks = ranked([row["gain"] for row in chosen])
    for row, rank in zip(chosen, ranks, strict=True):
        row["rank"] = rank
    order = {
        "gain": lambda row: (row["gain"]["value"] is None, -(row["gain"]["value"] or 0)),
        "name": lambda row: (row["target"], row["source"], row["recipe"]),
        "date": lambda row: row["date"],
        "dollars": lambda row: (row["cost"]["dollars"] is None, row["cost"]["dollars"] or 0),
    }[sort]
    chosen.sort(key=order)
    if as_json:
        return json.dumps({"board": board.rules.name, "entries": chosen}, indent=1, allow_nan=False)
    return _text(board, chosen, len(rows))


def listing(board: Board) -> list[dict[str, Any]]:
    """Return the finding of every entry with who, when, what it cost and its badge; p_holm is over the whole board."""
    entries = list(board.entries())
    marks = badges(entries, read_record(board))
    return [
        {**finding, **_who(entry), "badge": badge}
        for entry, finding, badge in zip(entries, findings(entries), marks, strict=True)
    ]


def _who(entry: Entry) -> dict[str, Any]:
    return {"id": entry.id, "model": entry.model.name, "submitter": entry.submitter.name, "date": entry.date}


def ranked(gains: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rank of each gain as text: "2", or "2-4" where it cannot be told from others; "." without interval.

    One is above another only where its whole interval is. The best rank an entry may have is 1 + the number that are
    above it; the worst is the number of entries less those below it.
    """
    known = [gain for gain in gains if gain["low"] is not None]
    found = []
    for gain in gains:
        if gain["low"] is None:
            found.append(".")
            continue
        best = 1 + sum(other["low"] > gain["high"] for other in known)
        worst = len(known) - sum(other["high"] < gain["low"] for other in known)
        found.append(str(best) if best == worst else f"{best}-{worst}")
    return found


def _matches(row: Mapping[str, Any], wanted: Mapping[str, str | None]) -> bool:
    named = {"by": "submitter"}
    return all(part is None or part in row[named.get(key, key)] for key, part in wanted.items())


def _text(board: Board, rows: Sequence[Mapping[str, Any]], count: int) -> str:
    title = f"{board.rules.title}: {len(rows)} of {count} entries"
    if not rows:
        return title
    heads = ["rank", "source → target", "recipe", "model", "baseline", "transfer", "gain [95 %]", "seeds", "n"]
    heads += ["dollars", "label", "by", "badge"]
    align = [
        "left" if head in ("source → target", "recipe", "model", "label", "by", "badge") else "right" for head in heads
    ]
    lines = [
        "Points out of 100. A rank a-b is a tie: the intervals do not separate these entries.",
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
