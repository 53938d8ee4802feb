"""Rewrite: rules applied to strings of letters. It shares nothing with the other domains: the true negative."""

from random import Random

from .family import Family, skills
from .skills import Work

LETTERS = "abcdefgh"
RULES = {
    "swap": "swap the first two",
    "rotate": "move the first to the end",
    "reverse": "reverse it",
    "tail": "swap the last two",
}


def _apply(rng: Random, work: Work, rules: list[str]) -> tuple[str, str]:
    word = "".join(rng.sample(LETTERS, rng.randint(3, 5)))
    text = ", then ".join(RULES[rule] for rule in rules)
    question = f"Take {' '.join(word)} and {text}. What do you get?"
    for rule in rules:
        word = work.letters(rule, word)
    return question, " ".join(word)


def once(rng: Random, work: Work) -> tuple[str, str]:
    """One rule."""
    return _apply(rng, work, [rng.choice(tuple(RULES))])


def several(rng: Random, work: Work) -> tuple[str, str]:
    """Two to four rules, one after the other."""
    return _apply(rng, work, rng.choices(tuple(RULES), k=rng.randint(2, 4)))


FAMILIES = (
    Family("once", once, skills(*RULES), 0.4, worked=1.0),
    Family("several", several, skills(*RULES), 1.0, worked=0.45),
)
