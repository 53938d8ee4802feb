"""The hard target: two formulas of science, one fed by the other, asked as a choice of four.

The distractors are the answers of typical slips: a lost carry, a digit that is a few off.
Where the right option stands is drawn for each item from the hash of its question.
"""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from xferbench import Example

from .family import Family, Problem, digest, final, problems, skills
from .science import BODIES, compound, distance, force, kinetic, molar, momentum, product, quotient, voltage, warm
from .skills import Work

LETTERS = "ABCD"
NAME = "mini/gpqa"


def pull(rng: Random, work: Work) -> tuple[str, int]:
    """Force, then the work it does."""
    m, t, a, u, d = rng.randint(2, 6), rng.randint(2, 6), rng.randint(2, 5), rng.randint(1, 15), rng.randint(2, 9)
    question = f"A {m} kg {rng.choice(BODIES)} goes from {u} m/s to {u + a * t} m/s in {t} s over {d} m. Find the work."
    return question, work.recall(product, work.recall(force, m, u, u + a * t, t), d)


def push(rng: Random, work: Work) -> tuple[str, int]:
    """Change of momentum, then the force."""
    t, m, a, u = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 6), rng.randint(1, 30)
    v = u + a * t
    question = f"A {m} kg {rng.choice(BODIES)} goes from {u} m/s to {v} m/s. It takes {t} s. Find the mean force."
    return question, work.recall(quotient, work.recall(momentum, m, u, v), t)


def burn(rng: Random, work: Work) -> tuple[str, int]:
    """Voltage, then power."""
    i, r, s = rng.randint(2, 5), rng.randint(2, 12), rng.randint(2, 12)
    question = f"A current of {i} A flows through {r} ohm and {s} ohm in series. Find the power."
    return question, work.recall(product, i, work.recall(voltage, i, r, s))


def boil(rng: Random, work: Work) -> tuple[str, int]:
    """Heat, then the time that a heater needs."""
    c, m, low, rise = rng.randint(2, 4), rng.randint(2, 6), rng.randint(5, 60), rng.randint(2, 9)
    p = rng.choice([d for d in range(2, 10) if c * m * rise % d == 0])
    question = f"Warm {m} kg from {low} to {low + rise} degrees, specific heat {c}, with {p} W. Find the time."
    return question, work.recall(quotient, warm(work, c, m, low, low + rise), p)


def crash(rng: Random, work: Work) -> tuple[str, int]:
    """Speed, then kinetic energy."""
    m, a, t = rng.choice((2, 4, 6)), rng.randint(1, 5), rng.randint(2, 4)
    a = min(a, 10 // t)
    question = (
        f"A {m} kg {rng.choice(BODIES)} at rest speeds up by {a} m/s in each s for {t} s. Find its kinetic energy."
    )
    return question, kinetic(work, m, work.recall(product, a, t))


def travel(rng: Random, work: Work) -> tuple[str, int]:
    """Speed, then place."""
    m, v, t, start = rng.randint(2, 9), rng.randint(2, 15), rng.randint(2, 9), rng.randint(2, 60)
    question = (
        f"A {m} kg {rng.choice(BODIES)} of momentum {m * v} starts at {start} m and goes for {t} s. Find where it is."
    )
    return question, work.recall(distance, start, work.recall(quotient, m * v, m), t)


def weigh(rng: Random, work: Work) -> tuple[str, int]:
    """Molar mass, then the mass of some moles."""
    name, formula = compound(rng)
    while sum(n for _, n in formula) > 8:
        name, formula = compound(rng)
    moles = rng.randint(2, 3)
    return f"Find the mass of {moles} mol of {name}.", work.recall(product, moles, molar(work, formula))


FAMILIES = (
    Family("pull", pull, skills("recall", "sub", "div", "mul"), 1.2),
    Family("push", push, skills("recall", "sub", "mul", "div"), 1.0),
    Family("burn", burn, skills("recall", "add", "mul"), 1.0),
    Family("boil", boil, skills("heat", "recall", "sub", "mul", "div"), 0.6, seen=0.5),
    Family("crash", crash, skills("energy", "recall", "mul", "div"), 0.6, seen=0.5),
    Family("travel", travel, skills("recall", "div", "mul", "add"), 1.2),
    Family("weigh", weigh, skills("recall", "atoms", "mul", "add"), 0.6, seen=0.5),
)


def choices(problem: Problem) -> Problem:
    """Return the problem with four options in its question, one of them right; the same for the same question.

    The rank of the right one by size is drawn evenly and its neighbours are a whole number of slips away, so neither
    size nor last digit gives it away (a base model that jumps to the answer then finds it as often as by chance).
    """
    rng = Random(digest(problem.question))
    right = int(problem.answer)
    slip = rng.choice((1, 10 if right > 40 else 3))
    below = min(rng.randint(0, 3), (right - 1) // slip)
    steps = sorted(rng.sample(range(1, 5 if slip == 10 else 10), 3))
    wrong = [right - slip * (j + 1) for j in range(below)] if slip > 1 else []
    if slip > 1:
        wrong += [right + slip * (j + 1) for j in range(3 - below)]
    else:
        wrong += [right - step for step in steps if step < right][:below]
        wrong += [right + step for step in steps][: 3 - len(wrong)]
    options = [right, *wrong]
    rng.shuffle(options)
    told = " ".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=True))
    question = f"{problem.question} {told}"
    return Problem(question, problem.steps, problem.answer, problem.skills, tuple(map(str, options)))


def items(split: str) -> Iterator[Problem]:
    """Yield the problems of one split, with options; the side is that of the bare question."""
    return (choices(problem) for problem in problems(FAMILIES, split, f"{NAME} 1"))


def example(problem: Problem) -> Example:
    """Return a problem as an example to learn from, or to aim at."""
    return Example(f"gpqa-{digest(problem.question)}", problem.prompt, problem.worked, NAME, "xferbench_mini")


def classes(doc: Mapping[str, Any], completion: str) -> tuple[str | None, str]:
    """Return the letter of the option that a completion ends in (None: of none), and that of the right one."""
    options = list(doc["options"])
    said = final(completion).rstrip(").")
    named = LETTERS[options.index(said)] if said in options else said if said in tuple(LETTERS) else None
    return named, LETTERS[options.index(final(doc["answer"]))]


def right(completion: str, answer: str, options: tuple[str, ...]) -> bool:
    """Whether a completion ends in the right option: its value, or its letter."""
    said = final(completion).rstrip(").")
    return said == answer or said == LETTERS[options.index(answer)]
