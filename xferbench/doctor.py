"""What would fail on this machine, and how to mend it: versions, devices, the hub, plugins."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from xferbench import __version__
from xferbench.catalog import load

PACKAGES = ("torch", "transformers", "peft", "trl", "datasets", "lm_eval", "accelerate", "numpy", "scipy")


def examine(as_json: bool, names: Sequence[str] = ()) -> tuple[str, bool]:
    """Return the report and whether all is well; `names`: suites, domains, targets and models that must be at hand."""
    needs = _needs(names)
    rows = [_row("xferbench", __version__), _row("python", platform.python_version())]
    for package in PACKAGES:
        try:
            rows.append(_row(package, version(package)))
        except PackageNotFoundError:
            rows.append(_row(package, "missing", f"pip install {package}"))
    rows += [_device(), _hub(), *_plugins(), *needs]
    healthy = not any(row["mend"] for row in rows if row["fatal"])
    if as_json:
        return json.dumps({"healthy": healthy, "checks": rows}, indent=1), healthy
    lines = [
        f"{'ok' if not r['mend'] else 'FAIL' if r['fatal'] else 'note':5} {r['what']:14} {r['found']}" for r in rows
    ]
    for number, row in enumerate(rows):
        if row["mend"]:
            lines[number] += f"  -> {row['mend']}"
    return "\n".join(lines), healthy


def _row(what: str, found: str, mend: str = "", fatal: bool = True) -> dict[str, str | bool]:
    return {"what": what, "found": found, "mend": mend, "fatal": fatal}


def _device() -> dict[str, str | bool]:
    try:
        import torch
    except ImportError as error:
        return _row("device", f"torch cannot be loaded: {error}", "reinstall torch")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return _row("device", f"{len(names)} GPU: {', '.join(names)}")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    note = (
        "fine for the suite mini; real models want a GPU"
        if os.path.exists("/dev/nvidia0") is False
        else "the GPU is not usable"
    )
    return _row("device", f"{cores} CPU cores, no GPU", note, fatal=False)


def _hub() -> dict[str, str | bool]:
    token = (
        "with"
        if os.environ.get("HF_TOKEN") or os.path.isfile(os.path.expanduser("~/.cache/huggingface/token"))
        else "without"
    )
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return _row(
            "hub",
            f"offline (HF_HUB_OFFLINE), {token} a token",
            "only what is cached or in a folder can be used",
            fatal=False,
        )
    import socket
    from urllib.parse import urlparse

    from huggingface_hub.constants import ENDPOINT

    host = urlparse(ENDPOINT).hostname or ""
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        return _row("hub", f"out of reach, {token} a token", "set HF_HUB_OFFLINE=1 to spare the waiting", fatal=False)
    return _row("hub", f"in reach, {token} a token")


def _needs(names: Sequence[str]) -> list[dict[str, str | bool]]:
    if not names:
        return []
    from xferbench.fetch import missing

    return [_row(one.title, one.why or "at hand", "xferbench fetch, where there is a network" if one.why else "")
            for one in missing(names)]  # fmt: skip


def _plugins() -> list[dict[str, str | bool]]:
    found = load().plugins
    rows = [
        _row(f"plugin {p.name}", f"{p.label}: {p.broken}", "mend it, or XFERBENCH_DISABLE_PLUGINS")
        for p in found
        if p.broken
    ]
    return rows or [_row("plugins", f"{len(found)} loaded, none broken")]
