"""What the pages show of a board: one small row an entry, made while the entries stream by, and what all rows share.

An entry may be half a megabyte and a board may have a hundred thousand, so an entry is let go as soon as it is a row.
"""

import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xferbench.analyse.multiplicity import holm
from xferbench.analyse.uncertainty import half_width
from xferbench.leaderboard.again import Again, again, facts
from xferbench.leaderboard.board import Board, own, read_file
from xferbench.leaderboard.entry import ORDER, Entry, stem
from xferbench.leaderboard.record import Witness, badge, read_record, reproduces, witness

CONTRASTS = ("efficiency", "relative_transfer", "direct_gap", "sequential_gain", "joint_gain", "placebo_gain")
SHARED = ("model", "source", "target", "recipe", "submitter", "label", "badge", "why", "again", "facts")
"""Fields whose values many rows have in common."""
CHUNK = 1000
"""Entries that a process reads at a time; a board of fewer is read in one process."""


@dataclass(slots=True)
class Score:
    """One condition: its mean over seeds, the parts of its variance, and the score of every seed (fractions)."""

    mean: float
    seed_variance: float
    item_variance: float | None
    """None where neither items nor their number are known."""
    seeds: tuple[float, ...]
    low: float | None = None
    high: float | None = None


@dataclass(slots=True)
class Row:
    """One entry as the pages show it. All scores are fractions."""

    id: str
    place: str
    """The path of its file below the board."""
    model: str
    source: str
    target: str
    recipe: str
    submitter: str
    badge: str
    label: str
    why: str
    seeds: int
    n: int
    own: bool
    scores: tuple[Score | None, ...]
    """In the order of entry.ORDER."""
    gain: dict[str, Any]
    """value, low, high, p, p_holm, mde, reason."""
    others: tuple[tuple[float | None, float | None, float | None, str | None], ...]
    """value, low, high, reason of each of CONTRASTS."""
    cost: tuple[float | None, ...]
    """seconds, tokens, flops, dollars."""
    attribution: tuple[tuple[str, float | None, float | None], ...]
    """scorer, mean score, share of the top 20 %."""
    again: Again
    """How to get the numbers again; one object for all entries of which it is true."""
    facts: tuple[tuple[str, str], ...]
    """Where the numbers come from."""
    witness: Witness | None

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target

    @property
    def sure(self) -> bool:
        """Whether the gain differs from 0 after Holm's correction."""
        return self.gain["p_holm"] is not None and self.gain["p_holm"] <= 0.05


def view(board: Board) -> list[Row]:
    """Make the rows of a board, in the order of their files' paths, which is the same on every machine.

    p_holm is adjusted over all entries off the diagonal, as board.findings does. VerificationError naming the first
    file that is not an entry.
    """
    made: list[Row] = []
    once: dict[Any, Any] = {}
    for rows in _chunks(board, read_record(board)):
        made += _shared(rows, once)
    tested = [row for row in made if row.gain["p"] is not None and not row.own]
    for row, p in zip(tested, holm([row.gain["p"] for row in tested]), strict=True):
        row.gain["p_holm"] = p
    _intervals(made)
    _reproduced(made)
    return made


def _shared(rows: list[Row], once: dict[Any, Any]) -> list[Row]:
    """Let equal values of rows be one object, which `once` holds: less to keep, and less to send between processes."""
    seen: dict[int, tuple[Any, Any]] = {}
    for row in rows:
        for name in SHARED:
            value = getattr(row, name)
            if id(value) not in seen:  # the pair keeps the value, so that no other can get its id
                seen[id(value)] = value, once.setdefault(value, value)
            setattr(row, name, seen[id(value)][1])
    return rows


def _reproduced(rows: Sequence[Row]) -> None:
    """Raise the badge of recomputed rows that another's confirms, as record.badges does."""
    asked: dict[str, list[Row]] = {}
    for row in rows:
        if row.witness is not None:
            asked.setdefault(row.witness.question, []).append(row)
    for group in asked.values():
        found = [row.witness for row in group if row.witness is not None]
        for row, seen in zip(group, found, strict=True):
            if any(reproduces(seen, other) for other in found):
                row.badge = "reproduced"


def _chunks(board: Board, record: Mapping[str, str]) -> Iterator[list[Row]]:
    """Read entries, in as many processes as there are processors when there are many."""
    paths = board.paths()
    # Each with what the record says of it, so that no process needs all of the record.
    files = [(path, record.get(f"{path.parent.name}/{path.stem}")) for path in paths]
    chunks = [files[start : start + CHUNK] for start in range(0, len(files), CHUNK)]
    if len(chunks) < 3:
        yield from map(_read, chunks)
        return
    with ProcessPoolExecutor(os.cpu_count(), initializer=gc.disable) as pool:
        yield from pool.map(_read, chunks)


def _read(files: Sequence[tuple[Path, str | None]]) -> list[Row]:
    return _shared([_row(*read_file(path), known) for path, known in files], {})


def _row(entry: Entry, digest: str, known: str | None) -> Row:
    """One entry as a row, without what depends on others (p_holm) and without the intervals of its scores.

    `digest`: of its file; `known`: the digest that it had when it was recomputed.
    """
    found = entry.finding
    place = stem(entry)
    gain = {name: getattr(found.gain, name) for name in ("value", "low", "high", "p", "mde", "reason")}
    others = [getattr(found, name) for name in CONTRASTS]
    mark = badge(entry, digest == known)
    return Row(
        id=entry.id, place=f"entries/{place}.json", model=entry.model.name, source=entry.source,
        target=entry.target, recipe=entry.recipe, submitter=entry.submitter.name, badge=mark,
        label=found.label, why=found.why, seeds=found.seeds, n=found.n, own=own(entry), scores=scores(entry),
        gain={**gain, "p_holm": None}, others=tuple((one.value, one.low, one.high, one.reason) for one in others),
        cost=(entry.cost.seconds, entry.cost.tokens, entry.cost.flops, entry.cost.dollars),
        attribution=tuple((one.scorer, one.mean, one.top_share) for one in entry.attribution),
        again=again(entry), facts=facts(entry), witness=witness(entry) if mark == "recomputed" else None,
    )  # fmt: skip


def scores(entry: Entry) -> tuple[Score | None, ...]:
    """Each condition's cells as one score; the variances are those of `uncertainty.marginal`."""
    cells: dict[str, list[Any]] = {}
    for cell in entry.cells:
        cells.setdefault(cell.condition, []).append(cell)
    return tuple(_score(cells[name], entry.measure.n) if name in cells else None for name in ORDER)


def _score(cells: Sequence[Any], n: int) -> Score:
    values = [cell.value for cell in cells]
    mean = sum(values) / len(values)
    between = sum((value - mean) ** 2 for value in values) / (len(values) - 1) / len(values) if len(values) > 1 else 0.0
    errors = [_variance(cell.value, cell.stderr, n) for cell in cells]
    known = [one for one in errors if one is not None]
    within = sum(known) / len(known) if len(known) == len(errors) else None
    return Score(mean, between, within, tuple(values))


def _variance(value: float, stderr: float, n: int) -> float | None:
    """The squared standard error: as reported, else binomial with two items of each kind added (Agresti-Coull)."""
    if n < 2:
        return None
    if stderr > 0:
        return stderr * stderr
    share = (value * n + 2) / (n + 4)
    return share * (1 - share) / (n + 4) if 0 <= value <= 1 else None


def _intervals(rows: Sequence[Row]) -> None:
    """Give every score its 95 % interval, within 0 and 1 where the scores are, all of one design at a time."""
    alike: dict[tuple[int, int], list[Score]] = {}
    for row in rows:
        for score in row.scores:
            if score is not None and score.item_variance is not None:
                alike.setdefault((len(score.seeds), row.n), []).append(score)
    for (seeds, n), scores in alike.items():
        a, b = (np.array([getattr(s, name) for s in scores]) for name in ("seed_variance", "item_variance"))
        for score, half in zip(scores, half_width(a, seeds - 1, b, max(n - 1, 1), 0.05).tolist(), strict=True):
            score.low = max(score.mean - half, min(0.0, score.mean))
            score.high = min(score.mean + half, max(1.0, score.mean))
