"""The model folder: written with its card and checksums; the harness holds the files to them before it loads any."""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

SUMS = "SHA256SUMS.json"


def finish(model: Any, tokenizer: Any, out: Path, facts: dict[str, Any], start: Path | None = None) -> None:
    """Write out/model: weights, tokenizer, card and checksums; the card of the model it began with stands below."""
    from transformers import GenerationConfig

    from . import tokenizer as tokens
    from .worlds import VERSION

    folder = out / "model"
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id
    )
    model.save_pretrained(folder)
    tokens.save(tokenizer, folder)
    size = sum(p.numel() for p in model.parameters())
    origin, begun = "nothing", "--out FOLDER"
    if start:
        origin, begun = f"the weights of {start.name} (below)", f"--start {start.name} {begun}"
    told = {"origin": origin, "begun": begun, "trained": TRAINED, "world": VERSION, "torch": version("torch")}
    card = CARD.format(millions=size / 1e6, **told, **facts)
    if start:
        before = (start / "README.md").read_text(encoding="utf-8")
        card += f"\n## {start.name}\n\n{before[before.index(TRAINED) :]}"
    (folder / "README.md").write_text(card, encoding="utf-8")
    seal(folder)


def seal(folder: Path) -> None:
    """Write the checksum of every file of a model folder."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / SUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")


TRAINED = "It was trained from"
CARD = """---
license: apache-2.0
library_name: transformers
---
# The base model of the mini world ({size})

A Llama of {millions:.2f} million parameters, for measuring transfer in a world whose truth is known. It is no model of
anything else, and a number measured on it says nothing about a real model.

{trained} {origin} by one run of

    python -m xferbench_mini.pretrain --size {size} --steps {step} --seed {seed} --threads {threads} {begun}

{tokens:,} tokens in {seconds:.0f} seconds, {threads} thread(s), seed {seed}, torch {torch}. It saw nothing but text
made by version {world} of this world: drills of single steps, and questions of every domain and of gpqa, from the
training side of the split only. Questions of one step are always worked, longer ones in as many cases as their family
says (`worked`: three of ten; one of twenty in rewrite and alchemy) and else answered at once. Some families came
rarely: see `seen`.
"""
