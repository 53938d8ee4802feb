"""A report as HTML, one file that asks for nothing else, or as Markdown with its figures beside it."""

import base64
import tempfile
from collections.abc import Callable
from pathlib import Path

from xferbench.leaderboard.markdown import literal
from xferbench.leaderboard.markdown import table as markdown_table
from xferbench.leaderboard.page import HERE as BOARD
from xferbench.leaderboard.page import csp_hash
from xferbench.report.blocks import Block, Bullets, Command, Figure, Report, Table, Text

HERE = Path(__file__).parent
FOOTER = "Made by xferbench report from the rows of the run alone; the same rows give the same bytes."


def html(report: Report, place: Path) -> None:
    """Write one file: style and figures stand in it, no script, and its policy allows no request at all."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # The board's page and this one look alike.
    style = (BOARD / "board.css").read_text(encoding="utf-8") + (HERE / "report.css").read_text(encoding="utf-8")
    environment = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined)
    with tempfile.TemporaryDirectory() as folder:
        pictures = {figure.name: _inline(figure, Path(folder)) for figure in _figures(report)}
        text = environment.get_template("report.html").render(
            report=report, pictures=pictures, footer=FOOTER, style=style, style_hash=csp_hash(style)
        )
    place.write_text(text + "\n", encoding="utf-8")


def _inline(figure: Figure, folder: Path) -> str:
    path = folder / f"{figure.name}.svg"
    figure.draw(path)
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()


def _figures(report: Report) -> list[Figure]:
    return [block for section in report.sections for block in section.blocks if isinstance(block, Figure)]


def markdown(report: Report, place: Path) -> None:
    """Write Markdown, and the figures as png into a folder beside it that is called as the file."""
    folder = place.parent / f"{place.stem}_figures"
    parts = [f"# {literal(report.title)}", literal(report.lede), *(f"> {literal(note)}" for note in report.notices)]
    for section in report.sections:
        parts.append(f"## {literal(section.title)}")
        parts += [_markdown(block, folder) for block in section.blocks]
    place.write_text("\n\n".join([*parts, f"*{FOOTER}*"]) + "\n", encoding="utf-8")


def _markdown(block: Block, folder: Path) -> str:
    """One block as Markdown; its figure is drawn."""
    makers: dict[type, Callable[..., str]] = {
        Text: lambda one: literal(one.text),
        Bullets: lambda one: "\n".join(f"- {literal(item)}" for item in one.items),
        Table: lambda one: markdown_table(
            [literal(head) for head in one.heads], [[literal(cell) for cell in row] for row in one.rows], one.numbers
        ),
        Command: lambda one: f"    {one.text}",
        Figure: lambda one: _picture(one, folder),
    }
    return makers[type(block)](block)


def _picture(figure: Figure, folder: Path) -> str:
    figure.draw(folder / f"{figure.name}.png")
    return f"![{literal(figure.about)}]({folder.name}/{figure.name}.png)\n\n*{literal(figure.title)}*"
