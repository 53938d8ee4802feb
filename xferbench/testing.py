"""Holds a plugin to the contract: `check_plugin` in an author's test, `xferbench plugins check` on the command line.

A plugin is looked for among the installed ones, or in a folder with a pyproject.toml, which need not be installed.
"""

import contextlib
import importlib
import importlib.util
import io
import json
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from xferbench import catalog as catalogs
from xferbench import contract
from xferbench.catalog import Catalog, Plugin
from xferbench.errors import PluginError, UsageError, XferbenchError, unknown

HEAVY = ("torch", "transformers", "datasets", "lm_eval", "trl", "peft", "ray", "vllm")
"""What a plugin must not import at its top: `xferbench list` loads every plugin."""
IMPORT = """
import importlib, json, sys, time
import xferbench
sys.path[:0] = json.loads(sys.argv[2])
began = time.perf_counter()
importlib.import_module(sys.argv[1])
print(json.dumps([time.perf_counter() - began, sorted(set(sys.modules) & set(json.loads(sys.argv[3])))]))
"""


@dataclass(frozen=True)
class Row:
    """What became of one check: PASS, FAIL, or SKIP where it could not be tried; `note` says more."""

    kind: str
    name: str
    check: str
    state: str
    note: str


def check_plugin(plugin: str | Path | ModuleType) -> list[Row]:
    """Hold a plugin to the contract and return what was checked; AssertionError, with the table, if anything fails.

    `plugin`: the name of an installed plugin, a folder with a pyproject.toml, or the module itself.
    """
    rows = examine(plugin)
    if any(row.state == "FAIL" for row in rows):
        raise AssertionError("the plugin does not keep the contract\n" + table(rows))
    return rows


def examine(plugin: str | Path | ModuleType) -> list[Row]:
    """Check whatever a plugin provides, on a tiny random model; UsageError when there is no such plugin."""
    found, catalog, paths = _found(plugin)
    if found.broken:
        return [Row("plugin", found.name, "loads", "FAIL", found.broken)]
    rows = [Row("plugin", found.name, "loads", "PASS", ", ".join(found.hooks)), _light(found, paths)]
    versioned = found.version not in ("", "?")
    rows.append(Row("plugin", found.name, "has a version", "PASS" if versioned else "FAIL", found.version))
    with tempfile.TemporaryDirectory(prefix="xferbench-check-") as folder:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            model = _model(Path(folder))
        for kind, names in found.provides.items():
            for name in names:
                place = Path(folder) / kind / name.replace("/", "-")
                try:
                    checks = list(contract.KINDS[kind](name, catalog, model, place))
                except XferbenchError as error:
                    rows.append(Row(kind, name, "can be made", "FAIL", _line(error)))
                    continue
                rows += [_tried(kind, name, what, check) for what, check in checks]
    return rows


def check_command(plugin: str, as_json: bool) -> tuple[str, bool]:
    """Do `xferbench plugins check`: the table (or JSON), and whether the contract is kept."""
    rows = examine(plugin)
    text = json.dumps([asdict(row) for row in rows], indent=1) if as_json else table(rows)
    return text, all(row.state != "FAIL" for row in rows)


def _tried(kind: str, name: str, what: str, check: Any) -> Row:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return Row(kind, name, what, "PASS", check() or "")
    except AssertionError as error:
        return Row(kind, name, what, "FAIL", _line(error))
    except UsageError as error:
        state = "FAIL" if isinstance(error, PluginError) else "SKIP"
        return Row(kind, name, what, state, _line(error))
    except Exception as error:  # whatever a stranger's code raises is the finding
        return Row(kind, name, what, "FAIL", f"{type(error).__name__}: {_line(error)}")


def _found(plugin: str | Path | ModuleType) -> tuple[Plugin, Catalog, list[str]]:
    """Return the plugin, a catalog that holds it, and what must be on the path for its import."""
    catalog = catalogs.load()
    if isinstance(plugin, ModuleType):
        installed = [one for one in catalog.plugins if one.module == plugin.__name__]
        if installed:
            return installed[0], catalog, []
        return *_added(Plugin(plugin.__name__, plugin.__name__, "here", plugin.__name__), plugin), list(sys.path)
    for one in catalog.plugins:
        if one.name == plugin:  # a folder of that name, such as a run's, is asked for as ./NAME
            return one, catalog, []
    if not Path(plugin).is_dir():
        raise _nowhere(str(plugin), [one.name for one in catalog.plugins])
    project = _project(Path(plugin))
    points = project.get("entry-points", {}).get("xferbench", {})
    if len(points) != 1:
        raise UsageError(f"{plugin}/pyproject.toml names {len(points)} entry points in the group xferbench, not one")
    ((name, module),) = points.items()
    for one in catalog.plugins:
        if one.name == name and one.module == module:
            spec = importlib.util.find_spec(module.partition(".")[0])
            if spec and spec.origin and not Path(spec.origin).resolve().is_relative_to(Path(plugin).resolve()):
                raise UsageError(f"plugin {name} is installed from {spec.origin}: pip install -e {plugin} to check it")
            return one, catalog, []
    paths = [str(Path(plugin).resolve() / place) for place in ("", "src")]
    sys.path[:0] = paths
    found = Plugin(name, project.get("name", "?"), str(project.get("version", "?")), module)
    try:
        return *_added(found, importlib.import_module(module)), paths
    except (Exception, SystemExit) as error:
        found.broken = f"{type(error).__name__}: {_line(error)}"
        return found, catalog, paths


def _nowhere(plugin: str, names: list[str]) -> UsageError:
    """Build the error for what is neither the name of a plugin nor a folder."""
    beside = Path(f"xferbench-{plugin}")
    if beside.is_dir():
        return UsageError(f"plugin {plugin!r} is not installed: pip install -e {beside}, or check the folder {beside}")
    if {"/", "\\"} & set(plugin):
        return UsageError(f"there is no folder {plugin}")
    return unknown("plugin", plugin, names)


def _project(folder: Path) -> dict[str, Any]:
    try:
        return dict(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8")).get("project", {}))
    except FileNotFoundError:
        raise UsageError(f"{folder} has no pyproject.toml: is it a plugin's folder?") from None
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{folder}/pyproject.toml cannot be read: {error}") from None


def _added(found: Plugin, module: ModuleType) -> tuple[Plugin, Catalog]:
    known = catalogs.load()
    catalog = Catalog([*known.plugins, found], {kind: dict(entries) for kind, entries in known.entries.items()})
    try:
        catalogs.add(catalog, found, module)
    except XferbenchError as error:
        found.broken = _line(error)
    return found, catalog


def _light(found: Plugin, paths: list[str]) -> Row:
    """Import the plugin's module in a fresh process: it must bring no heavy library with it."""
    line = [sys.executable, "-c", IMPORT, found.module, json.dumps(paths), json.dumps(HEAVY)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        return Row("plugin", found.name, "imports nothing heavy", "FAIL", done.stderr.strip().splitlines()[-1])
    seconds, heavy = json.loads(done.stdout.splitlines()[-1])
    note = f"imports {', '.join(heavy)} at its top" if heavy else f"{1000 * seconds:.0f} ms"
    return Row("plugin", found.name, "imports nothing heavy", "FAIL" if heavy else "PASS", note)


def _model(folder: Path) -> Any:
    """Make the tiny model with a LoRA adapter whose weights are not zero, as a trained one has."""
    import torch
    from peft import LoraConfig, get_peft_model

    from xferbench.api import Checkpoint
    from xferbench.models import load
    from xferbench.tiny import make_model

    base = str(make_model(folder / "model", context=1024))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = get_peft_model(load(Checkpoint(base)).network, LoraConfig(r=4, target_modules="all-linear"))
        for name, weight in made.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.02)
    made.save_pretrained(str(folder / "adapter"))
    return load(Checkpoint(base, str(folder / "adapter")))


def table(rows: list[Row]) -> str:
    """Render the checks as a table that may go into a pull request."""
    from tabulate import tabulate

    counts = {state: sum(row.state == state for row in rows) for state in ("PASS", "FAIL", "SKIP")}
    body = tabulate([asdict(row) for row in rows], headers="keys", tablefmt="github")
    return f"{body}\n\n" + ", ".join(f"{n} {state}" for state, n in counts.items())


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
