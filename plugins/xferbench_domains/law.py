"""Law: the holding of a case, and tasks of LegalBench."""

from collections.abc import Callable

from xferbench_domains.record import HubDomain, Row, lettered
from xferbench_rewards import Exact, Letter

PAGE = "its files are a loading script, which `datasets` refuses since version 4: put parquet copies under --hub DIR"
LEGALBENCH = {
    "abercrombie": ("text", "Description: {text}\nType:"),
    "corporate_lobbying": (
        "bill_title bill_summary company_name company_description",
        "Official title of bill: {bill_title}\nOfficial summary of bill: {bill_summary}\n"
        "Company name: {company_name}\nCompany business description: {company_description}\nLabel:",
    ),
    "function_of_decision_section": ("Paragraph", "Text: {Paragraph}\nFunction:"),
    "international_citizenship_questions": ("question", "Question: {question}\nAnswer:"),
    "proa": ("text", "Statute: {text}\nAnswer:"),
}
"""The five tasks that HELM measures: columns, and the question as lm-eval asks it."""


def casehold(row: Row) -> tuple[str, str]:
    question = f"{row['context']}\nWhich holding belongs in place of <HOLDING>?"
    return lettered(question, row["endings"], int(row["label"]))


def filled(form: str) -> Callable[[Row], tuple[str, str]]:
    def ask(row: Row) -> tuple[str, str]:
        return form.format(**row), f" {row['answer']}"

    return ask


RECORDS = (
    HubDomain(
        "casehold", "which holding does a citing decision quote? five options", "coastalcph/lex_glue",
        ("context", "endings", "label"), casehold, Letter("whole", "ABCDE"), "CC-BY-4.0", ("case_hold",), n=45000,
    ),
    *(
        HubDomain(
            f"legalbench/{task}", f"LegalBench {task}: the few training rows", "nguha/legalbench",
            (*columns.split(), "answer"), filled(form), Exact("whole", fold=True), None, (task,),
            note=f"4 to 10 rows, too few to train on alone; each task has its own licence; {PAGE}",
        )
        for task, (columns, form) in LEGALBENCH.items()
    ),
)  # fmt: skip
