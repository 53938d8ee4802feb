"""What the tests share: tiny models made on the spot, a small third-party world, the command line as a user runs it."""

import contextlib
import gzip
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import hypothesis
import pytest

from xferbench.tiny import make_model

os.environ["HF_HUB_OFFLINE"] = "1"  # no test needs a network
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tiny tensors: threads would only wait for each other

# A busy machine is no failure: no example of a property is timed.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")

ROOT = Path(__file__).parent.parent
TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
WORLD_PLUGINS = "tiny,sft,local,baselines"


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    """The folder of a tiny Llama, without a chat template."""
    return make_model(tmp_path_factory.mktemp("models") / "llama", "llama")


@pytest.fixture(scope="session")
def qwen2(tmp_path_factory):
    """The folder of a tiny Qwen2 with a chat template."""
    return make_model(tmp_path_factory.mktemp("models") / "qwen2", "qwen2", TEMPLATE)


@pytest.fixture(scope="session")
def tuned(llama, tmp_path_factory):
    """An adapter on the tiny Llama that changes what it says (`adapter`), and the same merged into it (`model`)."""
    import torch
    from peft import LoraConfig, get_peft_model

    from xferbench import Checkpoint, load

    folder = tmp_path_factory.mktemp("tuned")
    model = load(Checkpoint(str(llama)))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        wrapped = get_peft_model(model.network, LoraConfig(r=2, target_modules=["q_proj", "v_proj", "down_proj"]))
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
    wrapped.save_pretrained(folder / "adapter")
    wrapped.merge_and_unload().save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    return folder


def install(folder, name, module, files, version="0.1"):
    """Lay a distribution into a folder as pip would: its files and its metadata with an entry point."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in files.items():
        (folder / path).write_text(text, encoding="utf-8")
    about = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[xferbench]\n{module[0]} = {module[1]}\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def world(tmp_path_factory, llama):
    """A folder for PYTHONPATH that holds the third-party plugin `tiny` (tests/world), and the environment it needs."""
    folder = tmp_path_factory.mktemp("world")
    shutil.copytree(ROOT / "tests" / "world", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    install(folder, "tiny-world", ("tiny", "tiny_world"), {})
    env = {"PYTHONPATH": str(folder), "TINY_MODEL": str(llama), "XFERBENCH_PLUGINS": WORLD_PLUGINS}
    return SimpleNamespace(folder=folder, model=llama, env=env)


@contextlib.contextmanager
def within(world, plugins=WORLD_PLUGINS, patch=None):
    """The world inside this process, with the plugins that are named ("": all); its catalog.

    A test that changes the same variables by `monkeypatch` gives it as `patch`, so that one hand puts all of it back.
    """
    from xferbench import catalog

    with contextlib.nullcontext(patch) if patch else pytest.MonkeyPatch.context() as patch:
        for key, value in {**world.env, "XFERBENCH_PLUGINS": plugins}.items():
            if key != "PYTHONPATH":
                patch.setenv(key, value)
        patch.syspath_prepend(str(world.folder))
        importlib.invalidate_caches()
        catalog.loaded.cache_clear()
        yield catalog.load()
    catalog.loaded.cache_clear()
    for name in ("tiny_world", "tiny_items"):
        sys.modules.pop(name, None)


@pytest.fixture
def inside(world, monkeypatch):
    """The same world inside this process, for tests that call the harness as a library."""
    with within(world, patch=monkeypatch) as catalog:
        yield catalog


@pytest.fixture(scope="session")
def feather(tmp_path_factory):
    """The world of tests/feather, whose steps take milliseconds: its folder for PYTHONPATH, and its environment."""
    folder = tmp_path_factory.mktemp("feather")
    text = (ROOT / "tests" / "feather" / "feather.py").read_text()
    install(folder, "feather-world", ("feather", "feather"), {"feather.py": text})
    model = folder / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).write_text("{}")
    env = {"PYTHONPATH": str(folder), "FEATHER_MODEL": str(model), "XFERBENCH_PLUGINS": "feather,local,ray,slurm,tiny"}
    return SimpleNamespace(folder=folder, env=env)


@contextmanager
def lightly(feather, world, plugins, **env):
    """Have the feather world inside this process, with `plugins` ("": all); for fixtures of any scope."""
    from xferbench import catalog

    values = {**feather.env, "TINY_MODEL": "none", "XFERBENCH_PLUGINS": plugins, **env}
    with pytest.MonkeyPatch.context() as patch:
        for key, value in values.items():
            if key != "PYTHONPATH":
                patch.setenv(key, value)
        for folder in (feather.folder, world.folder):
            patch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        catalog.loaded.cache_clear()
        yield patch
    catalog.loaded.cache_clear()
    for name in ("feather", "tiny_world", "tiny_items"):
        sys.modules.pop(name, None)


@pytest.fixture
def light(feather, world, tmp_path):
    """Runs of the feather world in this very process: `light(out, seeds=...)` gives the results."""
    from xferbench import catalog, execute
    from xferbench.experiment import from_mapping

    def go(out, **asked):
        values = {
            "suite": "feather",
            "source": "f/d0",
            "target": "f/t1",
            "trainer": "quill",
            "scorer": [],
            "seeds": "0",
        }
        plan, store = execute.ask(
            from_mapping({**values, "executor": "inline", "jobs": 1, **asked}), catalog.load(), out
        )
        return execute.execute(plan, store, catalog.load())

    go.logged = tmp_path / "log"
    with lightly(feather, world, feather.env["XFERBENCH_PLUGINS"], FEATHER_LOG=str(go.logged)):
        yield go


def environment(env=None):
    """The environment of a user's shell: nothing of xferbench's own, no hub, no graphics card."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("XFERBENCH_", "TINY_", "FEATHER_"))}
    return {**kept, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", **(env or {})}


def command(*arguments):
    """Return the command line of xferbench as a list."""
    return [sys.executable, "-m", "xferbench.cli", *map(str, arguments)]


@pytest.fixture(scope="session")
def xferbench():
    """Run the command line in a process of its own."""

    def run(*arguments, env=None, cwd=None, timeout=900):
        return subprocess.run(
            command(*arguments), capture_output=True, text=True, env=environment(env), cwd=cwd, timeout=timeout
        )

    return run


@pytest.fixture(scope="session")
def hub():
    """The folder with public data sets laid out as on the hub; skips where there is none."""
    folder = Path(os.environ.get("XFERBENCH_TEST_HUB") or ROOT.parent / "shared" / "hub")
    if not (folder / "openai" / "gsm8k").is_dir():
        pytest.skip("no folder of public data: set XFERBENCH_TEST_HUB to one laid out as on the hub")
    return folder


def printed(done):
    """The object that a command printed in this process, where a library's own words may stand before it."""
    return json.loads(done.stdout[done.stdout.index("{\n") :])


def kept(folder):
    """Return {step: the bytes of its result} of all steps that are done."""
    return {path.parent.name: path.read_bytes() for path in (folder / "steps").glob("*/result.json")}


def kinds(steps):
    return Counter(step.split("-")[0] for step in steps)


def rows(folder):
    """The rows of a run without what may differ: how long it took, and where it lies."""
    found = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    for row in found:
        row.pop("store", None)
        row.get("cost", {}).pop("seconds", None)
    return found


def items(folder):
    return {path.name: gzip.decompress(path.read_bytes()) for path in (folder / "items").iterdir()}


# One whole run with trl and lm-eval, shared by what follows.
