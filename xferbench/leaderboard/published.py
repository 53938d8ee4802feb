"""From a published table to an imported board: its marginals as entries without items, clearly marked as such.

A YAML file (`Reading`) says how the CSV table beside it is read: which row is the untrained model, which source each
other row was trained on, and which source is direct training for which target. Intervals are unpaired and rest on the
number of items that the publication states; without it there is none.
"""

import datetime
import hashlib
from pathlib import Path
from typing import Any
from unicodedata import normalize

import msgspec

from xferbench.analyse import wide
from xferbench.errors import UsageError, VerificationError, unknown
from xferbench.leaderboard.board import Board, read_board
from xferbench.leaderboard.check import check, form
from xferbench.leaderboard.entry import (
    VERSION,
    Condition,
    Count,
    Entry,
    Frozen,
    Measure,
    Method,
    Name,
    Person,
    Recipe,
    Score,
    Text,
    Url,
    plain,
    render,
    seal,
)
from xferbench.leaderboard.recompute import finding
from xferbench.leaderboard.text import counted, one_line, write, wrong


class Reading(Frozen, frozen=True, kw_only=True):
    """How a published table is read; an unknown key is refused."""

    table: Name
    """The CSV beside this file: a row a model, a column a target, points of 100."""
    title: Text
    url: Url | None = None
    model: Name
    recipe: Recipe
    metric: Name = "score"
    by: Person
    date: datetime.date
    baseline: Name
    """The row of the model before training."""
    sources: dict[Name, Name]
    """{row: what it was trained on}; other rows are left out."""
    own: dict[Name, Name] = msgspec.field(default_factory=dict)
    """{target: the source that is its own domain}."""
    items: dict[Name, Count] = msgspec.field(default_factory=dict)
    """{target: how many items it has}."""
    notes: tuple[Text, ...] = ()


def publish(root: Path, reading: Path) -> str:
    """Write an entry for each source and target of a published table; return a line that says what was done.

    UsageError for a reading or a table that is wrong, VerificationError, with nothing written, for an entry that breaks
    a rule of the board.
    """
    board, asked = read_board(root), _read(reading)
    if not board.rules.imported:
        raise UsageError(f"{root} is a board of runs; published tables stand on a board with `imported: true` alone")
    path = reading.parent / asked.table
    table = wide.read(path, items=asked.items)
    for row in (asked.baseline, *asked.sources):
        if row not in table.rows:
            raise unknown("row of the table", row, table.rows)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    made = []
    for row, source in asked.sources.items():
        for target in table.targets:
            text = render(_entry(board, asked, table, row, source, target, digest)).encode()
            made.append((form(text)[1], text))
    beside = root / path.name
    lacking = not beside.exists()
    if lacking:  # entries are held to the table that lies on the board itself
        write(root, beside, path.read_bytes())
    faults = [
        f"{entry.source} -> {entry.target}: {field}: {what}"
        for entry, text in made
        for field, what in check(board, board.place(entry), text, None)
    ]
    if faults and lacking:
        beside.unlink()
    if faults:
        raise VerificationError("nothing was added:\n" + "\n".join(faults))
    for entry, text in made:
        write(root, board.place(entry), text)
    return f"{root}: {counted(len(made))} from {asked.table}, imported without items"


def _read(path: Path) -> Reading:
    import yaml

    try:
        return msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), Reading)
    except msgspec.ValidationError as error:
        raise UsageError(f"{path}: does not say how a table is read: {wrong(error)}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path}: does not say how a table is read: {one_line(error)}") from None


def _entry(
    board: Board, asked: Reading, table: wide.Wide, row: str, source: str, target: str, digest: str
) -> dict[str, Any]:
    """One sealed entry: the row's score of a target beside the baseline and, where there is one, direct training."""
    rules, by = board.rules, normalize("NFC", asked.by)
    named = {name: at for at, name in asked.sources.items()}
    trained: list[tuple[Condition, str, str]] = [("baseline", asked.baseline, ""), ("transfer", row, source)]
    if target in asked.own:
        trained.append(("direct", named[asked.own[target]], asked.own[target]))
    column = table.targets.index(target)
    cells = []
    for condition, at, curriculum in trained:
        value = table.values[table.rows.index(at)][column]
        if value is not None:
            seed = None if condition == "baseline" else 0
            cells.append(Score(condition, curriculum, seed, value, 0.0, f"{at}@{target}"))
    measure = Measure(asked.metric, None, None, asked.items.get(target, 0), None)
    method = Method(rules.resamples, rules.seed, rules.margin)
    nothing = dict.fromkeys(("seconds", "tokens", "flops", "dollars"))
    entry = {
        "schema": VERSION, "id": "0" * 16, "suite": None, "model": {"name": asked.model, "fingerprint": None},
        "source": source, "target": target, "recipe": asked.recipe, "submitter": {"name": by, "url": None},
        "date": asked.date.isoformat(), "origin": {"title": asked.title, "url": asked.url, "sha256": digest},
        "packages": {},
        "hardware": [], "price": None, "measure": plain(measure), "seeds": [0], "cells": plain(cells), "steps": {},
        "items": None, "method": plain(method), "cost": nothing, "attribution": [], "notes": list(asked.notes),
        "finding": finding(source, target, asked.recipe, measure, cells, None, method), "checksums": {},
    }  # fmt: skip
    try:
        return seal(plain(msgspec.convert(entry, Entry)))
    except msgspec.ValidationError as error:
        raise UsageError(f"{source} -> {target}: cannot be an entry: {wrong(error)}") from None
