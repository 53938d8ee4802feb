"""Logic: truth values, comparisons, orders of people, chains of categories."""

from itertools import pairwise
from random import Random

from .arithmetic import NAMES
from .family import Family, skills
from .skills import Work

KINDS = ("wugs", "daxes", "feps", "blicks", "tomas", "zups", "lorps", "mibs")
COLOURS = ("red", "blue", "green", "black", "white", "brown")


def truth(rng: Random, work: Work) -> tuple[str, int]:
    """How many of three statements hold, given two truth values."""
    p, q = rng.random() < 0.5, rng.random() < 0.5
    texts, count = [], 0
    for _ in range(rng.randint(2, 3)):
        shape, flip = rng.randrange(3), rng.random() < 0.5
        a, b = (("p", p), ("q", q)) if rng.random() < 0.5 else (("q", q), ("p", p))
        if shape == 2:
            texts.append(f"not {a[0]}")
            count = work.count(count, work.negate(a[1]))
            continue
        first = work.negate(a[1]) if flip else a[1]
        texts.append(f"{'not ' if flip else ''}{a[0]} {('and', 'or')[shape]} {b[0]}")
        count = work.count(count, (work.both if shape == 0 else work.either)(first, b[1]))
    return f"Let p be {p} and q be {q}. How many hold: {'; '.join(texts)}?", count


def compare(rng: Random, work: Work) -> tuple[str, int]:
    """How many of some comparisons hold."""
    pairs = [(rng.randint(2, 150), rng.randint(2, 150)) for _ in range(rng.randint(3, 4))]
    count = 0
    for a, b in pairs:
        count = work.count(count, work.more(a, b))
    return f"How many hold: {'; '.join(f'{a} > {b}' for a, b in pairs)}?", count


def line_up(rng: Random, more: str, less: str, people: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """Say who is `more` than whom for an order of people (greatest first): the text, shuffled, and the pairs."""
    pairs = list(pairwise(people))
    rng.shuffle(pairs)
    told = [f"{a} {more} {b}." if rng.random() < 0.6 else f"{b} {less} {a}." for a, b in pairs]
    return " ".join(told), pairs


def order(rng: Random, work: Work) -> tuple[str, str]:
    """Who is at a given place in an order by age or height."""
    people = rng.sample(NAMES, rng.randint(3, 4))
    more, less, most = rng.choice(
        (("is older than", "is younger than", "old"), ("is taller than", "is shorter than", "tall"))
    )
    text, pairs = line_up(rng, more, less, people)
    line = work.order(pairs)
    place = rng.randrange(len(line))
    rank = ("", "second ", "third ", "fourth ")[place]
    return f"{text} Who is the {rank}{most}est?", line[place]


def syllogism(rng: Random, work: Work) -> tuple[str, str]:
    """What follows from a chain of categories, with a chain beside it that leads astray."""
    length = rng.randint(2, 3)
    kinds = rng.sample(KINDS, 2 * length - 1)
    right, wrong = rng.sample(COLOURS, 2)
    main, other = [*kinds[:length], right], [*kinds[length:], wrong]
    links = [*pairwise(main), *pairwise(other)]
    rng.shuffle(links)
    name = rng.choice(NAMES)
    told = " ".join(f"All {a} are {b}." for a, b in links)
    return f"{told} {name} is one of the {kinds[0]}. What colour is {name}?", work.follow(dict(links), kinds[0])


def single(rng: Random, work: Work) -> tuple[str, object]:
    """One step: a comparison of two numbers or two people, or one connective."""
    p, q = rng.random() < 0.5, rng.random() < 0.5
    shape = rng.randrange(5)
    if shape == 4:
        elder, other = rng.sample(NAMES, 2)
        return f"{elder} is older than {other}. Who is the oldest?", work.order([(elder, other)])[0]
    if shape < 2:
        a, b = rng.randint(2, 150), rng.randint(2, 150)
        return f"Does {a} > {b} hold?", work.more(a, b)
    name = rng.choice(NAMES)
    if shape == 2:
        return f"{name} says {p} and {q}. Does it hold?", work.both(p, q)
    return f"{name} says {p} or {q}. Does it hold?", work.either(p, q)


FAMILIES = (
    Family("truth", truth, skills("truth", "count"), 1.2, worked=0.45),
    Family("compare", compare, skills("compare", "count"), 0.8, worked=0.45),
    Family("order", order, skills("order"), 1.2, worked=0.45),
    Family("syllogism", syllogism, skills("chain"), 0.8, worked=0.45),
    Family("single", single, skills("compare", "truth", "order"), 1.1, worked=1.0),
)
