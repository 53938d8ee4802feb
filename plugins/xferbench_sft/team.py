"""A training that several processes do together: what one process alone would learn, shared out among them.

They hold the same weights, each learns its part of every batch, and gradients are averaged (DistributedDataParallel by
accelerate). The order of the examples is that of one process; where the last batch of an epoch is not full, it is
filled up with rows that teach nothing, so that each process has as many batches as the others and none counts twice.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import LengthGroupedSampler

from xferbench import Encoded, UsageError


def join(settings: Any) -> None:
    """Meet the other processes, and take the GPU that is this one's; before anything is loaded."""
    wanted = getattr(settings, "processes", 1)
    if wanted == 1:
        return
    cuda = torch.cuda.is_available()
    if cuda and torch.cuda.device_count() < wanted:
        raise UsageError(
            f"trainer {settings.name}: processes={wanted} takes so many GPUs, and {torch.cuda.device_count()} are "
            "visible: --jobs 1, or gpus=N of the executor, gives a step more"
        )
    if not cuda:  # transformers before 5.18 asks torch.load for cpu:0, the place of a process, which it does not know
        torch.serialization.register_package(0, lambda storage: None, _numbered)
    found = PartialState(cpu=not cuda).num_processes
    if found != wanted:
        raise UsageError(
            f"trainer {settings.name}: processes={wanted}, and here are {found}: a step of `xferbench run` starts them"
        )


def _numbered(storage: Any, location: str) -> Any:
    return storage if location.startswith("cpu:") else None


def first() -> bool:
    """Tell whether this process is the one that writes."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def together() -> None:
    """Wait until all have come here."""
    if torch.distributed.is_initialized():
        torch.distributed.barrier()


def agreed(value: bool) -> bool:
    """Return what the first process says: their clocks differ."""
    return bool(broadcast_object_list([value])[0]) if torch.distributed.is_initialized() else value


def pooled(rows: list[Any]) -> list[Any]:
    """Return the rows of all the processes, those of the first one first; all must call it."""
    return list(gather_object(rows)) if torch.distributed.is_initialized() else rows


def filled(encoded: Sequence[Encoded], batch: int, end: int) -> list[Encoded]:
    """Return the rows and, so that they make whole batches, some that have no token to learn."""
    return [*encoded, *[Encoded((end, end), 2)] * (-len(encoded) % batch)]


class Alike(Sampler[int]):
    """The order in which one process would take the examples, grouped by length; the rows that fill up come last."""

    def __init__(self, encoded: Sequence[Encoded], batch: int, rows: int) -> None:
        """`batch`: examples of one step; `rows`: with those that fill up."""
        self.inner = LengthGroupedSampler(batch, lengths=[len(one.ids) for one in encoded])
        self.examples, self.rows = len(encoded), rows

    def __len__(self) -> int:
        return self.rows

    def __iter__(self) -> Iterator[int]:
        yield from self.inner
        yield from range(self.examples, self.rows)
