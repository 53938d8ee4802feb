"""What the texts of an entry may hold: each pattern, and the same in words for people who typed something else.

Names make paths and links, texts stand in HTML, Markdown and terminals: nothing begins a link, a tag, a table's cell or
a path that leads elsewhere. The patterns mean the same in Python and in ECMA-262 with its flag u, as JSON schemas ask.
"""

NAME = r"^(?!.*(//|\.\.|www\.|  | $))[A-Za-z0-9][A-Za-z0-9 ._/:=,>+~@-]*$"
RECIPE = NAME.replace("~@-", "~@|-")
CURRICULUM = f"^$|{NAME}"

LETTERS = (
    "\u2019\u00aa\u00ba\u00c0-\u1fff\u2c00-\u2dff\u3005-\u3007\u3021-\u31ff\u3400-\ud7ff\uf900-\ufaff"
    "\U00010000-\U000110bc\U000110d0-\U0001342f\U00016800-\U0001bc9f\U0001e100-\U0001e95f\U00020000-\U000323af"
)
"""The blocks in which Unicode keeps letters and combining marks beyond ASCII, with the apostrophe of print, ..."""
UNSEEN = "\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u3164"
"""... and what in them nobody sees: fillers, joiners, blanks, and what turns the direction of writing."""
PERSON = (
    rf"^(?!.*(//|\.\.|www\.|  | $|[{UNSEEN}]|[\u0300-\u036f]{{4}}))"
    rf"[A-Za-z0-9{LETTERS}][A-Za-z0-9{LETTERS} ._/:=,>+~@'()&-]*$"
)

# Runs of plain signs, and between them a sign that is allowed unless it begins a link: one pass, nothing tried twice.
TEXT = r"^[^<|\[\]`\\w:]*(?:(?:w(?!ww\.)|:(?!//))[^<|\[\]`\\w:]*)*$"
SAID = r"^[^<|`\\w:\]]*(?:(?:w(?!ww\.)|:(?!//)|\](?!\())[^<|`\\w:\]]*)*$"
URL = r"^https://[A-Za-z0-9.-]+(/[A-Za-z0-9._~/-]*)?$"
DIGEST, SHORT = r"^[0-9a-f]{64}$", r"^[0-9a-f]{16}$"
WORD = r"^[a-z][a-z_]{0,30}$"
CONDITION = r"^(baseline|transfer|direct|sequential|joint|placebo)$"

_LINKS = "not '//', '..', 'www.', two blanks together or a blank at the end"
_NAME = f"allowed are a-z, A-Z, 0-9, blank and . _ / : = , > + ~ @ -, a letter or digit first; {_LINKS}"
WORDS = {
    NAME: _NAME,
    CURRICULUM: _NAME,
    RECIPE: _NAME.replace("~ @", "~ @ |"),
    PERSON: "allowed are letters of any script, digits, blank and . , ' - _ + @ ( ) & / : = ~ >, a letter or digit "
    f"first; {_LINKS}",
    TEXT: r"any text but < | [ ] ` \ and links (://, www.)",
    SAID: r"any text but < | ` \ and links (://, www., an address in brackets)",
    URL: "an address https://... of letters, digits and . _ ~ / -",
    DIGEST: "64 hexadecimal digits are expected",
    SHORT: "16 hexadecimal digits are expected",
    WORD: "one word of at most 31 letters a-z and _",
    CONDITION: "one of baseline, transfer, direct, sequential, joint, placebo",
}
"""What each pattern asks, in words."""


def words(message: str) -> str:
    """Return msgspec's message about a text, in words where it gives a pattern or a length."""
    if message.startswith("Expected `str` of length <= "):
        return f"at most {message.rpartition(' ')[2]} characters are allowed"
    return next((said for pattern, said in WORDS.items() if message.endswith(f"matching regex {pattern!r}")), message)
