"""Bytes of strangers -> values: small, plain, of the exact types, or refused in one line that says what is wrong.

A file of a board is read only where it is a plain file, and written only below the board's own folder.

An entry's file is refused when it is too big or too deep, is not JSON, holds a key twice, NaN, an infinity, a number
out of range, or a character that can do harm in HTML, Markdown or a terminal.
"""

import json
import math
import os
import re
import stat
import zlib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from xferbench.errors import UsageError, VerificationError
from xferbench.leaderboard.allowed import words

ENTRY_BYTES = 1_000_000
DEPTH = 12
NEVER = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""A link is not followed, and nobody waits at a pipe."""
HARM = re.compile(r"[<`\\]|\]\(")
STRING = re.compile(r'"[^"]*"')

T = TypeVar("T")


def read_bytes(path: Path, most: int) -> bytes:
    """Read a plain file of at most `most` bytes; a link, a folder or a device is refused without being opened."""
    try:
        opened = os.open(path, os.O_RDONLY | NEVER)
    except OSError:
        raise VerificationError("is not a plain file") from None
    with open(opened, "rb", buffering=0) as file:
        about = os.fstat(opened)
        if not stat.S_ISREG(about.st_mode):
            raise VerificationError("is not a plain file")
        data = file.readall() if about.st_size <= most else b""
    if max(about.st_size, len(data)) > most:
        raise VerificationError(f"is larger than {most} bytes")
    return data


def write(root: Path, path: Path, data: bytes) -> None:
    """Write a file of the board whole or not at all, and never through a link that leads out of it."""
    for folder in [path.parent, *path.parent.parents]:
        if folder == root:
            break
        if folder.is_symlink():
            raise VerificationError(f"{folder} is a link: nothing is written through it")
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    part.write_bytes(data)
    part.replace(path)


def decode(data: bytes, kind: type[T]) -> T:
    """Read JSON as a value of `kind`; VerificationError naming the field where it is anything else."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise VerificationError(wrong(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise VerificationError(f"is not JSON: {one_line(error)}") from None


def plain_json(data: bytes) -> Any:
    """Read JSON that holds nothing unusual (see above) as plain values."""
    text = harmless(data)
    structure = STRING.sub("", text)
    depth = deepest = 0
    for sign in structure:
        depth += (sign in "[{") - (sign in "]}")
        deepest = max(deepest, depth)
    if deepest > DEPTH:
        raise VerificationError(f"is nested {deepest} deep; {DEPTH} is allowed")
    try:
        return json.loads(
            text, object_pairs_hook=_once, parse_constant=_constant, parse_float=_finite, parse_int=_whole
        )
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"is not JSON: {one_line(error)}") from None


def harmless(data: bytes) -> str:
    """Decode UTF-8; VerificationError at the first character that is not allowed in an entry."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise VerificationError(f"is not UTF-8: byte {error.start}") from None
    found = HARM.search(text)
    place, sign = (found.start(), found.group()) if found else (-1, "")
    if not found and not text.replace("\n", "").isprintable():
        place, sign = next((i, one) for i, one in enumerate(text) if one != "\n" and not one.isprintable())
    if place >= 0:
        line = text.count("\n", 0, place) + 1
        raise VerificationError(f"line {line} has {sign!a}, which no text of an entry may hold")
    return text


def gunzip(data: bytes, most: int) -> bytes:
    """Unpack one gzip member of at most `most` bytes; a bomb is stopped there, and nothing may follow the member.

    Its head may hold no name, comment, time or other field (RFC 1952, 2.3.1): nobody would see what stands there.
    """
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise VerificationError(f"is not gzip: {one_line(error)}") from None
    if len(found) > most:
        raise VerificationError(f"unpacks to more than {most} bytes")
    if not unpacker.eof or unpacker.unused_data:
        raise VerificationError("is not one whole gzip member")
    if any(data[3:8]):
        raise VerificationError("has a name, a time or a comment in its gzip head")
    return found


def one_line(error: object, most: int = 200) -> str:
    """An error's text as one short harmless line."""
    return ascii(" ".join(str(error).split()))[1:-1][:most]


def wrong(error: msgspec.ValidationError) -> str:
    """Turn msgspec's "... - at `$.a[0].b`" into "a[0].b: ...", field first, and say patterns in words."""
    what, at, where = str(error).rpartition(" - at `$")
    if not at:
        return one_line(words(str(error)).replace("`", "'"))
    return f"{one_line(where.rstrip('`').lstrip('.'))}: {one_line(words(what).replace('`', chr(39)))}"


def typed(what: str, value: object, kind: Any) -> Any:
    """Return what somebody typed as a value of `kind`; UsageError saying what is allowed where it is anything else."""
    try:
        found = msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise UsageError(f"{what} {str(value)[:60]!r}: {wrong(error)}") from None
    if isinstance(value, str) and not value.isprintable():
        raise UsageError(f"{what} {value[:60]!r}: characters that nobody sees are not allowed")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice[:60]!r} is there twice")
    return found


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is not a number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:30]} is out of range")
    return value


def _whole(text: str) -> int:
    if len(text) > 18:
        raise ValueError(f"{text[:30]} is out of range")
    return int(text)


def many(count: int, what: str) -> str:
    """So many of what is one target, source or pair, for people."""
    return f"{count} {what}" + "s" * (count != 1)


def counted(entries: int) -> str:
    """So many entries, for people."""
    return "1 entry" if entries == 1 else f"{entries} entries"
