"""An index: one row of numbers for each training example, on disk, so that a new target needs no look at the source.

    DIR/index.json          what was indexed, written first; anything else is refused
    DIR/00000.safetensors   a shard: `rows` (examples, dimensions), each of length 1, their `norms` (float32), the ids
    DIR/00000.json          the checksum of the shard, written last: a shard without a true one is not there

A shard is mapped into memory, read once and let go, so the memory needed is that of one shard, however many there are.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from xferbench.api import Example
from xferbench.errors import UsageError
from xferbench.store import write_json

FORM = 1
DTYPES = ("float16", "bfloat16", "float32")
SHARD = 2**25
"""Bytes of rows in one shard."""


class Index:
    """The shards in one folder, and `about`: what they were made of."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        """Begin an index, or take up one that is there; UsageError names every field in which that one differs."""
        self.folder = folder
        self.about = {"form": FORM, **about}
        found = read(folder)
        if found is not None:
            wrong = [
                f"{key} is {_shown(found.get(key))}, not {_shown(value)}"
                for key, value in self.about.items()
                if found.get(key) != value
            ]
            if wrong:
                raise self._other(wrong)
            self.about = found

    def _other(self, wrong: Sequence[str]) -> UsageError:
        how = "Choose another --index, or delete it"
        return UsageError(f"{self.folder} is an index of something else: {'; '.join(wrong)}. {how}")

    @property
    def size(self) -> int:
        """Examples in a shard."""
        width = 4 if self.about["dtype"] == "float32" else 2
        return max(1, SHARD // (int(self.about["dimensions"]) * width))

    def begin(self, data: str, examples: int) -> None:
        """Write down what is indexed: the fingerprint of the examples and their number.

        UsageError when the index was begun with other examples.
        """
        before = self.about.get("data")
        if before is not None:
            if before != data:
                raise self._other([f"data is {_shown(before)}, not {_shown(data)}"])
            return
        self.about |= {"data": data, "examples": examples}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / "index.json", self.about)

    def shards(self) -> range:
        """The numbers of all shards that there should be."""
        return range(-(-int(self.about["examples"]) // self.size))

    def whole(self, number: int) -> bool:
        """Tell whether a shard is there and has its checksum; every byte is read."""
        try:
            wanted = json.loads((self.folder / f"{number:05}.json").read_text(encoding="utf-8"))
            return bool(wanted["sha256"] == _checksum(self.folder / f"{number:05}.safetensors"))
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def write(self, number: int, rows: Any, examples: Sequence[Example]) -> None:
        """Write one shard: rows (examples, dimensions) of any length; one that is not finite or 0 is kept as nan."""
        import torch
        from safetensors.torch import save

        rows = torch.as_tensor(rows).float()
        norms = torch.linalg.vector_norm(rows.double(), dim=1)
        norms[~norms.isfinite() | (norms == 0)] = torch.nan
        # Of length 1, so that a half-precision number neither overflows nor loses a small gradient.
        unit = (rows / norms[:, None]).nan_to_num(0, 0, 0).to(getattr(torch, str(self.about["dtype"])))
        names = json.dumps([[one.id, one.source] for one in examples])
        content = save({"rows": unit, "norms": norms.float()}, {"examples": names})
        path = self.folder / f"{number:05}.safetensors"
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(path)
        write_json(path.with_suffix(".json"), {"sha256": hashlib.sha256(content).hexdigest()})

    def scores(self, number: int, aims: Any) -> tuple[Any, Any]:
        """Return the cosines and inner products (examples, groups) of one shard with aims (groups, dimensions).

        Float32 tensors; nan where an example has no finite gradient.
        """
        import torch
        from safetensors import safe_open

        aims = torch.as_tensor(aims).float()
        lengths = torch.linalg.vector_norm(aims, dim=1)
        toward = (aims / lengths[:, None]).T.contiguous()
        with safe_open(self.folder / f"{number:05}.safetensors", "pt") as file:
            norms, rows = file.get_tensor("norms"), file.get_tensor("rows")
            step = max(1, 2**20 // rows.shape[1])  # bounds what is held in float32
            cosines = torch.cat([rows[i : i + step].float() @ toward for i in range(0, len(rows), step)])
        cosines[norms.isnan()] = torch.nan
        return cosines, cosines * norms[:, None] * lengths

    def names(self, number: int) -> list[list[str]]:
        """Return [id, source] of each example of a shard."""
        from safetensors import safe_open

        with safe_open(self.folder / f"{number:05}.safetensors", "pt") as file:
            found: list[list[str]] = json.loads(file.metadata()["examples"])
        return found


def read(folder: Path) -> dict[str, Any] | None:
    """Return what an index says it is of; None where there is none."""
    try:
        found = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except OSError:
        return None
    except ValueError:
        raise UsageError(f"{folder}/index.json is not JSON: delete the folder, and the index is made anew") from None
    return found if isinstance(found, dict) else None


def fill(
    index: Index, draw: Callable[[], Sequence[Example]], rows: Callable[[Sequence[Example]], Any]
) -> Iterator[tuple[int, str]]:
    """See that every shard is whole, and make those that are not: yields each number and "kept", "made" or "redone".

    `draw` gives the examples, and is asked only when something is to be made; `rows` gives their rows.
    """
    examples: Sequence[Example] | None = None
    for number in index.shards():
        if index.whole(number):
            yield number, "kept"
            continue
        fate = "redone" if (index.folder / f"{number:05}.json").exists() else "made"
        examples = draw() if examples is None else examples
        some = examples[number * index.size : (number + 1) * index.size]
        index.write(number, rows(some), some)
        yield number, fate


def _checksum(path: Path) -> str:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return hashlib.sha256(content).hexdigest()


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return f'{text[:13]}..."' if isinstance(value, str) and len(text) > 40 else text
