"""Code: problems with tests, problems with solutions."""

from dataclasses import dataclass
from typing import ClassVar

from xferbench import Example
from xferbench_domains.record import HubDomain, Row
from xferbench_rewards import UnitTests
from xferbench_rewards.spec import identity

TESTS = "Your code should pass these tests:\n\n"


@dataclass(frozen=True)
class AskedTests:
    """The code in the completion passes the tests that the prompt shows, in a sandbox."""

    name: ClassVar[str] = "asked_tests"
    version: ClassVar[str] = "1"
    seconds: float = 5.0

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def check(self) -> None:
        """Raise UsageError where running code is not allowed."""
        UnitTests().check()

    def __call__(self, example: Example, completion: str) -> float:
        """1 when all tests pass, 0 when not."""
        tests = example.prompt.partition(TESTS)[2].partition("\n\n")[0]
        return UnitTests(self.seconds)(Example(example.id, example.prompt, tests), completion)


def mbpp(row: Row) -> tuple[str, str]:
    tests = "\n".join(row["test_list"])
    return f"{row['text']} {TESTS}{tests}\n\n", f"```python\n{row['code'].strip()}\n```"


def magicoder(row: Row) -> tuple[str, str]:
    return row["problem"], row["solution"]


def reasoned(row: Row) -> tuple[str, str]:
    return row["input"], row["output"]


RECORDS = (
    HubDomain(
        "mbpp", "short Python functions with tests", "google-research-datasets/mbpp", ("text", "code", "test_list"),
        mbpp, AskedTests(), "CC-BY-4.0", ("full",), n=374, note="its reward runs code: it must be allowed",
    ),
    HubDomain(
        "magicoder", "coding problems and solutions inspired by open source (Magicoder-OSS-Instruct)",
        "ise-uiuc/Magicoder-OSS-Instruct-75K", ("problem", "solution"), magicoder, None, "MIT", n=75197,
    ),
    HubDomain(
        "opencodereasoning", "competitive programming with long reasoning", "nvidia/OpenCodeReasoning",
        ("input", "output"), reasoned, None, "CC-BY-4.0", ("split_0",), "split_0", n=567850, large=True,
        note="split_1 has no problem texts of its own, and is left out",
    ),
)  # fmt: skip
