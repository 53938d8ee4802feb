"""One entry, held to everything that can be known from its own two files: form, checksums, recipe, every number."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unicodedata import is_normalized

from xferbench.errors import UsageError, VerificationError
from xferbench.leaderboard.board import Board
from xferbench.leaderboard.entry import VERSION, Condition, Entry, checksums, claim, plain, render
from xferbench.leaderboard.itemfile import Table, column, prompts_digest, unpack
from xferbench.leaderboard.lineage import Fault, lineage
from xferbench.leaderboard.origin import copied
from xferbench.leaderboard.recompute import cost, finding, score
from xferbench.leaderboard.rules import Rules
from xferbench.leaderboard.text import decode, one_line, plain_json

TOLERANCE = 1e-6
"""Relative: what another processor or version of scipy may change. Anything else is in the checksums."""


def form(data: bytes) -> tuple[dict[str, Any], Entry]:
    """Read an entry's bytes; VerificationError when they are not an entry of this version, written as one is."""
    row = plain_json(data)
    if not isinstance(row, dict):
        raise VerificationError("is not an entry: a JSON object was expected")
    if row.get("schema") != VERSION or isinstance(row.get("schema"), bool):
        raise VerificationError(f"schema: version {ascii(row.get('schema'))[:30]} is not known (known: {VERSION})")
    entry = decode(data, Entry)
    text, written = data.decode(), render(row)
    if text != written:
        pairs = zip(text.splitlines(), written.splitlines())
        line = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), 0)
        raise VerificationError(f"line {line} is not written as xferbench writes it (the same value, another text)")
    return row, entry


def sealed(row: dict[str, Any]) -> Iterator[Fault]:
    """Yield the sections that do not agree with their checksums, and an id that is not the entry's."""
    right = checksums(row)
    for section in sorted(set(right) | set(row["checksums"])):
        if section not in right or section not in row["checksums"]:
            yield f"checksums.{section}", "there is no such section" if section not in right else "it is missing"
        elif row["checksums"][section] != right[section]:
            yield section, f"it does not agree with checksums.{section}; one of the two was changed"
    if row["id"] != claim(row):
        yield "id", f"source, target, recipe, model, submitter, hardware, origin and steps make {claim(row)}"


def kept(entry: Entry, rules: Rules) -> Iterator[Fault]:
    """Yield which of the board's rules an entry breaks."""
    if (entry.origin is not None) != rules.imported:
        yield "origin", "imported numbers stand on boards of published tables only, and nothing else stands there"
    if not is_normalized("NFC", entry.submitter.name):
        yield "submitter.name", "it is not in Unicode's composed form (NFC)"
    if rules.models and rules.models.get(entry.model.name) != entry.model.fingerprint:
        yield "model", "the board has other base models"
    if rules.sources and entry.source not in rules.sources:
        yield "source", "the board has other sources"
    for key in ("resamples", "seed", "margin"):
        if getattr(entry.method, key) != getattr(rules, key):
            yield f"method.{key}", f"the board says {getattr(rules, key)}"
    if not rules.imported:
        yield from _asked(entry, rules)
        yield from _seeds(entry, rules)


def _asked(entry: Entry, rules: Rules) -> Iterator[Fault]:
    versions = rules.targets.get(entry.target)
    if versions is None:
        yield "target", "the board has not registered it"
        return
    asked = versions.get(entry.measure.version or "")
    if asked is None:
        yield "measure.version", f"the board has registered {', '.join(sorted(versions))}"
        return
    why = {
        "prompts": " (other items, or asked in another way: a model with another chat template is registered by "
        "`leaderboard init --from` its run)",
        "fingerprint": " (another task file, other settings, or other data)",
    }
    right: dict[str, Sequence[object]] = {
        "metric": [asked.metric], "n": [asked.n], "prompts": asked.ways, "fingerprint": [asked.fingerprint],
    }  # fmt: skip
    for key, known in right.items():
        if None not in known and getattr(entry.measure, key) not in known:
            said = f"the board has registered {', '.join(map(str, known))} for version {entry.measure.version}"
            yield f"measure.{key}", said + why.get(key, "")


def _seeds(entry: Entry, rules: Rules) -> Iterator[Fault]:
    seeds: dict[Condition, list[int | None]] = {}
    for cell in entry.cells:
        seeds.setdefault(cell.condition, []).append(cell.seed)
    asked = rules.targets.get(entry.target, {}).get(entry.measure.version or "")
    own = asked.domain if asked else None
    for condition in rules.conditions:
        needed = condition in ("baseline", "transfer", "placebo") or (own is not None and condition == "direct")
        needed = needed or (own not in (None, entry.source) and condition in ("sequential", "joint"))
        if needed and condition not in seeds:
            yield "cells", f"{condition} was not measured, and the board asks for it"
    for condition, found in seeds.items():
        if len(set(found)) < len(found):
            yield "cells", f"{condition} has a training seed twice"
        if condition != "baseline" and len(set(found)) < rules.seeds:
            yield "seeds", f"{condition} has {len(set(found))}; the board asks for {rules.seeds}"
    trained_on = {condition: set(found) for condition, found in seeds.items() if condition != "baseline"}
    for condition, these in trained_on.items():
        if these != trained_on.get("transfer", these):
            yield "seeds", f"{condition} was trained with other seeds than transfer"
    trained = sorted({seed for found in seeds.values() for seed in found if seed is not None})
    if list(entry.seeds) != trained:
        yield "seeds", f"the cells have {trained}"


def numbers(entry: Entry, row: dict[str, Any], items: bytes | None, rules: Rules) -> Iterator[Fault]:
    """Yield every number of an entry that its items do not give."""
    table = None
    if items is not None:
        assert entry.items is not None
        if hashlib.sha256(items).hexdigest() != entry.items.sha256:
            yield "items.sha256", "the items file has another digest"
        if len(items) != entry.items.bytes:
            yield "items.bytes", f"the items file has {len(items)}"
        table = unpack(items)
        yield from _cells(entry, table)
        asked = rules.targets.get(entry.target, {}).get(entry.measure.version or "")
        least, most = (asked.least, asked.most) if asked else (0.0, 1.0)
        if table.scores.min() < least or table.scores.max() > most:
            yield "items", f"scores lie outside {least:g} to {most:g}, which the board has registered"
    exact = {name: row["checksums"].get(name) != right for name, right in checksums(row).items()}
    price = entry.price.dollars_per_hour if entry.price else None
    parts = {"cost": cost(entry.steps.values(), price) if entry.origin is None else plain(entry.cost)}
    try:
        question = entry.source, entry.target, entry.recipe
        parts["finding"] = finding(*question, entry.measure, entry.cells, table, entry.method)
    except (UsageError, VerificationError, ValueError, ZeroDivisionError, FloatingPointError) as error:
        yield "finding", f"it cannot be computed: {one_line(error)}"
    for name, right in parts.items():
        tolerance = 0.0 if exact.get(name) else TOLERANCE
        yield from _differ(name, plain(getattr(entry, name)), right, tolerance)


def _cells(entry: Entry, table: Table) -> Iterator[Fault]:
    if len(table.keys) != entry.measure.n:
        yield "measure.n", f"the items file has {len(table.keys)} items"
    if prompts_digest(table.keys) != entry.measure.prompts:
        yield "measure.prompts", f"the items file gives {prompts_digest(table.keys)}"
    names = [column(cell) for cell in entry.cells]
    if sorted(names) != sorted(table.columns):
        yield (
            "items",
            f"the file has scores of {', '.join(sorted(set(table.columns) ^ set(names)))[:200]} or lacks them",
        )
        return
    of: dict[str, int] = {}
    for place, (name, cell) in enumerate(zip(names, entry.cells, strict=True)):
        scores = table.scores[:, table.columns.index(name)]
        same = of.setdefault(cell.step, place)
        if (scores != table.scores[:, table.columns.index(names[same])]).any():
            yield f"cells[{place}]", f"it is the same step as cells[{same}], with other scores"
        right = dict(zip(("value", "stderr"), score(scores), strict=True))
        yield from _differ(f"cells[{place}]", {key: getattr(cell, key) for key in right}, right, 1e-9)


def _differ(where: str, stated: Any, right: Any, tolerance: float) -> Iterator[Fault]:
    """Yield the leaves of `stated` that are not those of `right`."""
    if isinstance(right, dict) and isinstance(stated, dict):
        for key in right:
            yield from _differ(f"{where}.{key}", stated.get(key), right[key], tolerance)
    elif isinstance(right, float | int) and isinstance(stated, float | int):
        if abs(stated - right) > tolerance * max(abs(stated), abs(right)):
            yield where, f"it says {stated!r}; recomputed it is {right!r}"
    elif stated != right:
        yield where, f"it says {ascii(stated)[:80]}; recomputed it is {ascii(right)[:80]}"


def check(board: Board, path: Path, data: bytes, items: bytes | None) -> Iterator[Fault]:
    """Yield all faults of one entry: the text it was read from, and its items file (None: there is none)."""
    try:
        row, entry = form(data)
        if path != board.place(entry):
            yield "id", f"the file should be {board.place(entry).relative_to(board.root)}"
        yield from sealed(row)
        yield from kept(entry, board.rules)
        asked = board.rules.targets.get(entry.target, {}).get(entry.measure.version or "")
        yield from lineage(entry, asked, board.rules.examples) if entry.origin is None else copied(board.root, entry)
        if (entry.items is None) != (items is None) or (items is None) != (entry.origin is not None):
            yield "items", "an entry has an items file, unless its numbers were imported"
            return
        yield from numbers(entry, row, items, board.rules)
    except VerificationError as error:
        field, colon, what = str(error).partition(": ")
        yield (field, what) if colon and " " not in field else ("", str(error))
