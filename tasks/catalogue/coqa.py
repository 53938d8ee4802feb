"""CoQA: a conversation about a text, its last question, and the scores of the data set's own paper (em and f1)."""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any


def doc_to_text(doc: Mapping[str, Any]) -> str:
    """Render the text and the conversation up to the question to be answered."""
    questions, answers = doc["questions"]["input_text"], doc["answers"]["input_text"]
    before = "".join(f"Q: {q}\n\nA: {a}\n\n" for q, a in zip(questions[:-1], answers, strict=False))
    return f"{doc['story']}\n\n{before}Q: {questions[-1]}\n\nA:"


def doc_to_target(doc: Mapping[str, Any]) -> list[str]:
    """Return the answer, and those of other annotators where the set has them."""
    last = len(doc["questions"]["input_text"]) - 1
    others = [one["input_text"][last] for one in (doc.get("additional_answers") or {}).values()]
    return list(dict.fromkeys([doc["answers"]["input_text"][last], *others]))


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, float]:
    """Score one completion: the best over the answers, each annotator left out in turn (Reddy et al. 2019)."""
    right = doc_to_target(doc)
    groups = [right[:i] + right[i + 1 :] for i in range(len(right))] if len(right) > 1 else [right]
    said = _words(results[0])
    return {
        name: sum(max(score(_words(answer), said) for answer in group) for group in groups) / len(groups)
        for name, score in (("em", _same), ("f1", _overlap))
    }


def _words(text: str) -> list[str]:
    plain = "".join(c for c in text.lower() if c not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", plain).split()


def _same(right: list[str], said: list[str]) -> float:
    return float(right == said)


def _overlap(right: list[str], said: list[str]) -> float:
    if not right or not said:
        return float(right == said)
    both = sum((Counter(right) & Counter(said)).values())
    return 2 * both / (len(right) + len(said))
