"""Rewrite: rules applied to strings of letters. It shares nothing with the other domains: a true negative."""

from random import Random

from .family import Family, skills
from .skills import Work

LETTERS = "abcdefgh"
LENGTH = 4
RULES = ("swap", "rotate", "reverse", "tail")
"""Swap the first two, move the first to the end, turn it around, swap the last two."""


def _apply(rng: Random, work: Work, rules: list[str]) -> tuple[str, str]:
    word = "".join(rng.sample(LETTERS, LENGTH))
    question = f"Take {' '.join(word)} and {', then '.join(rules)}. What do you get?"
    work.note(" ".join(word) + ";")
    for rule in rules:
        word = work.letters(rule, word)
    return question, " ".join(word)


def once(rng: Random, work: Work) -> tuple[str, str]:
    """One rule."""
    return _apply(rng, work, [rng.choice(RULES)])


def several(rng: Random, work: Work) -> tuple[str, str]:
    """Two or three rules, one after the other."""
    return _apply(rng, work, rng.choices(RULES, k=rng.randint(2, 3)))


FAMILIES = (
    Family("once", once, skills(*RULES), 0.4, worked=1.0),
    Family("several", several, skills(*RULES), 1.0, worked=0.05),
)
