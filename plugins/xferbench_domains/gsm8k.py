"""GSM8K (Cobbe et al. 2021): 7,473 grade-school word problems with worked solutions."""

import re
from collections.abc import Iterable

from xferbench import Domain, Example, rows
from xferbench_rewards import Number

DATA = {"id": "openai/gsm8k", "config": "main", "split": "train", "licence": "MIT", "gated": False, "n": 7473}


def examples() -> Iterable[Example]:
    """Yield question and solution; the calculator marks <<48/2=24>> are taken out, as a model need not learn them."""
    for number, row in enumerate(rows(DATA["id"], DATA["config"], DATA["split"])):
        answer = re.sub(r"<<[^>]*>>", "", row["answer"])
        yield Example(f"gsm8k-train-{number}", f"Question: {row['question']}\nAnswer:", f" {answer}", source="gsm8k")


SUMMARY = "grade-school math word problems with worked solutions"
DOMAIN = Domain("gsm8k", examples, Number("####"), summary=SUMMARY, data=DATA)
