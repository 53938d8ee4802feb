"""How a long step tells the world how far it is: plugins call report_progress; outside a step it does nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_file: Path | None = None
_last = 0.0


def report_progress(done: int, total: int) -> None:
    """Say that `done` of `total` parts of the current step are finished; cheap enough to call for every batch."""
    global _last
    now = time.monotonic()
    if _file is None or (now - _last < 0.5 and done < total):
        return
    _last = now
    part = _file.with_suffix(".part")
    part.write_text(json.dumps({"done": done, "total": total}), encoding="utf-8")
    part.replace(_file)


@contextmanager
def reporting(folder: Path) -> Iterator[None]:
    """Send progress to `folder`/progress.json while the block runs; the file is gone afterwards."""
    global _file
    _file = folder / "progress.json"
    try:
        yield
    finally:
        _file.unlink(missing_ok=True)
        _file = None


def read_progress(folder: Path) -> float | None:
    """Return how far the step in `folder` is, 0 to 1; None where it does not say."""
    try:
        state = json.loads((folder / "progress.json").read_text(encoding="utf-8"))
        return min(1.0, state["done"] / max(1, state["total"]))
    except (OSError, ValueError, KeyError):
        return None
