"""Medicine and biology: questions on abstracts and snippets."""

from functools import cache

from xferbench_domains.record import HubDomain, Row
from xferbench_domains.science import WORD, YES


def pubmedqa(row: Row) -> tuple[str, str]:
    abstract = "\n".join(row["context"]["contexts"])
    return f"Abstract: {abstract}\nQuestion: {row['question']}\nAnswer:", f" {row['final_decision']}"


@cache
def official() -> frozenset[str]:
    """Return the ids of the official test questions."""
    from xferbench_tasks.pubmedqa import test_ids

    return test_ids()


def not_official(row: Row) -> bool:
    return str(row["pubid"]) not in official()


def bioasq(row: Row) -> tuple[str, str]:
    said = row["snippets"]
    text = said if isinstance(said, str) else "\n".join(one if isinstance(one, str) else one["text"] for one in said)
    answer = row["answer"] if isinstance(row["answer"], str) else row["answer"][0]
    return f"{text}\nQuestion: {row['question']} Answer yes or no.\nAnswer:", f" {answer.strip().lower()}"


RECORDS = (
    HubDomain(
        "pubmedqa", "yes/no/maybe questions on medical abstracts", "qiaojin/PubMedQA",
        ("pubid", "context", "question", "final_decision"), pubmedqa, WORD, "MIT", ("pqa_labeled",), n=500,
        keep=not_official, key="pubid", choices=("yes", "no", "maybe"), note="without the official 500 of the test",
    ),
    HubDomain(
        "pubmedqa-artificial", "yes/no questions on medical abstracts, answered by a rule", "qiaojin/PubMedQA",
        ("pubid", "context", "question", "final_decision"), pubmedqa, WORD, "MIT", ("pqa_artificial",), n=211000,
        key="pubid", choices=("yes", "no"),
    ),
    HubDomain(
        "bioasq", "biomedical yes/no questions with snippets", "jmhb/BioASQ", ("question", "snippets", "answer"),
        bioasq, WORD, "research only (register at bioasq.org)", split="yesno", n=1464, held_out=True,
        choices=YES, note="a mirror; the original asks for registration",
    ),
)  # fmt: skip
