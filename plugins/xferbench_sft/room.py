"""Memory that does not suffice, said so that a user knows what to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from xferbench import StepError


@contextmanager
def room(batch: int, tokens: int, advice: str) -> Iterator[None]:
    """Turn an out-of-memory error of the block into a StepError that says batch, length in tokens, and the advice."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        plain = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
        if plain and "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        said = str(error).split(". ")[0].split("\n")[0][:120]
        raise StepError(
            f"out of memory with {batch} sequences of up to {tokens} tokens at a time: lower {advice} ({said})"
        ) from error
