"""What others rely on: the names of the door, one version, a whole wheel, workflows that run what was looked at."""

import inspect
import re
import sys
import tomllib

import pytest
from conftest import ROOT, install

import xferbench as door
from xferbench import catalog as catalogs

FACE = {
    "API_VERSION", "Checkpoint", "DataError", "Domain", "Encoded", "Example", "Executor", "Item", "LmEvalTask",
    "Measurement", "Model", "ModelError", "Outcome", "Output", "PluginError", "Reward", "Scorer", "StepError", "Suite",
    "Target", "Trainer", "UsageError", "XferbenchError", "__version__", "check_cuda", "encode", "features", "hookimpl",
    "load", "read", "report_progress", "rows", "run", "table",
}  # fmt: skip


def test_the_public_face_is_this_and_no_more():
    """A name is added here on purpose; one goes as CONTRIBUTING.md says."""
    assert set(door.__all__) == FACE
    assert set(dir(door)) == FACE


def test_every_name_of_the_face_is_documented():
    for name in FACE:
        value = getattr(door, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert inspect.getdoc(value), f"{name} has no docstring"


@pytest.mark.parametrize(("api", "broken"), [(door.API_VERSION, False), (None, False), (99, True), ("1", True)])
def test_a_plugin_of_another_api_is_not_loaded_and_says_why(tmp_path, monkeypatch, api, broken):
    lines = ["from xferbench import Domain, Example, hookimpl", "" if api is None else f"XFERBENCH_API = {api!r}"]
    lines += ["@hookimpl", "def provide_domains():", "    return [Domain('late', lambda: [Example('a', 'b', 'c')])]"]
    install(tmp_path, "late", ("late", "late_plugin"), {"late_plugin.py": "\n".join(lines)}, "3.0")
    monkeypatch.setenv("XFERBENCH_PLUGINS", "late")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "late_plugin", raising=False)
    catalogs.loaded.cache_clear()
    try:
        found = catalogs.load()
    finally:
        catalogs.loaded.cache_clear()  # the next test has the plugins that are there
    (plugin,) = found.plugins
    assert plugin.label == "late 3.0"
    if broken:
        told = f"made for plugin API {api}; this xferbench speaks {door.API_VERSION}: install a version"
        assert told in plugin.broken
        assert not found.entries["domain"].get("late")
    else:
        assert not plugin.broken
        assert found.entries["domain"]["late"]


def test_the_version_comes_from_one_place():
    assert f"version: {door.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "xferbench.__version__"}


def test_every_folder_of_a_package_is_in_the_wheel():
    """setuptools leaves out, with a warning, what is data by its folder and not named as a package."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    homes = {name: ROOT / place for name, place in found["package-dir"].items()}
    folders = set()
    for name, home in homes.items():
        for path in [home, *(path for path in home.rglob("*") if path.is_dir() and path.name != "__pycache__")]:
            folders.add(".".join([name, *path.relative_to(home).parts]))
    assert folders == set(found["packages"])
    assert {path.name for path in (ROOT / "plugins").glob("xferbench_*")} <= set(homes)


def test_actions_are_pinned_to_commits():
    flows = [*(ROOT / ".github").rglob("*.yml"), ROOT / "xferbench" / "leaderboard" / "host" / "workflow.yml"]
    used = [line for path in flows for line in path.read_text().splitlines() if "uses:" in line]
    assert len(used) > 5
    assert not [line for line in used if not re.search(r"uses: [\w/-]+@[0-9a-f]{40} # v\d", line)]
