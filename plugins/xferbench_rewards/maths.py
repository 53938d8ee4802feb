"""The reward for mathematics: is the answer equal to the example's, as an expression and not as text?"""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar

from xferbench import Example, UsageError
from xferbench_rewards.extract import final
from xferbench_rewards.spec import identity

LONGEST = 300
"""Letters of an answer that is looked at."""
POWERS = re.compile(r"(?:\^|\*\*)\s*[({]*\s*-?\d{4,}|(?:\^|\*\*)[^+\-*/=,]*(?:\^|\*\*)|\d\s*!|\\uparrow")
"""Powers of powers, huge ones and factorials: sympy would work at them for ever."""


@dataclass(frozen=True)
class Maths:
    """Equality by math-verify (Hugging Face): LaTeX, fractions, sets, intervals, percent, units."""

    name: ClassVar[str] = "maths"
    version: ClassVar[str] = "1"
    where: str = "boxed"
    wrong: float = 0.0
    unparsable: float = 0.0
    seconds: int = 3
    """Time for reading an answer and for comparing it; what takes longer is wrong."""

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def check(self) -> None:
        """Raise UsageError when math-verify is not installed."""
        if find_spec("math_verify") is None:
            raise UsageError('reward maths needs the package math-verify: pip install "xferbench[math]"')

    def __call__(self, example: Example, completion: str) -> float:
        """1 when right, `wrong` when not, `unparsable` when there is nothing that math-verify reads."""
        self.check()
        from math_verify import verify

        right = self._read(final(example.answer, self.where))
        if not right:
            raise ValueError(f"example {example.id}: its own answer ({self.where}) is no expression")
        said = self._read(final(completion, self.where))
        if not said:
            return self.unparsable
        return 1.0 if verify(right, said, timeout_seconds=self.seconds) else self.wrong

    def _read(self, answer: str | None) -> list[Any]:
        """Return what math-verify reads in an answer: expressions, and last the text; [] for nothing."""
        if answer is None or len(answer) > LONGEST or POWERS.search(answer):
            return []
        from math_verify import ExprExtractionConfig, LatexExtractionConfig, parse

        forms = [LatexExtractionConfig(), ExprExtractionConfig()]
        return list(parse(f"${answer}$", extraction_config=forms, parsing_timeout=self.seconds))
