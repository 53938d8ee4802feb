"""What the base model reads: drills of single steps, and documents of every domain that mostly jump to the answer.

The model masters single steps by drill, has seen every format, and has seldom seen a problem worked in steps: so
training on a domain teaches it to work, which carries to whatever takes the same steps.
"""

from collections.abc import Callable
from random import Random

from . import gpqa
from .arithmetic import NAMES
from .family import Family, Problem, side
from .logic import COLOURS, KINDS, line_up
from .rewrite import LETTERS, RULES
from .skills import Work
from .worlds import TARGETS

DRILL = 0.3
"""The share of documents that are drills."""
SHARES = {"math": 1.0, "science": 1.0, "code": 1.0, "logic": 2.5, "puzzle": 1.0, "rewrite": 2.5, "gpqa": 1.0}
"""How often each kind of document comes, among the domain documents."""


def _sum(rng: Random, work: Work) -> None:
    top = rng.choice((20, 99, 200, 400))
    work.add(rng.randint(0, top), rng.randint(0, min(top, 200)))


def _difference(rng: Random, work: Work) -> None:
    a = rng.randint(0, rng.choice((20, 99, 200, 600)))
    work.sub(a, rng.randint(0, a))


def _factors(rng: Random) -> tuple[int, int]:
    a, b = rng.randint(2, 12), rng.randint(1, rng.choice((9, 20, 60)))
    return (a, b) if rng.random() < 0.5 else (b, a)


def _product(rng: Random, work: Work) -> None:
    work.mul(*_factors(rng))


def _quotient(rng: Random, work: Work) -> None:
    a, b = _factors(rng)
    a, b = min(a, b), max(a, b)
    work.div(a * b, a)


def _column(rng: Random, work: Work) -> None:
    work.column(rng.randint(10, 999), rng.randint(100, 999))


def _truth(rng: Random, work: Work) -> None:
    p, q = rng.random() < 0.5, rng.random() < 0.5
    rng.choice((lambda: work.both(p, q), lambda: work.either(p, q), lambda: work.negate(p)))()


def _compare(rng: Random, work: Work) -> None:
    top = rng.choice((20, 150))
    work.more(rng.randint(2, top), rng.randint(2, top))


STEPS: tuple[tuple[Callable[[Random, Work], None], float], ...] = (
    (_sum, 3.0),
    (_difference, 3.0),
    (_product, 3.0),
    (_quotient, 2.0),
    (_column, 0.4),
    (_truth, 0.8),
    (_compare, 1.0),
)


Text = list[tuple[str, bool]]
"""A document in pieces: (text, whether it is to be said). What is given is read, but hardly learnt."""


def steps(rng: Random) -> Text:
    """A line of unconnected single steps, in the notation of worked answers; the results are to be said."""
    work = Work()
    makers, weights = zip(*STEPS, strict=True)
    for maker in rng.choices(makers, weights, k=5):
        maker(rng, work)
    pieces: Text = []
    for step in work.steps:
        asked, _, result = step.rpartition("=")
        pieces += [(f" {asked}=", False), (result, True)]
    return pieces


def people(rng: Random) -> Text:
    """Some comparisons of people, joined into one order."""
    more, less = rng.choice(
        (("is older than", "is younger than"), ("is taller than", "is shorter than"), ("beats", "loses to"))
    )
    text, pairs = line_up(rng, more, less, rng.sample(NAMES, rng.randint(2, 4)))
    work = Work()
    work.order(pairs)
    return [(text, False), (f" {work.steps[0]}", True)]


def kinds(rng: Random) -> Text:
    """Links between categories, followed to the end."""
    names = rng.sample(KINDS, rng.randint(1, 3))
    links = list(zip(names, [*names[1:], rng.choice(COLOURS)], strict=True))
    rng.shuffle(links)
    work = Work()
    work.follow(dict(links), names[0])
    told = " ".join(f"All {a} are {b}." for a, b in links)
    return [(f"{told} From {names[0]}:", False), (f" {work.steps[0]}", True)]


def letters(rng: Random) -> Text:
    """One rewriting rule."""
    word = "".join(rng.sample(LETTERS, rng.randint(3, 5)))
    rule = rng.choice(tuple(RULES))
    work = Work()
    work.letters(rule, word)
    return [(f"{RULES[rule]}: {' '.join(word)};", False), (f" {work.steps[0]}", True)]


DRILLS: tuple[tuple[Callable[[Random], Text], float], ...] = (
    (steps, 1.0),
    (people, 0.5),
    (kinds, 0.08),
    (letters, 1.0),
)


def drill(rng: Random) -> Text:
    """Draw one drill."""
    makers, weights = zip(*DRILLS, strict=True)
    return rng.choices(makers, weights)[0](rng)


def problem(rng: Random) -> tuple[Problem, bool]:
    """Draw one problem of the training side of a domain or of gpqa, and whether to work it; rare families rarely."""
    name = rng.choices(tuple(SHARES), tuple(SHARES.values()))[0]
    families: tuple[Family, ...] = TARGETS[name]
    weights = [family.weight * family.seen for family in families]
    while True:
        family = rng.choices(families, weights)[0]
        found = family.problem(rng)
        if side(found.question) == "train":
            return gpqa.choices(found) if name == "gpqa" else found, rng.random() < family.worked


def document(rng: Random) -> Text:
    """Draw one document of the pre-training corpus."""
    if rng.random() < DRILL:
        return drill(rng)
    found, worked = problem(rng)
    return [(found.prompt, False), (found.worked if worked else found.jump, True)]


def text_of(pieces: Text) -> str:
    """Return the whole text of a document."""
    return "".join(piece for piece, _ in pieces)
