"""Words for messages: what was meant, what is allowed, what was given. Imports nothing of the package."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Iterable

MODEL_PREFIX = "model:"
"""What a value of ``--trust`` begins with that names a registered model."""

_CREDENTIALS = r"(?<=://)[^/\s]\S*@"
_HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ud800-\udfff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
"""C0, DEL and C1; what ends a line; annotations within lines; halves of surrogate pairs; the blank pattern of Braille; and all
that Unicode has a display ignore (Default_Ignorable_Code_Point, https://www.unicode.org/reports/tr44/): what turns the direction
of writing, tags, what chooses between forms of a character. Two names that look alike would be one to who reads them."""

_SUGGESTED = re.compile(r"did you mean '([^']+)'")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", re.ASCII)
_FORMULA = re.compile(r"(^|;)(?=[=+@\uff1d\uff0b\uff0d\uff20-])")
_MARKUP = re.compile(r"[\\`*\[\]|~]|(?<!\w)_+|_+(?!\w)")
_BLOCK = re.compile(r"^(\s*)([#+-]|\d+(?=[.)]))")


def did_you_mean(name: object, allowed: Iterable[str]) -> str:
    """Return ``; did you mean 'x'?`` for the nearest allowed name, or nothing when none is near."""
    near = difflib.get_close_matches(str(name), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def suggested(message: str) -> str | None:
    """Return the name that `did_you_mean` has put into a message; None where it knew none."""
    found = _SUGGESTED.search(message)
    return found[1] if found else None


def one_of(name: object, allowed: Iterable[str], *, most: int = 12) -> str:
    """Report that `name` is none of the allowed ones, which is nearest, and what they are (at most `most` of them)."""
    names = list(allowed)
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    near = did_you_mean(name, names)
    return f"{near.removeprefix('; ')} Allowed: {shown}" if near else f"allowed: {shown}"


def show(value: object) -> str:
    """Show a value as short text that tells its type: ``'5' (text)``, ``a list``."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value[:60]}' (text)"
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else str(value)[:60]


def mask(text: str) -> str:
    """Hide the user and password of every URL in a text."""
    return re.sub(_CREDENTIALS, "***@", text)


def mask_bytes(content: bytes) -> bytes:
    """Hide the same in text whose encoding is not known."""
    return re.sub(_CREDENTIALS.encode(), b"***@", content)


def first_line(error: object, *, most: int = 500) -> str:
    """Return the first line of an error's message, cut to so many characters; its type's name where it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0][:most] if lines else type(error).__name__


def visible(text: str) -> str:
    r"""Show control characters, and characters that hide or reorder text, as escapes: ``\x1b``, ``\n``, ``\u202e``."""
    return _HIDDEN.sub(lambda found: _escape(found[0]), text)


def visible_lines(text: str) -> str:
    """Show the same in a text of several lines, whose line breaks stay."""
    return "\n".join(map(visible, text.split("\n")))


def shell_word(text: object) -> str:
    """Write a text as one word of a command that is shown to be pasted into a shell, whoever has chosen it.

    What is hidden in it is shown: a command with that names nothing, and does no harm.
    """
    return shlex.quote(visible(str(text)))


def shell_argument(text: object) -> str:
    """Write a text as the last word of such a command, which is no option whatever it looks like: ``-- -x``."""
    return f"-- {shell_word(text)}" if str(text).startswith("-") else shell_word(text)


def _escape(character: str) -> str:
    code = ord(character)
    short = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _NAMED.get(character, short)


def visible_in_json(document: str) -> str:
    """Escape in a JSON text what `visible` would, so that it reads back as the same values; line breaks between values stay."""
    return _HIDDEN.sub(lambda found: found[0] if found[0] == "\n" else _escape_in_json(found[0]), document)


def _escape_in_json(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def markdown(text: str) -> str:
    """Escape a line of text so that Markdown shows it as it is: no links, HTML, emphasis, headings or new lines."""
    plain = _MARKUP.sub(lambda found: re.sub(r"(.)", r"\\\1", found[0]), visible(text))
    plain = plain.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _BLOCK.sub(lambda found: found[1] + (f"\\{found[2]}" if not found[2].isdigit() else f"{found[2]}\\"), plain)


def spreadsheet_cell(value: object) -> object:
    """Make a cell of a CSV that no spreadsheet runs: an apostrophe goes before what would begin a formula.

    Numbers, and text that is one, stay as they are; control characters are shown as `visible` does. See
    https://owasp.org/www-community/attacks/CSV_Injection. A semicolon begins a cell too, where the decimal point is a comma.
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub(r"\1'", visible(value))


def format_duration(seconds: float) -> str:
    """Show a duration as a config spells it: ``0.5s``, ``45s``, ``10m``, ``1h30m``; above a minute in whole seconds."""
    if seconds < 60:
        return f"{seconds:.3g}s"
    whole = round(seconds)
    parts = {"d": whole // 86400, "h": whole // 3600 % 24, "m": whole // 60 % 60, "s": whole % 60}
    return "".join(f"{value}{unit}" for unit, value in parts.items() if value)


def show_bytes(size: float) -> str:
    """Write a size in decimal units, as ``1.2 GB``."""
    for unit in ("B", "KB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
