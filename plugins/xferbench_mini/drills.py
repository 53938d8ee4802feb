"""What the base model reads: drills of single steps, and documents of every domain that mostly jump to the answer.

The model masters single steps by drill, has seen every format, and has seldom seen a problem worked in steps: so
training on a domain teaches it to work, which carries to whatever takes the same steps.
"""

from collections.abc import Callable
from random import Random

from . import alchemy, gpqa
from .arithmetic import NAMES
from .family import Family, Problem, side
from .logic import chains, line_up, statement
from .rewrite import LENGTH, LETTERS, RULES
from .skills import Work
from .worlds import TARGETS

DRILL = 0.4
"""The share of documents that are drills."""
SHARES = {
    "math": 1.0,
    "science": 1.0,
    "code": 1.0,
    "logic": 1.5,
    "puzzle": 1.0,
    "rewrite": 1.0,
    "gpqa": 1.5,
    "alchemy": 0.7,
}
"""How often each kind of document comes, among the domain documents."""

SINGLE = 2.0
"""So much more often than in its domain comes a family of one step: there the model learns to read what is asked."""


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


def listed(rng: Random) -> Text:
    """A list of comparisons or statements, each taken up in turn."""
    work, texts = Work(), []
    numbers = rng.random() < 0.5
    for _ in range(rng.randint(2, 3)):
        if numbers:
            a, b = rng.randint(2, 99), rng.randint(2, 99)
            texts.append(f"{a} > {b}")
            work.more(a, b)
        else:
            texts.append(statement(rng, work)[0])
    return [(f" Take {'; '.join(texts)}.", False), (_said(work), True)]


def people(rng: Random) -> Text:
    """Some comparisons of people, joined into one order."""
    more, less = rng.choice(
        (("is older than", "is younger than"), ("is taller than", "is shorter than"), ("beats", "loses to"))
    )
    text, pairs = line_up(rng, more, less, rng.sample(NAMES, rng.randint(2, 3)))
    work = Work()
    work.order(pairs)
    return [(f" {text} So:", False), (_said(work), True)]


def kinds(rng: Random) -> Text:
    """Links between categories, followed to the end from several places."""
    told, links, _ = chains(rng, rng.randint(1, 3), rng.randint(1, 2))
    starts = rng.sample(sorted(links), min(3, len(links)))
    pieces: Text = [(f" {told}", False)]
    for start in starts:
        work = Work()
        work.follow(links, start)
        pieces += [(f" From {start}.", False), (_said(work), True)]
    return pieces


def letters(rng: Random) -> Text:
    """Rewriting rules, one after the other."""
    word, pieces = "".join(rng.sample(LETTERS, LENGTH)), []
    pieces.append((f" {' '.join(word)};", False))
    for rule in rng.choices(RULES, k=6):
        work = Work()
        word = work.letters(rule, word)
        name, _, result = work.steps[0].partition(" to")
        pieces += [(f" {name} to", False), (result, True)]
    return pieces


def colours(rng: Random) -> Text:
    """Operations of alchemy, one after the other."""
    work = Work()
    question, _ = alchemy.treat(rng, work, rng.choices(tuple(alchemy.OPERATIONS), k=5))
    pieces: Text = [(f" {question.partition(':')[0]}:", False)]
    for step in work.steps:
        operation, becomes = step.split()
        pieces += [(f" {operation}", False), (f" {becomes}", True)]
    return pieces


def _said(work: Work) -> str:
    return "".join(f" {step}" for step in work.steps)


DRILLS: tuple[tuple[Callable[[Random], Text], float], ...] = (
    (steps, 1.0),
    (listed, 0.5),
    (people, 0.2),
    (kinds, 0.1),
    (letters, 0.9),
    (colours, 0.15),
)


def drill(rng: Random) -> Text:
    """Draw one drill."""
    makers, weights = zip(*DRILLS, strict=True)
    return rng.choices(makers, weights)[0](rng)


def problem(rng: Random) -> tuple[Problem, bool]:
    """Draw one problem of the training side of a domain or of gpqa, and whether to work it; rare families rarely."""
    name = rng.choices(tuple(SHARES), tuple(SHARES.values()))[0]
    families: tuple[Family, ...] = TARGETS[name]
    weights = [f.weight * f.seen * (SINGLE if f.worked == 1 else 1) for f in families]
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
