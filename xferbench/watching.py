"""What a long command shows on stderr while it works: a live view on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from xferbench.schedule import Progress, Watch

EVERY = 30.0
"""Seconds between two lines where stderr is no terminal: a day's log stays readable."""
NAMED = 3
"""How many of the steps that run are named in a line."""


@contextmanager
def watching() -> Iterator[Watch]:
    """Yield what shows the progress on stderr."""
    if not sys.stderr.isatty():
        yield logging(EVERY)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(stderr=True), refresh_per_second=4, transient=True) as live:

        def show(progress: Progress) -> None:
            running = (f"  {step} ({clock(seconds)})" for step, seconds in _running(progress))
            live.update(Text("\n".join([_counts(progress), *running])))

        yield show


def logging(every: float) -> Watch:
    """Return what writes a line of progress to stderr every so many seconds; a short run writes none."""
    said = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= every:
            said = now
            running = [step for step, _ in _running(progress)]
            more = [f"{len(running) - NAMED} more"] if len(running) > NAMED else []
            now_runs = "; ".join(running[:NAMED] + more) or "nothing yet"
            print(f"{_counts(progress)}; now {now_runs}", file=sys.stderr, flush=True)

    return show


def _counts(progress: Progress) -> str:
    failed = f", {progress.failed} failed" if progress.failed else ""
    left = "" if progress.left is None else f", about {clock(progress.left)} left"
    return f"{progress.done}/{progress.total} steps done{failed}{left}"


def _running(progress: Progress) -> Iterator[tuple[str, float]]:
    """The steps that run, each with its share done, and its seconds so far."""
    for step, seconds, share in progress.running.values():
        yield step.title if share is None else f"{step.title} {100 * share:.0f} %", seconds


def clock(seconds: float) -> str:
    """Render seconds for a person: 42 s, 3 min 10 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
