"""What the harness costs: the same trainings and evaluations through `xferbench run` and by hand, in one go each.

    python benchmarks/overhead.py [--seeds 2] [--train-limit 256] [--eval-limit 64]

By hand is one script that imports bare trl, peft and lm-eval once, trains each adapter and measures each checkpoint on
all targets in one call of lm-eval; and, as `a script each`, the same with a fresh process for every training and for
every checkpoint that is measured, as scripts are usually written. Then three more targets are measured on the very
checkpoints that are there: by one script, by a script a checkpoint (one call of lm-eval for its targets), by a script a
target, and by the same `run` with more targets. All ways run one after another, one job at a time on one thread;
seconds by the clock and of the processor. Exit 1: `run` takes more than 1.05 times the one script, or, for more
targets, not less than a script a checkpoint.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TARGETS = ("gpqa", "science", "logic")
MORE = ("code", "puzzle", "math")
SETTINGS = "sft:learning_rate=1e-3,epochs=1,batch_size=16,rank=8"


def by_hand(parts: list[dict[str, Any]]) -> None:
    """Train and measure with bare trl and lm-eval; the examples were written down before."""
    import torch
    from datasets import Dataset
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    manager = TaskManager(include_defaults=False)
    for part in parts:
        tokenizer = AutoTokenizer.from_pretrained(part["model"])
        network: Any = AutoModelForCausalLM.from_pretrained(part["model"], dtype=torch.float32)
        if "train" in part:
            if part.get("start"):
                network = PeftModel.from_pretrained(network, part["start"], is_trainable=True)
            config = SFTConfig(
                output_dir=part["adapter"], per_device_train_batch_size=16, num_train_epochs=1, learning_rate=1e-3,
                seed=part["seed"], report_to="none", save_strategy="no", disable_tqdm=True, bf16=False, use_cpu=True,
                gradient_checkpointing=False, logging_steps=10, max_length=None, lr_scheduler_type="cosine",
            )  # fmt: skip
            lora = LoraConfig(r=8, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
            rows = Dataset.from_list(json.loads(Path(part["train"]).read_text()))
            fresh = None if part.get("start") else lora
            trainer = SFTTrainer(
                model=network, args=config, train_dataset=rows, processing_class=tokenizer, peft_config=fresh
            )
            trainer.train()
            trainer.model.save_pretrained(part["adapter"])
            continue
        if part["adapter"]:
            network = PeftModel.from_pretrained(network, part["adapter"])
        lm = HFLM(pretrained=network, tokenizer=tokenizer, batch_size=32)
        tasks = [task for path in part["tasks"] for task in manager.load([path])["tasks"].values()]
        simple_evaluate(model=lm, tasks=tasks, task_manager=manager, limit=part["limit"], bootstrap_iters=0)


def script(folder: Path, parts: list[dict[str, Any]]) -> list[str]:
    """Return the command of a process that does these parts by hand."""
    path = folder / f"parts-{len(list(folder.glob('parts-*')))}.json"
    path.write_text(json.dumps(parts))
    return [sys.executable, os.path.abspath(__file__), "--parts", str(path)]


def timed(lines: list[list[str]], folder: Path) -> tuple[float, float]:
    """Run the processes one after another, on one thread; return the seconds by the clock and of the processor."""
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    before, began = os.times(), time.perf_counter()
    for line in lines:
        subprocess.run(line, check=True, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = os.times()
    spent = after.children_user + after.children_system - before.children_user - before.children_system
    return time.perf_counter() - began, spent


def parts_of(
    folder: Path, seeds: int, train_limit: int, eval_limit: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Write down what `run` will do: transfer and the baseline; then more targets for the same checkpoints."""
    from xferbench.catalog import load
    from xferbench.draw import draw

    catalog = load()
    suite = catalog.entry("suite", "mini").value
    domain = catalog.entry("domain", suite.domains["math"]).value
    rows = [{"prompt": one.prompt, "completion": one.answer} for one in draw(domain, train_limit)]
    (folder / "train.json").write_text(json.dumps(rows))
    tasks, more = (
        [catalog.entry("target", suite.targets[name]).value.task for name in names] for names in (TARGETS, MORE)
    )
    shared = {"model": str(suite.model), "tasks": tasks, "limit": eval_limit}
    found: list[dict[str, Any]] = [{**shared, "adapter": ""}]
    for seed in range(seeds):
        adapter = str(folder / f"adapter-{seed}")
        found.append({**shared, "train": str(folder / "train.json"), "adapter": adapter, "seed": seed})
        found.append({**shared, "adapter": adapter})
    return found, [{**part, "tasks": more} for part in found if "train" not in part]


def main() -> int:
    """Run each way once, print two tables, and return 1 if the harness costs too much."""
    if len(sys.argv) == 3 and sys.argv[1] == "--parts":
        by_hand(json.loads(Path(sys.argv[2]).read_text()))
        return 0
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--train-limit", type=int, default=256)
    parser.add_argument("--eval-limit", type=int, default=64)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts, more = parts_of(folder, asked.seeds, asked.train_limit, asked.eval_limit)
        run = [sys.executable, "-m", "xferbench.cli", "run", "--source", "math", "--out", "runs", "--json"]
        run += ["--conditions", "transfer", "--scorer", "", "--trainer", SETTINGS, "--jobs", "1"]
        run += ["--seeds", ",".join(map(str, range(asked.seeds)))]
        run += ["--train-limit", str(asked.train_limit), "--eval-limit", str(asked.eval_limit)]
        whole = {
            "by hand, one script": [script(folder, parts)],
            "by hand, a script each": [script(folder, [part]) for part in parts],
            "xferbench run": [[*run, "--target", ",".join(TARGETS)]],
        }
        found = table(f"{asked.seeds} trainings, {len(more) * len(TARGETS)} evaluations", whole, folder)
        single = [{**part, "tasks": [task]} for part in more for task in part["tasks"]]
        added = {
            "by hand, one script": [script(folder, more)],
            "by hand, one a checkpoint": [script(folder, [part]) for part in more],
            "by hand, one a target": [script(folder, [part]) for part in single],
            "xferbench run": [[*run, "--target", ",".join(TARGETS + MORE)]],
        }
        again = table(f"{len(single)} evaluations more, of {len(more)} checkpoints", added, folder)
    mine = found["xferbench run"] / found["by hand, one script"]
    several = again["xferbench run"] / again["by hand, one a checkpoint"]
    print(f"run / one script {mine:.3f} (at most 1.05)")
    print(f"several targets of one checkpoint: run / a script a checkpoint {several:.3f} (below 1)")
    return int(mine > 1.05 or several >= 1)


def table(title: str, ways: dict[str, list[list[str]]], folder: Path) -> dict[str, float]:
    """Run each way once, print a row for each, and return the seconds by the clock."""
    found = {way: timed(lines, folder) for way, lines in ways.items()}
    base = next(iter(found.values()))
    print(f"{title:40} {'seconds':>8} {'ratio':>6} {'cpu':>8} {'ratio':>6}")
    for way, (clock, cpu) in found.items():
        print(f"  {way:38} {clock:8.1f} {clock / base[0]:6.2f} {cpu:8.1f} {cpu / base[1]:6.2f}", flush=True)
    return {way: clock for way, (clock, _) in found.items()}


if __name__ == "__main__":
    sys.exit(main())
