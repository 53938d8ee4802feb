"""Skills: every small step of a worked solution, and the truth about who should help whom.

A generator solves its own problem by calling the methods of `Work`; each method is one skill, writes one step in
the notation that all domains share (`12*3=36`, `not True=False`, `1 Ann 2 Bob`), and remembers that it was called.
So the skills that a family declares can be held against the skills that its solutions really use.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

SKILLS = {
    "add": "add two whole numbers",
    "sub": "subtract",
    "mul": "multiply",
    "div": "divide without remainder",
    "list": "add up a list",
    "column": "add two large numbers digit by digit, with carry",
    "recall": "know which formula of mechanics or electricity connects the quantities",
    "energy": "know the formulas of energy",
    "heat": "know the formula of heat",
    "atoms": "know the mass of an atom",
    "trace": "look up the present value of a variable",
    "loop": "repeat a step the right number of times",
    "truth": "apply and, or, not",
    "compare": "compare two numbers",
    "order": "join comparisons of people into one order",
    "chain": "follow a chain of categories",
    "pattern": "see the rule of a sequence",
    "undo": "reverse an operation",
    "swap": "swap the first two letters",
    "rotate": "move the first letter to the end",
    "reverse": "reverse a string of letters",
    "tail": "swap the last two letters",
    "wash": "know what washing makes of a colour",
    "salt": "know what salting makes of a colour",
    "smoke": "know what smoking makes of a colour",
    "grind": "know what grinding makes of a colour",
    "bake": "know what baking makes of a colour",
    "dry": "know what drying makes of a colour",
}
"""All skills: name -> what it is."""


@dataclass
class Work:
    """A worked solution as it grows: `steps` as written, `skills` as used."""

    steps: list[str] = field(default_factory=list)
    skills: set[str] = field(default_factory=set)
    values: dict[str, int] = field(default_factory=dict)

    def _did(self, skill: str, step: str | None = None) -> None:
        self.skills.add(skill)
        if step is not None:
            self.steps.append(step)

    def add(self, a: int, b: int) -> int:
        """Write `a+b=c`."""
        self._did("add", f"{a}+{b}={a + b}")
        return a + b

    def sub(self, a: int, b: int) -> int:
        """Write `a-b=c`."""
        self._did("sub", f"{a}-{b}={a - b}")
        return a - b

    def mul(self, a: int, b: int) -> int:
        """Write `a*b=c`."""
        self._did("mul", f"{a}*{b}={a * b}")
        return a * b

    def div(self, a: int, b: int) -> int:
        """Write `a/b=c`; the division must come out even."""
        if a % b:
            raise ValueError(f"{a}/{b} is not whole")
        self._did("div", f"{a}/{b}={a // b}")
        return a // b

    def column(self, a: int, b: int) -> int:
        """Add from the last digit to the first, a step a digit, the carry written as `+1`."""
        carry, x, y = 0, a, b
        while x or y:
            p, q = x % 10, y % 10
            total = p + q + carry
            self._did("column", f"{p}+{q}{'+1' if carry else ''}={total}")
            carry, x, y = total // 10, x // 10, y // 10
        return a + b

    def recall(self, formula: Callable[..., int], *values: Any) -> int:
        """Apply a known formula: a function that takes this Work and the given quantities."""
        self._did("recall")
        return formula(self, *values)

    def note(self, text: str) -> None:
        """Write what is given once more; no skill."""
        self.steps.append(text)

    def cue(self, skill: str, word: str) -> None:
        """Announce a skill that is more than arithmetic: `energy`, `heat`, `molar`, `comes`, `sum`."""
        self._did(skill, word)

    def atom(self, symbol: str, masses: dict[str, int]) -> int:
        """Remember the mass of an atom, silently."""
        self._did("atoms")
        return masses[symbol]

    def assign(self, name: str, value: int) -> int:
        """Give a variable a value."""
        self.values[name] = value
        return value

    def read(self, name: str) -> int:
        """Look up a variable."""
        self._did("trace")
        return self.values[name]

    def repeat(self, times: int, body: Callable[[int], Any]) -> None:
        """Run `body(i)` for i = 0 ... times-1."""
        self._did("loop")
        for i in range(times):
            body(i)

    def both(self, a: bool, b: bool) -> bool:
        """Write `a and b=c`."""
        self._did("truth", f"{a} and {b}={a and b}")
        return a and b

    def either(self, a: bool, b: bool) -> bool:
        """Write `a or b=c`."""
        self._did("truth", f"{a} or {b}={a or b}")
        return a or b

    def negate(self, a: bool) -> bool:
        """Write `not a=b`."""
        self._did("truth", f"not {a}={not a}")
        return not a

    def more(self, a: int, b: int) -> bool:
        """Write `hold a>b=True` or `hold a>b=False`."""
        self._did("compare", f"hold {a}>{b}={a > b}")
        return a > b

    def order(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Join (greater, lesser) pairs that fix one order: write each, `Ann > Bob;`, then `Order: 1 Ann 2 Bob`."""
        lesser = dict(pairs)
        for more, less in pairs:
            self._did("order", f"{more} > {less};")
        first = (set(lesser) - set(lesser.values())).pop()
        line = [first]
        while line[-1] in lesser:
            line.append(lesser[line[-1]])
        self._did("order", "Order: " + " ".join(f"{place} {name}" for place, name in enumerate(line, 1)))
        return line

    def follow(self, links: dict[str, str], start: str) -> str:
        """Follow links from `start` to the end, writing every station."""
        path = [start]
        while path[-1] in links:
            path.append(links[path[-1]])
        self._did("chain", " is ".join(path))
        return path[-1]

    def undo(self, operation: str, value: int, by: int) -> int:
        """Reverse `operation` ("+", "-", "*", "/") with the opposite one."""
        self._did("undo")
        return {"+": self.sub, "-": self.add, "*": self.div, "/": self.mul}[operation](value, by)

    def letters(self, rule: str, word: str) -> str:
        """Apply one rewriting rule (swap, rotate, reverse or tail) and write it with the new string."""
        done = {
            "swap": lambda: word[1] + word[0] + word[2:],
            "rotate": lambda: word[1:] + word[0],
            "reverse": lambda: word[::-1],
            "tail": lambda: word[:-2] + word[-1] + word[-2],
        }[rule]()
        self._did(rule, f"{rule} to {' '.join(done)};")
        return done

    def treat(self, operation: str, becomes: str) -> str:
        """Apply one operation of alchemy: write it and the colour that comes of it, `wash jade`."""
        self._did(operation, f"{operation} {becomes}")
        return becomes
