"""Math: chains of operations, word problems, sums of lists, large numbers."""

from random import Random

from .family import Family, skills
from .skills import Work

NAMES = (
    "Ann",
    "Bob",
    "Cid",
    "Dan",
    "Eva",
    "Finn",
    "Gus",
    "Ida",
    "Joe",
    "Kim",
    "Lea",
    "Max",
    "Ned",
    "Pam",
    "Sue",
    "Tom",
)
"""People, in every domain the same."""
THINGS = ("apples", "coins", "cards", "books", "pens", "eggs", "nuts", "stamps")
"""Things to count, in every domain the same."""


def chain(rng: Random, work: Work) -> tuple[str, int]:
    """(a + b) * c - d, and its relatives."""
    a, b, c = rng.randint(2, 12), rng.randint(2, 12), rng.randint(2, 9)
    d = rng.randint(1, 15)
    shape = rng.randrange(3)
    if shape == 0:
        d = min(d, (a + b) * c)
        return f"Compute ({a} + {b}) * {c} - {d}.", work.sub(work.mul(work.add(a, b), c), d)
    if shape == 1:
        return f"Compute ({a + d} - {a}) * {c} + {b}.", work.add(work.mul(work.sub(a + d, a), c), b)
    return f"Compute {a} * {c} + {d} * {b}.", work.add(work.mul(a, c), work.mul(d, b))


def share(rng: Random, work: Work) -> tuple[str, int]:
    """What one gets when all is shared evenly, added to what was there."""
    people, each, extra = rng.randint(2, 9), rng.randint(3, 20), rng.randint(1, 15)
    have = rng.randint(1, people * each - 1)
    found = people * each - have
    name, friend = rng.sample(NAMES, 2)
    thing = rng.choice(THINGS)
    got = work.add(work.div(work.add(have, found), people), extra)
    text = f"{name} has {have} {thing}, finds {found} and splits them among {people} friends."
    return f"{text} One is {friend}, who had {extra}. How many has {friend}?", got


def buy(rng: Random, work: Work) -> tuple[str, int]:
    """What is left after buying and giving away."""
    have, bags, size, give = rng.randint(2, 40), rng.randint(2, 9), rng.randint(2, 12), rng.randint(1, 20)
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    left = work.sub(work.add(have, work.mul(bags, size)), min(give, have))
    text = f"{name} has {have} {thing}, buys {bags} bags of {size} and gives away {min(give, have)}."
    return f"{text} How many are left?", left


def total(rng: Random, work: Work) -> tuple[str, int]:
    """The sum of a list."""
    numbers = [rng.randint(3, 60) for _ in range(rng.randint(3, 4))]
    work.cue("list", "sum")
    result = numbers[0]
    for number in numbers[1:]:
        result = work.add(result, number)
    return f"Find the sum of {', '.join(map(str, numbers))}.", result


def large(rng: Random, work: Work) -> tuple[str, int]:
    """Adding numbers of three digits."""
    a, b = rng.randint(100, 999), rng.randint(100, 999)
    return f"Compute {a} + {b}.", work.column(a, b)


def single(rng: Random, work: Work) -> tuple[str, int]:
    """One operation: what the base model has drilled."""
    a, b = rng.randint(2, 12), rng.randint(2, 20)
    shape = rng.randrange(4)
    if shape == 0:
        a, b = rng.randint(2, 150), rng.randint(2, 150)
        return f"Compute {a} + {b}.", work.add(a, b)
    if shape == 1:
        a, b = rng.randint(2, 150), rng.randint(2, 150)
        return f"Compute {a + b} - {a}.", work.sub(a + b, a)
    if shape == 2:
        return f"Compute {a} * {b}.", work.mul(a, b)
    return f"Compute {a * b} / {a}.", work.div(a * b, a)


FAMILIES = (
    Family("chain", chain, skills("add", "sub", "mul"), 1.2),
    Family("buy", buy, skills("add", "sub", "mul"), 1.0),
    Family("share", share, skills("add", "div"), 0.8),
    Family("total", total, skills("list", "add"), 0.7),
    Family("large", large, skills("column"), 0.5),
    Family("single", single, skills("add", "sub", "mul", "div"), 1.6, worked=1.0),
)
