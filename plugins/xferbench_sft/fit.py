"""The training itself: our tokens into trl's SFTTrainer, its log and its adapter out.

The data set is tokenised here, by the same function as scorers and never by trl, so that what is scored for its
influence is exactly what was learnt.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import TrainerCallback, set_seed
from trl import SFTConfig, SFTTrainer

from xferbench import Checkpoint, DataError, Encoded, Example, encode, load, report_progress

if TYPE_CHECKING:
    from xferbench_sft import SFT


def fit(settings: "SFT", start: Checkpoint, examples: Sequence[Example], out: Path, seed: int) -> Checkpoint:
    """Train and save; return the new checkpoint (an adapter folder, or a folder with the whole model)."""
    os.environ.setdefault("WANDB_DISABLED", "true")
    set_seed(seed)  # before the adapter is made: its first weights are drawn here
    model = load(start, trainable=settings.lora and start.adapter is not None)
    network: Any = model.network
    if settings.lora and start.adapter is None:
        network = get_peft_model(network, _lora(settings))
    elif not settings.lora:
        network = network.merge_and_unload() if start.adapter is not None else network
        network.requires_grad_(True)
    network.train()
    encoded, fate = _encoded(model.tokenizer, examples, min(settings.max_length, model.context))
    data = Dataset.from_dict(
        {
            "input_ids": [list(one.ids) for one in encoded],
            "completion_mask": [[0] * one.prompt + [1] * (len(one.ids) - one.prompt) for one in encoded],
        }
    )
    trainer = SFTTrainer(
        model=network,
        args=_config(settings, out, seed),
        train_dataset=data,
        processing_class=model.tokenizer,
        callbacks=[_Report()],
    )
    trainer.train()
    folder = out / ("adapter" if settings.lora else "model")
    tuned: Any = trainer.model
    tuned.save_pretrained(folder)
    if not settings.lora:
        model.tokenizer.save_pretrained(folder)
    spent = {
        "steps": trainer.state.global_step,
        "tokens": (tokens := round(sum(map(len, data["input_ids"])) * (trainer.state.epoch or 0))),
        "flops": (4 if settings.lora else 6) * tuned.num_parameters() * tokens,  # LoRA: no gradients of weights
    }
    _log(trainer.state.log_history, spent | fate, out)
    return Checkpoint(start.base, str(folder)) if settings.lora else Checkpoint(str(folder))


def _lora(settings: "SFT") -> LoraConfig:
    chosen: str | list[str] = settings.target_modules
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=chosen if chosen == "all-linear" else settings.target_modules.split("|"),
        use_rslora=settings.rslora,
        task_type="CAUSAL_LM",
    )


def _encoded(tokenizer: Any, examples: Sequence[Example], longest: int) -> tuple[list[Encoded], dict[str, int]]:
    """Encode what fits: an example whose prompt fills all the room is left out, a long answer cut; both counted."""
    found, dropped = [], 0
    for example in examples:
        try:
            found.append(encode(tokenizer, example, longest))
        except DataError:
            dropped += 1
    if not found:
        raise DataError(f"none of {dropped} examples leaves room for an answer in {longest} tokens")
    return found, {"dropped": dropped, "cut": sum(len(one.ids) == longest for one in found)}


def _config(settings: "SFT", out: Path, seed: int) -> SFTConfig:
    cuda = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(out / "trainer"),
        learning_rate=settings.learning_rate,
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        gradient_checkpointing=settings.gradient_checkpointing,
        lr_scheduler_type=settings.schedule,
        warmup_steps=settings.warmup,
        weight_decay=settings.weight_decay,
        max_length=None,  # cut already
        completion_only_loss=True,
        train_sampling_strategy="group_by_length",
        bf16=cuda and torch.cuda.is_bf16_supported(),
        use_cpu=not cuda,
        seed=seed,
        data_seed=seed,
        save_strategy="no",
        logging_steps=10,
        report_to="none",
        disable_tqdm=True,
    )


class _Report(TrainerCallback):
    """Tells the step's progress."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        report_progress(state.global_step, state.max_steps)


def _log(history: list[dict[str, float]], last: dict[str, int], out: Path) -> None:
    """Write the loss curve, and last what was spent and what did not fit."""
    rows: list[dict[str, float]] = [{"step": row["step"], "loss": row["loss"]} for row in history if "loss" in row]
    (out / "training.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, last]), encoding="utf-8")
