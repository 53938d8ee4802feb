"""The model folder: written with its card and checksums, and verified before anyone loads it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from xferbench import ModelError

SUMS = "SHA256SUMS.json"
FOLDERS = {"small": "model", "large": "model_large"}


def finish(model: Any, tokenizer: Any, out: Path, facts: dict[str, Any]) -> None:
    """Write out/model: weights, tokenizer, card and checksums."""
    from transformers import GenerationConfig

    from . import tokenizer as tokens

    folder = out / "model"
    model.generation_config = GenerationConfig(
        do_sample=False, eos_token_id=model.config.eos_token_id, pad_token_id=model.config.pad_token_id
    )
    model.save_pretrained(folder)
    tokens.save(tokenizer, folder)
    size = sum(p.numel() for p in model.parameters())
    card = CARD.format(millions=size / 1e6, mtokens=facts["tokens"] / 1e6, minutes=facts["seconds"] / 60, **facts)
    (folder / "README.md").write_text(card, encoding="utf-8")
    seal(folder)


def seal(folder: Path) -> None:
    """Write the checksum of every file of a model folder."""
    names = sorted(path.name for path in folder.iterdir() if path.name != SUMS)
    sums = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / SUMS).write_text(json.dumps(sums, indent=1) + "\n", encoding="utf-8")


def verify(folder: Path) -> Path:
    """Return the folder; ModelError names the first file that is missing or damaged."""
    listed = folder / SUMS
    if not listed.is_file():
        raise ModelError(f"{folder}: {SUMS} is missing; install xferbench again")
    for name, wanted in json.loads(listed.read_text(encoding="utf-8")).items():
        path = folder / name
        if not path.is_file():
            raise ModelError(f"{path} is missing; install xferbench again")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != wanted:
            raise ModelError(f"{path} is damaged: its sha256 is {found[:16]}..., not {wanted[:16]}...")
    return folder


def model_dir(size: str = "small") -> Path:
    """Return the folder of the shipped base model, verified; ModelError when a file is missing or damaged."""
    return verify(Path(__file__).parent / FOLDERS[size])


CARD = """---
license: apache-2.0
library_name: transformers
---
# The base model of the mini world ({size})

A Llama of {millions:.2f} million parameters, for measuring transfer in a world whose truth is known. It is no model of
anything else, and a number measured on it says nothing about a real model.

It was trained from {origin} by one run of
`python -m xferbench_mini.pretrain --size {size} --steps {step} --seed {seed}`:
{mtokens:.1f} million tokens in {minutes:.0f} minutes on {threads} thread(s). It saw nothing but text made by
xferbench_mini: drills of single steps, and questions of all six domains and of gpqa, from the training side of the
split only: those of one step always worked, the others worked in three of ten cases and else answered at once. Some
families came rarely: see `seen` in the generators.
"""
