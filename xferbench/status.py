"""What `status` says of a run's folder, from the folder alone: another process, or another machine, may be at it."""

import json
import time
from pathlib import Path
from typing import Any

from xferbench.errors import UsageError
from xferbench.progress import read_progress
from xferbench.store import Store, is_held, read_step


def status_text(root: Path, as_json: bool) -> str:
    """Say which steps of a folder are done, running, failed or interrupted."""
    if not (root / "steps").is_dir():
        raise UsageError(f"{root} holds no steps: is it the --out folder of a run?")
    rows = [
        _row(Store(root), folder) for folder in sorted((root / "steps").iterdir()) if (folder / "step.json").is_file()
    ]
    counts = {
        state: sum(row["state"] == state for row in rows) for state in ("done", "running", "failed", "interrupted")
    }
    if as_json:
        return json.dumps({"counts": counts, "steps": rows}, indent=1)
    lines = [", ".join(f"{count} {state}" for state, count in counts.items())]
    for row in rows:
        if row["state"] != "done":
            share = "" if row["share"] is None else f" {100 * row['share']:.0f} %"
            lines.append(
                f"{row['state']:11} {row['step']}  {row['title']}{share}{': ' + row['why'] if row['why'] else ''}"
            )
    return "\n".join(lines)


def _row(store: Store, folder: Path) -> dict[str, Any]:
    step = read_step(folder)
    row: dict[str, Any] = {"step": step.id, "title": step.title, "state": "interrupted", "share": None, "why": None}
    if store.done(step):
        row["state"] = "done"
    elif (folder / "failed.json").is_file():
        row |= {"state": "failed", "why": json.loads((folder / "failed.json").read_text(encoding="utf-8"))["why"]}
    elif is_held(folder):
        row |= {"state": "running", "share": read_progress(folder)}
        row["seconds"] = round(time.time() - (folder / "step.json").stat().st_mtime)
    return row
