"""Code: what does this Python print?"""

from random import Random

from .family import Family, skills
from .skills import Work

VARIABLES = "kmnrtuwxyz"


def _ask(lines: list[str]) -> str:
    return "\n".join(["What does this print?", *lines])


def _arith(rng: Random, work: Work, a: int, b: int) -> tuple[str, int]:
    """Return (operator, result) of one operation on a and b that stays small and not negative."""
    choices = ["+"]
    if a >= b:
        choices.append("-")
    if min(a, b) <= 9 and a * b <= 180:
        choices.append("*")
    sign = rng.choice(choices)
    return sign, {"+": work.add, "-": work.sub, "*": work.mul}[sign](a, b)


def assign(rng: Random, work: Work) -> tuple[str, int]:
    """Two or three assignments, each built on those before."""
    x, y, z = rng.sample(VARIABLES, 3)
    a, b = rng.randint(2, 20), rng.randint(2, 12)
    work.assign(x, a)
    sign, value = _arith(rng, work, work.read(x), b)
    work.assign(y, value)
    lines = [f"{x} = {a}", f"{y} = {x} {sign} {b}"]
    c = rng.randint(2, 9)
    sign, value = _arith(rng, work, work.read(y), c)
    work.assign(z, value)
    lines.append(f"{z} = {y} {sign} {c}")
    last, other = (z, x) if rng.random() < 0.5 else (y, z)
    sign, value = _arith(rng, work, work.read(last), work.read(other))
    return _ask([*lines, f"print({last} {sign} {other})"]), value


def loop(rng: Random, work: Work) -> tuple[str, int]:
    """A loop that adds or multiplies."""
    x = rng.choice(VARIABLES)
    times = rng.randint(2, 4)
    if rng.random() < 0.6:
        start, by, sign = rng.randint(1, 60), rng.randint(2, 30), "+"
    else:
        start, by, sign, times = rng.randint(2, 9), rng.randint(2, 3), "*", min(times, 3)
    operate = work.add if sign == "+" else work.mul
    work.assign(x, start)
    work.repeat(times, lambda _: work.assign(x, operate(work.read(x), by)))
    lines = [f"{x} = {start}", f"for i in range({times}):", f"    {x} = {x} {sign} {by}", f"print({x})"]
    return _ask(lines), work.values[x]


def truth(rng: Random, work: Work) -> tuple[str, str]:
    """Truth values in variables, printed two at a time."""
    x, y = rng.sample(VARIABLES, 2)
    a, b = rng.random() < 0.5, rng.random() < 0.5
    work.assign(x, a)
    work.assign(y, b)
    lines, results = [f"{x} = {a}", f"{y} = {b}"], []
    terms = []
    for _ in range(2):
        p, q = (x, y) if rng.random() < 0.5 else (y, x)
        left, right = bool(work.read(p)), bool(work.read(q))
        flip, sign = rng.random() < 0.5, rng.choice(("and", "or"))
        terms.append(f"{'not ' if flip else ''}{p} {sign} {q}")
        left = work.negate(left) if flip else left
        results.append(work.both(left, right) if sign == "and" else work.either(left, right))
    return _ask([*lines, f"print({', '.join(terms)})"]), " ".join(map(str, results))


def branch(rng: Random, work: Work) -> tuple[str, int]:
    """An if with two ways out, and an operation on each."""
    x, y = rng.sample(VARIABLES, 2)
    a, limit = rng.randint(2, 40), rng.randint(2, 40)
    work.assign(x, a)
    add, by, factor = rng.randint(2, 40), rng.randint(1, 20), rng.randint(2, 4)
    by = min(by, a)
    value = work.add(work.read(x), add) if work.more(work.read(x), limit) else work.sub(work.read(x), by)
    work.assign(y, value)
    lines = [f"{x} = {a}", f"if {x} > {limit}:", f"    {y} = {x} + {add}", "else:", f"    {y} = {x} - {by}"]
    return _ask([*lines, f"print({y} * {factor})"]), work.mul(work.read(y), factor)


def single(rng: Random, work: Work) -> tuple[str, int]:
    """One assignment, one operation."""
    x = rng.choice(VARIABLES)
    a, b = rng.randint(2, 60), rng.randint(2, 60)
    work.assign(x, a)
    sign, value = _arith(rng, work, work.read(x), b)
    return _ask([f"{x} = {a}", f"print({x} {sign} {b})"]), value


FAMILIES = (
    Family("assign", assign, skills("trace", "add", "sub", "mul"), 1.2),
    Family("loop", loop, skills("trace", "loop", "add", "mul"), 1.0, seen=0.5),
    Family("truth", truth, skills("trace", "truth"), 0.9),
    Family("branch", branch, skills("trace", "compare", "add", "sub", "mul"), 0.9),
    Family("single", single, skills("trace", "add", "sub", "mul"), 1.4, worked=1.0),
)
