"""A quick look at a base model while it is made: fine-tune on each domain, test on all, without the harness.

`python -m xferbench_mini.sweep --model FOLDER learning_rate=3e-3 rank=8 ...` prints base scores, gains and seconds.
It is a small loop of its own, one thread a process, and not the harness: it finds settings, the harness measures.
"""

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import torch

from xferbench import Example

from . import SFT, TRAIN_LIMIT, gpqa
from .card import model_dir
from .family import reward
from .worlds import FAMILIES, TARGETS, stream, take


def load(folder: str) -> tuple[Any, Any]:
    """Return (model, tokenizer), on one thread."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def tune(model: Any, tokenizer: Any, examples: list[Example], seed: int, settings: dict[str, Any]) -> Any:
    """Return the model with a LoRA adapter trained on the answers of the examples."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    if settings.get("lora", True):
        config = LoraConfig(r=settings["rank"], lora_alpha=settings["alpha"], target_modules="all-linear")
        model = get_peft_model(model, config)
    rows = []
    for example in examples:
        prompt = tokenizer(example.prompt)["input_ids"]
        rows.append((prompt, tokenizer(example.answer)["input_ids"] + [tokenizer.eos_token_id]))
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings["learning_rate"], weight_decay=0.0)
    size, epochs, rng = settings["batch_size"], settings["epochs"], Random(seed)
    total = math.ceil(len(rows) / size) * epochs
    step = 0
    model.train()
    for _ in range(epochs):
        rng.shuffle(rows)
        for at in range(0, len(rows), size):
            batch = rows[at : at + size]
            length = max(len(a) + len(b) for a, b in batch)
            ids = torch.tensor([a + b + [0] * (length - len(a) - len(b)) for a, b in batch])
            labels = torch.tensor([[-100] * len(a) + b + [-100] * (length - len(a) - len(b)) for a, b in batch])
            optimizer.param_groups[0]["lr"] = settings["learning_rate"] * _rate(step, total, settings)
            optimizer.zero_grad()
            model(input_ids=ids, labels=labels).loss.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            step += 1
    return model.eval()


def _rate(step: int, total: int, settings: dict[str, Any]) -> float:
    warm = max(1, round(settings.get("warmup_ratio", 0.05) * total))
    return min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * step / total))


@torch.no_grad()
def score(model: Any, tokenizer: Any, target: str, n: int) -> list[float]:
    """Return the score of each of n test items, answered greedily."""
    options: list[tuple[str, ...]] = [()] * n
    if target == "gpqa":
        asked = [problem for problem, _ in zip(gpqa.items("test"), range(n), strict=False)]
        options = [problem.options for problem in asked]
        items = [gpqa.example(problem) for problem in asked]
    else:
        items = take(target, "test", n)
    told = [""] * n
    order = sorted(range(n), key=lambda i: len(items[i].answer))
    for at in range(0, n, 250):
        some = order[at : at + 250]
        batch = tokenizer(
            [items[i].prompt for i in some], return_tensors="pt", padding=True, return_token_type_ids=False
        )
        out = model.generate(**batch, max_new_tokens=64, do_sample=False, pad_token_id=tokenizer.pad_token_id)
        for i, text in zip(some, tokenizer.batch_decode(out[:, batch["input_ids"].shape[1] :], True), strict=True):
            told[i] = text
    if target == "gpqa":
        return [
            float(gpqa.right(text, item.answer.rpartition("#### ")[2], option))
            for text, item, option in zip(told, items, options, strict=True)
        ]
    return [reward(item, text) for item, text in zip(items, told, strict=True)]


def cell(job: tuple[str, str, int, int, dict[str, Any]]) -> dict[str, Any]:
    """Train on one domain ("" for none) with one seed and score every target."""
    folder, source, seed, n, settings = job
    model, tokenizer = load(folder)
    begun = time.monotonic()
    if source:
        pool = [example for example, _ in zip(stream(source)(), range(settings["examples"]), strict=False)]
        model = tune(model, tokenizer, pool, seed, settings)
    trained = time.monotonic()
    scores = {target: score(model, tokenizer, target, n) for target in TARGETS}
    spent = (time.monotonic() - trained) / len(TARGETS)
    return {"source": source, "seed": seed, "scores": scores, "train_s": trained - begun, "eval_s": spent}


def main() -> None:
    """Read the command line, run the matrix on two processes, print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", help="key=value, over the suite's defaults")
    parser.add_argument("--model", default=None)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--sources", default=",".join(FAMILIES))
    parser.add_argument("-n", type=int, default=500, help="test items a target")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=None, help="write the scores here, as JSON lines")
    asked = parser.parse_args()
    settings = {"examples": TRAIN_LIMIT, **SFT, **{k: json.loads(v) for k, v in (s.split("=") for s in asked.settings)}}
    folder = asked.model or str(model_dir())
    print(folder, settings, flush=True)
    jobs = [(folder, "", 0, asked.n, settings)]
    jobs += [
        (folder, source, seed, asked.n, settings)
        for seed in range(asked.seeds)
        for source in asked.sources.split(",")
        if source
    ]
    with ProcessPoolExecutor(asked.jobs, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(cell, jobs))
    if asked.out:
        asked.out.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    show(rows)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the base scores and the mean gains, in points, and the mean seconds."""
    base = {target: sum(s) / len(s) for target, s in rows[0]["scores"].items()}
    print(f"{'':10s}" + "".join(f"{target:>9s}" for target in base) + "  train_s  eval_s")
    print(f"{'base':10s}" + "".join(f"{100 * value:9.1f}" for value in base.values()) + f"{rows[0]['eval_s']:17.1f}")
    for source in dict.fromkeys(row["source"] for row in rows[1:]):
        mine = [row for row in rows[1:] if row["source"] == source]
        gains = {t: sum(sum(r["scores"][t]) / len(r["scores"][t]) for r in mine) / len(mine) - base[t] for t in base}
        seconds = [sum(row[key] for row in mine) / len(mine) for key in ("train_s", "eval_s")]
        print(
            f"{source:10s}"
            + "".join(f"{100 * g:+9.1f}" for g in gains.values())
            + f"{seconds[0]:9.1f}{seconds[1]:8.1f}"
        )


if __name__ == "__main__":
    main()
