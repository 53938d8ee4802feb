"""A board's pages: the same bytes each time, text of strangers shown as text, numbers as in the entries."""

import csv
import dataclasses
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from scipy.stats import norm

from xferbench.analyse import wide
from xferbench.analyse.multiplicity import holm
from xferbench.analyse.table import points
from xferbench.errors import UsageError, VerificationError
from xferbench.leaderboard.board import findings, read_board
from xferbench.leaderboard.build import build
from xferbench.leaderboard.markdown import literal
from xferbench.leaderboard.page import embedded, page
from xferbench.leaderboard.picture import picture
from xferbench.leaderboard.published import publish
from xferbench.leaderboard.rankings import chosen, standings
from xferbench.leaderboard.readme import readme
from xferbench.leaderboard.record import badges, read_record, write_record
from xferbench.leaderboard.sheet import sheet
from xferbench.leaderboard.synthetic import World, make
from xferbench.leaderboard.view import view

HOST = Path(__file__).parent.parent / "xferbench" / "leaderboard" / "host"
PUBLISHED = Path(__file__).parent.parent / "leaderboards" / "published"
HOSTILE = (
    "<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "[a](javascript:alert(1))", "a|b|c",
    "`code` **bold** _it_ ~~no~~", "=HYPERLINK(0)", "www.evil.example https://evil.example me@evil.example",
    "line\nbreak\r\n# title", "\u202egnp.exe", "<!-- x", "&lt;b&gt;", "$x^2$ ![i](u)", "1. one", "- item", "{{ 7*7 }}",
)  # fmt: skip
MARKDOWN = MarkdownIt("gfm-like", {"linkify": False})


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    root = tmp_path_factory.mktemp("board") / "toy"
    world = World(sources=3, targets=3, recipes=("sft", "grpo"), submitters=("alice", "bob"), resamples=0)
    made = make(root, world)
    build(root)
    return made


@pytest.fixture(scope="module")
def rows(board):
    return view(board)


def digests(root):
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and "entries" not in path.parts]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


READERS = {"click", "jinja2", "markupsafe", "msgspec", "numpy", "yaml", "scipy", "tabulate", "xferbench"}
ALONE = f"""
import sys
class Alone:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if not top.startswith("_") and top not in sys.stdlib_module_names and top not in {READERS}:
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Alone())
from xferbench.cli import main
main()
"""
"""The command with nothing installed but what the host's workflow installs: no torch, no matplotlib."""


def test_two_builds_give_the_same_bytes_under_another_hash_seed_time_zone_locale_folder_and_bare_libraries(
    board, tmp_path
):
    first = digests(board.root)
    assert {"README.md", "board.html", "leaderboard.csv", "figures/gains-toy_model.svg"} <= set(first)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for part in ("board.yaml", "entries", "items"):
        subprocess.run(["cp", "-r", board.root / part, other], check=True)
    told = {**os.environ, "PYTHONHASHSEED": "4711", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0"}
    line = [sys.executable, "-c", ALONE, "leaderboard", "build", "."]
    printed = subprocess.run(line, cwd=other, env=told, check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["figures/gains-toy_model.svg", "leaderboard.csv", "board.html", "README.md"]
    assert digests(other) == first


def test_the_hosts_workflow_installs_what_reading_a_board_takes():
    """And no package that the project itself does not ask for, at the versions that it asks for."""
    asked = yaml.safe_load((HOST / "workflow.yml").read_text())["env"]["READERS"].split()
    wanted = tomllib.loads((PUBLISHED.parents[1] / "pyproject.toml").read_text())["project"]["dependencies"]
    assert set(asked) <= set(wanted)
    named = {"yaml" if one.startswith("pyyaml") else one.partition(">")[0] for one in asked}
    assert named | {"xferbench", "markupsafe"} == READERS


def test_a_picture_holds_every_gain_and_no_name_is_more_than_text(rows):
    drawn = ElementTree.fromstring(picture(chosen(rows), 0))
    texts = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}text")]
    gains = [points(row.gain["value"], sign=True) for row in chosen(rows)]
    shown = [text.removesuffix(" ●") for text in texts]
    assert set(gains) <= set(shown)
    drawn = ElementTree.fromstring(picture(hostile(rows), 0))
    assert {node.tag.rpartition("}")[2] for node in drawn.iter()} == {
        "svg", "title", "rect", "g", "text", "defs", "linearGradient", "stop"}  # fmt: skip


def test_the_csv_and_the_page_hold_the_numbers_of_the_entries(board):
    entries = list(board.entries())
    lines = list(csv.DictReader(io.StringIO((board.root / "leaderboard.csv").read_text())))
    data = re.search(r'id="data">(.*?)</script>', (board.root / "board.html").read_text())
    shown = json.loads(data.group(1))
    assert len(lines) == len(shown["entries"]) == len(entries)
    places = {name: shown["fields"].index(name) for name in shown["fields"]}
    for entry, found, line, row in zip(entries, findings(entries), lines, shown["entries"]):
        assert (line["source"], line["target"], line["recipe"]) == (entry.source, entry.target, entry.recipe)
        assert line["submitter"] == entry.submitter.name
        gain = entry.finding.gain
        assert float(line["gain"]) == gain.value
        assert float(line["transfer"]) == pytest.approx(entry.finding.transfer, rel=1e-9)
        assert row[places["gain"]][:3] == [round(x, 4) for x in (gain.value, gain.low, gain.high)]
        holms = found["gain"]["p_holm"]
        assert (line["gain_p_holm"] == "") == (holms is None)
        assert holms is None or float(line["gain_p_holm"]) == pytest.approx(holms)
        assert (board.root / line["entry"]).is_file()


def test_entries_of_several_submitters_say_whose_they_are_and_those_of_one_do_not(board, rows, tmp_path):
    def table(text):
        return [line.split(" | ") for line in text.partition("## Entries")[2].splitlines() if line.startswith("| ")]

    heads, _, *lines = table((board.root / "README.md").read_text())
    for line in lines:
        (entry,) = [row for row in rows if row.place in line[0]]
        assert line[heads.index("by")] == entry.submitter
    assert {line[heads.index("by")] for line in lines} == {"alice", "bob"}
    alone = [row for row in rows if row.submitter == "alice"]
    assert "by" not in table(readme(board.rules, alone, standings(alone), []))[0]


def test_the_badges_are_those_of_the_record(board, tmp_path):
    copy = read_board(Path(subprocess.check_output(["cp", "-rv", board.root, tmp_path], text=True).split("'")[3]))
    assert {row.badge for row in view(copy)} == {"self-reported"}
    write_record(copy)
    entries = list(copy.entries())
    right = badges(entries, read_record(copy))
    assert [row.badge for row in view(copy)] == right
    assert set(right) <= {"recomputed", "reproduced"}


def test_recipes_and_predictors_are_ranked_over_the_pairs_that_all_have(rows):
    found = standings(rows)
    assert [one["recipe"] for one in found.predictors] == ["grpo", "sft"]
    (recipes,) = found.recipes
    assert recipes["pairs"] == 6  # three sources on three targets without their own domains
    for rival in recipes["rows"]:
        mine = [row for row in chosen(rows) if row.recipe == rival["name"] and not row.own]
        assert rival["value"] == pytest.approx(np.mean([row.gain["value"] for row in mine]))
    best = found.predictors[0]["rows"][0]
    assert best["name"] == "oracle"
    assert best["regret1"] <= best["regret1_chance"]


def test_a_ranking_that_no_data_separate_is_one_tie(rows):
    blurred = [dataclasses.replace(row, scores=tuple(_blurred(score) for score in row.scores)) for row in rows]
    for one in standings(blurred).sources:
        assert {(r["best"], r["worst"]) for r in one["rows"]} == {(1, len(one["rows"]))}


def test_recipes_and_predictors_tie_until_the_data_separate_them(rows):
    """Two recipes on the same pairs share rank 1; one that gains 40 points more on every pair stands alone."""
    found = standings(rows)
    assert [(r["best"], r["worst"]) for r in found.recipes[0]["rows"]] == [(1, 2), (1, 2)]
    assert {(r["best"], r["worst"]) for one in found.predictors for r in one["rows"]} == {(1, 2)}
    raised = [dataclasses.replace(row, gain={**row.gain, "value": row.gain["value"] + 0.4}) for row in rows]
    mixed = [high if row.recipe == "sft" else row for row, high in zip(rows, raised, strict=True)]
    apart = standings(mixed).recipes[0]["rows"]
    assert [(r["name"], r["best"], r["worst"]) for r in apart] == [("sft", 1, 1), ("grpo", 2, 2)]


def _blurred(score):
    return score and dataclasses.replace(score, seed_variance=1.0, item_variance=1.0)


def hostile(rows):
    """The rows of a board under names that no entry may have."""
    sources, targets = sorted({row.source for row in rows}), sorted({row.target for row in rows})
    donors, asked = dict(zip(sources, HOSTILE)), dict(zip(targets, HOSTILE[3:]))
    spiced = []
    for i, row in enumerate(rows):
        extra = {name: HOSTILE[(i + k) % len(HOSTILE)] for k, name in enumerate(("why", "model", "badge", "submitter"))}
        facts = (("note", HOSTILE[i % len(HOSTILE)]),)
        renamed = {"source": donors[row.source] + "s", "target": asked[row.target] + "t", "recipe": HOSTILE[5]}
        spiced.append(dataclasses.replace(row, **renamed, facts=facts, **extra))
    return spiced


def test_names_of_strangers_are_text_in_the_readme_the_csv_and_the_data(board, rows):
    spiced = hostile(rows)
    rules = dataclasses_free(board.rules, title=HOSTILE[1], about="\n\n".join(HOSTILE))
    found = standings(spiced)
    html = MARKDOWN.render(readme(rules, spiced, found, []))
    tags = set(re.findall(r"</?([a-zA-Z!][^\s>/]*)", html))
    assert tags <= {"h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "a", "ul", "li"}
    links = set(re.findall(r'href="([^"]*)"', html))
    assert links <= {"board.html", "leaderboard.csv", *(row.place for row in spiced)}
    assert "alert(1)&lt;/script&gt;" in html
    for line in csv.reader(io.StringIO(sheet(spiced, found))):
        assert not any(cell[:1] in ("=", "@") for cell in line)
    text = page(rules, spiced, found)
    assert text.count("<script") == 2
    assert text.count("</script") == 2
    assert "<img" not in text
    assert "<!-- x" not in text


def dataclasses_free(value, **changes):
    """A copy of a msgspec struct with other values, unchecked."""
    return type(value)(**{name: getattr(value, name) for name in value.__struct_fields__} | changes)


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40))
def test_any_text_is_itself_in_a_table_of_markdown_and_in_the_data_of_the_page(text):
    html = MARKDOWN.render(f"| a |\n| --- |\n| x{literal(text)}x |\n")
    cells = re.findall(r"<td>(.*?)</td>", html, re.DOTALL)
    assert len(cells) == 1
    assert "<" not in cells[0].replace("&lt;", "")
    data = embedded({"name": text})
    assert not set("<>&\u2028\u2029") & set(data)
    assert json.loads(data) == {"name": text}


def test_a_link_is_not_followed_and_a_broken_entry_names_itself(board, tmp_path):
    root = tmp_path / "linked"
    subprocess.run(["cp", "-r", board.root, root], check=True)
    outside = tmp_path / "outside"
    outside.mkdir()
    subprocess.run(["rm", "-r", root / "figures"], check=True)
    (root / "figures").symlink_to(outside)
    with pytest.raises(UsageError, match="figures is a link"):
        build(root)
    (root / "figures").unlink()
    (outside / "page").write_text("mine")
    (root / "README.md").unlink()
    (root / "README.md").symlink_to(outside / "page")
    build(root)
    assert (outside / "page").read_text() == "mine"
    before = digests(root)
    first = board.paths()[0]
    (root / first.relative_to(board.root)).write_text("{}")
    with pytest.raises(VerificationError, match=first.name):
        build(root)
    assert digests(root) == before


def test_a_board_without_entries_has_pages(board, tmp_path):
    (tmp_path / "board.yaml").write_bytes((board.root / "board.yaml").read_bytes())
    build(tmp_path)
    assert "No entries yet." in (tmp_path / "README.md").read_text()


def test_the_published_board_is_what_its_table_makes_and_what_an_independent_z_test_says(tmp_path):
    (tmp_path / "board.yaml").write_bytes((PUBLISHED / "board.yaml").read_bytes())
    publish(tmp_path, PUBLISHED / "latent_traits.yaml")
    made = {path.name: path.read_bytes() for path in (tmp_path / "entries").rglob("*.json")}
    assert made == {path.name: path.read_bytes() for path in (PUBLISHED / "entries").rglob("*.json")}
    rows = view(read_board(PUBLISHED))
    assert len(rows) == 90
    assert sum(row.own for row in rows) == 9
    off = [row for row in rows if not row.own]
    gains = np.array([row.gain["value"] for row in off])
    assert (int((gains > 0).sum()), int((gains < 0).sum())) == (50, 31)
    square = [row for row in off if row.target != "MNLI"]
    for name, mean in {"Flipkart": 7.46, "IMDB": 5.47, "Goat": 0.19, "PAWS": -7.08}.items():
        assert 100 * np.mean([r.gain["value"] for r in square if r.source == name]) == pytest.approx(mean, abs=0.006)
    table = wide.read(PUBLISHED / "latent_traits_table1.csv").array()
    base, counts = table[0], np.array([1319] + [2000] * 9)
    z = (table[1:10] - base) / np.sqrt(table[1:10] * (1 - table[1:10]) / counts + base * (1 - base) / counts)
    own = [(0, 0), (1, 1), (2, 2), (3, 3), (4, 5), (5, 6), (6, 7), (7, 8), (8, 9)]
    p = [2 * norm.sf(abs(z[i, j])) for i in range(9) for j in range(10) if (i, j) not in own]
    assert abs(sum(row.sure for row in off) - sum(q <= 0.05 for q in holm(p))) <= 1
    assert {row.badge for row in rows} == {"imported"}
    assert "Imported marginals, without items" in (PUBLISHED / "README.md").read_text()
