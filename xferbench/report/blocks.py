"""What a report is made of, whatever it is written in: sections of paragraphs, lists, tables, figures and commands."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Bullets:
    """A list of sentences."""

    items: tuple[str, ...]
    kind: str = "bullets"


@dataclass(frozen=True)
class Table:
    """A table; its last `numbers` columns are set to the right."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: int = 0
    kind: str = "table"


@dataclass(frozen=True)
class Figure:
    """A picture: `draw(path)` writes it as .svg or .png; `about` says in words what it shows."""

    name: str
    title: str
    about: str
    draw: Callable[[Path], object]
    kind: str = "figure"


@dataclass(frozen=True)
class Command:
    """Something to type."""

    text: str
    kind: str = "command"


Block = Text | Bullets | Table | Figure | Command


@dataclass(frozen=True)
class Section:
    """A part of a report with its title."""

    id: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report; `notices` must be known before the first number."""

    title: str
    lede: str
    notices: tuple[str, ...]
    sections: tuple[Section, ...]
