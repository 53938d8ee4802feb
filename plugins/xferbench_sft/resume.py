"""Going on after an interruption: a killed training ends with the same bytes as one left in peace.

What the rest of a training depends on is kept in `unfinished/` of its folder: weights, optimiser, schedule and random
numbers by transformers, the trainer's own counts by us. The store removes the folder when the step is done.
"""

import json
import math
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import load_peft_weights, set_peft_model_state_dict
from torch.utils.data import Sampler
from transformers import TrainerCallback

from xferbench import report_progress
from xferbench_sft.team import agreed, first, together

FOLDER = "unfinished"
NOTE = "xferbench.json"
"""Written last into a checkpoint, and at once: one that lacks it is not whole."""


class Memory(Protocol):
    """What a trainer of ours has counted so far, to be kept with a checkpoint."""

    def state(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take the counts of an earlier try."""
        ...


class Epochs(Sampler[int]):
    """Another sampler's order of the examples, drawn in each epoch from the seed and the epoch alone.

    The samplers of transformers and trl go on drawing from one stream of random numbers, and a training that is taken
    up in a later epoch would stand at another place of it.
    """

    def __init__(self, inner: Any, seed: int) -> None:
        self.inner, self.seed, self.epoch = inner, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; called by accelerate."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.inner)

    def __iter__(self) -> Iterator[int]:
        number = 1_000_003 * self.seed + self.epoch
        own = getattr(self.inner, "generator", None)
        generator = torch.default_generator if own is None else own
        before = generator.get_state()
        generator.manual_seed(number)
        order = list(self.inner)
        generator.set_state(before)
        return iter(order)


class Keeper(TrainerCallback):
    """Reports progress, notes the time of each step, and saves a checkpoint every so many seconds."""

    def __init__(self, out: Path, every: float, stride: int, memory: Memory | None) -> None:
        self.folder, self.every, self.stride, self.memory = out / FOLDER, every, stride, memory
        self.before = 0.0
        """Seconds that earlier tries took, up to the checkpoint that this one went on from."""
        self.seconds: dict[int, float] = {}
        """Step -> seconds from the beginning, those of earlier tries with them."""
        self.began = self.saved = time.monotonic()
        self.taken: Path | None = None
        """The checkpoint that this try goes on from."""

    def last(self) -> str | None:
        """Return the last whole checkpoint of an interrupted try, and remember what it noted; None without one."""
        whole = [path.parent for path in self.folder.glob(f"checkpoint-*/{NOTE}")]
        if not whole:
            if first():
                shutil.rmtree(self.folder, ignore_errors=True)
            return None
        found = max(whole, key=_number)
        note = json.loads((found / NOTE).read_text(encoding="utf-8"))
        self.seconds = {int(step): seconds for step, seconds in note["seconds"].items()}
        self.before = max(self.seconds.values(), default=0.0)
        if self.memory is not None:
            self.memory.restore(note["memory"])
        self.taken = found
        return str(found)

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Load the adapter again: beside a second one (grpo's reference), transformers before 5.23 passes it over."""
        if self.taken is not None and len(getattr(model, "peft_config", ())) > 1:
            set_peft_model_state_dict(model, load_peft_weights(str(self.taken), device="cpu"))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After each optimiser step: progress, the clock, and a checkpoint when it is time for one."""
        report_progress(state.global_step, state.max_steps)
        now = time.monotonic()
        self.seconds[state.global_step] = round(self.before + now - self.began, 3)
        whole = state.global_step % self.stride == 0  # in between, responses that are still to be used would be lost
        if whole and math.isfinite(self.every) and state.global_step < state.max_steps:
            control.should_save |= agreed(now - self.saved >= self.every)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Make the checkpoint whole, then drop the ones before it."""
        note = {"seconds": self.seconds, "memory": None if self.memory is None else self.memory.state()}
        together()  # each process has laid its random numbers down
        if not first():
            return
        made = self.folder / f"checkpoint-{state.global_step}"
        part = made / f"{NOTE}.part"
        part.write_text(json.dumps(note), encoding="utf-8")
        part.replace(made / NOTE)
        for old in self.folder.glob("checkpoint-*"):
            if old != made:
                shutil.rmtree(old)
        self.saved = time.monotonic()


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def go(
    trainer: Any, settings: Any, out: Path, seed: int, stride: int = 1, memory: Memory | None = None,
    order: Sampler[int] | None = None,
) -> Keeper:  # fmt: skip
    """Train to the end, from where an interrupted try in `out` got to, if there was one; return the clock.

    Checkpoints are made every settings.save_every seconds, and only after a multiple of `stride` steps. `order`: of the
    examples, in place of the trainer's own.
    """
    inner = trainer._get_train_sampler
    trainer._get_train_sampler = lambda dataset=None: Epochs(inner(dataset) if order is None else order, seed)
    # What scorers have a training keep beside the adapter is not in a checkpoint: such a training begins anew.
    beside = any(getattr(settings, name, 0) for name in ("save_checkpoints", "capture_updates"))
    keeper = Keeper(out, math.inf if beside else settings.save_every, stride, memory)
    trainer.add_callback(keeper)
    trainer.train(resume_from_checkpoint=keeper.last())
    return keeper
