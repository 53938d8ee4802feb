"""The documentation says what is true: what reads is run, what trains is planned, printed results are compared.

`.ci/docs` types the same commands, trainings among them; documented.py says what neither can do.
"""

import importlib.util
import json
import os
import posixpath
import re
import shlex
import shutil
import tomllib
from contextlib import redirect_stdout
from io import StringIO
from itertools import pairwise

import click
import pytest
import yaml
from click.testing import CliRunner
from conftest import ROOT, lightly
from documented import DOCS, FAR, NOWHERE, ON_MODELS, PAGES, TRAINS, asked, blocks, differs, lay_tables, trains, why

from xferbench import catalog as catalogs
from xferbench.cli import main
from xferbench.curriculum import parse
from xferbench.errors import UsageError
from xferbench.experiment import from_mapping, spec
from xferbench.listing import about
from xferbench.treatments import split

OWN = {"haiku", "my-scorer", "my-domain"}
"""Names that a reader is told to make."""


def module(path):
    made = importlib.util.module_from_spec(importlib.util.spec_from_file_location(path.stem, path))
    made.__spec__.loader.exec_module(made)
    return made


made = module(DOCS / "pages.py")
BLOCKS = [block for path in PAGES for block in blocks(path)]
PRINTED = [block for block in BLOCKS if block.language == "console" and not any(trains(*one) for one in block.shown())]
COMMANDS = [(line, str(block)) for block in BLOCKS if block not in PRINTED for line in block.commands()]
LINES = list(dict.fromkeys(line for line, _ in COMMANDS))
HELPED = list(made.walk(main))


def examples(command):
    """The example lines of a command's help."""
    return [line.strip() for line in (command.help or "").splitlines() if re.match(r"\s*(\w+=\S* )*xferbench ", line)]


def filled(line):
    """A command line whose `...` stands for what a reader has typed before."""
    return line.replace(" ... ", " --source math --target gpqa ")


def hold(line):
    """A command of the documentation parses, and what it names is there."""
    path, context = asked(filled(line))
    given = dict(context.params) if context else {}
    if path in ("run", "mix", "attribute"):
        names_are_known(path, given)
    if path == "show" and given["name"] not in OWN and not given["name"].startswith("lmeval:"):
        assert CliRunner().invoke(main, shlex.split(line)[1:]).exit_code == 0
    if path == "analyse":
        from xferbench.analyse.menu import ANALYSES, SETTINGS

        what, settings = spec(given["what"])
        assert what in ANALYSES
        assert set(settings) <= set(SETTINGS.get(what, ()))


def names_are_known(path, given):
    keys = ("source", "target", "trainer", "scorer", "conditions", "curriculum", "budget", "seeds", "executor", "suite")
    values = {key: given[key] for key in keys if given.get(key)}
    if path == "run" and "curriculum" in values:
        values["curriculum"] = ",".join(values["curriculum"])
    if given.get("experiment"):
        return
    wanted, catalog = from_mapping(values), catalogs.load()
    suite = catalog.entry("suite", wanted.suite).value
    domains = [*wanted.source, *(name for text in wanted.curriculum for name in parse(text).domains)]
    for kind, short, names in (("domain", suite.domains, domains), ("target", suite.targets, wanted.target)):
        for text in names:
            name = split(text)[0] if kind == "domain" else spec(text.removeprefix("judge:"))[0]
            if name not in OWN and not name.startswith("lmeval:"):
                catalog.entry(kind, short.get(name, name))
    for kind, specs in (("trainer", [one for r in wanted.trainer for one in r.split(">")]), ("scorer", wanted.scorer)):
        for name, settings in map(spec, specs):
            if name not in OWN:
                catalog.make(kind, name, settings)
    name, settings = spec(wanted.executor)
    if name != "ray" or importlib.util.find_spec("ray"):
        catalog.make("executor", name, settings)


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_documentation_is_one(line):
    try:
        hold(line)
    except (click.ClickException, UsageError, AssertionError) as error:
        where = ", ".join(block for other, block in COMMANDS if other == line)
        said = error.format_message() if isinstance(error, click.ClickException) else error
        pytest.fail(f"{where}: {line}: {said}")


@pytest.mark.parametrize(("path", "command"), HELPED, ids=[path for path, _ in HELPED])
def test_every_command_has_help_with_an_example_that_parses(path, command):
    found = examples(command)
    assert any(path == "xferbench" or f"{path} " in f"{line} " for line in found), f"{path} --help has no example"
    for line in found:
        hold(re.split(r"\s{3,}", line)[0])
    assert CliRunner().invoke(main, [*path.split()[1:], "--help"]).exit_code == 0


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language], ids=str)
def test_a_code_block_is_of_the_language_that_it_names(block):
    known = {
        "python": lambda text: compile(text, str(block), "exec"),
        "yaml": yaml.safe_load,
        "toml": tomllib.loads,
        "json": json.loads,
        "sh": None,
        "console": None,
        "text": None,
    }
    assert block.language in known, f"{block}: a block names one of {', '.join(known)}, not {block.language}"
    if check := known[block.language]:
        check(block.text)


@pytest.mark.parametrize(
    ("block", "after"),
    [pair for pair in pairwise(BLOCKS) if (pair[0].language, pair[1].language) == ("python", "text")
     and pair[0].page == pair[1].page and "print(" in pair[0].text],
    ids=str,
)  # fmt: skip
def test_what_a_python_block_prints_is_what_stands_below_it(block, after):
    with redirect_stdout(StringIO()) as printed:
        exec(compile(block.text, str(block), "exec"), {})
    assert printed.getvalue() == after.text


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, feather, world):
    """A folder as a reader has it, with all plugins and those of the tests: every run in it is one of milliseconds."""
    folder = tmp_path_factory.mktemp("reader")
    for name in ("docs/studies", "leaderboards", "plugins/xferbench_suites"):
        shutil.copytree(ROOT / name, folder / name)
    asked = "run --suite feather --source f/d0 --target f/t1 --trainer quill --executor inline --jobs 1"
    rest = ["--conditions", "transfer,direct,sequential", "--curriculum", "f/d1>f/d0", "--scorer", ""]
    with lightly(feather, world, "", FEATHER_SECONDS="0") as patch:
        patch.chdir(folder)
        done = CliRunner().invoke(main, [*asked.split(), *rest])
        assert done.exit_code == 0, done.output
        rows = shutil.copytree("runs", "rows", ignore=shutil.ignore_patterns("steps", "experiments"))
        for name in {name for line in LINES for name in re.findall(r"analyse \S+ runs/(\w+)", line)}:
            shutil.copytree(rows, folder / "runs" / name)
        yield folder


DONE = [line for line in LINES if not why(line, {**NOWHERE, **ON_MODELS})]
PLANNED = [line for line in DONE if asked(filled(line))[0] in TRAINS]
READ = [line for line in DONE if line not in PLANNED]


@pytest.mark.parametrize("line", PLANNED)
def test_a_command_that_trains_can_be_planned(shelf, line):
    if "tinker" in line:
        pytest.importorskip("tinker")
    words = shlex.split(filled(line))[1:]
    more = ["--seeds", "0", *(["--lds", "4"] if "--lds" in words else []), "--out", "planned"]  # the same, but quick
    more += [word for word in ("--dry-run",) if word not in words]
    done = CliRunner().invoke(main, [*words, *more])
    assert done.exit_code == 0, done.output
    assert re.search(r"\d+ steps, \d+ to do", done.output)
    assert not (shelf / "planned").exists()


@pytest.mark.parametrize("line", READ)
def test_a_command_that_reads_runs_as_it_stands(shelf, line):
    words = shlex.split(line)
    env = dict(words.pop(0).split("=", 1) for _ in range(len(words)) if "=" in words[0])
    lay_tables(shelf, line)
    for folder in {"leaderboard init": words[3:4], "plugins new": ["xferbench-haiku"]}.get(" ".join(words[1:3]), ()):
        shutil.rmtree(folder, ignore_errors=True)
    done = CliRunner().invoke(main, words[1:], env=env)
    assert done.exit_code == 0, done.output
    assert done.output


@pytest.mark.parametrize(("mark", "said"), {**FAR, **NOWHERE, **ON_MODELS}.items())
def test_what_the_tests_do_not_run_is_there_and_tested_elsewhere(mark, said):
    assert any(re.search(mark, line) for line in LINES), f"{mark}: no page has such a command"
    assert all((ROOT / "tests" / name).is_file() for name in re.findall(r"test_\w+\.py", said))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_says_that_what_needs_the_hub_a_cluster_or_a_service_is_not_run(path):
    lines = [line for block in blocks(path) for line in block.commands()]
    far = [line for line in lines if line in PLANNED and why(line, FAR)]
    far += [line for line in lines if ": test_" in (why(line, NOWHERE) or "")]
    assert not far or re.search(r"tests\s(plan|parse)\s", path.read_text(encoding="utf-8")), far


@pytest.mark.parametrize("block", PRINTED, ids=str)
def test_what_a_command_prints_is_what_the_page_says(shelf, block):
    """`...` stands for anything."""
    shutil.rmtree(shelf / "xferbench-haiku", ignore_errors=True)
    for line, expected in block.shown():
        words = shlex.split(line)
        env = dict(words.pop(0).split("=", 1) for _ in range(len(words)) if "=" in words[0])
        assert words[0] == "xferbench", f"{block}: a block `console` shows what xferbench prints"
        printed = CliRunner().invoke(main, words[1:], env=env).output
        assert not differs(printed, expected), f"{block}: {line} prints\n{printed}"


# The site.


def leaves(nav):
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else leaves(value)


@pytest.fixture(scope="module")
def whole():
    """Every page of the site, as it is written and as it is made: {name: Markdown}."""
    own = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")}
    return {**own, **made.pages()}


def test_every_page_is_in_the_nav_once(whole):
    nav = list(leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(nav) == sorted(whole), "a page of docs/ is named once in the nav of mkdocs.yml"


def test_every_link_of_the_site_leads_somewhere(whole):
    pictures = {*made.PICTURES.values(), *(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.png"))}
    for page, text in whole.items():
        shown = text if page.startswith("reference/") else made.moved(text, page)
        for match in made.LINK.finditer(re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", shown)):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(page), match[3]))
            assert path in whole or path in pictures, f"{page} links {match[3]}"
            if match[4] and path in whole:
                heads = [re.sub(r"[^\w\- ]", "", head.lower()) for head in re.findall(r"(?m)^#+ (.*)$", whole[path])]
                assert match[4][1:] in {re.sub(r"[ -]+", "-", head) for head in heads}, (
                    f"{page} links {match[3]}{match[4]}"
                )


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_the_repository_leads_somewhere(path):
    for match in made.LINK.finditer(re.sub(r"(?ms)^```.*?^```$|`[^`\n]*`", "", path.read_text(encoding="utf-8"))):
        assert (path.parent / match[3]).exists(), f"{path.name} links {match[3]}"


def test_the_reference_tells_of_every_setting(whole):
    catalog = catalogs.load()
    for kind in ("trainer", "scorer", "executor"):
        page = whole[f"reference/{kind}s.md"]
        for name in catalog.names(kind):
            entry = catalog.entry(kind, name)
            if entry.plugin.package == "xferbench":
                part = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
                assert all(f"| `{key}` |" in part for key in catalogs.fields(entry.value)), name
    assert all(f"\n## {path}\n" in whole["reference/commands.md"] for path, _ in HELPED)


def test_the_result_that_the_readme_prints_is_that_of_the_mini_board():
    """The default run takes minutes; the board's entry of the same pair was made with the same settings."""
    shown = (ROOT / "README.md").read_text(encoding="utf-8").partition("<!-- result -->")[2].partition("<!-- /")[0]
    (row,) = re.findall(r"(?m)^ +math → gpqa  +(.*)$", shown)
    (path,) = (ROOT / "leaderboards" / "mini" / "entries").glob("*/mini_math--mini_gpqa--sft--*.json")
    found = json.loads(path.read_text())["finding"]
    gain = found["gain"]
    points = [f"{100 * found[name]:.1f}" for name in ("baseline", "transfer", "direct")]
    assert row.split()[:3] == points
    shown = re.search(r"([+-][\d.]+)\*? \[([+-][\d.]+), ([+-][\d.]+)\] +([\d.]+) +(\w+)$", row)
    wanted = [f"{100 * gain[key]:+.1f}" for key in ("value", "low", "high")]
    assert list(shown.groups()) == [*wanted, f"{100 * gain['mde']:.1f}", found["label"]]


def test_whatever_is_provided_can_be_shown():
    catalog = catalogs.load()
    for kind in catalogs.KINDS:
        for name in catalog.names(kind):
            assert json.loads(about(kind, name, True))["name"] == name


# The notebook, which CI runs (.ci/wheel).


def test_the_notebook_asks_what_can_be_asked_and_holds_what_it_printed():
    book = json.loads((DOCS / "notebook.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, start=1):
        compile("".join(cell["source"]), f"<cell {number}>", "exec")
        assert cell["execution_count"] == number
        assert cell["outputs"], f"cell {number} was not run: .ci/notebook docs/notebook.ipynb --write"
    (asked,) = re.findall(r"xferbench\.run\(\n\s+(.*)\n\)", "".join(cells[0]["source"]))
    names_are_known("run", eval(f"dict({asked})"))
    assert os.access(ROOT / ".ci" / "notebook", os.X_OK)
