"""Data sets of the Hugging Face hub, with every failure told in one line that says what to do.

A folder laid out as on the hub (ORGANISATION/NAME/...) stands in for it: the working directory, or `--hub DIR`.
"""

import dataclasses
import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from xferbench.errors import DataError

FOLDER = "XFERBENCH_HUB"
"""The environment variable that names a folder laid out as on the hub; `--hub` sets it."""


@contextmanager
def inside() -> Iterator[None]:
    """Work in the folder that stands in for the hub, if one is named: there a data set's id is a folder's path."""
    place = os.environ.get(FOLDER)
    if not place:
        with _told_apart():
            yield
        return
    if not Path(place).is_dir():
        raise DataError(f"the folder {place}, named by --hub or {FOLDER}, does not exist")
    before = os.getcwd()
    os.chdir(place)
    try:
        with _told_apart():
            yield
    finally:
        os.chdir(before)


@contextmanager
def _told_apart() -> Iterator[None]:
    """Have `datasets` keep what it prepares of a folder by the state of the folder's files.

    By itself it goes by the folder's name and its card alone: data that were changed in place, or those of another
    folder of that name, would be answered from its cache with what it had read first.
    """
    import datasets
    from datasets.load import LocalDatasetModuleFactory

    datasets.disable_progress_bars()
    plain = LocalDatasetModuleFactory.get_module

    def get_module(self: Any) -> Any:
        module = plain(self)
        listed = [[str(path), *_stat(path)] for path in _files(Path(self.path).resolve())]
        return dataclasses.replace(module, hash=hashlib.sha256(repr([module.hash, listed]).encode()).hexdigest()[:16])

    LocalDatasetModuleFactory.get_module = get_module
    try:
        yield
    finally:
        LocalDatasetModuleFactory.get_module = plain


def _files(folder: Path) -> list[Path]:
    """All files of a folder in a fixed order, but for hidden ones."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(folder).parts))


def _stat(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


DIGESTS: dict[tuple[Path, int, int], str] = {}
"""Of the files that this process has hashed, by their state."""


def content(path: str) -> str:
    """Return the digest of all files of the folder that stands in for a data set; "" where none does."""
    folder = Path(os.environ.get(FOLDER) or "", path)
    if "/" not in path or not folder.is_dir():
        return ""
    total = hashlib.sha256()
    for file in _files(folder):
        key = (file.resolve(), *_stat(file))
        if key not in DIGESTS:
            with file.open("rb") as opened:
                DIGESTS[key] = hashlib.file_digest(opened, "sha256").hexdigest()
        total.update(f"{file.relative_to(folder).as_posix()} {DIGESTS[key]}\n".encode())
    return total.hexdigest()


def rows(path: str, config: str | None = None, split: str = "train", revision: str | None = None) -> Iterator[dict]:
    """Yield the rows of one split, as `table` finds it."""
    yield from table(path, config, split, revision)


def table(
    path: str,
    config: str | None = None,
    split: str = "train",
    revision: str | None = None,
    columns: Sequence[str] = (),
) -> Any:
    """Return one split as a datasets.Dataset, of these columns alone (none named: of all); no other is decoded.

    `path` is a hub id; a folder of that name, in --hub or here, comes first.
    Raises DataError: no network, gated without a token, unknown data set, config or split, a column that is not there.
    """
    import datasets

    try:
        with inside():
            local = os.path.isdir(path)
            data = datasets.load_dataset(path, config, split=split, revision=None if local else revision)
    except DataError:
        raise
    except Exception as error:  # datasets, huggingface_hub, pyarrow and requests each raise their own
        raise explain(error, {"id": path, "config": config, "split": split, "revision": revision}) from error
    noted(path, revision, data)
    missing = [name for name in columns if name not in data.column_names]
    if missing:
        raise DataError(f"{path} has no column {', '.join(missing)}; it has: {', '.join(data.column_names)}")
    return data.select_columns(list(columns)) if columns else data


COMMIT = re.compile("[0-9a-f]{40}")
READ: dict[str, str] = {}
"""The commit of the hub at which this process read each data set that came from there."""


def noted(path: str, revision: str | None, data: Any) -> None:
    """Note at which commit a data set was read; DataError when it is another than the pinned one.

    A copy of the hub's cache lies in a folder that bears its commit. Without a network `datasets` takes the newest,
    whichever was asked for: so the pinned one is made the newest where there is a network. A folder of the user has no
    commit, and no revision counts for it.
    """
    files = getattr(data, "cache_files", None) or [{"filename": ""}]
    folder = Path(files[0]["filename"]).parent
    if not COMMIT.fullmatch(folder.name):
        return
    if revision and COMMIT.fullmatch(revision):
        if folder.name != revision:
            raise DataError(
                f"{path} is pinned at {revision[:12]}, and the copy in the hub's cache is of {folder.name[:12]}: fetch "
                "it where there is a network (xferbench fetch)"
            )
        if not _offline():
            with suppress(OSError):  # a cache that is only to be read
                os.utime(folder)
    READ[path] = folder.name


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0")


UNREACHED = {"ConnectionError", "ConnectError", "OfflineModeIsEnabled", "LocalEntryNotFoundError", "MaxRetryError"}
MISSING = {"DatasetNotFoundError", "DataFilesNotFoundError", "DatasetGenerationError", "FileNotFoundError"}


def causes(error: BaseException) -> set[str]:
    """Return the type names of an error and of all that it came from."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return {type(link).__name__ for link in found}


def concerns_data(error: BaseException) -> bool:
    """Tell whether an error is of the kind that data sets and the hub raise, and not a mistake in somebody's code."""
    return any("Gated" in name for name in causes(error)) or bool(causes(error) & (UNREACHED | MISSING))


def explain(error: BaseException, data: Mapping[str, Any]) -> DataError:
    """Turn a failure to load the data set `data` (id, config, split) into one DataError that says what to do."""
    name = "/".join(str(data[key]) for key in ("id", "config") if data.get(key)) or "the data set"
    kinds = causes(error)
    text = " ".join(str(error).split())[:300]
    offline = _offline()
    if any("Gated" in kind for kind in kinds) or "gated" in text:
        return DataError(f"{name} is gated: accept its terms on its hub page, then set HF_TOKEN")
    if "RevisionNotFoundError" in kinds or re.search(r"\brevision\b.*(doesn't exist|not found)", text, re.I):
        pinned = data.get("revision") or "that is pinned"
        return DataError(f"{name} has no revision {pinned} any more: it was moved or deleted on the hub; pin another")
    if "Unknown split" in text or "Bad split" in text:
        return DataError(f"{name} has no split {data.get('split', '?')!r}: {text}")
    if "corresponds to no data" in text:
        return DataError(f"{name} has no rows: its split {data.get('split', '?')!r} is empty")
    if kinds & UNREACHED or (offline and "DatasetNotFoundError" in kinds):
        why = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
        return DataError(
            f"{name} is not on this machine and {why}: fetch it where there is a network "
            f"(xferbench fetch; it is then read from the hub's cache), or give a folder that holds it as "
            f"{data.get('id', 'ID')} with --hub (or {FOLDER}, where a command has no --hub)"
        )
    if "DatasetNotFoundError" in kinds:
        return DataError(f"{name} is neither a folder here nor a data set on the hub (or the hub cannot be reached)")
    return DataError(f"{name} (split {data.get('split', '?')}) cannot be loaded: {type(error).__name__}: {text}")
