"""Mathematics: word problems, competition problems, arithmetic."""

import json
import re

from xferbench_domains.record import HubDomain, Row, turn
from xferbench_rewards import Exact, Letter, Maths, Number

BOXED = "\nPut the final answer in \\boxed{}."


def gsm8k(row: Row) -> tuple[str, str]:
    """The calculator marks <<48/2=24>> are taken out, as a model need not learn them."""
    return f"Question: {row['question']}\nAnswer:", " " + re.sub(r"<<[^>]*>>", "", row["answer"])


def competition(row: Row) -> tuple[str, str]:
    return f"Problem: {row['problem']}\nAnswer:", f" {row['solution']}"


def aqua(row: Row) -> tuple[str, str]:
    options = "\n".join(row["options"])
    return f"Question: {row['question']}\n{options}\nAnswer:", f" {row['rationale']}\nThe answer is {row['correct']}"


def openmath(row: Row) -> tuple[str, str]:
    return turn(row["messages"], ("user",)), turn(row["messages"], ("assistant",))


def metamath(row: Row) -> tuple[str, str]:
    return f"Question: {row['query']}\nAnswer:", f" {row['response']}"


def goat(row: Row) -> tuple[str, str]:
    return f"{row['instruction']}\nAnswer:", f" {row['output']}"


def truths(row: Row) -> list[str]:
    """Read Skywork's ground truth, a JSON list in a text."""
    return [str(one) for one in json.loads(row["reward_model"]["ground_truth"])]


def skywork(row: Row) -> tuple[str, str]:
    return turn(row["prompt"], ("user",)) + BOXED, f" \\boxed{{{truths(row)[0]}}}"


def solved_sometimes(row: Row) -> bool:
    """Keep what DeepSeek-R1-Distill-Qwen-7B failed on in 1 to 15 of 16 tries, as arXiv 2602.01365 does."""
    return 1 <= row["extra_info"]["model_difficulty"]["DeepSeek-R1-Distill-Qwen-7B"] <= 15


SUBJECTS = ("algebra", "counting_and_probability", "geometry", "intermediate_algebra", "number_theory", "prealgebra",
            "precalculus")  # fmt: skip
RECORDS = (
    HubDomain(
        "gsm8k", "grade-school math word problems with worked solutions", "openai/gsm8k", ("question", "answer"),
        gsm8k, Number("####"), "MIT", ("main",), n=7473,
    ),
    HubDomain(
        "math", "competition mathematics (MATH) with worked solutions", "EleutherAI/hendrycks_math",
        ("problem", "solution"), competition, Maths("boxed"), "MIT", SUBJECTS, n=7500,
    ),
    HubDomain(
        "aqua", "algebra word problems with five options and a rationale", "deepmind/aqua_rat",
        ("question", "options", "rationale", "correct"), aqua, Letter("whole", "ABCDE"), "Apache-2.0", ("raw",),
        n=97467,
    ),
    HubDomain(
        "openmath-2-math", "solutions to problems made from MATH's training set (OpenMathInstruct-2)",
        "ai2-adapt-dev/openmath-2-math", ("messages",), openmath, Maths("boxed"), None, n=11402286, large=True,
        note="its page states no licence; its parent nvidia/OpenMathInstruct-2 is CC-BY-4.0",
    ),
    HubDomain(
        "metamath", "GSM8K and MATH training questions, rewritten", "meta-math/MetaMathQA", ("query", "response"),
        metamath, Maths("The answer is:"), "MIT", n=395000, many=True,
        note="made from the training questions of GSM8K and MATH",
    ),
    HubDomain(
        "goat", "arithmetic on large numbers", "tiedong/goat", ("instruction", "output"), goat, Exact("=", fold=True),
        "Apache-2.0", n=1750000, held_out=True, large=True,
    ),
    HubDomain(
        "skywork-math", "mathematics with a checked answer (Skywork-OR1), of middling difficulty",
        "Skywork/Skywork-OR1-RL-Data", ("prompt", "reward_model", "extra_info"), skywork, Maths("boxed"), None,
        split="math", keep=solved_sometimes, note="answers only, no solutions: for learning from rewards",
    ),
)  # fmt: skip
