"""GSM8K (Cobbe et al. 2021): 7,473 grade-school word problems with worked solutions."""

import re
from collections.abc import Iterable

from xferbench import Domain, Example, rows

DATA = {"id": "openai/gsm8k", "config": "main", "split": "train", "licence": "MIT", "gated": False, "n": 7473}


def examples() -> Iterable[Example]:
    """Yield question and solution; the calculator marks <<48/2=24>> are taken out, as a model need not learn them."""
    for number, row in enumerate(rows(DATA["id"], DATA["config"], DATA["split"])):
        answer = re.sub(r"<<[^>]*>>", "", row["answer"])
        yield Example(f"gsm8k-train-{number}", f"Question: {row['question']}\nAnswer:", f" {answer}", source="gsm8k")


def final(text: str) -> str | None:
    """Return the number after the last ####, without commas, units and trailing zeros; None when there is none."""
    found = re.findall(r"####\s*\$?(-?[\d,]*\.?\d+)", text)
    if not found:
        return None
    number = found[-1].replace(",", "")
    return number.rstrip("0").rstrip(".") if "." in number else number


def reward(example: Example, completion: str) -> float | None:
    """1 when the final number is the right one, else 0."""
    return float(final(completion) is not None and final(completion) == final(example.answer))


DOMAIN = Domain("gsm8k", examples, reward, summary="grade-school math word problems with worked solutions", data=DATA)
