"""From a run's folder to entries on a board: all of its findings or none, checked as `verify` checks them."""

import datetime
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np

from xferbench.analyse.pairing import Pair, pairs
from xferbench.errors import UsageError, VerificationError
from xferbench.leaderboard.assemble import Evidence, Tried, assemble
from xferbench.leaderboard.board import Board, read_board
from xferbench.leaderboard.check import check, form
from xferbench.leaderboard.entry import Entry, Name, Person, Text, Url, render
from xferbench.leaderboard.text import counted, one_line, read_bytes, typed, write
from xferbench.results import Results, read

AGREE = 1e-6
"""How far the value of a cell may be from the mean of its items (rounding of the metric)."""


def add(root: Path, run: Path, about: Mapping[str, Any]) -> str:
    """Make an entry of each finding of the run in folder `run`; return a line that says what was done.

    What is there already with the same scores is left as it is. VerificationError, with nothing written, when one of
    them breaks a rule of the board or says other than what is there.
    """
    about = _typed(about)
    board, results = read_board(root), read(run)
    if not results.steps:
        raise UsageError(f"{run}: its rows have no recipes; repeat the run's command, which does no step again")
    own = [pair for pair in pairs(results) if None not in pair.cells["transfer"]]  # not what was trained elsewhere
    made = [_made(board, results, pair, about) for pair in own]
    if not made:
        raise UsageError(f"{run}: no pair of a source and a target was measured")
    new, faults = [], []
    for entry, text, items in made:
        place = board.place(entry)
        name = place.relative_to(root)
        if place.exists():
            old = form(read_bytes(place, board.rules.entry_bytes))[1]
            if (old.items, old.cells) != (entry.items, entry.cells):
                faults.append(f"{name}: items: the entry is there already, with other scores")
            continue
        found = list(check(board, place, text, items))
        faults += [one_line(f"{name}: {field}: {what}", 400) for field, what in found]
        new.append((place, text, board.items(entry), items))
    if faults:
        faults.sort(key=lambda fault: ": its limit: " not in fault)  # of --eval-limit the rest is the outcome
        raise VerificationError("nothing was added:\n" + "\n".join(faults))
    for place, text, beside, items in new:
        write(root, beside, items)
        write(root, place, text)
    same = len(made) - len(new)
    return f"{root}: {counted(len(new))} added" + (f", {same} there already" if same else "")


def _typed(about: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, each of its kind; UsageError in one line, before anything is read, for what is not."""
    name = about.get("model_name")
    kinds = {
        "by": (normalize("NFC", about["by"]), Person), "url": (about.get("url"), Url | None),
        "date": (about["date"], datetime.date), "price-basis": (about.get("price_basis"), Text | None),
        "model-name": (name and _model(name), Name | None),
    }  # fmt: skip
    found = {option.replace("-", "_"): typed(f"--{option}", *one) for option, one in kinds.items()}
    found |= {"date": about["date"], "note": [typed("--note", note, Text) for note in about.get("note", ())]}
    if (about.get("price") is None) != (about.get("price_basis") is None):
        raise UsageError("a price needs both --price and --price-basis: which price list says so?")
    return {**about, **found}


def _model(name: str) -> str:
    """What a base model is called: of a path the folder's name, never where it lies."""
    return Path(name).name if name.startswith(("/", ".")) else name


def _made(board: Board, results: Results, pair: Pair, about: Mapping[str, Any]) -> tuple[Entry, bytes, bytes]:
    evidence, machines = _evidence(results, pair)
    row, items = assemble(board.rules, evidence, _about(results, evidence, machines, about))
    text = render(row).encode()
    return form(text)[1], text, items


def _evidence(results: Results, pair: Pair) -> tuple[Evidence, list[dict[str, Any]]]:
    """What was measured of a pair, and the machines that its steps name by number."""
    known = {row["id"]: row for row in results.steps}
    keys: list[tuple[str, str]] = []
    tried = []
    metric = ""
    for condition, seeds in pair.cells.items():
        for seed, cell in seeds.items():
            items = _items(results, cell.step)
            keys = keys or sorted(items)
            if set(items) != set(keys):
                raise UsageError(f"{pair.target}: its conditions were not asked the same items (step {cell.step})")
            scores = np.array([items[key] for key in keys])
            if abs(scores.mean() - cell.value) > AGREE:
                raise UsageError(
                    f"{cell.step}: the mean of its items is {scores.mean():.6f}, its row says {cell.value}"
                )
            tried.append(Tried(condition, cell.curriculum, seed, cell.step, scores))
            metric = cell.metric
    steps = list(dict.fromkeys(name for one in tried for name in _beneath(known, one.step)))
    said = list(_said(results, pair, known, steps))
    steps += [row["step"] for row in said if row["step"] not in steps]
    machines: list[dict[str, Any]] = []
    kept = {name: _step(known[name], machines) for name in steps}
    asked = known[tried[0].step]["recipe"]["target"]
    version, fingerprint = asked["version"].rpartition(", ")[2], asked["settings"].get("fingerprint")
    question = pair.source, pair.target, pair.recipe
    return Evidence(*question, metric, version, fingerprint, keys, tried, kept, said), machines


def _items(results: Results, step: str) -> Mapping[tuple[str, str], float]:
    try:
        return results.items(step)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise UsageError(f"the items of step {step} cannot be read: {one_line(error)}") from None


def _beneath(known: Mapping[str, dict[str, Any]], step: str) -> Iterator[str]:
    name: str | None = step
    while name is not None:
        if name not in known:
            raise UsageError(f"the rows of the run lack the recipe of {name}; repeat the run's command")
        yield name
        recipe = known[name]["recipe"]
        name = recipe["start"] if recipe["kind"] == "train" else recipe["train"]


def _said(
    results: Results, pair: Pair, known: Mapping[str, dict[str, Any]], steps: list[str]
) -> Iterator[dict[str, Any]]:
    """The scorers' rows of a pair that were scored at the base model or at a training of this very recipe."""
    for row in results.attribution:
        at = known.get(row["step"], {}).get("recipe", {}).get("train")
        mine = (
            row["source"] == pair.source
            and row.get("recipe") in (None, pair.recipe)
            and (pair.target == row["target"] or pair.target.startswith(row["target"] + ":"))
        )
        if mine and row["step"] in known and (at is None or at in steps):
            keys = ("scorer", "mean", "n", "null", "queries", "top_share", "reason", "step")
            yield {key: row.get(key) for key in keys}


def _step(row: Mapping[str, Any], machines: list[dict[str, Any]]) -> dict[str, Any]:
    machine = row["machine"]
    if machine is not None and machine not in machines:
        machines.append(machine)
    kind = row["recipe"]["kind"]
    nothing = {"tokens": 0, "flops": 0.0} if kind == "evaluate" else {}
    cost = {"dollars": None, **row["cost"], **nothing}
    return {"content": row["recipe"], "cost": cost, "machine": None if machine is None else machines.index(machine)}


def _about(
    results: Results, evidence: Evidence, machines: list[dict[str, Any]], about: Mapping[str, Any]
) -> dict[str, Any]:
    """The sections of an entry that are not measured."""
    packages = {"xferbench": str(results.run.get("xferbench"))}
    for step in evidence.steps.values():
        packages |= step["content"]["libraries"]
    named = about.get("model_name") or results.run["model"]["name"]
    price = None
    if about.get("price") is not None:
        price = {"dollars_per_hour": float(about["price"]), "basis": about["price_basis"]}
    ends = (evidence.source, evidence.target)
    notes = [plainly(note) for note in results.run.get("notes") or [] if any(end in note for end in ends)]
    return {
        "suite": results.run.get("suite"),
        "model": {"name": _model(named), "fingerprint": results.run["model"]["fingerprint"]},
        "submitter": {"name": about["by"], "url": about.get("url")},
        "date": about["date"],
        "packages": packages,
        "hardware": machines,
        "price": price,
        "notes": [*notes, *about.get("note", ())],
    }  # fmt: skip


def plainly(note: str) -> str:
    """A run's note without the signs that no text of an entry may hold."""
    return re.sub(r"[<|\[\]`\\\x00-\x1f]|://|www\.", " ", note)[:300]
