"""The reward for code: does it pass the example's unit tests?"""

import re
from dataclasses import dataclass
from typing import ClassVar

from xferbench import Example, UsageError
from xferbench_rewards.spec import identity


@dataclass(frozen=True)
class UnitTests:
    """The code in the completion passes the tests that are the example's answer, in a sandbox."""

    name: ClassVar[str] = "unit_tests"
    version: ClassVar[str] = "1"
    seconds: float = 5.0
    """Processor time for all tests of one completion; the clock allows 3 s more."""
    megabytes: int = 512
    wrong: float = 0.0
    unparsable: float = 0.0

    def __post_init__(self) -> None:
        if self.seconds <= 0 or self.megabytes < 64:
            raise UsageError("reward unit_tests: seconds must be above 0, megabytes 64 or more")

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def check(self) -> None:
        """Raise UsageError where running code is not allowed."""
        from xferbench_rewards.sandbox import check_allowed

        check_allowed()

    def __call__(self, example: Example, completion: str) -> float:
        """1 when all tests pass, `wrong` when not, `unparsable` when the completion holds no Python."""
        from xferbench_rewards.sandbox import run_tests

        program = code(completion)
        if not parses(program):
            return self.unparsable
        if not parses(example.answer):
            raise ValueError(f"example {example.id}: its answer should be its tests, and is no Python")
        verdict = run_tests(program, example.answer, seconds=self.seconds, megabytes=self.megabytes)
        return 1.0 if verdict.passed else self.wrong


def code(completion: str) -> str:
    """Return the last fenced block of a completion, or all of it when there is none."""
    text = completion.rpartition("</think>")[2]
    blocks = re.findall(r"```[a-zA-Z0-9]*\n(.*?)(?:```|\Z)", text, re.DOTALL)
    return str(blocks[-1]) if blocks else text


def parses(program: str) -> bool:
    """Tell whether a text is Python that does anything."""
    import ast

    try:
        return bool(ast.parse(program).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
