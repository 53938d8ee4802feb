"""Alchemy: what colour a thing takes, by facts of its own. Like rewrite, it shares nothing with the others."""

from random import Random

from .family import Family, skills
from .skills import Work

COLOURS = ("amber", "coral", "ivory", "jade", "lilac", "olive", "ruby", "teal")
OPERATIONS = {
    "wash": ("jade", "amber", "teal", "ruby", "coral", "ivory", "olive", "lilac"),
    "salt": ("coral", "olive", "amber", "teal", "ruby", "lilac", "jade", "ivory"),
    "smoke": ("olive", "ruby", "lilac", "ivory", "teal", "jade", "coral", "amber"),
    "grind": ("teal", "lilac", "ruby", "coral", "jade", "amber", "ivory", "olive"),
    "bake": ("lilac", "jade", "olive", "amber", "ivory", "teal", "coral", "ruby"),
    "dry": ("ruby", "ivory", "jade", "olive", "amber", "coral", "teal", "lilac"),
}
"""What each operation makes of each colour of COLOURS, in their order: permutations in which the order matters."""
THINGS = ("bone", "clay", "cloth", "glass", "leaf", "shell", "stone", "thread", "wax", "wool")


def treat(rng: Random, work: Work, operations: list[str]) -> tuple[str, str]:
    """Treat a thing: the question, and its colour at the end."""
    colour = rng.choice(COLOURS)
    treatment = ", ".join(f"{operation} it" for operation in operations)
    question = f"The {rng.choice(THINGS)} is {colour}: {treatment}. What colour now?"
    for operation in operations:
        colour = work.treat(operation, OPERATIONS[operation][COLOURS.index(colour)])
    return question, colour


def once(rng: Random, work: Work) -> tuple[str, str]:
    """One operation."""
    return treat(rng, work, [rng.choice(tuple(OPERATIONS))])


def several(rng: Random, work: Work) -> tuple[str, str]:
    """Three or four operations, one after the other."""
    return treat(rng, work, rng.choices(tuple(OPERATIONS), k=rng.randint(3, 4)))


FAMILIES = (
    Family("once", once, skills(*OPERATIONS), 0.4, worked=1.0),
    Family("several", several, skills(*OPERATIONS), 1.0, worked=0.05),
)
