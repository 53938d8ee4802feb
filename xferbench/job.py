"""One job: steps done one after another by one process, from their recipes alone; the same under every executor.

What the libraries print goes to the step's log.txt. A step that fails leaves failed.json with the reason; it is tried
again by the next run. What came of a step stands in the store; what `work` returns only saves a look there.
"""

import contextlib
import faulthandler
import os
import re
import time
import traceback
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

from xferbench import leakage
from xferbench.catalog import Catalog
from xferbench.catalog import load as load_catalog
from xferbench.edited import codes, parts
from xferbench.errors import UsageError
from xferbench.lmeval.engine import SCHEDULER
from xferbench.machine import machine
from xferbench.progress import reporting
from xferbench.steps import Step
from xferbench.store import Store, read_step
from xferbench.work import line, logged, perform

Outcome = tuple[str, str]
"""done | failed | busy (another process is at it), and why."""


def work(recipes: list[str], timeout: float | None = None, wait: bool = False) -> dict[str, Outcome]:
    """Do the steps whose recipes (DIR/steps/ID/step.json) are named, one after another; return {step id: outcome}.

    A step that is done already is left as it is, so a call may be made any number of times. A step that takes longer
    than `timeout` seconds ends the process; its log.txt then says where it was. `wait`: wait for a step that another
    process is at.
    """
    found = {}
    for path in map(Path, recipes):
        folder = path.resolve().parent
        step = read_step(folder)
        if path.name != "step.json" or folder.parent.name != "steps" or step.id != folder.name:
            raise UsageError(f"{path} does not lie in a store: expected DIR/steps/{step.id}/step.json")
        with _out_of_ranks():
            found[step.id] = _one(Store(folder.parent.parent), step, timeout, wait)
    return found


def look(root: str, domain: str, n: int, targets: dict[str, Any]) -> str:
    """Hold a domain against targets for contamination, quietly; return why it cannot be done, or ""."""
    try:
        with logged(Path(os.devnull)):
            leakage.look(Path(root), domain, n, targets, load_catalog())
    except Exception as error:
        return line(error)
    return ""


def step_command(recipes: list[Path], timeout: float | None) -> int:
    """Do `xferbench step` and return its exit code: 0 when all the steps are done, now or before."""
    found = work([str(path) for path in recipes], timeout, wait=True)
    for step, (state, why) in found.items():
        print(f"{state} {step}{': ' + why if why else ''}")
    return int(any(state == "failed" for state, _ in found.values()))


def _one(store: Store, step: Step, timeout: float | None, wait: bool) -> Outcome:
    try:
        with store.held(step, wait) as mine:
            if not mine:
                return "busy", ""
            if store.done(step):
                return "done", ""
            try:
                return _do(store, step, timeout)
            except Exception as error:  # its result could not be written
                with contextlib.suppress(OSError):
                    store.fail(step, line(error))
                return "failed", line(error)
    except OSError as error:  # not even its folder could be made or held
        return "failed", line(error)


def _do(store: Store, step: Step, timeout: float | None) -> Outcome:
    folder = store.begin(step)
    with logged(folder / "log.txt"), (folder / "log.txt").open("a") as log, reporting(folder), _limited(timeout, log):
        began = time.perf_counter()
        try:
            catalog = load_catalog()
            _check(step, store, catalog)
            code = codes(step, catalog)
            outcome = perform(step, store, catalog, folder)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            store.fail(step, line(error))
            return "failed", line(error)
        seconds = round(time.perf_counter() - began, 3)
    store.finish(step, {**outcome, "wall_seconds": seconds, "machine": machine(), "code": code})
    return "done", ""


def _check(step: Step, store: Store, catalog: Catalog) -> None:
    """Refuse a step whose needs are not done, or that was planned with other versions than this machine's."""
    for need in step.needs:
        if not store.done(need):
            raise UsageError(f"needs {need.id}, which is not done")
    for package, planned in step.libraries.items():
        if _installed(package) != planned:
            raise UsageError(f"was planned with {package} {planned}; this machine has {_installed(package)}")
    for kind, thing in parts(step):
        label = catalog.entry(kind, thing.name).plugin.label
        if thing.version.split(",")[0] != label:
            raise UsageError(f"was planned with {kind} {thing.name} of {thing.version}; this machine has {label}")


@lru_cache(maxsize=64)
def _installed(package: str) -> str:
    try:
        return version(package).split("+")[0]
    except PackageNotFoundError:
        return "none"


@contextlib.contextmanager
def _limited(seconds: float | None, log: IO[str]) -> Iterator[None]:
    """End this process, with a traceback in the log, if the block takes longer; also when no Python code can run."""
    if seconds is None:
        yield
        return
    faulthandler.dump_traceback_later(seconds, exit=True, file=log)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def timed_out(folder: Path) -> bool:
    """Tell whether the last try of the step in `folder` was ended because it took too long."""
    try:
        return re.search(rb"^Timeout \(\d+:\d\d:\d\d", (folder / "log.txt").read_bytes(), re.M) is not None
    except OSError:
        return False


@contextlib.contextmanager
def _out_of_ranks() -> Iterator[None]:
    """Hide what a scheduler says of ranks: libraries would take this process for one of several and wait for them."""
    away = {key: os.environ.pop(key) for key in SCHEDULER if key in os.environ}
    try:
        yield
    finally:
        os.environ.update(away)
