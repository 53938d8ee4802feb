"""Where in a text the answer stands."""

import re

PLACES = ("boxed", "first word", "last line", "whole")
"""Named places; any other text is a mark, and the answer is what follows its last occurrence on the same line."""


def final(text: str, where: str) -> str | None:
    """Return the answer in `text`, None when there is none. What stands before a last </think> is not looked at."""
    text = text.rpartition("</think>")[2]
    if where == "boxed":
        return _boxed(text)
    if where == "first word":
        words = text.split()
        return words[0].strip(".,;:!()") if words else None
    if where == "last line":
        lines = text.strip().splitlines()
        return lines[-1].strip() if lines else None
    if where == "whole":
        return text.strip() or None
    _, mark, tail = text.rpartition(where)
    return (tail.split("\n")[0].strip() or None) if mark else None


def _boxed(text: str) -> str | None:
    r"""Return what the last \boxed{...} holds, its braces matched; None when there is none or it does not end."""
    start = None
    for found in re.finditer(r"\\f?boxed\s*\{", text):
        start = found.end()
    if start is None:
        return None
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return text[start:place].strip() or None
    return None
