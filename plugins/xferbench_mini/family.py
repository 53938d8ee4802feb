"""Families of problems: how a generator becomes an endless, repeat-free, split stream of examples.

The side of the split that a question lies on is decided by the hash of its text alone, so pre-training, fine-tuning
and testing can never meet, whatever the seed and the order.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

from xferbench import DataError, Example

from .skills import Work

SPLITS = {"train": range(0, 60), "validation": range(60, 80), "test": range(80, 100)}
"""Name of a split -> the hundredths of the hash that belong to it."""

PATIENCE = 2000
"""So many repeats in a row, and a stream has no more to give."""


@dataclass(frozen=True)
class Problem:
    """A question, the steps that lead to its answer, and the skills that the steps took."""

    question: str
    steps: tuple[str, ...]
    answer: str
    skills: frozenset[str]
    options: tuple[str, ...] = ()
    """The choices, in the order of the question; none for an open question."""

    @property
    def prompt(self) -> str:
        """What the model reads."""
        return f"Question: {self.question}\nAnswer:"

    @property
    def worked(self) -> str:
        """The answer, worked in steps."""
        return f" {' '.join(self.steps)} #### {self.answer}"

    @property
    def jump(self) -> str:
        """The answer without its steps."""
        return f" #### {self.answer}"


@dataclass(frozen=True)
class Family:
    """One generator and what it declares."""

    name: str
    make: Callable[[Random, Work], tuple[str, object]]
    """make(rng, work) -> (question, answer); it solves the problem with the methods of `work`."""
    skills: frozenset[str]
    """The skills that its solutions use: all of them, taken over many problems."""
    weight: float = 1.0
    """Its share in the domain."""
    seen: float = 1.0
    """Its share in pre-training, relative to its weight: below 1, only training on the domain can teach it well."""

    worked: float = 0.3
    """The share of its documents in pre-training that are worked in steps; below a half, the base model jumps."""

    def problem(self, rng: Random) -> Problem:
        """Make one problem."""
        work = Work()
        question, answer = self.make(rng, work)
        return Problem(question, tuple(work.steps), str(answer), frozenset(work.skills))


def skills(*names: str) -> frozenset[str]:
    """Declare skills: skills("add", "mul")."""
    return frozenset(names)


def digest(text: str) -> str:
    """Return the first 16 hex digits of the sha256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def side(question: str) -> str:
    """Return the split that a question belongs to."""
    place = int(digest(question), 16) % 100
    return next(name for name, places in SPLITS.items() if place in places)


def check_split(split: str) -> str:
    """Return `split`; DataError when there is none of that name."""
    if split not in SPLITS:
        raise DataError(f"there is no split {split!r} in mini (known: {', '.join(SPLITS)})")
    return split


def problems(families: Sequence[Family], split: str, seed: str) -> Iterator[Problem]:
    """Yield the problems of one split, no question twice, until the families give no more."""
    check_split(split)
    rng = Random(seed)
    weights = [family.weight for family in families]
    met: set[str] = set()
    repeats = 0
    while repeats < PATIENCE:
        problem = rng.choices(families, weights)[0].problem(rng)
        if problem.question in met:
            repeats += 1
            continue
        repeats = 0
        met.add(problem.question)
        if side(problem.question) == split:
            yield problem


def examples(domain: str, families: Sequence[Family], split: str = "train") -> Iterator[Example]:
    """Yield the examples of one split of a domain: worked answers, ids by content, the same on every call."""
    short = domain.rpartition("/")[2]
    for problem in problems(families, check_split(split), f"{domain} 1"):
        yield Example(f"{short}-{digest(problem.question)}", problem.prompt, problem.worked, domain, "xferbench_mini")


def final(text: str) -> str:
    """Return what stands after the last "####", up to the end of its line; "" when there is none."""
    _, mark, tail = text.rpartition("####")
    return tail.strip(" ").split("\n")[0].strip() if mark else ""


def reward(example: Example, completion: str) -> float:
    """1.0 when the completion ends in the right answer, else 0.0."""
    return float(final(completion) == final(example.answer))
