"""The upkeep of a store: is it still what was written, and what in it does no experiment refer to any more."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import click

from xferbench.errors import UsageError, VerificationError
from xferbench.store import Store, digest, faults, folders, read_result, read_step, remove, running, write_json


def refer(root: Path, asked: str, steps: list[str]) -> None:
    """Note which steps an experiment refers to, so that `gc` keeps them. The same experiment has one such note."""
    values = {"asked": asked, "steps": sorted(steps)}
    path = root / "experiments" / f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"
    try:
        if json.loads(path.read_text(encoding="utf-8")) == values:
            return
    except (OSError, ValueError):
        path.parent.mkdir(exist_ok=True)
    write_json(path, values)


def referred(root: Path) -> tuple[set[str], int]:
    """Return the ids of all steps that experiments refer to, and how many experiments there are."""
    notes = sorted((root / "experiments").glob("*.json"))
    found: set[str] = set()
    for path in notes:
        try:
            found.update(json.loads(path.read_text(encoding="utf-8"))["steps"])
        except (OSError, ValueError, KeyError, TypeError):
            raise UsageError(f"{path} cannot be read: run its experiment again, or take the file away") from None
    return found, len(notes)


def sized(folder: Path) -> int:
    """Return the bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def verify(root: Path) -> dict[str, Any]:
    """Read every file of every done step again. A damaged step is marked, so that the next run does it again.

    A damaged copy in items/ is taken away; the next run copies it again.
    """
    checked, without, damaged = 0, 0, []
    for folder in folders(root):
        if not (folder / "result.json").exists() or running(folder):
            continue
        checked += 1
        wrong = faults(folder)
        copy = root / "items" / f"{folder.name}.jsonl.gz"
        result = read_result(folder) or {}
        without += not wrong and "files" not in result
        if wrong:
            damaged.append({"step": folder.name, "title": _title(folder), "files": wrong})
            _redo(Store(root), folder, wrong)
            copy.unlink(missing_ok=True)
        state = result.get("files", {}).get("items.jsonl.gz")
        if state and copy.is_file() and digest(copy) != state["sha256"]:
            damaged.append({"step": folder.name, "title": "its copy for readers", "files": [f"items/{copy.name}"]})
            copy.unlink()
    return {"checked": checked, "without": without, "damaged": damaged}


def _title(folder: Path) -> str:
    try:
        return read_step(folder).title
    except UsageError:
        return "its recipe cannot be read"


def _redo(store: Store, folder: Path, wrong: list[str]) -> None:
    why = f"damaged: {', '.join(wrong)}; the next run does this step again"
    with store.held(folder.name, wait=False) as mine:
        if not mine or not faults(folder):  # somebody does it again already
            return
        write_json(folder / "failed.json", {"step": folder.name, "why": why})
        (folder / "result.json").unlink(missing_ok=True)
        if "step.json" in wrong:
            (folder / "step.json").unlink(missing_ok=True)


def verify_command(root: Path, as_json: bool) -> None:
    """Do `xferbench verify-store`; VerificationError when something is damaged."""
    folders(root)
    with Store(root).in_use():
        found = verify(root)
    if as_json:
        print(json.dumps(found, indent=1))
    else:
        for row in found["damaged"]:
            print(f"damaged  {row['step']}  {row['title']}: {', '.join(row['files'])}")
        old = f", {found['without']} without checksums" if found["without"] else ""
        print(f"{found['checked']} steps checked{old}, {len(found['damaged'])} damaged")
    if found["damaged"]:
        raise VerificationError(f"{len(found['damaged'])} damaged in {root}; the next run does them again, no other")


def garbage(root: Path) -> list[Path]:
    """Return the folders of steps, and the copies of items, that no experiment refers to and no process is at."""
    kept, experiments = referred(root)
    steps = folders(root)
    if not experiments:
        raise UsageError(f"{root} has no note of any experiment: `xferbench run` it once more, and it has")
    found = [folder for folder in steps if folder.name not in kept and not running(folder)]
    return found + [path for path in (root / "items").glob("*.jsonl.gz") if path.name.split(".")[0] not in kept]


def _agreed() -> bool:
    try:
        return click.confirm("Remove them?")
    except click.Abort:
        raise UsageError("nothing was removed: where nobody answers, --yes removes without asking") from None


def gc_command(root: Path, yes: bool) -> None:
    """Do `xferbench gc`: show what no experiment refers to, ask, and take it away."""
    found = garbage(root)
    kept, experiments = referred(root)
    sizes = {path: sized(path) if path.is_dir() else path.stat().st_size for path in found}
    for path, size in sizes.items():
        about = _title(path) if path.is_dir() else "items"
        click.echo(f"{human(size):>9}  {os.path.relpath(path, root)}  {about}")
    total = human(sum(sizes.values()))
    click.echo(f"{experiments} experiments refer to {len(kept)} steps; {len(found)} others take {total}")
    if found and (yes or _agreed()):
        still = garbage(root)  # a run may have begun while the question stood
        gone = [path for path in found if path in still]
        for path in gone:
            remove(path)
        click.echo(f"removed {human(sum(sizes[path] for path in gone))}")


def human(size: float) -> str:
    """Render bytes for a person: 312 B, 4.1 kB, 2.0 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
