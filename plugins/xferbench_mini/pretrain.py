"""Pre-train the base model: `python -m xferbench_mini.pretrain --out FOLDER`.

Muon on the matrices, AdamW on the rest, batches of documents of like length. The corpus is drawn from the seed, a
chunk at a time, so the same seed reads the same text; a run that was stopped goes on from its last checkpoint.
"""

import argparse
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn

from . import tokenizer as tokens
from .card import finish
from .drills import document, text_of

SIZES: dict[str, dict[str, Any]] = {
    "small": {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 384},
    "large": {"hidden_size": 256, "num_hidden_layers": 5, "num_attention_heads": 8, "intermediate_size": 768},
}
"""About 1 and 4 million parameters."""
CHUNK = 4000
"""Documents drawn, sorted and batched together."""
BATCH_TOKENS = 4096
SAVED = 500
"""Steps between checkpoints."""
PROMPT_WEIGHT = 0.05
"""The weight of what is given in the loss; what is to be said weighs 1."""


def build(size: str, tokenizer: Any) -> Any:
    """Return a fresh model of a size; the weights follow torch's seed."""
    from transformers import AttentionInterface, LlamaConfig, LlamaForCausalLM

    AttentionInterface.register("float32", attend)
    config = LlamaConfig(
        **SIZES[size],
        vocab_size=tokens.VOCABULARY,  # room to spare: the words of this world make fewer tokens
        num_key_value_heads=SIZES[size]["num_attention_heads"],
        max_position_embeddings=tokens.POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.token_to_id(tokens.EOS),
        pad_token_id=tokenizer.token_to_id(tokens.PAD),
        initializer_range=0.05,
        dtype="float32",
        attn_implementation="float32",  # type: ignore[call-arg]
    )
    return LlamaForCausalLM(config)


def batches(tokenizer: Any, seed: int, chunk: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield (ids, loss weights), both (documents, length), of one chunk of the corpus."""
    rng = Random(f"{seed}/{chunk}")
    texts = [document(rng) for _ in range(CHUNK)]
    encoded = iter(tokenizer.encode_batch_fast([piece for text in texts for piece, _ in text]))
    eos = tokenizer.token_to_id(tokens.EOS)
    rows = []
    for text in texts:
        ids: list[int] = []
        weights: list[float] = []
        for _, said in text:
            piece = next(encoded).ids
            ids += piece
            weights += [1.0 if said else PROMPT_WEIGHT] * len(piece)
        rows.append(([*ids, eos], [*weights, 1.0]))
    rows.sort(key=lambda row: len(row[0]))
    groups: list[list[tuple[list[int], list[float]]]] = [[]]
    for row in rows:
        if len(row[0]) * (len(groups[-1]) + 1) > BATCH_TOKENS:
            groups.append([])
        groups[-1].append(row)
    rng.shuffle(groups)
    for group in groups:
        length = max(len(ids) for ids, _ in group)
        yield (
            torch.tensor([ids + [0] * (length - len(ids)) for ids, _ in group]),
            torch.tensor([weights + [0.0] * (length - len(weights)) for _, weights in group]),
        )


def optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices of the layers and AdamW for embeddings and norms."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=4e-3, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(step: int, steps: int) -> float:
    """The factor on the learning rates: a short rise, a plateau, a long fall to zero."""
    return min(1.0, (step + 1) / 200, 2.0 * (steps - step) / steps)


def attend(_: Any, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *__: Any, **given: Any) -> tuple[Any, None]:
    """Causal attention in float32: bfloat16's backward is over ten times slower than float32's on a CPU."""
    with torch.autocast("cpu", enabled=False):
        scale = given["scaling"]
        mixed = nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float(), is_causal=True, scale=scale)
    return mixed.transpose(1, 2).contiguous(), None


def loss_of(model: Any, ids: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The weighted mean cross-entropy of a batch; the matrix products in bfloat16."""
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(input_ids=ids).logits[:, :-1].float()
    losses = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    weights = weights[:, 1:].flatten()
    return (losses * weights).sum() / weights.sum()


def compiled(model: Any) -> Any:
    """Return the model compiled, if a compiler is there; from one shape always, so a resumed run is the same."""
    if not shutil.which("g++"):
        return model
    fast = torch.compile(model, dynamic=True)
    loss_of(fast, torch.zeros(32, 64, dtype=torch.long), torch.ones(32, 64)).backward()
    model.zero_grad()
    return fast


def train(out: Path, size: str, steps: int, seed: int, threads: int, start: Path | None) -> None:
    """Train to `steps`, from the model in `start` (None: from nothing) or the last checkpoint, and write out/model."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    rng = Random(f"{seed}/tokenizer")
    if start:
        tokenizer = Tokenizer.from_file(str(start / "tokenizer.json"))
    else:
        tokenizer = tokens.learn(text_of(document(rng)) for _ in range(20000))
    model = build(size, tokenizer)
    chosen = optimizers(model)
    base_rates = [o.param_groups[0]["lr"] for o in chosen]
    state: dict[str, Any] = {"step": 0, "chunk": 0, "batch": 0, "tokens": 0, "seconds": 0.0}
    saved = out / "checkpoint.pt"
    if saved.exists():
        kept = torch.load(saved, weights_only=True)
        model.load_state_dict(kept["model"])
        for optimizer, value in zip(chosen, kept["optimizers"], strict=True):
            optimizer.load_state_dict(value)
        state = kept["state"]
    elif start:
        model.load_state_dict(type(model).from_pretrained(start).state_dict())
    model.train()
    fast = compiled(model)
    begun = time.monotonic() - state["seconds"]
    while state["step"] < steps:
        for number, (ids, weights) in enumerate(batches(tokenizer, seed, state["chunk"])):
            if number < state["batch"]:
                continue
            for optimizer, base in zip(chosen, base_rates, strict=True):
                optimizer.param_groups[0]["lr"] = base * rate(state["step"], steps)
                optimizer.zero_grad()
            loss = loss_of(fast, ids, weights)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in chosen:
                optimizer.step()
            learnt = state["tokens"] + int((weights > 0).sum())
            state |= {"step": state["step"] + 1, "batch": number + 1, "tokens": learnt}
            state["seconds"] = time.monotonic() - begun
            if state["step"] % 50 == 0:
                speed = state["tokens"] / state["seconds"]
                print(f"step {state['step']}/{steps} loss {loss.item():.3f} {speed:.0f} tokens/s", flush=True)
            if state["step"] % SAVED == 0 or state["step"] == steps:
                part = saved.with_suffix(".part")
                kept = {"model": model.state_dict(), "optimizers": [o.state_dict() for o in chosen], "state": state}
                torch.save(kept, part)
                part.replace(saved)
            if state["step"] >= steps:
                break
        else:
            state["chunk"], state["batch"] = state["chunk"] + 1, 0
    finish(model, tokenizer, out, {"size": size, "seed": seed, "threads": threads, **state}, start)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint and the finished model")
    parser.add_argument("--size", choices=SIZES, default="small")
    parser.add_argument("--steps", type=int, default=7200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="the sums, and so the weights, depend on it")
    parser.add_argument("--start", type=Path, default=None, help="a model folder whose weights to begin with")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
