"""PubMedQA (Jin et al. 2019), expert-labelled part: a question on an abstract, answered yes, no or maybe."""

from collections.abc import Iterable, Mapping
from typing import Any

from xferbench import Domain, Example, rows
from xferbench_rewards import Exact

DATA = {"id": "qiaojin/PubMedQA", "config": "pqa_labeled", "split": "train", "licence": "MIT", "gated": False, "n": 500}


def prompt(row: Mapping[str, Any]) -> str:
    """Render abstract and question, as the target pubmedqa does."""
    return "Abstract: {}\nQuestion: {}\nAnswer:".format("\n".join(row["context"]["contexts"]), row["question"])


def examples() -> Iterable[Example]:
    """Yield the labelled questions that are not among the official 500 of the test."""
    from xferbench_tasks.pubmedqa import test_ids

    held_out = test_ids()
    for row in rows(DATA["id"], DATA["config"], DATA["split"]):
        if str(row["pubid"]) not in held_out:
            yield Example(f"pubmedqa-{row['pubid']}", prompt(row), f" {row['final_decision']}", source="pqa_labeled")


REWARD = Exact("first word", fold=True)
DOMAIN = Domain("pubmedqa", examples, REWARD, summary="yes/no/maybe questions on medical abstracts", data=DATA)
