"""What the pages show of a board: one small row an entry, made while the entries stream by, and what all rows share.

An entry may be half a megabyte and a board may have a hundred thousand, so an entry is let go as soon as it is a row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xferbench.analyse.multiplicity import holm
from xferbench.analyse.uncertainty import half_width
from xferbench.leaderboard.again import Again, again, facts
from xferbench.leaderboard.board import own
from xferbench.leaderboard.entry import ORDER, Entry, stem

CONTRASTS = ("efficiency", "relative_transfer", "direct_gap", "sequential_gain", "joint_gain", "placebo_gain")
Badge = Callable[[Entry], str]


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
    again: int
    """The place in View.again."""
    facts: tuple[tuple[str, str], ...]
    """Where the numbers come from."""

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target."""
        return self.source, self.target

    @property
    def sure(self) -> bool:
        """Whether the gain differs from 0 after Holm's correction."""
        return self.gain["p_holm"] is not None and self.gain["p_holm"] <= 0.05


@dataclass
class View:
    """All rows in the order of their files' paths, which is the same on every machine."""

    rows: list[Row] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)

    def names(self, what: str) -> list[str]:
        """All values of one field, sorted."""
        return sorted({getattr(row, what) for row in self.rows})


def view(entries: Iterable[Entry], badge: Badge) -> View:
    """Make the rows of a board. p_holm is adjusted over all entries off the diagonal, as board.findings does."""
    made = View()
    known: dict[Again, int] = {}
    words: dict[Any, Any] = {}
    for entry in entries:
        how = known.setdefault(again(entry), len(known))
        made.rows.append(_row(entry, badge(entry), how, words))
    made.again = list(known)
    tested = [row for row in made.rows if row.gain["p"] is not None and not row.own]
    for row, p in zip(tested, holm([row.gain["p"] for row in tested]), strict=True):
        row.gain["p_holm"] = p
    _intervals(made.rows)
    return made


def _row(entry: Entry, badge: str, how: int, words: dict[Any, Any]) -> Row:
    """One entry as a row; `words` holds values that many rows share, once each."""

    def once(value: Any) -> Any:
        return words.setdefault(value, value)

    found = entry.finding
    gain = {name: getattr(found.gain, name) for name in ("value", "low", "high", "p", "mde")}
    others = [getattr(found, name) for name in CONTRASTS]
    return Row(
        id=entry.id, place=f"entries/{stem(entry)}.json", model=once(entry.model.name), source=once(entry.source),
        target=once(entry.target), recipe=once(entry.recipe), badge=once(badge), label=once(found.label),
        why=once(found.why), seeds=found.seeds, n=found.n, own=own(entry), scores=_scores(entry),
        gain={**gain, "p_holm": None, "reason": once(found.gain.reason)},
        others=tuple((one.value, one.low, one.high, once(one.reason)) for one in others),
        cost=once((entry.cost.seconds, entry.cost.tokens, entry.cost.flops, entry.cost.dollars)),
        attribution=tuple((once(one.scorer), one.mean, one.top_share) for one in entry.attribution),
        again=how, facts=once(facts(entry)),
    )  # fmt: skip


def _scores(entry: Entry) -> tuple[Score | None, ...]:
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
