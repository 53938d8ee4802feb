"""Logic: truth values, comparisons, orders of people, chains of categories."""

from itertools import pairwise
from random import Random

from .arithmetic import NAMES, THINGS
from .family import Family, skills
from .skills import Work

KINDS = ("wugs", "daxes", "feps", "blicks", "tomas", "zups", "lorps", "mibs")
COLOURS = ("red", "blue", "green", "black", "white", "brown")


def statement(rng: Random, work: Work) -> tuple[str, bool]:
    """Join truth values: the text, and whether it holds."""
    shape, flip, p, q = rng.randrange(3), rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.5
    if shape == 2:
        return f"not {p}", work.negate(p)
    first = work.negate(p) if flip else p
    holds = (work.both if shape == 0 else work.either)(first, q)
    return f"{'not ' if flip else ''}{p} {('and', 'or')[shape]} {q}", holds


def truth(rng: Random, work: Work) -> tuple[str, str]:
    """Who of two people is right."""
    one, other = rng.sample(NAMES, 2)
    first, holds = statement(rng, work)
    second, too = statement(rng, work)
    answer = {(True, True): "both", (True, False): one, (False, True): other, (False, False): "nobody"}[holds, too]
    return f"{one} says {first}. {other} says {second}. Who is right?", answer


def compare(rng: Random, work: Work) -> tuple[str, str]:
    """Who of three people has the most, or the least."""
    people, most = rng.sample(NAMES, 3), rng.random() < 0.5
    a, b, c = rng.sample(range(2, 100), 3)
    thing = rng.choice(THINGS)
    place, value = (0, a) if work.more(a, b) == most else (1, b)
    if work.more(value, c) != most:
        place = 2
    text = f"{people[0]} has {a} {thing}, {people[1]} has {b} and {people[2]} has {c}."
    return f"{text} Who has the {'most' if most else 'least'}?", people[place]


def line_up(rng: Random, more: str, less: str, people: list[str]) -> tuple[str, list[tuple[str, str]]]:
    """Say who is `more` than whom for an order of people (greatest first): the text, shuffled, and the pairs."""
    pairs = list(pairwise(people))
    rng.shuffle(pairs)
    told = [f"{a} {more} {b}." if rng.random() < 0.6 else f"{b} {less} {a}." for a, b in pairs]
    return " ".join(told), pairs


def order(rng: Random, work: Work) -> tuple[str, str]:
    """Who is at a given place in an order by age or height."""
    people = rng.sample(NAMES, 3)
    more, less, most = rng.choice(
        (("is older than", "is younger than", "old"), ("is taller than", "is shorter than", "tall"))
    )
    text, pairs = line_up(rng, more, less, people)
    line = work.order(pairs)
    place = rng.randrange(len(line))
    rank = ("", "second ", "third ")[place]
    return f"{text} Who is the {rank}{most}est?", line[place]


def chains(rng: Random, number: int, length: int) -> tuple[str, dict[str, str], str]:
    """Tell chains of categories, each ending in a colour: the text, shuffled, its links, and where one chain begins."""
    kinds, colours = rng.sample(KINDS, number * length), rng.sample(COLOURS, number)
    chained = [[*kinds[i * length : (i + 1) * length], colour] for i, colour in enumerate(colours)]
    links = [link for one in chained for link in pairwise(one)]
    rng.shuffle(links)
    return " ".join(f"All {a} are {b}." for a, b in links), dict(links), kinds[0]


def syllogism(rng: Random, work: Work) -> tuple[str, str]:
    """What follows from a chain of categories, with a chain beside it that leads astray."""
    told, links, start = chains(rng, 2, 2)
    name = rng.choice(NAMES)
    return f"{told} {name} is one of the {start}. What colour is {name}?", work.follow(links, start)


def single(rng: Random, work: Work) -> tuple[str, object]:
    """One step: a comparison of two numbers or two people, or one connective."""
    p, q = rng.random() < 0.5, rng.random() < 0.5
    shape = rng.randrange(5)
    if shape == 4:
        elder, other = rng.sample(NAMES, 2)
        return f"{elder} is older than {other}. Who is the oldest?", work.order([(elder, other)])[0]
    if shape < 2:
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        return f"Does {a} > {b} hold?", work.more(a, b)
    name = rng.choice(NAMES)
    if shape == 2:
        return f"{name} says {p} and {q}. Does it hold?", work.both(p, q)
    return f"{name} says {p} or {q}. Does it hold?", work.either(p, q)


FAMILIES = (
    Family("truth", truth, skills("truth"), 1.3, worked=0.0),
    Family("compare", compare, skills("compare"), 1.3, worked=0.0),
    Family("order", order, skills("order"), 0.6, worked=0.0),
    Family("syllogism", syllogism, skills("chain"), 0.4, worked=0.0),
    Family("single", single, skills("compare", "truth", "order"), 1.0, worked=1.0),
)
