"""What a run found, as one page for a reader: the question, the design, the findings, what stays open, what to do.

content.py chooses what is told, words.py says it, page.py makes HTML or Markdown of it.
"""

from pathlib import Path

from xferbench import results as rows
from xferbench.errors import UsageError
from xferbench.report.content import content
from xferbench.report.page import html, markdown

MAKERS = {".html": html, ".md": markdown}


def report(directory: Path, to: Path | None = None) -> str:
    """Write the report of a run's folder into `to` (.html or .md; default: report.html in it), and say where it is.

    An HTML report is one file that needs nothing else; the figures of a Markdown report lie in a folder beside it. The
    same rows give the same bytes. UsageError when the folder holds no run, or for another suffix.
    """
    place = to or directory / "report.html"
    if place.suffix.lower() not in MAKERS:
        raise UsageError(f"{place}: a report is written as .html or .md")
    found = content(rows.read(directory), directory)
    place.parent.mkdir(parents=True, exist_ok=True)
    MAKERS[place.suffix.lower()](found, place)
    return f"{place} is written"
