"""Badges, by rule: what stands behind an entry besides its submitter's word.

    imported       a published table's numbers, without items: nothing can be recomputed
    self-reported  not (or not yet) verified on this board, or changed since
    recomputed     `verify --record` found here that every number follows from the items
    reproduced     recomputed, and another submitter's recomputed entry of the same question agrees: each one's gain
                   lies in the other's interval. The same question: model, source, target with version, recipe, as the
                   gain asks it; what else was measured beside it (direct, placebo, ...) is no part of it. The same
                   scores to six digits count only from other hardware: they may be a copy.
verified.json (written by the board's host, never by a submitter) holds the SHA-256 of the file of each entry that was
recomputed.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from xferbench.errors import VerificationError
from xferbench.leaderboard.board import Board, read_file
from xferbench.leaderboard.entry import Entry, beneath, plain, render, stem
from xferbench.leaderboard.text import counted, plain_json, read_bytes, write

VERSION = 2
"""Of the form of verified.json."""
BADGES = ("imported", "self-reported", "recomputed", "reproduced")


def write_record(board: Board) -> None:
    """Write verified.json for all entries as they are now; call it only when `verify` found no fault."""
    files = (read_file(path) for path in board.paths())
    rows = {stem(entry): found for entry, found in files}
    text = json.dumps({"schema": VERSION, "verified": rows}, indent=1, sort_keys=True) + "\n"
    write(board.root, board.root / "verified.json", text.encode())


def read_record(board: Board) -> dict[str, str]:
    """Return {stem of an entry: digest its file had when it was recomputed}; empty when nothing was.

    A record of another version counts for nothing: the next `verify --record` writes this one.
    """
    path = board.root / "verified.json"
    if not path.exists():
        return {}
    try:
        found = plain_json(read_bytes(path, 50_000_000))
        return {str(key): str(value) for key, value in found["verified"].items()} if found["schema"] == VERSION else {}
    except (VerificationError, KeyError, TypeError, AttributeError) as error:
        raise VerificationError(f"{path}: {error}") from None


def badges(entries: Sequence[Entry], record: Mapping[str, str]) -> list[str]:
    """Return the badge of each entry, from the record of what was recomputed."""
    found = []
    for entry in entries:
        # A sound file is written in one way only, so the entry says what its bytes are.
        mine = hashlib.sha256(render(plain(entry)).encode()).hexdigest()
        found.append(badge(entry, record.get(stem(entry)) == mine))
    groups: dict[str, list[tuple[int, Witness]]] = {}
    for place, entry in enumerate(entries):
        if found[place] == "recomputed":
            seen = witness(entry)
            groups.setdefault(seen.question, []).append((place, seen))
    for group in groups.values():
        for place, one in group:
            if any(reproduces(one, other) for _, other in group):
                found[place] = "reproduced"
    return found


def badge(entry: Entry, sure: bool) -> str:
    """Return the badge of one entry by itself; `sure`: the record holds its file as it is."""
    return "imported" if entry.origin else "recomputed" if sure else "self-reported"


@dataclass(frozen=True, slots=True)
class Witness:
    """What a recomputed entry says when another asks to be reproduced."""

    question: str
    """A digest of what was asked, whoever asked it, with which seeds and on whatever machine."""
    submitter: str
    scores: str
    """A digest of the hardware and of the gain's cells to six digits: a copy has the same."""
    gain: tuple[float | None, float | None, float | None]
    """value, low, high."""


def witness(entry: Entry) -> Witness:
    """Return what reproducing an entry rests on: the gain, so the cells of transfer and baseline, and no others."""
    measure, gain = entry.measure, entry.finding.gain
    cells = [cell for cell in entry.cells if cell.condition in ("baseline", "transfer")]
    trained = dict.fromkeys(cell.step for cell in cells if cell.condition == "transfer")
    contents = (one for step in trained for one in beneath(entry, step) if one.get("kind") == "train")
    recipes = sorted({_bytes([one.get("trainer"), one.get("data")]) for one in contents})
    asked = [entry.model.fingerprint, entry.source, entry.target, measure.version, measure.prompts, entry.recipe]
    values = [[cell.condition, cell.seed, round(cell.value, 6)] for cell in cells]
    question = hashlib.sha256(b"\n".join([_bytes(asked), *recipes])).hexdigest()
    scores = hashlib.sha256(_bytes([entry.hardware, sorted(values, key=str)])).hexdigest()
    return Witness(question, entry.submitter.name, scores, (gain.value, gain.low, gain.high))


def _bytes(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def reproduces(one: Witness, other: Witness) -> bool:
    """Tell whether two entries of one question confirm each other."""
    if one.submitter == other.submitter or one.scores == other.scores:
        return False
    (value, low, high), (second, least, most) = one.gain, other.gain
    if value is None or low is None or high is None or second is None or least is None or most is None:
        return False
    return least <= value <= most and low <= second <= high


def repeated(board: Board) -> list[str]:
    """Say who has another's very scores from such a machine: nothing else tells why no badge comes of it."""
    first: dict[tuple[str, str], Entry] = {}
    found: Counter[tuple[str, ...]] = Counter()
    for entry in board.entries():
        seen = witness(entry)
        other = first.setdefault((seen.question, seen.scores), entry)
        names = {entry.submitter.name, other.submitter.name}
        if entry.origin is None and len(names) == 2:
            found[tuple(sorted(names))] += 1
    return [
        f"{' and '.join(names)} have the same scores from the same kind of machine, {counted(count)} each: a "
        "copy would have them as well, so neither makes the other's reproduced (other hardware would, or other seeds)"
        for names, count in found.items()
    ]
