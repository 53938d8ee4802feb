"""What `status` says of a run's folder, from the folder alone: another process, or another machine, may be at it."""

import json
import time
from pathlib import Path
from typing import Any

from xferbench.errors import UsageError
from xferbench.progress import read_progress
from xferbench.store import folders, read_failure, read_result, read_step, running

STATES = ("done", "running", "failed", "interrupted", "waiting")


def status_text(root: Path, as_json: bool) -> str:
    """Say which steps of a folder are done, running, failed, interrupted or still waiting for a worker."""
    rows = [_row(folder, as_json) for folder in folders(root)]
    counts = {state: sum(row["state"] == state for row in rows) for state in STATES}
    if as_json:
        return json.dumps({"counts": counts, "steps": rows}, indent=1)
    lines = [", ".join(f"{count} {state}" for state, count in counts.items())]
    if not rows:
        lines.append("no step has begun; --dry-run beside the run's own words tells how many there are")
    for row in rows:
        if row["state"] != "done":
            share = "" if row["share"] is None else f" {100 * row['share']:.0f} %"
            lines.append(
                f"{row['state']:11} {row['step']}  {row['title']}{share}{': ' + row['why'] if row['why'] else ''}"
            )
    return "\n".join(lines)


def _row(folder: Path, titled: bool) -> dict[str, Any]:
    """`titled`: read the recipe of a step that is done, too, for its title."""
    row: dict[str, Any] = {"step": folder.name, "title": "", "state": "interrupted", "share": None, "why": None}
    found = read_result(folder)
    if found is not None and found["step"] == folder.name:
        return row | {"state": "done", "title": _title(folder) if titled else ""}
    row["title"] = _title(folder)
    why = read_failure(folder)
    if why is not None:
        row |= {"state": "failed", "why": why}
    elif running(folder):
        row |= {"state": "running", "share": read_progress(folder)}
        # Another machine's clock may be ahead of ours.
        row["seconds"] = max(0, round(time.time() - (folder / "step.json").stat().st_mtime))
    elif not (folder / "log.txt").exists():
        row["state"] = "waiting"
    return row


def _title(folder: Path) -> str:
    try:
        return read_step(folder).title
    except UsageError:
        return "its recipe cannot be read"
