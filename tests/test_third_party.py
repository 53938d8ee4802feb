"""Somebody else's plugin, as the house promises: a real distribution, installed by pip, used from the command line."""

import json
import os
import subprocess
import sys
import sysconfig
from types import SimpleNamespace

import pytest
from conftest import environment

PYPROJECT = """
[project]
name = "xferbench-{name}"
version = "{version}"
dependencies = ["xferbench"]

[project.entry-points.xferbench]
{name} = "xferbench_{name}"

[tool.setuptools]
py-modules = ["xferbench_{name}"]

[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
"""

HAIKU = '''
"""Haiku: does learning to write three lines help with anything else?"""
from xferbench import Domain, Example, hookimpl

def examples():
    yield Example("frog", "Write a haiku about a frog.", "An old silent pond...")

def reward(example, completion):
    return float(len(completion.strip().splitlines()) == 3)

@hookimpl
def provide_domains():
    yield Domain("haiku", examples, reward)
'''

BROKEN = '''
"""A plugin with a misspelt hook."""
from xferbench import hookimpl

@hookimpl
def provide_domain():
    return []
'''


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A fresh environment that sees the packages of this one, with two plugins of strangers installed by pip."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    site = next((folder / "venv" / "lib").glob("python*/site-packages"))
    beside = sysconfig.get_path("purelib")
    # addsitedir also reads the .pth files there, so that an editable xferbench is found like an installed one
    (site / "beside.pth").write_text(f"import site; site.addsitedir({beside!r})\n")
    for name, version, source in (("haiku", "0.1", HAIKU), ("wrong", "2.0", BROKEN)):
        home = folder / name
        home.mkdir()
        (home / "pyproject.toml").write_text(PYPROJECT.format(name=name, version=version))
        (home / f"xferbench_{name}.py").write_text(source)
        subprocess.run(
            [
                str(python),
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-index",
                "--no-build-isolation",
                "--no-deps",
                str(home),
            ],
            check=True,
            env=environment(),
        )

    def run(*arguments, env=None):
        line = [str(python), "-m", "xferbench.cli", *map(str, arguments)]
        return subprocess.run(line, capture_output=True, text=True, env=environment(env), cwd=folder, timeout=900)

    return SimpleNamespace(run=run, folder=folder, site=site)


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
    done = fresh.run("run", *asked, "--trainer", "nudge", "--train-limit", 1, "--seeds", "0", "--json", env=env)
    assert done.returncode == 0, done.stderr
    cells = {cell["condition"]: cell for cell in json.loads(done.stdout)["cells"]}
    assert cells["transfer"]["source"] == "haiku"
    assert cells["transfer"]["value"] != cells["baseline"]["value"]
    assert "plugin wrong (xferbench-wrong 2.0) is broken" in done.stderr
    (recipe,) = (fresh.folder / "runs" / "steps").glob("train-*/step.json")
    assert json.loads(recipe.read_text())["data"][0]["version"] == "xferbench-haiku 0.1, 1"
