"""Rewards that compare one short answer: exact text, a plain number, the letter of a choice; and the form alone."""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from xferbench import Example, UsageError
from xferbench_rewards.extract import final
from xferbench_rewards.spec import identity, reference


@dataclass(frozen=True)
class Exact:
    """The answer is the example's, letter by letter."""

    name: ClassVar[str] = "exact"
    version: ClassVar[str] = "1"
    where: str = "whole"
    """Where the answer stands: boxed, first word, last line, whole, or a mark that it follows (such as ####)."""
    fold: bool = False
    """Small and capital letters are the same, and so are all runs of white space."""
    wrong: float = 0.0
    unparsable: float = 0.0

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def __call__(self, example: Example, completion: str) -> float:
        """1 when right, `wrong` when not, `unparsable` when there is no answer."""
        right = reference(example, final(example.answer, self.where), f"answer ({self.where})")
        said = final(completion, self.where)
        if said is None:
            return self.unparsable
        if self.fold:
            said, right = (" ".join(text.lower().split()) for text in (said, right))
        return 1.0 if said == right else self.wrong


NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:/\d+)?", re.ASCII)
LONGEST = 60
"""Letters of a plain number; longer ones are no answers but attacks."""


@dataclass(frozen=True)
class Number:
    """The answer is the example's number, however it is written: 1,200.50 is 1200.5, and 1/2 is 0.5. Exact."""

    name: ClassVar[str] = "number"
    version: ClassVar[str] = "1"
    where: str = "####"
    """Where the answer stands; of it the first number counts, with $, units and a closing stop around it."""
    wrong: float = 0.0
    unparsable: float = 0.0

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def __call__(self, example: Example, completion: str) -> float:
        """1 when right, `wrong` when not, `unparsable` when there is no number."""
        right = _number(reference(example, final(example.answer, self.where), f"answer ({self.where})"))
        if right is None:
            raise ValueError(f"example {example.id}: its own answer holds no number")
        said = _number(final(completion, self.where) or "")
        if said is None:
            return self.unparsable
        return 1.0 if said == right else self.wrong


def _number(text: str) -> Fraction | None:
    found = re.match(r"[^0-9.+-]{0,3}", text)
    start = found.end() if found else 0
    match = NUMBER.match(text, start)
    shown = match.group().replace(",", "") if match else ""
    if not any(c.isdigit() for c in shown) or len(shown) > LONGEST:
        return None
    rest = text[start:][len(match.group()) :] if match else ""
    if re.match(r"\d|,\d|\.\d|/", rest):  # 1,23 or 1/2/3 is none of the forms above
        return None
    over, _, under = shown.partition("/")
    return None if under and not int(under) else Fraction(over) / (int(under) if under else 1)


@dataclass(frozen=True)
class Letter:
    r"""The choice is the example's: B, (b), B), "The answer is B", \boxed{B}; two letters at once are no choice."""

    name: ClassVar[str] = "letter"
    version: ClassVar[str] = "1"
    where: str = "whole"
    choices: str = "ABCD"
    wrong: float = 0.0
    unparsable: float = 0.0

    def __post_init__(self) -> None:
        if not self.choices.isalpha() or len(set(self.choices)) < max(2, len(self.choices)):
            raise UsageError(f"reward letter: choices are two or more different letters, not {self.choices!r}")

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def __call__(self, example: Example, completion: str) -> float:
        """1 when right, `wrong` when not, `unparsable` when not exactly one letter is chosen."""
        right = self._choice(final(example.answer, self.where))
        if right is None:
            raise ValueError(f"example {example.id}: its own answer chooses no letter of {self.choices}")
        said = self._choice(final(completion, self.where))
        if said is None:
            return self.unparsable
        return 1.0 if said == right else self.wrong

    def _choice(self, text: str | None) -> str | None:
        """Return the letter chosen: after a last "answer is" or "answer:", else the only one that stands alone."""
        if text is None:
            return None
        letters = "".join(sorted(set(self.choices.upper())))
        told = re.split(r"(?i)answer\s*(?:is|:)", text)
        alone = rf"(?<![A-Za-z0-9'])([{letters}])(?![A-Za-z0-9'])"
        found = set(re.findall(alone, told[-1]))
        if not found and (only := re.fullmatch(rf"\W*([{letters.lower()}])\W*", told[-1].strip())):
            found = {only.group(1).upper()}
        return found.pop() if len(found) == 1 else None


@dataclass(frozen=True)
class Form:
    """The whole completion has the form of a regular expression; what it says does not count."""

    name: ClassVar[str] = "form"
    version: ClassVar[str] = "1"
    pattern: str = r"(?s).*####\s*\S+\s*"
    wrong: float = 0.0

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise UsageError(f"reward form: {self.pattern!r} is not a regular expression: {error}") from None

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def __call__(self, example: Example, completion: str) -> float:
        """1 when it has the form, else `wrong`."""
        return 1.0 if re.fullmatch(self.pattern, completion) else self.wrong
