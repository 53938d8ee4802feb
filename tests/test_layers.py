"""The floors of the house: imports run down only, plugins come in by the door alone, and files stay short."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HARNESS = ROOT / "xferbench"
FLOORS = {
    1: ("errors", "api", "steps"),
    2: (
        "hookspecs",
        "results",
        "progress",
        "hub",
        "contamination",
        "licence",
        "models",
        "treatments",
        "problem",
        "settings",
        "curriculum",
        "budget",
        "tiny",
        "locks",
        "machine",
        "launch",
        "size",
        "cuda",
    ),
    3: (
        "draw",
        "experiment",
        "lmeval",
        "loss",
        "judge",
        "pca",
        "external",
        "train",
        "evaluate",
        "attribute",
        "store",
        "ready",
    ),
    4: ("catalog", "drift", "analyse", "index", "shelf", "upkeep"),
    5: (
        "able",
        "planned",
        "recipes",
        "supply",
        "work",
        "listing",
        "status",
        "contract",
        "edited",
        "leaderboard",
        "fetch",
        "scaffold",
    ),
    6: ("plan", "testing", "leakage", "doctor", "estimate", "report"),
    7: ("gather", "job", "rank"),
    8: ("schedule",),
    9: ("execute", "watching"),
    10: ("mix", "ablate", "outcome", "lookup", "describe", "alike"),
    11: ("face", "compare", "plugins"),
    12: ("commands", "housekeeping", "studies"),
    13: ("cli",),
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules}
ANALYSIS = {"numpy", "scipy", "matplotlib", "tabulate"}
READING = {"analyse": ANALYSIS, "leaderboard": ANALYSIS | {"click", "jinja2", "markupsafe", "msgspec", "yaml"}}
READING["report"] = ANALYSIS | {"jinja2", "markupsafe"}
CODE = sorted(path for folder in ("xferbench", "plugins", "tasks") for path in (ROOT / folder).rglob("*.py"))
HOUSE = sorted(HARNESS.rglob("*.py"))


def parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path, tree=None):
    """Yield (line, dotted name) of every import of a file, at its top or inside a function."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(tree or parsed(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            whole = ".".join(part for part in (start, node.module) if part)
            yield from ((node.lineno, f"{whole}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from ((node.lineno, str(name.value)) for name in node.args[:1] if isinstance(name, ast.Constant))


def module_of(path):
    """Return the name on the floors of a file of the harness: `catalog`, `analyse`; "" for the door."""
    name = path.relative_to(HARNESS).parts[0].removesuffix(".py")
    return "" if name == "__init__" else name


def named(dotted):
    """Return the module of the harness that an import of xferbench.* names; "" for the door itself."""
    parts = dotted.split(".")
    is_module = len(parts) > 1 and ((HARNESS / f"{parts[1]}.py").is_file() or (HARNESS / parts[1]).is_dir())
    return parts[1] if is_module else ""


def name_of(path):
    return str(path.relative_to(ROOT))


def test_every_module_of_the_harness_has_a_floor():
    assert {module_of(path) for path in HOUSE} - {""} <= set(FLOOR)


@pytest.mark.parametrize("path", HOUSE, ids=name_of)
def test_imports_run_down_only(path):
    here = module_of(path)
    wrong = []
    for line, dotted in imported(path):
        if dotted.split(".")[0] != "xferbench":
            continue
        other = named(dotted)
        if other and other != here and FLOOR[other] >= FLOOR.get(here, 0):
            wrong.append(f"{name_of(path)}:{line} on floor {FLOOR.get(here, 0)} imports {dotted} of {FLOOR[other]}")
    assert not wrong


@pytest.mark.parametrize("path", HOUSE, ids=name_of)
def test_the_harness_imports_no_plugin(path):
    assert not [f"{name_of(path)}:{line} {name}" for line, name in imported(path) if name.startswith("xferbench_")]


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_type_checking_is_no_back_door(path):
    """Under TYPE_CHECKING the harness imports nothing of the house, and a plugin nothing but itself."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            house = [name.split(".")[0] for _, name in imported(path, node) if name.startswith("xferbench")]
            assert path not in HOUSE or not house, f"{name_of(path)}:{node.lineno}"
            assert set(house) <= {path.parent.name}, f"{name_of(path)}:{node.lineno}"


@pytest.mark.parametrize("path", sorted(set(CODE) - set(HOUSE)), ids=name_of)
def test_a_plugin_comes_in_by_the_door(path):
    """A plugin imports names of `xferbench`, the words of xferbench.api, the check of xferbench.testing: no more."""
    allowed = ("", "api", "testing")
    used = [(line, name) for line, name in imported(path) if name.split(".")[0] == "xferbench"]
    assert not [f"{name_of(path)}:{line} {name}" for line, name in used if named(name) not in allowed]


@pytest.mark.parametrize("path", sorted(p for wing in READING for p in (HARNESS / wing).rglob("*.py")), ids=name_of)
def test_the_reading_wing_knows_only_rows(path):
    allowed = READING[module_of(path)] | set(sys.stdlib_module_names)
    for line, name in imported(path):
        top = name.split(".")[0]
        allowed_here = ("errors", "results", "steps", "curriculum", "analyse", "leaderboard", "report")
        fine = named(name) in allowed_here if top == "xferbench" else top in allowed
        assert fine, f"{name_of(path)}:{line} imports {name}"


def test_the_door_imports_nothing_of_the_house_when_it_is_loaded():
    top = [node for node in parsed(HARNESS / "__init__.py").body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {getattr(node, "module", None) or node.names[0].name for node in top}
    assert names <= {"importlib", "typing"}


def test_errors_imports_nothing_of_the_house():
    assert not [name for _, name in imported(HARNESS / "errors.py") if name.startswith("xferbench")]


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_a_file_is_short_and_says_first_what_it_is(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400
    assert ast.get_docstring(parsed(path)), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_functions_are_short(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 60, f"{name_of(path)}:{node.lineno} {node.name}"


def test_no_folder_or_file_is_a_rummage_drawer():
    drawers = {"utils", "util", "common", "base", "helpers", "misc", "core"}
    allowed = ROOT / "tasks"  # lm-eval looks for utils.py beside a task's YAML by custom
    assert not [path for path in CODE if path.stem in drawers and not path.is_relative_to(allowed)]
