"""board.html in a real browser: it asks for nothing, says nothing on the console, sorts, filters, and obeys the keys.

Needs playwright (pip) and a Chromium (Debian's package chromium, or the path in CHROMIUM); skipped without, saying so.
"""

import dataclasses
import os
import shutil

import pytest
from test_pages import HOSTILE, dataclasses_free, hostile

from xferbench.leaderboard.page import page
from xferbench.leaderboard.rankings import standings
from xferbench.leaderboard.synthetic import World, make
from xferbench.leaderboard.view import view

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("there is no Chromium on this machine", allow_module_level=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The pages of one synthetic board: as it is, and under hostile names."""
    root = tmp_path_factory.mktemp("browser")
    board = make(root / "toy", World(sources=3, targets=4, recipes=("sft", "grpo"), resamples=0))
    rows = view(board)
    first = dataclasses.replace(rows[0], gain={**rows[0].gain, **dict.fromkeys(("value", "low", "high", "p", "mde"))})
    rows[0] = dataclasses.replace(first, gain={**first.gain, "p_holm": None, "reason": "all items are equal"})
    (root / "board.html").write_text(page(board.rules, rows, standings(rows)))
    two = [dataclasses.replace(row, submitter=("alice", "bob")[i % 2]) for i, row in enumerate(rows)]
    (root / "two.html").write_text(page(board.rules, two, standings(two)))
    spiced = hostile(rows)
    rules = dataclasses_free(board.rules, title=HOSTILE[1], about="\n\n".join(HOSTILE))
    (root / "hostile.html").write_text(page(rules, spiced, standings(spiced)))
    return root


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def opened(browser, files):
    """Open a page; at the end of the test nothing may have been said, asked for or alerted."""
    heard = []
    contexts = []

    def show(name="board.html", width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: heard.append(message.text))
        tab.on("pageerror", lambda error: heard.append(str(error)))
        tab.on("dialog", lambda dialog: (heard.append("dialog"), dialog.dismiss()))
        tab.on("request", lambda asked: asked.url.startswith("file:") or heard.append(asked.url))
        tab.goto(f"file://{files}/{name}")
        return tab

    yield show
    for context in contexts:
        context.close()
    assert heard == []


def column(tab, place):
    return tab.locator(f"#rows tr > :nth-child({place})").all_inner_texts()


def place_of(tab, title):
    return 1 + [text.strip() for text in tab.locator(".entries thead th").all_inner_texts()].index(title)


def numbers(texts):
    return [float(text.replace("\u2212", "-")) for text in texts if text != "–"]


def test_the_table_sorts_by_mouse_and_by_key_and_unknown_numbers_come_last(opened):
    tab = opened()
    place = place_of(tab, "gain")
    head = tab.locator("th[data-key=gain]")
    assert head.get_attribute("aria-sort") == "descending"
    falling = column(tab, place)
    assert numbers(falling) == sorted(numbers(falling), reverse=True)
    assert falling[-1] == "–"
    head.locator("button").focus()
    tab.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    rising = column(tab, place)
    assert numbers(rising) == sorted(numbers(rising))
    assert rising[-1] == "–"
    tab.locator("th[data-key=pair] button").click()
    assert head.get_attribute("aria-sort") is None
    names = column(tab, 1)
    assert names == sorted(names)


def test_filters_join_and_the_count_is_said(opened):
    tab = opened()
    every = tab.locator("#rows tr").count()
    assert every == 24
    tab.get_by_label("Find").fill("domain1 sft")
    found = column(tab, 1)
    assert 0 < len(found) < every
    assert all("domain1" in text for text in found)
    tab.locator("#entries-body").get_by_label("Source").select_option(label="domain1")
    assert column(tab, 1) == [text for text in found if text.startswith("domain1")]
    assert tab.locator("#count").inner_text().startswith("4 of 4 entries shown, 24 in all")
    assert tab.locator("#count").get_attribute("aria-live") == "polite"


def test_entries_of_several_submitters_say_whose_they_are_and_are_found_by_that(opened):
    assert "by" not in opened().locator(".entries thead").inner_text().split()
    tab = opened("two.html")
    place = place_of(tab, "by")
    assert sorted(column(tab, place)) == ["alice"] * 12 + ["bob"] * 12
    tab.locator("#entries-body").get_by_label("By").select_option(label="bob")
    assert set(column(tab, place)) == {"bob"}
    tab.get_by_label("Find").fill("alice")
    assert column(tab, place) == []


def test_the_matrix_is_one_tab_stop_walks_by_arrows_and_shows_intervals_on_focus_and_hover(opened):
    tab = opened()
    cells = tab.locator(".matrix a")
    assert tab.locator(".matrix a[tabindex='0']").count() == 1
    cells.first.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    focused = tab.locator(".matrix a:focus")
    assert "domain1 → domain1" in focused.get_attribute("aria-label")
    assert tab.locator(".matrix a[tabindex='0']").count() == 1
    tip = tab.locator("#tip")
    assert tip.is_visible()
    assert "95 %" in tip.inner_text()
    tab.keyboard.press("Escape")
    assert not tip.is_visible()
    cells.nth(2).hover()
    assert tip.is_visible()
    focused.focus()
    tab.keyboard.press("Enter")
    assert "domain1 → toy/domain1" in tab.locator("#pair-title").inner_text()
    assert tab.evaluate("document.activeElement.id") == "pair-title"


def test_a_pair_has_its_figure_its_numbers_and_the_command_and_one_comes_back(opened):
    tab = opened()
    tab.locator("#rows a").nth(1).click()
    assert tab.locator("#pair svg.plot line").count() > 6
    table = tab.locator("#pair table").first.inner_text()
    assert all(word in table for word in ("baseline", "transfer", "direct"))
    command = tab.locator("#pair pre").first.inner_text()
    assert command.startswith("xferbench run --source 'toy/domain")
    assert "--seeds 0,1" in command
    assert tab.locator("#board").is_hidden()
    tab.go_back()
    assert tab.locator("#board").is_visible()
    assert tab.locator("#pair").is_hidden()


def test_an_undefined_gain_is_a_dash_with_its_reason(opened):
    tab = opened()
    cell = tab.locator(".matrix a.none")
    assert cell.inner_text() == "–"
    assert "all items are equal" in cell.get_attribute("aria-label")


def test_hostile_names_are_shown_as_text(opened):
    tab = opened("hostile.html")
    assert tab.locator("h1").inner_text() == HOSTILE[1]
    assert HOSTILE[0] + "s" in tab.locator("#rows").inner_text()
    assert tab.locator("img").count() == 0
    tab.locator("#rows a").first.click()
    assert tab.locator("#pair img, #pair script").count() == 0
    tab.wait_for_timeout(50)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_keeps_its_contrast_and_the_page_its_width(opened, scheme):
    """WCAG 2.2: 4.5 for text, on the colours that the browser paints; no sideways scrolling on a phone."""
    tab = opened(width=360, scheme=scheme)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    lowest = tab.evaluate(CONTRAST)
    assert lowest[0] >= 4.5, lowest


CONTRAST = """() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const painted = (colours) => {
    context.clearRect(0, 0, 1, 1);
    for (const colour of colours) { context.fillStyle = colour; context.fillRect(0, 0, 1, 1); }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  let lowest = [99, ""];
  for (const node of document.querySelectorAll("h1,h2,p,th,td,a,button,select,label,dd,dt,small,span")) {
    if (!node.offsetParent || ![...node.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const grounds = [];
    for (let up = node; up; up = up.parentElement) grounds.unshift(getComputedStyle(up).backgroundColor);
    const ground = painted(grounds);
    const ink = painted([...grounds, getComputedStyle(node).color]);
    const [a, b] = [light(ground), light(ink)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < lowest[0]) lowest = [ratio, `${node.tagName}.${node.className}: ${node.textContent.slice(0, 30)}`];
  }
  return lowest;
}"""


def test_the_theme_button_turns_the_light_and_keeps_it(opened):
    tab = opened()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = tab.evaluate(ground)
    tab.locator("#theme").click()
    tab.locator("#theme").click()
    assert tab.locator("#theme").inner_text() == "Theme: dark"
    dark = tab.evaluate(ground)
    assert dark != light
    tab.reload()
    assert tab.evaluate(ground) == dark
