"""The process in which unknown code runs: walls first, then the code, then one call after another for the judge.

Run by path with the names of two pipes; the standard library only. Whatever it says is taken as data: it can lie about
what its functions return, and about nothing else.
"""

import builtins
import os
import sys
from typing import Any

from confine import confine, die_with_parent
from values import dumps, loads


def main() -> None:
    """Read limits and the program from the judge, run it, answer calls until the judge closes the pipe."""
    sys.path.pop(0)  # this folder: the code has no business here
    asked, told = os.fdopen(int(sys.argv[1]), "r"), os.fdopen(int(sys.argv[2]), "w")
    die_with_parent()
    given = loads(asked.readline())
    stands = confine(given["folder"], given["seconds"], given["megabytes"])

    def tell(value: Any) -> None:
        told.write(dumps(value) + "\n")
        told.flush()

    tell({"walls": stands})
    if asked.readline() != "go\n":
        return
    sys.setrecursionlimit(5000)
    space: dict[str, Any] = {"__name__": "candidate", "__builtins__": builtins}
    try:
        exec(compile(given["program"], "<candidate>", "exec"), space)
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: the code may raise anything
        tell({"raised": [type(error).__name__, _text(error)]})
        return
    tell({"names": [name for name in space if isinstance(name, str) and not name.startswith("__")]})
    for line in asked:
        name, arguments, named = loads(line)
        try:
            held = space[name]
            tell({"value": held(*arguments, **named) if callable(held) else held})
        except BaseException as error:
            tell({"raised": [type(error).__name__, _text(error)]})


def _text(error: BaseException) -> str:
    try:
        return str(error)[:200]
    except BaseException:
        return "?"


if __name__ == "__main__":
    main()
