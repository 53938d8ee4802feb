"""Verify a board: every file belongs to an entry, every entry holds, and what was merged stays as it was merged."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xferbench.errors import VerificationError
from xferbench.leaderboard.against import changed
from xferbench.leaderboard.board import Board, read_board
from xferbench.leaderboard.check import check
from xferbench.leaderboard.entry import Entry
from xferbench.leaderboard.itemfile import unpack
from xferbench.leaderboard.record import repeated, write_record
from xferbench.leaderboard.text import counted, decode, one_line, read_bytes
from xferbench.leaderboard.together import Together


@dataclass(frozen=True)
class Fault:
    """One thing that does not hold."""

    entry: str
    """The file, below the board's folder."""
    field: str
    """In the entry; "" for the file itself."""
    what: str

    def __str__(self) -> str:
        return one_line(": ".join(part for part in (self.entry, self.field, self.what) if part), 400)


def verify(root: Path, against: str | None = None) -> tuple[list[Fault], int]:
    """Return all faults of the board in `root`, and the number of its entries."""
    board = read_board(root)
    faults = [Fault(*found) for found in changed(root, against)] if against else []
    entries, items, strays = _files(board)
    faults += strays
    together = Together()
    for name, path in entries.items():
        file = items.pop(name, None)
        faults += _entry(board, path, file, together)
    faults += [Fault(_below(board, path), "", "no entry has these items") for path in items.values()]
    return faults, len(entries)


def verify_command(root: Path, against: str | None, record: bool, as_json: bool) -> tuple[str, bool]:
    """Do `leaderboard verify`: what it prints, and whether all holds."""
    faults, count = verify(root, against)
    if record and not faults:
        write_record(read_board(root))
    board = read_board(root)
    notes = [] if faults else repeated(board)
    if as_json:
        rows = [vars(fault) for fault in faults]
        return json.dumps({"entries": count, "faults": rows, "notes": notes}, indent=1), not faults
    if faults:
        return "\n".join(map(str, faults)), False
    what = "the published values, which have no items" if board.rules.imported else "the items"
    hold = "holds" if count == 1 else "hold"
    sound = f"{root}: {counted(count)} {hold}: every number that can be recomputed follows from {what}"
    return "\n".join([sound, *(f"note: {note}" for note in notes)]), True


def _entry(board: Board, path: Path, file: Path | None, together: Together) -> Iterator[Fault]:
    name = _below(board, path)
    try:
        data = read_bytes(path, board.rules.entry_bytes)
        items = read_bytes(file, board.rules.items_bytes) if file else None
    except VerificationError as error:
        where = path if file is None or str(error) == "" else _guilty(path, file)
        yield Fault(name, "" if where == path else "items", f"{where.name} {error}")
        return
    faults = [Fault(name, field, what) for field, what in check(board, path, data, items)]
    yield from faults
    if not faults:
        table = None if items is None else unpack(items)
        yield from (Fault(name, *found) for found in together.faults(name, decode(data, Entry), table))


def _guilty(path: Path, file: Path) -> Path:
    """Which of the two could not be read."""
    return path if path.is_symlink() or not path.is_file() else file


def _files(board: Board) -> tuple[dict[str, Path], dict[str, Path], list[Fault]]:
    """The files of entries and items by their stem, and what has no place on a board. No link is followed."""
    found: dict[str, dict[str, Path]] = {"entries": {}, "items": {}}
    strays = []
    for kind, ending in (("entries", ".json"), ("items", ".jsonl.gz")):
        top = board.root / kind
        for path in _walk(top):
            inner = path.relative_to(top)
            if path.is_symlink():
                strays.append(Fault(_below(board, path), "", "is a link"))
            elif len(inner.parts) != 2 or not path.name.endswith(ending) or not path.is_file():
                strays.append(
                    Fault(_below(board, path), "", f"has no place here: expected {kind}/<model>/<name>{ending}")
                )
            else:
                found[kind][str(inner).removesuffix(ending)] = path
    return found["entries"], found["items"], strays


def _walk(top: Path) -> Iterator[Path]:
    """All files and links below a folder, sorted; no link is followed."""
    if top.is_symlink():
        yield top
        return
    for path in sorted(top.iterdir()) if top.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path)
        else:
            yield path


def _below(board: Board, path: Path) -> str:
    return str(path.relative_to(board.root))
