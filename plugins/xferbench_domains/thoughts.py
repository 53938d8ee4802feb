"""Long reasoning written by models: OpenThoughts, by source and by domain.

OpenThoughts3 has about 16 answers to each question and lies grouped by domain, so a fair sample is a shuffle, and what
is split or resampled is the question.
"""

from xferbench_domains.record import HubDomain, Row, turn
from xferbench_rewards import Maths

SOURCES = {
    "openmath-2-math": ("ai2-adapt-dev/openmath-2-math", 850000),
    "opencodereasoning": ("nvidia/OpenCodeReasoning", 125840),
    "stackexchange-codegolf": ("stackexchange_codegolf", 124160),
    "organic-chemistry": ("organic-chemistry-questions", 59904),
    "stackexchange-physics": ("stackexchange-physics", 40096),
}
DOMAINS = {"math": 850000, "code": 250000, "science": 100000}
FIRST = {"math": 89120, "code": 19904, "science": None, "puzzle": None}
OT3 = "open-thoughts/OpenThoughts3-1.2M"
SPOKEN = ("difficulty", "source", "domain", "conversations")
NOTE = "about 16 answers to each question; a limit takes a seeded sample"


def conversation(row: Row) -> tuple[str, str]:
    said = row["conversations"]
    return turn(said, ("human", "user"), "from", "value"), turn(said, ("gpt", "assistant"), "from", "value")


def reasoned(row: Row) -> tuple[str, str]:
    return row["problem"], f"<think>\n{row['deepseek_reasoning']}\n</think>\n\n{row['deepseek_solution']}"


RECORDS = (
    *(
        HubDomain(
            f"openthoughts3/{name}", f"OpenThoughts3, the source {value}", OT3, SPOKEN, conversation, None,
            "Apache-2.0", where=("source", value), n=n, large=True, many=True, note=NOTE,
        )
        for name, (value, n) in SOURCES.items()
    ),
    *(
        HubDomain(
            f"openthoughts3/{name}", f"OpenThoughts3, all of its domain {name}", OT3, SPOKEN, conversation, None,
            "Apache-2.0", where=("domain", name), n=n, large=True, many=True, note=NOTE,
        )
        for name, n in DOMAINS.items()
    ),
    *(
        HubDomain(
            f"openthoughts-114k/{name}", f"OpenThoughts-114k, all of its domain {name}",
            "open-thoughts/OpenThoughts-114k", ("problem", "deepseek_reasoning", "deepseek_solution", "domain"),
            reasoned, Maths("boxed") if name == "math" else None, "Apache-2.0", ("metadata",),
            where=("domain", name), n=n, large=True,
        )
        for name, n in FIRST.items()
    ),
)  # fmt: skip
