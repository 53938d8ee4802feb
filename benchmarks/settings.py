"""Which settings a suite should train with: what each gains at home, and what it costs elsewhere.

    python benchmarks/settings.py --out runs/settings [--suite mini] [--trainer sft:learning_rate=1e-3 ...] [--seeds 0]

Trains on each domain of the suite with each setting and measures all domains' own targets. One line a setting: the mean
and the least gain on a domain's own target; the mean over the others, and the worst one; how many of the own gains are
10 points or more; and the seconds that a training took. What is stored in `--out` is not done again.
"""

import argparse
import json
from pathlib import Path
from typing import Any

SETTINGS = (
    "sft:learning_rate=1e-3",
    "sft:learning_rate=2e-3",
    "sft:learning_rate=5e-3",
    "sft:learning_rate=1e-2",
    "sft:epochs=2,learning_rate=2e-3",
    "sft:learning_rate=5e-3,rank=4",
)
HEAD = "| setting | own: mean | least | of 10 or more | others: mean | worst | seconds |\n|---|--:|--:|--:|--:|--:|--:|"


def measured(suite: str, trainers: list[str], seeds: str, eval_limit: int | None, out: Path) -> list[dict[str, Any]]:
    """Run the matrix of each setting and return one row for each."""
    import xferbench
    from xferbench.catalog import load

    names = list(load().entry("suite", suite).value.domains)
    targets = [name for name in names if name in load().entry("suite", suite).value.targets]
    asked: dict[str, Any] = {"suite": suite, "source": names, "target": targets, "seeds": seeds, "scorer": []}
    if eval_limit is not None:
        asked["eval_limit"] = eval_limit
    outcome = xferbench.run(out=out, trainer=trainers, conditions="baseline,transfer", **asked)
    return [row(recipe, outcome) for recipe in dict.fromkeys(found["recipe"] for found in outcome.findings)]


def row(recipe: str, outcome: Any) -> dict[str, Any]:
    """Return one setting's gains in points, and its seconds a training."""
    found = [one for one in outcome.findings if one["recipe"] == recipe]
    own = [100 * one["gain"]["value"] for one in found if one["source"] == one["target"]]
    away = {f"{o['source']} > {o['target']}": 100 * o["gain"]["value"] for o in found if o["source"] != o["target"]}
    worst = min(away, key=away.__getitem__)
    return {
        "recipe": recipe, "own": sum(own) / len(own), "least": min(own), "learnt": sum(gain >= 10 for gain in own),
        "others": sum(away.values()) / len(away), "worst": away[worst], "worst_pair": worst,
        "seconds": seconds(outcome, recipe),
    }  # fmt: skip


def seconds(outcome: Any, recipe: str) -> float:
    """Return the mean seconds of the trainings behind a recipe's cells."""
    steps = outcome.path / "steps"
    measured = {cell["step"] for cell in outcome.table("cells") if cell["recipe"] == recipe}
    trained = {json.loads((steps / step / "step.json").read_text(encoding="utf-8"))["train"]["id"] for step in measured}
    spent = [json.loads((steps / name / "result.json").read_text(encoding="utf-8"))["cost"] for name in trained]
    return float(sum(cost["seconds"] for cost in spent) / len(spent))


def main() -> None:
    """Read the command line, run, print the table and the same as JSON lines beside the run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--suite", default="mini")
    parser.add_argument("--trainer", nargs="*", default=list(SETTINGS))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--eval-limit", type=int, default=None, help="items a target; all unless told")
    asked = parser.parse_args()
    rows = measured(asked.suite, asked.trainer, asked.seeds, asked.eval_limit, asked.out)
    (asked.out / "settings.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    print(HEAD)
    for one in rows:
        print(
            f"| {one['recipe']} | {one['own']:+.1f} | {one['least']:+.1f} | {one['learnt']} | {one['others']:+.1f} "
            f"| {one['worst']:+.1f} ({one['worst_pair']}) | {one['seconds']:.1f} |"
        )


if __name__ == "__main__":
    main()
