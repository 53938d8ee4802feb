"""The default targets: lm-eval task YAMLs, those of the embedded suite `mini` and those that lm-eval lacks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from xferbench import Example, LmEvalTask, hookimpl
from xferbench_domains.pins import pinned
from xferbench_mini.worlds import VERSION
from xferbench_tasks.listed import listed

HERE = Path(__file__).parent
WORDINGS = {
    "options": "with the word Options before them",
    "problem": "asked as a Problem",
    "reversed": "with the options before the question",
}
"""Other ways to put every question of mini/gpqa: `analyse ablation` compares them item by item."""


def _ask(target: str) -> Callable[[int | None], Sequence[Example]]:
    def ask(limit: int | None) -> Sequence[Example]:
        from xferbench_mini import queries

        return queries(target, limit)

    return ask


def _choice(doc: Mapping[str, Any], completion: str) -> tuple[str | None, str]:
    from xferbench_mini.gpqa import classes

    return classes(doc, completion)


def _hub(id: str, config: str, licence: str, n: int) -> dict[str, Any]:
    return {"id": id, "config": config, "revision": pinned(id), "licence": licence, "n": n}


def _mini(name: str, domain: str, summary: str, items: str | None = None) -> LmEvalTask:
    return LmEvalTask(
        name=f"mini/{name}",
        task=str(HERE / "mini" / f"mini_{name}.yaml"),
        group="mini",
        version=VERSION,
        domain=f"mini/{domain}",
        summary=summary,
        data={"id": "made by xferbench_mini", "licence": "Apache-2.0", "n": 500},
        batch_size=128,
        ask=_ask(items or name),
        classes=_choice if name.startswith("gpqa") else None,
    )


@hookimpl
def provide_targets() -> Iterable[LmEvalTask]:
    """Provide the mini targets, and the benchmarks of the catalogue."""
    yield from listed()
    for name in ("math", "science", "code", "logic", "puzzle", "rewrite", "alchemy"):
        yield _mini(name, name, f"held-out problems of mini/{name}, exact match")
    yield _mini("gpqa", "science", "two-formula science, 4 options (made here: not the GPQA benchmark)")
    yield _mini("gpqa_robust", "science", "mini/gpqa asked in other words, three in turn", "gpqa")
    for name, how in WORDINGS.items():
        yield _mini(f"gpqa_{name}", "science", f"mini/gpqa {how}", "gpqa")
    yield LmEvalTask(
        name="pubmedqa",
        task=str(HERE / "pubmedqa.yaml"),
        group="other reasoning",
        domain="pubmedqa",
        summary="yes/no/maybe questions on medical abstracts, the official 500 test questions",
        data=_hub("qiaojin/PubMedQA", "pqa_labeled", "MIT", 500),
    )
    yield LmEvalTask(
        name="gsm8k",
        task=str(HERE / "gsm8k.yaml"),
        group="math",
        domain="gsm8k",
        summary="grade-school word problems, zero-shot, the number after ####",
        data=_hub("openai/gsm8k", "main", "MIT", 1319),
    )
    yield LmEvalTask(
        name="logiqa",
        task=str(HERE / "logiqa.yaml"),
        group="other reasoning",
        domain="logiqa",
        summary="logical reading comprehension, 4 options",
        data=_hub("EleutherAI/logiqa", "logiqa", "research only", 651),
    )
    yield LmEvalTask(
        name="humaneval",
        task=str(HERE / "humaneval.yaml"),
        group="other reasoning",
        domain="mbpp",
        summary="functions from their docstrings, pass@1 of one greedy answer, run in the sandbox",
        data=_hub("openai/openai_humaneval", "openai_humaneval", "MIT", 164),
        runs_code=True,
    )
