"""Somebody else's plugin, as the house promises: a real distribution, installed by pip, used from the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from types import SimpleNamespace

import pytest
from conftest import ROOT, environment

from xferbench import UsageError
from xferbench.scaffold import KINDS, new
from xferbench.testing import _found, examine

PYPROJECT = """
[project]
name = "xferbench-wrong"
version = "2.0"
dependencies = ["xferbench"]

[project.entry-points.xferbench]
wrong = "xferbench_wrong"

[tool.setuptools]
py-modules = ["xferbench_wrong"]

[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
"""

BROKEN = '''
"""A plugin with a misspelt hook."""
from xferbench import hookimpl

@hookimpl
def provide_domain():
    return []
'''


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A fresh environment that sees the packages of this one, with plugins of strangers installed by pip."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    beside = sysconfig.get_path("purelib")
    # addsitedir also reads the .pth files there, so that an editable xferbench is found like an installed one
    (site / "beside.pth").write_text(f"import site; site.addsitedir({beside!r})\n")
    wrong = folder / "wrong"
    wrong.mkdir()
    (wrong / "pyproject.toml").write_text(PYPROJECT)
    (wrong / "xferbench_wrong.py").write_text(BROKEN)
    # a copy: building leaves files beside the source
    haiku = shutil.copytree(ROOT / "plugins" / "xferbench-haiku", folder / "haiku")
    written = [new(f"my-{kind}", kind, folder) for kind in KINDS]
    pip = [python, "-m", "pip", "install", "--quiet", "--no-index", "--no-build-isolation", "--no-deps"]
    subprocess.run([*map(str, [*pip, wrong, haiku, *written])], check=True, env=environment())

    def run(*arguments, env=None):
        line = [str(python), "-m", "xferbench.cli", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, env=environment(env), cwd=folder, timeout=900)

    return SimpleNamespace(run=run, folder=folder, site=site, python=python)


def test_pip_put_the_plugin_into_the_fresh_environment(fresh):
    assert (fresh.site / "xferbench_haiku.py").is_file()
    assert not os.path.exists(os.path.join(sysconfig.get_path("purelib"), "xferbench_haiku.py"))


def test_its_domain_is_listed_beside_ours(fresh):
    rows = {row["name"]: row for row in json.loads(fresh.run("list", "domains", "--json").stdout)}
    assert rows["haiku"]["plugin"] == "xferbench-haiku 0.1"
    assert {"gsm8k", "pubmedqa"} <= set(rows)


def test_its_domain_is_shown_with_its_source(fresh):
    done = fresh.run("show", "domain", "haiku")
    assert done.returncode == 0, done.stderr
    assert "reward: verifiable" in done.stdout
    assert f"source file: {fresh.site / 'xferbench_haiku.py'}" in done.stdout


def test_a_broken_one_beside_it_is_named_with_version_and_cause(fresh):
    rows = {row["name"]: row for row in json.loads(fresh.run("plugins", "--json").stdout)}
    assert rows["haiku"]["broken"] is None
    assert rows["haiku"]["provides"] == {"domain": ["haiku"]}
    assert (rows["wrong"]["package"], rows["wrong"]["version"]) == ("xferbench-wrong", "2.0")
    assert "provide_domain" in rows["wrong"]["broken"]
    shown = next(line for line in fresh.run("plugins").stdout.splitlines() if line.startswith("wrong"))
    assert "xferbench-wrong 2.0" in shown
    assert "BROKEN: " in shown


def test_it_is_run_from_the_command_line(fresh, world):
    env = {**world.env, "XFERBENCH_PLUGINS": "haiku,wrong,tiny,local"}
    asked = ("--suite", "tiny", "--source", "haiku", "--target", "quick", "--conditions", "transfer", "--scorer", "")
    rest = ("--trainer", "nudge", "--train-limit", 1, "--seeds", "0", "--executor", "inline")
    done = fresh.run("run", *asked, *rest, "--json", env=env)
    assert done.returncode == 0, done.stderr
    cells = {cell["condition"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert cells["transfer"]["source"] == "haiku"
    assert cells["transfer"]["value"] != cells["baseline"]["value"]
    assert "plugin wrong (xferbench-wrong 2.0) is broken" in done.stderr
    (recipe,) = (fresh.folder / "runs" / "steps").glob("train-*/step.json")
    assert json.loads(recipe.read_text())["data"][0]["version"] == "xferbench-haiku 0.1, 1"


def test_the_test_of_a_new_plugin_of_each_kind_passes_as_it_was_written(fresh, world):
    tests = [next((fresh.folder / f"xferbench-my-{kind}" / "tests").glob("test_*.py")) for kind in KINDS]
    done = subprocess.run(
        [fresh.python, "-m", "pytest", "-q", "-n", "0", "--rootdir", str(fresh.folder), *map(str, tests)],
        cwd=fresh.folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"{len(KINDS)} passed" in done.stdout


def test_new_plugins_of_all_kinds_take_part_in_one_run(fresh, world):
    env = {**world.env, "XFERBENCH_PLUGINS": ",".join(["tiny", *(f"my-{kind}" for kind in KINDS)])}
    asked = ("--source", "my-domain", "--target", "my-target", "--trainer", "my-trainer", "--scorer", "my-scorer")
    rest = ("--suite", "tiny", "--executor", "my-executor", "--conditions", "transfer", "--seeds", "0", "--jobs", "1")
    limits = ("--train-limit", 8, "--eval-limit", 20, "--query-limit", 4, "--out", "all-kinds")
    done = fresh.run("run", *asked, *rest, *limits, "--json", env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    cells = {cell["condition"]: cell for cell in found["cells"]}
    assert set(cells) == {"baseline", "transfer"}
    learnt = cells["transfer"]
    assert (learnt["source"], learnt["recipe"], learnt["target"]) == ("my-domain", "my-trainer", "my-target")
    assert found["attribution"][0]["scorer"] == "my-scorer"
    assert found["attribution"][0]["mean"] is not None


def test_the_check_of_a_plugin_that_breaks_the_contract_says_where(fresh):
    folder = new("liar", "domain", fresh.folder)
    module = folder / "xferbench_liar" / "__init__.py"
    text = module.read_text().replace("float(completion.strip() == example.answer)", "2.0")
    module.write_text(text.replace('f"liar-{number}"', '"liar"').replace("XFERBENCH_API = 1\n", "import torch\n"))
    done = fresh.run("plugins", "check", folder, "--json")
    assert done.returncode == 3, done.stderr
    failed = {row["check"]: row["note"] for row in json.loads(done.stdout) if row["state"] == "FAIL"}
    assert failed.pop("imports nothing heavy").startswith("imports torch")
    assert failed == {
        "examples are examples": "two examples have one id",
        "the reward tells right from wrong": "no example's own answer is given 1; the first gets 2.0",
    }


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("XFERBENCH_API = 99\n", "made for plugin API 99; this xferbench speaks 1"),
        ("import no_such_thing\n", "No module named 'no_such_thing'"),
    ],
)
def test_the_check_names_what_is_wrong_with_a_whole_plugin(fresh, source, said):
    folder = new("wrong" + re.sub(r"\W|_", "", source).lower(), "domain", fresh.folder)
    module = next(folder.glob("xferbench_*/__init__.py"))
    module.write_text(module.read_text().replace("XFERBENCH_API = 1\n", source))
    done = fresh.run("plugins", "check", folder)
    assert done.returncode == 3, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize("name", ["My_Plugin", "1st", "a--b", "", "../up", "class", "é", "a b"])
def test_a_name_that_no_package_can_have_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="no package name"):
        new(name, "domain", tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("sft", "scorer", "'sft' is taken by xferbench "),  # the plugin of that name
        ("random", "scorer", "'random' is taken by xferbench "),
        ("gpqa", "target", "'gpqa' is taken by xferbench "),
        ("puzzle", "domain", "'puzzle' stands for mini/puzzle in the suite mini"),
    ],
)
def test_a_name_that_is_taken_is_refused_before_it_is_installed_and_broken(name, kind, said, tmp_path):
    with pytest.raises(UsageError, match=said):
        new(name, kind, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over_and_nothing_half_written(tmp_path):
    new("mine", "scorer", tmp_path)
    with pytest.raises(UsageError, match="there already"):
        new("mine", "domain", tmp_path)
    with pytest.raises(UsageError, match="unknown kind 'domian'; did you mean 'domain'"):
        new("other", "domian", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["xferbench-mine"]


def test_what_is_checked_and_is_no_plugin_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    new("far", "domain", tmp_path)
    (tmp_path / "sft").mkdir()  # as `xferbench run --out sft` makes it
    for plugin, said in (
        ("sfy", "did you mean 'sft'"),
        ("nowhere/plugin", "there is no folder nowhere/plugin"),
        ("./sft", "has no pyproject.toml"),
        ("far", "plugin 'far' is not installed: pip install -e xferbench-far, or check the folder xferbench-far"),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            examine(plugin)
    assert _found("sft")[0].label.startswith("xferbench ")


def test_a_folder_whose_plugin_is_installed_from_elsewhere_is_not_taken_for_it(fresh):
    told = fresh.run("plugins", "check", ROOT / "plugins" / "xferbench-haiku")
    assert told.returncode == 2
    assert f"plugin haiku is installed from {fresh.site / 'xferbench_haiku.py'}: pip install -e " in told.stderr
