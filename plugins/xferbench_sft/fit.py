"""The training itself: our tokens into trl's SFTTrainer, its log and its adapter out.

The data set is tokenised here, by the same function as scorers and never by trl, so that what is scored for its
influence is exactly what was learnt.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from trl import SFTConfig, SFTTrainer

from xferbench import Checkpoint, DataError, Encoded, Example, encode
from xferbench_sft.keep import keepers, named_state
from xferbench_sft.network import Report, begin, common, log, save, spent

if TYPE_CHECKING:
    from xferbench_sft import SFT


def fit(settings: "SFT", start: Checkpoint, examples: Sequence[Example], out: Path, seed: int) -> Checkpoint:
    """Train and save; return the new checkpoint (an adapter folder, or a folder with the whole model)."""
    model = begin(settings, start, seed)
    learnt, fate = _encoded(model.tokenizer, examples, min(settings.max_length, model.context))
    encoded = list(learnt.values())
    trainer = SFTTrainer(
        model=model.network,
        args=_config(settings, out, seed),
        train_dataset=_data(encoded),
        processing_class=model.tokenizer,
        callbacks=[Report(), *keepers(settings, model.network, learnt, out / "adapter")],
    )
    trainer.train()
    made = save(settings, model, out)
    if settings.save_optimizer:
        torch.save(named_state(trainer.optimizer, trainer.model), Path(made.adapter or made.base) / "optimizer.pt")
    state = trainer.state
    tokens = round(sum(len(one.ids) for one in encoded) * (state.epoch or 0))
    curve = [{"step": row["step"], "loss": row["loss"]} for row in state.log_history if "loss" in row]
    log(curve, spent(settings, model, state.global_step, tokens) | fate, out)
    return made


def _encoded(tokenizer: Any, examples: Sequence[Example], longest: int) -> tuple[dict[str, Encoded], dict[str, int]]:
    """Encode what fits, by id: an example whose prompt fills all the room is left out, a long answer cut."""
    found, dropped = {}, 0
    for example in examples:
        try:
            found[example.id] = encode(tokenizer, example, longest)
        except DataError:
            dropped += 1
    if not found:
        raise DataError(f"none of {dropped} examples leaves room for an answer in {longest} tokens")
    return found, {"dropped": dropped, "cut": sum(len(one.ids) == longest for one in found.values())}


def _data(encoded: Sequence[Encoded]) -> Dataset:
    return Dataset.from_dict(
        {
            "input_ids": [list(one.ids) for one in encoded],
            "completion_mask": [[0] * one.prompt + [1] * (len(one.ids) - one.prompt) for one in encoded],
        }
    )


def _config(settings: "SFT", out: Path, seed: int) -> SFTConfig:
    return SFTConfig(
        **common(settings, out, seed),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulate,
        gradient_checkpointing=settings.gradient_checkpointing,
        max_length=None,  # cut already
        completion_only_loss=True,
        train_sampling_strategy="group_by_length",
        logging_steps=10,
    )
