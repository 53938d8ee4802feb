"""Science: physics and chemistry. Each problem needs a formula, which math cannot teach, and the arithmetic it can.

The formulas of `motion`, `electric` and `single` are frequent in pre-training, those of `energy`, `heat` and
`chemistry` rare: there only training on science helps.
"""

from random import Random

from .family import Family, skills
from .skills import Work

MASSES = {"H": 1, "C": 12, "N": 14, "O": 16, "F": 19, "S": 32}
"""Rounded atomic masses."""
BODIES = ("cart", "ball", "box", "car", "sled", "stone")


def product(work: Work, a: int, b: int) -> int:
    """Force = mass * acceleration; momentum = mass * velocity."""
    return work.mul(a, b)


def quotient(work: Work, a: int, b: int) -> int:
    """Speed = distance / time; density = mass / volume."""
    return work.div(a, b)


def force(work: Work, m: int, u: int, v: int, t: int) -> int:
    """F = m (v - u) / t."""
    return work.mul(m, work.div(work.sub(v, u), t))


def momentum(work: Work, m: int, u: int, v: int) -> int:
    """The change of momentum, m (v - u)."""
    return work.mul(m, work.sub(v, u))


def distance(work: Work, start: int, v: int, t: int) -> int:
    """s = s0 + v t."""
    return work.add(start, work.mul(v, t))


def voltage(work: Work, current: int, r: int, s: int) -> int:
    """U = I (R1 + R2) for two resistors in series."""
    return work.mul(current, work.add(r, s))


def kinetic(work: Work, m: int, v: int) -> int:
    """E = m v v / 2."""
    work.cue("energy", "energy")
    return work.div(work.mul(m, work.mul(v, v)), 2)


def potential(work: Work, m: int, low: int, high: int) -> int:
    """E = 10 m (h2 - h1), with g rounded to 10."""
    work.cue("energy", "energy")
    return work.mul(10, work.mul(m, work.sub(high, low)))


def warm(work: Work, c: int, m: int, low: int, high: int) -> int:
    """Q = c m (T2 - T1)."""
    work.cue("heat", "heat")
    return work.mul(c, work.mul(m, work.sub(high, low)))


def dilute(work: Work, c: int, v: int, w: int) -> int:
    """c2 = c1 V1 / (V1 + W): water W is added."""
    return work.div(work.mul(c, v), work.add(v, w))


def molar(work: Work, formula: list[tuple[str, int]]) -> int:
    """The molar mass of a compound, given as (symbol, how many)."""
    work.cue("atoms", "molar")
    parts = [work.mul(n, work.atom(s, MASSES)) for s, n in formula]
    total = parts[0]
    for part in parts[1:]:
        total = work.add(total, part)
    return total


def compound(rng: Random) -> tuple[str, list[tuple[str, int]]]:
    """Draw a compound of two elements: its formula as written, and as (symbol, how many)."""
    formula = [(symbol, rng.randint(2, 9)) for symbol in rng.sample(tuple(MASSES), 2)]
    return "".join(f"{s}{n}" for s, n in formula), formula


def motion(rng: Random, work: Work) -> tuple[str, int]:
    """Force, momentum, distance."""
    m, t, a, u = rng.randint(2, 12), rng.randint(2, 9), rng.randint(2, 9), rng.randint(1, 15)
    body = rng.choice(BODIES)
    shape = rng.randrange(3)
    if shape == 0:
        question = f"A {m} kg {body} goes from {u} m/s to {u + a * t} m/s in {t} s. Find the force."
        return question, work.recall(force, m, u, u + a * t, t)
    if shape == 1:
        v = u + rng.randint(2, 30)
        question = f"A {m} kg {body} goes from {u} m/s to {v} m/s. Find the change of momentum."
        return question, work.recall(momentum, m, u, v)
    v, start = rng.randint(2, 25), rng.randint(2, 60)
    question = f"A {body} starts at {start} m and goes {v} m/s for {t} s. Find where it is."
    return question, work.recall(distance, start, v, t)


def electric(rng: Random, work: Work) -> tuple[str, int]:
    """The voltage over two resistors in series."""
    i, r, s = rng.randint(2, 9), rng.randint(2, 20), rng.randint(2, 20)
    question = f"A current of {i} A flows through {r} ohm and {s} ohm in series. Find the voltage."
    return question, work.recall(voltage, i, r, s)


def energy(rng: Random, work: Work) -> tuple[str, int]:
    """Kinetic and potential energy."""
    body = rng.choice(BODIES)
    if rng.random() < 0.5:
        m, v = rng.randint(2, 8), rng.randint(2, 9)
        m += m * v % 2
        return f"A {m} kg {body} moves at {v} m/s. Find its kinetic energy.", kinetic(work, m, v)
    m, low, rise = rng.randint(2, 6), rng.randint(1, 30), rng.randint(2, 9)
    question = f"A {m} kg {body} is lifted from {low} m to {low + rise} m. Find the energy."
    return question, potential(work, m, low, low + rise)


def heat(rng: Random, work: Work) -> tuple[str, int]:
    """The heat that warms a liquid."""
    c, m, low, rise = rng.randint(2, 5), rng.randint(2, 6), rng.randint(5, 60), rng.randint(2, 12)
    question = f"Warm {m} kg from {low} to {low + rise} degrees, specific heat {c}. Find the heat."
    return question, warm(work, c, m, low, low + rise)


def chemistry(rng: Random, work: Work) -> tuple[str, int]:
    """Molar masses and dilution."""
    if rng.random() < 0.7:
        name, formula = compound(rng)
        return f"Find the molar mass of {name}.", molar(work, formula)
    v, k = rng.randint(2, 9), rng.randint(1, 6)
    w = rng.randint(1, 12 - v)
    c = (v + w) * k
    question = f"Add {w} l of water to {v} l of a solution of {c} g/l. Find the concentration."
    return question, work.recall(dilute, c, v, w)


def single(rng: Random, work: Work) -> tuple[str, int]:
    """One formula with one operation."""
    a, b = rng.randint(2, 12), rng.randint(2, 20)
    body = rng.choice(BODIES)
    shape = rng.randrange(4)
    if shape == 0:
        return f"A {a} kg {body} speeds up by {b} m/s in each s. Find the force.", work.recall(product, a, b)
    if shape == 1:
        return f"A {a} kg {body} moves at {b} m/s. Find its momentum.", work.recall(product, a, b)
    if shape == 2:
        return f"A {body} goes {a * b} m in {a} s. Find its speed.", work.recall(quotient, a * b, a)
    return f"A {a * b} kg {body} fills {a} l. Find its density.", work.recall(quotient, a * b, a)


FAMILIES = (
    Family("motion", motion, skills("recall", "add", "sub", "mul", "div"), 1.3),
    Family("electric", electric, skills("recall", "add", "mul"), 0.7),
    Family("energy", energy, skills("energy", "sub", "mul", "div"), 1.0, seen=0.3),
    Family("heat", heat, skills("heat", "sub", "mul"), 0.8, seen=0.3),
    Family("chemistry", chemistry, skills("recall", "atoms", "add", "mul", "div"), 0.9, seen=0.5),
    Family("single", single, skills("recall", "mul", "div"), 1.6, worked=1.0),
)
