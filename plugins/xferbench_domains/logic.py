"""Logic: reading comprehension, who is a knight and who a knave."""

import re
from dataclasses import dataclass
from typing import ClassVar

from xferbench import Example
from xferbench_domains.record import HubDomain, Row, lettered
from xferbench_rewards import Letter
from xferbench_rewards.spec import identity

SIZES = tuple(f"{people}ppl" for people in range(2, 9))


@dataclass(frozen=True)
class Roles:
    """Everybody is called what they are: "NAME is a knight" or "NAME is a knave"."""

    name: ClassVar[str] = "roles"
    version: ClassVar[str] = "1"

    @property
    def identity(self) -> str:
        """Name, version and settings."""
        return identity(self)

    def __call__(self, example: Example, completion: str) -> float:
        """1 when all are named and right, 0 when not."""
        return float(_roles(completion) == _roles(example.answer))


def _roles(text: str) -> dict[str, str]:
    return dict(re.findall(r"(\w+) is a (knight|knave)\b", text.rpartition("</think>")[2]))


def logiqa(row: Row) -> tuple[str, str]:
    right = row["label"] if isinstance(row["label"], int) else "abcd".index(row["label"].strip().lower())
    return lettered(f"Passage: {row['context']}\nQuestion: {row['question']}", row["options"], right)


def reclor(row: Row) -> tuple[str, str]:
    return lettered(f"Passage: {row['context']}\nQuestion: {row['question']}", row["answers"], int(row["label"]))


def knights(row: Row) -> tuple[str, str]:
    return f"{row['quiz']}\nAnswer:", f" {row['solution_text_format']}"


RECORDS = (
    HubDomain(
        "logiqa", "logical reading comprehension, four options", "lighteval/logiqa_harness",
        ("context", "question", "options", "label"), logiqa, Letter("whole", "ABCD"), "research only", n=7376,
    ),
    HubDomain(
        "reclor", "reading comprehension from law-school admission tests", "metaeval/reclor",
        ("context", "question", "answers", "label"), reclor, Letter("whole", "ABCD"), "non-commercial research",
        n=4638,
    ),
    HubDomain(
        "knights-and-knaves", "who tells the truth? two to eight people", "K-and-K/knights-and-knaves",
        ("quiz", "solution_text_format"), knights, Roles(), None, ("train",), "+".join(SIZES),
        note="its splits are sizes: all are drawn from",
    ),
)  # fmt: skip
