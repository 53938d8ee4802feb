"""Badges, by rule: what stands behind an entry besides its submitter's word.

    imported       a published table's numbers, without items: nothing can be recomputed
    self-reported  not (or not yet) verified on this board, or changed since
    recomputed     `verify --record` found here that every number follows from the items
    reproduced     recomputed, and another submitter's recomputed entry of the same question agrees: each one's gain
                   lies in the other's interval. The same question: model, source, target with version, recipe. Items
                   that are equal byte for byte count only from other hardware: they may be a copy.
verified.json (written by the board's host, never by a submitter) holds the digest of each entry that was recomputed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from xferbench.errors import VerificationError
from xferbench.leaderboard.board import Board
from xferbench.leaderboard.entry import Entry, canonical, digest, plain, stem
from xferbench.leaderboard.text import plain_json, read_bytes

BADGES = ("imported", "self-reported", "recomputed", "reproduced")


def write_record(board: Board) -> None:
    """Write verified.json for all entries as they are now; call it only when `verify` found no fault."""
    rows = {stem(entry): digest(plain(entry)) for entry in board.entries()}
    text = json.dumps({"schema": 1, "verified": rows}, indent=1, sort_keys=True) + "\n"
    part = board.root / "verified.json.part"
    part.write_text(text, encoding="utf-8")
    part.replace(board.root / "verified.json")


def read_record(board: Board) -> dict[str, str]:
    """Return {stem of an entry: digest it had when it was recomputed}; empty when nothing was."""
    path = board.root / "verified.json"
    if not path.exists():
        return {}
    try:
        found = plain_json(read_bytes(path, 50_000_000))
        return {str(key): str(value) for key, value in found["verified"].items()}
    except (VerificationError, KeyError, TypeError, AttributeError) as error:
        raise VerificationError(f"{path}: {error}") from None


def badges(entries: Sequence[Entry], record: Mapping[str, str]) -> list[str]:
    """Return the badge of each entry, from the record of what was recomputed."""
    found = []
    for entry in entries:
        sure = record.get(stem(entry)) == digest(plain(entry))
        found.append("imported" if entry.origin else "recomputed" if sure else "self-reported")
    groups: dict[str, list[int]] = {}
    for place, entry in enumerate(entries):
        if found[place] == "recomputed":
            groups.setdefault(question(entry), []).append(place)
    for places in groups.values():
        agreed = {i for i in places for j in places if reproduces(entries[i], entries[j])}
        for i in agreed:
            found[i] = "reproduced"
    return found


def question(entry: Entry) -> str:
    """Return a digest of what was asked, whoever asked it, with which seeds and on whatever machine."""
    measure = entry.measure
    recipes = sorted({canonical(_trainer(step.content)) for step in entry.steps.values()})
    asked = [entry.model.fingerprint, entry.source, entry.target, measure.version, measure.prompts, entry.recipe]
    return hashlib.sha256(canonical([asked, recipes]).encode()).hexdigest()


def _trainer(content: Mapping[str, object]) -> object:
    return (
        [content.get("kind"), content.get("trainer"), content.get("data")] if content.get("kind") == "train" else None
    )


def reproduces(one: Entry, other: Entry) -> bool:
    """Tell whether two entries of one question confirm each other."""
    a, b = one.finding.gain, other.finding.gain
    if one.submitter.name == other.submitter.name or one.items is None or other.items is None:
        return False
    if one.items.sha256 == other.items.sha256 and one.hardware == other.hardware:
        return False
    if a.value is None or b.value is None or a.low is None or b.low is None or a.high is None or b.high is None:
        return False
    return b.low <= a.value <= b.high and a.low <= b.value <= a.high
