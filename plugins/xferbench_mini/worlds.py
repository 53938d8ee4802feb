"""The seven domains by name, and the truth of who should help whom, computed from what the families declare."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from xferbench import DataError, Example

from . import alchemy, arithmetic, code, gpqa, logic, puzzle, rewrite, science
from .family import Family, check_split, examples

VERSION = "4"
FAMILIES: dict[str, tuple[Family, ...]] = {
    "math": arithmetic.FAMILIES,
    "science": science.FAMILIES,
    "code": code.FAMILIES,
    "logic": logic.FAMILIES,
    "puzzle": puzzle.FAMILIES,
    "rewrite": rewrite.FAMILIES,
    "alchemy": alchemy.FAMILIES,
}
TARGETS: dict[str, tuple[Family, ...]] = {**FAMILIES, "gpqa": gpqa.FAMILIES}
"""What is measured: each domain's own test, and gpqa."""
SUMMARIES = {
    "math": "chains of operations, word problems, large numbers",
    "science": "formulas of physics and chemistry",
    "code": "what does this Python print?",
    "logic": "truth values, comparisons, orders, chains of categories",
    "puzzle": "sequences, numbers guessed backwards, races",
    "rewrite": "rules on strings of letters: shares no skill with the others",
    "alchemy": "what becomes of a colour, by facts of its own: shares no skill with the others",
}


def stream(domain: str) -> Callable[..., Iterator[Example]]:
    """Return examples(split="train") of a domain, by short name."""
    return partial(examples, f"mini/{domain}", FAMILIES[domain])


def taught(domain: str) -> frozenset[str]:
    """Return every skill that training on a domain exercises."""
    return frozenset().union(*(family.skills for family in FAMILIES[domain]))


def overlap(source: str, target: str) -> float:
    """Return the share (0 to 1) of the target's skills that the source exercises, families weighted by frequency."""
    families: Sequence[Family] = TARGETS[target]
    known = taught(source)
    covered = sum(f.weight * (len(f.skills & known) / len(f.skills)) for f in families)
    return covered / sum(f.weight for f in families)


def queries(target: str, n: int) -> list[Example]:
    """Return n worked examples of a target's validation split; DataError when it has fewer, or is unknown."""
    if target not in TARGETS:
        raise DataError(f"mini has no target {target!r} (known: {', '.join(TARGETS)})")
    return take(target, "validation", n)


def take(target: str, split: str, n: int) -> list[Example]:
    """Return the first n examples of a split of a domain or of gpqa; DataError says the most there is."""
    check_split(split)
    source = map(gpqa.example, gpqa.items(split)) if target == "gpqa" else stream(target)(split)
    found = [example for example, _ in zip(source, range(n), strict=False)]
    if len(found) < n:
        raise DataError(f"mini/{target} has {len(found)} questions in split {split!r}: {n} were asked for")
    return found
