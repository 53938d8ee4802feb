"""Text of strangers in Markdown: whatever would mean something to Markdown, HTML or a forge is written as itself."""

import re

UNSEEN = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+")
"""Blanks and line ends, control characters, and those that turn the direction of what follows."""
SIGNS = re.compile(r"[\\`*_{}\[\]#~$@^!]|(?<=www)\.|:(?=//)|(?<=mailto):|(?<=xmpp):", re.IGNORECASE)
FIRST = re.compile(r"^(?:[-+=]|\d+(?=[.)]))")
"""What would begin a list, a rule or a title at the start of a line."""
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
"""HTML's own signs, and the one that ends a table's cell."""


def literal(text: str) -> str:
    """Return a text in one line that Markdown (CommonMark, and GitHub's tables and links) shows as it is."""
    line = UNSEEN.sub(" ", text).strip()
    safe = SIGNS.sub(lambda sign: f"\\{sign.group()}", line)
    safe = "".join(ENTITIES.get(sign, sign) for sign in safe)
    first = FIRST.match(safe)
    if first is None:
        return safe
    return f"\\{safe}" if not first.group().isdigit() else f"{first.group()}\\{safe[first.end() :]}"


def table(heads: list[str], rows: list[list[str]], numbers: int = 0) -> str:
    """Return a table of cells that are Markdown already; the last `numbers` columns are set to the right."""
    rule = ["---"] * (len(heads) - numbers) + ["--:"] * numbers
    return "\n".join(f"| {' | '.join(row)} |" for row in [heads, rule, *rows])
