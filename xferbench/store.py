"""The store: one folder a step, the recipe first, the result last and at once. Done is what has a whole result.

Paths inside are relative, so a store can be moved. A step is held by a lock of the operating system, which is gone when
its holder is.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xferbench.errors import UsageError
from xferbench.steps import Step, from_json, to_json

UNFINISHED = "unfinished"
"""The folder, inside a step's, of what a trainer keeps to go on from. It outlives an interruption, but neither a
failure nor the end of the step."""


class Store:
    """The steps under one output folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._results: dict[str, dict[str, Any]] = {}

    def prepare(self) -> None:
        """Make the folder and try to write there; UsageError before anything else is done."""
        try:
            (self.root / "steps").mkdir(parents=True, exist_ok=True)
            probe = self.root / f".writable-{os.getpid()}"
            probe.write_text("", encoding="utf-8")
            probe.unlink()
        except OSError as error:
            raise UsageError(
                f"the output folder {self.root} cannot be written: {error.strerror}; choose another with --out"
            ) from None

    def folder(self, step: Step | str) -> Path:
        """Return the folder of a step, there or not."""
        return self.root / "steps" / (step if isinstance(step, str) else step.id)

    def done(self, step: Step | str) -> bool:
        """Tell whether the step has a whole result."""
        return self._read(step) is not None

    def result(self, step: Step | str) -> dict[str, Any]:
        """Return the result of a step that is done."""
        found = self._read(step)
        if found is None:
            raise UsageError(f"{self.folder(step)} has no result")
        return found

    def _read(self, step: Step | str) -> dict[str, Any] | None:
        name = step if isinstance(step, str) else step.id
        if name not in self._results:
            try:
                found = json.loads((self.folder(name) / "result.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return None
            if not isinstance(found, dict) or found.get("step") != name:
                return None
            self._results[name] = found
        return self._results[name]

    def begin(self, step: Step) -> Path:
        """Write the recipe of a step and return its folder, emptied of what an interrupted try left but UNFINISHED."""
        folder = self.folder(step)
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            if left.name in ("lock", UNFINISHED):
                continue
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        write_json(folder / "step.json", to_json(step))
        return folder

    def finish(self, step: Step, outcome: Mapping[str, Any]) -> None:
        """Write the result of a step: from here on it is done."""
        write_json(self.folder(step) / "result.json", {"step": step.id, **outcome})
        shutil.rmtree(self.folder(step) / UNFINISHED, ignore_errors=True)

    def fail(self, step: Step, why: str) -> None:
        """Write why a step failed; the next try begins anew."""
        write_json(self.folder(step) / "failed.json", {"step": step.id, "why": why})
        shutil.rmtree(self.folder(step) / UNFINISHED, ignore_errors=True)

    @contextmanager
    def held(self, step: Step) -> Iterator[None]:
        """Hold a step, waiting for another process that is at it."""
        folder = self.folder(step)
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _names(folder / "lock", lock):
                break
            os.close(lock)  # the one that held it took the file away: what was locked is a file without a name
        try:
            yield
        finally:
            (folder / "lock").unlink(missing_ok=True)
            os.close(lock)


def _names(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def is_held(folder: Path) -> bool:
    """Tell whether some process is at the step in `folder`."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(lock)


def read_step(folder: Path) -> Step:
    """Read the recipe in a step's folder."""
    return from_json(json.loads((folder / "step.json").read_text(encoding="utf-8")))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8")
    part.replace(path)
