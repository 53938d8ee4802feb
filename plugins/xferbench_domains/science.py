"""Science: school and exam questions, chemistry, molecules."""

from xferbench_domains.record import HubDomain, Row, lettered, turned
from xferbench_rewards import Exact, Letter

YES = ("no", "yes")
WORD = Exact("first word", fold=True)


def sciq(row: Row) -> tuple[str, str]:
    wrong = [row[f"distractor{i}"] for i in (1, 2, 3)]
    prompt, answer = turned(row["question"], row["correct_answer"], wrong)
    return f"{row['support'].strip()}\n{prompt}".lstrip(), answer


def arc(row: Row) -> tuple[str, str]:
    labels = list(row["choices"]["label"])
    return lettered(f"Question: {row['question']}", row["choices"]["text"], labels.index(row["answerKey"]))


def chemqa(row: Row) -> tuple[str, str]:
    return lettered(f"Question: {row['question']}", row["choices"], int(row["label"]))


def words_alone(row: Row) -> bool:
    """Keep what is not asked of the picture."""
    return not any(word in row["question"].lower() for word in ("image", "picture", "figure"))


def bbbp(row: Row) -> tuple[str, str]:
    question = f"Does the molecule {row['SMILES']} (SMILES) pass the blood-brain barrier? Answer yes or no."
    return f"{question}\nAnswer:", f" {YES[int(row['label'])]}"


def openscience(row: Row) -> tuple[str, str]:
    return row["input"], row["output"]


def one_letter(row: Row) -> bool:
    """Keep questions whose expected answer is one letter, as arXiv 2602.01365 does."""
    answer = str(row["expected_answer"] or "").strip()
    return len(answer) == 1 and answer.isalpha()


RECORDS = (
    HubDomain(
        "sciq", "science exam questions with a supporting text", "allenai/sciq",
        ("question", "correct_answer", "distractor1", "distractor2", "distractor3", "support"), sciq,
        Letter("whole", "ABCD"), "CC-BY-NC-3.0", n=11679,
    ),
    HubDomain(
        "arc-challenge", "grade-school science questions that retrieval fails on", "allenai/ai2_arc",
        ("question", "choices", "answerKey"), arc, Letter("whole", "ABCDE"), "CC-BY-SA-4.0", ("ARC-Challenge",),
        n=1119,
    ),
    HubDomain(
        "chemqa", "chemistry questions, those that need no picture", "shangzhu/ChemQA",
        ("question", "choices", "label"), chemqa, Letter("whole", "ABCDEFGHIJ"), None, keep=words_alone,
        note="a multimodal set, of which only the words are read; its page states no licence",
    ),
    HubDomain(
        "moleculenet", "does a molecule pass the blood-brain barrier? (MoleculeNet BBBP)",
        "scikit-fingerprints/MoleculeNet_BBBP", ("SMILES", "label"), bbbp, WORD, None, n=2039, held_out=True,
        choices=YES, note="held out at random, not by scaffold; its page states the licence as unknown",
    ),
    HubDomain(
        "openscience", "science questions with reasoning (OpenScienceReasoning-2), one-letter answers",
        "nvidia/OpenScienceReasoning-2", ("input", "output", "expected_answer"), openscience,
        Letter("boxed", "ABCDEFGHIJ"), None, keep=one_letter, n=803000, large=True,
        note="the number of rows is another paper's count",
    ),
)  # fmt: skip
