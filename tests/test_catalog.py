"""All that plugins provide: each is loaded alone, a broken one is named with its version, the rest goes on."""

import dataclasses
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest
from conftest import install

from xferbench import Domain, PluginError, UsageError, catalog, hookimpl
from xferbench.catalog import KINDS, Catalog, Plugin, add, convert

GOOD = """
from xferbench import Domain, Example, hookimpl

@hookimpl
def provide_domains():
    yield Domain("good", lambda: [Example("a", "p", "a")])
"""
BROKEN = {
    "absent": ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
    "syntax": ("def provide_domains(:\n", "SyntaxError"),
    "raising": ("raise ZeroDivisionError('at import')\n", "ZeroDivisionError: at import"),
    "misspelt": (GOOD.replace("provide_domains", "provide_domain"), "provide_domain"),
    "unmarked": (GOOD.replace("@hookimpl", ""), "provides no hook; is a function missing its @hookimpl?"),
    "wrongtype": (GOOD.replace("yield Domain(", "yield tuple([")[:-2] + "])\n", "provide_domains must give a Domain"),
    "notiter": (GOOD.replace("yield Domain", "return Domain"), "provide_domains gave one Domain: yield what it"),
    "api": ("XFERBENCH_API = 99\n" + GOOD, "made for plugin API 99; this xferbench speaks 1"),
    "twice": (GOOD + "    yield Domain('good', None)\n", "domain 'good' is provided twice"),
    "named": (GOOD.replace('"good"', '"a+b"'), "may not hold a space or one of > + ~ ,"),
    "nameless": (GOOD.replace('"good"', '""'), "provide_domains must give a Domain"),
    "argument": (GOOD.replace("provide_domains()", "provide_domains(catalog)"), "catalog"),
}


@pytest.fixture
def found(tmp_path, monkeypatch):
    """Install plugins by their source and load the catalog."""
    laid = []

    def load(version="1.2", **sources):
        for name, source in sources.items():
            laid.append(f"some_{name}")
            files = {f"some_{name}.py": source}
            install(tmp_path / name, f"some-{name}", (name, f"some_{name}"), files, version)
            monkeypatch.syspath_prepend(str(tmp_path / name))
        importlib.invalidate_caches()
        catalog.loaded.cache_clear()
        return catalog.load()

    yield load
    catalog.loaded.cache_clear()
    for name in laid:
        sys.modules.pop(name, None)


def plugin(found, name):
    return next(one for one in found.plugins if one.name == name)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_is_named_with_its_version_and_cause_and_the_rest_goes_on(found, name):
    source, said = BROKEN[name]
    working = GOOD.replace('"good"', '"working"')
    made = found(**{name: source, "zz": working})
    one = plugin(made, name)
    assert one.label == f"some-{name} 1.2"
    assert said in one.broken
    assert "\n" not in one.broken
    assert "working" in made.names("domain")
    assert "sft" in made.names("trainer")
    assert not set(made.names("domain")) & {"good", "a+b"}


def test_a_plugin_that_ends_the_process_at_import_is_passed_over(found):
    made = found(quits="import sys\nsys.exit(3)\n", zz=GOOD)
    assert "SystemExit" in plugin(made, "quits").broken
    assert "good" in made.names("domain")


def test_a_name_that_is_taken_is_refused_and_both_are_named(found):
    made = found(aa=GOOD, bb=GOOD)
    assert plugin(made, "aa").broken is None
    assert plugin(made, "bb").broken == "domain 'good' is already provided by some-aa 1.2"


def test_nobody_takes_a_name_of_ours(found):
    made = found(**{"a": GOOD.replace('"good"', '"gsm8k"')})
    assert "already provided by xferbench" in plugin(made, "a").broken
    assert made.entry("domain", "gsm8k").plugin.package == "xferbench"


def test_a_plugin_is_taken_whole_or_not_at_all(found):
    source = GOOD.replace("    yield", "    yield Domain('other', None)\n    yield").replace('"good"', '"gsm8k"')
    made = found(a=source)
    assert "other" not in made.names("domain")
    assert plugin(made, "a").provides == {}


def test_a_good_plugin_says_what_it_provides(found):
    one = plugin(found(aa=GOOD), "aa")
    assert one.broken is None
    assert one.hooks == ("provide_domains",)
    assert one.provides == {"domain": ["good"]}
    assert one.seconds > 0


def test_only_the_plugins_of_the_environment_are_loaded(found, monkeypatch):
    monkeypatch.setenv("XFERBENCH_PLUGINS", "aa, sft")
    assert {one.name for one in found(aa=GOOD).plugins} == {"aa", "sft"}


def test_disabled_plugins_are_not_even_imported(found, monkeypatch):
    monkeypatch.setenv("XFERBENCH_DISABLE_PLUGINS", "aa,bb")
    made = found(aa=GOOD, bb="raise ZeroDivisionError")
    assert not {one.name for one in made.plugins} & {"aa", "bb"}
    assert "some_bb" not in sys.modules
    assert "sft" in made.names("trainer")


def test_strict_makes_a_broken_plugin_an_error(found, monkeypatch):
    monkeypatch.setenv("XFERBENCH_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match=r"plugin aa \(some-aa 1\.2\): ModuleNotFoundError"):
        found(aa="import no_such_module\n")


def test_the_default_plugins_hold_the_contract():
    catalog.loaded.cache_clear()
    broken = [(one.name, one.broken) for one in catalog.load().plugins if one.package == "xferbench" and one.broken]
    assert not broken


@dataclasses.dataclass(frozen=True)
class Learner:
    """A trainer with one setting of each type."""

    name: ClassVar[str] = "learner"
    rate: float = 0.1
    epochs: int = 2
    lora: bool = True
    modules: str = "all"
    layers: tuple = ("q", "v")
    steps: int | None = None

    def train(self, start, examples, reward, out, seed):
        raise NotImplementedError


@pytest.fixture
def made():
    module = ModuleType("m")
    module.provide_trainers = hookimpl(lambda: [Learner], specname="provide_trainers")
    module.provide_domains = hookimpl(lambda: [Domain("maths", list)], specname="provide_domains")
    whole = Catalog([], {kind: {} for kind in KINDS})
    add(whole, Plugin("m", "pkg", "1", "m"), module)
    return whole


def test_settings_as_typed_get_the_type_of_their_default(made):
    typed = {"rate": "1e-4", "epochs": "3", "lora": "false", "modules": "1", "layers": "a|b", "steps": "7"}
    assert made.make("trainer", "learner", typed) == Learner(1e-4, 3, False, "1", ("a", "b"), 7)
    assert made.make("trainer", "learner", {"rate": "1", "steps": "none"}) == Learner(rate=1.0)


def test_settings_from_python_keep_their_value(made):
    assert made.make("trainer", "learner", {"rate": 1, "layers": ["a"]}).rate == 1.0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"rate": "fast"}, "trainer learner: rate takes a number, not 'fast'"),
        ({"epochs": "2.5"}, "epochs takes a whole number, not '2.5'"),
        ({"epochs": 2.5}, "epochs takes a whole number, not 2.5"),
        ({"lora": "maybe"}, "lora takes true or false, not 'maybe'"),
        ({"lora": 1}, "lora takes true or false, not 1"),
        ({"epochs": True}, "epochs takes a whole number, not True"),
        ({"rate": "nan"}, "rate takes a number, not 'nan'"),
        ({"epochs": "none"}, "epochs takes a whole number, not 'none'"),
        ({"rat": "1"}, r"trainer learner has no setting 'rat'; did you mean 'rate'\? \(it has: rate, epochs"),
    ],
)
def test_a_setting_that_is_wrong_is_refused(made, setting, said):
    with pytest.raises(UsageError, match=said):
        made.make("trainer", "learner", setting)


def test_an_unknown_name_answers_with_the_nearest(made):
    with pytest.raises(UsageError, match=r"unknown trainer 'lerner'; did you mean 'learner'\? \(known: learner\)"):
        made.entry("trainer", "lerner")
    with pytest.raises(UsageError, match=r"unknown scorer 'x' \(known: none\)"):
        made.entry("scorer", "x")


def test_a_domain_has_no_settings(made):
    with pytest.raises(UsageError, match=r"domain maths has no setting 'n' \(it has: none\)"):
        made.make("domain", "maths", {"n": "1"})


def test_an_optional_setting_takes_what_it_looks_like():
    assert convert("x", "3", None) == 3
    assert convert("x", "0.5", None) == 0.5
    assert convert("x", "true", None) is True
    assert convert("x", "acc", None) == "acc"


def test_our_plugins_come_in_by_the_door_that_is_in_pyproject():
    import tomllib

    listed = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))
    catalog.loaded.cache_clear()
    ours = {one.name: one.module for one in catalog.load().plugins if one.package == "xferbench"}
    asked = listed["project"]["entry-points"]["xferbench"]
    assert {name: ours.get(name) for name in asked} == asked
