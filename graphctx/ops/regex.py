r"""RE2's regular expressions, which ONNX has, in those of Python's `re`.

The two mean different things by the same text in places: classes such as `\d` hold ASCII alone in
RE2, `$` does not match before a last newline, `{,5}` is literal. A pattern is rewritten so that
`re.fullmatch` finds what RE2's full match does; what RE2 refuses (references back, looking around,
possessive repetition) or Python lacks is refused. Python backtracks, so that a pattern of nested
repetitions, linear in RE2, may take exponential time.
"""

from __future__ import annotations

import functools
import re

from graphctx.errors import GraphctxError

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": "\\x00-\\x7f", "blank": "\\t ",
    "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~",
    "punct": "!-/:-@\\[-`{-~", "space": "\\t\\n\\v\\f\\r ", "upper": "A-Z", "word": "0-9A-Za-z_",
    "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_NOT_CLASSES = {
    "D": "\\x00-/:-\\U0010ffff", "S": "\\x00-\\x08\\x0b\\x0e-\\x1f!-\\U0010ffff",
    "W": "\\x00-/:-@\\[-\\^`{-\\U0010ffff",
}  # fmt: skip
_SHORT = {"d": "0-9", "s": "\\t\\n\\f\\r ", "w": "0-9A-Za-z_", **_NOT_CLASSES}
_CONTROL = {"a": "\a", "f": "\f", "t": "\t", "n": "\n", "r": "\r", "v": "\v"}
_WORD = "[0-9A-Za-z_]"
_BOUNDARY = f"(?:(?<!{_WORD})(?={_WORD})|(?<={_WORD})(?!{_WORD}))"
_COUNT = re.compile(r"\{(\d+)(,(\d*))?\}")
_GROUP = re.compile(r"\(\?(?:P?<\w+>|([imsU]*)(-[imsU]+)?([:)]))")
_MOST = 1000  # repetitions that RE2 takes


class _Reader:
    """Reads a pattern and writes Python's.

    Attributes:
        at: the place in the pattern.
        flags: of the groups that are open: those that hold in each.
        closing: what ends the groups that are open.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.flags: list[frozenset[str]] = [frozenset()]
        self.closing: list[str] = []

    def refuse(self, why: str) -> GraphctxError:
        return GraphctxError(f"the pattern {self.pattern!r} at {self.at}: {why}")

    def translate(self) -> str:
        """The whole pattern."""
        parts: list[str] = []
        repeated = begins = True
        while self.at < len(self.pattern):
            c = self.pattern[self.at]
            count = _COUNT.match(self.pattern, self.at) if c == "{" else None
            if c in "*+?" or count is not None:
                if repeated:
                    raise self.refuse(f"nothing to repeat before {c!r}")
                parts.append(self.repetition(c, count))
                repeated, begins = True, False
                continue
            if c == "(":
                parts.append(self.group(begins))
                repeated = begins = True
                continue
            if c == ")":
                if not self.closing:
                    raise self.refuse("')' without '('")
                parts.append(self.closing.pop())
                self.flags.pop()
                self.at += 1
            elif c == "|":
                parts.append("|")
                self.at += 1
            elif c == "[":
                parts.append(self.bracket())
            elif c == "\\":
                parts.append(self.escape())
            else:
                parts.append(self.plain(c))
                self.at += 1
            repeated, begins = c in "|", False
        if len(self.flags) > 1 + self.pattern_flags:
            raise self.refuse("a '(' is not closed")
        return "".join(parts) + ")" * self.pattern_flags

    pattern_flags = 0  # groups that flags at the very beginning opened

    def plain(self, c: str) -> str:
        if c == "$":
            return "$" if "m" in self.flags[-1] else r"\Z"
        return c if c in "^." else re.escape(c)

    def repetition(self, c: str, count: re.Match[str] | None) -> str:
        if count is None:
            text = c
        else:
            text = count[0]
            least, most = int(count[1]), int(count[3] or count[1])
            if most < least or most > _MOST:
                raise self.refuse(f"{text} repeats more than {_MOST} times or counts down")
        self.at += len(text)
        following = self.pattern[self.at : self.at + 1]
        if following == "?":
            self.at += 1
        elif following in ("*", "+") and following:
            raise self.refuse(f"RE2 has no repetition {text + following!r}")
        return text  # lazy or not, a full match is the same

    def group(self, begins: bool) -> str:
        if not self.pattern.startswith("(?", self.at):
            self.at += 1
            self.flags.append(self.flags[-1])
            self.closing.append(")")
            return "(?:"
        found = _GROUP.match(self.pattern, self.at)
        if found is None:
            raise self.refuse("RE2 has no such group (it looks neither ahead nor back)")
        flags = self.flags[-1]
        if found[3] is not None:
            flags = (flags | set(found[1])) - set((found[2] or "")[1:])
        if found[3] == ")":
            if not begins:
                raise self.refuse(f"{found[0]} inside a group; write (?flags:...) around its part")
            self.at += len(found[0])
            self.flags[-1] = flags
            return self.opened(flags, found) + self.held()
        self.at += len(found[0])
        self.flags.append(flags)
        self.closing.append(")")
        return "(?:" if found[3] is None else self.opened(flags, found)

    def held(self) -> str:
        """Flags that hold to the end of the group around them end with it."""
        if self.closing:
            self.closing[-1] += ")"
        else:
            self.pattern_flags += 1
        return ""

    def opened(self, flags: frozenset[str], found: re.Match[str]) -> str:
        on = "".join(sorted(set(found[1]) - {"U"}))
        off = "".join(sorted(set((found[2] or "")[1:]) - {"U"} - set(on)))
        return f"(?{on}{'-' + off if off else ''}:"

    def escape(self) -> str:
        """What a backslash begins, outside of brackets."""
        c = self.pattern[self.at + 1 : self.at + 2]
        if c in _SHORT and c:
            self.at += 2
            return f"[{_SHORT[c]}]"
        if c == "b":
            self.at += 2
            return _BOUNDARY
        if c == "B":
            self.at += 2
            return f"(?!{_BOUNDARY})"
        if c == "A" or c == "z":
            self.at += 2
            return r"\A" if c == "A" else r"\Z"
        if c == "Q":
            end = self.pattern.find("\\E", self.at + 2)
            end = len(self.pattern) if end < 0 else end
            text = self.pattern[self.at + 2 : end]
            self.at = end + 2
            return "".join(map(re.escape, text))
        return re.escape(self.character())

    def character(self) -> str:
        """The one character that an escape stands for."""
        rest = self.pattern[self.at + 1 :]
        code = re.match(r"x\{([0-9A-Fa-f]{1,6})\}|x([0-9A-Fa-f]{2})|(0[0-7]{0,2}|[1-7][0-7]{1,2})",
                        rest)  # fmt: skip
        if code is not None:
            self.at += 1 + len(code[0])
            number = int(code[1] or code[2], 16) if code[3] is None else int(code[3], 8)
            if number > 0x10FFFF:
                raise self.refuse(f"there is no character {number:#x}")
            return chr(number)
        c = rest[:1]
        if c in _CONTROL and c:
            self.at += 2
            return _CONTROL[c]
        if c in ("p", "P"):
            raise self.refuse(f"classes of Unicode (\\{c}) are not implemented")
        if not c or c.isalnum() or c == "_" or ord(c) > 127:
            raise self.refuse(f"RE2 has no escape \\{c}")
        self.at += 2
        return c

    def bracket(self) -> str:
        """A class in brackets."""
        start = self.at
        self.at += 1
        negated = self.pattern.startswith("^", self.at)
        self.at += negated
        parts: list[str] = []
        first = True
        while first or not self.pattern.startswith("]", self.at):
            first = False
            if self.at >= len(self.pattern):
                self.at = start
                raise self.refuse("a '[' is not closed")
            parts.append(self.member())
        self.at += 1
        return f"[{'^' if negated else ''}{''.join(parts)}]"

    def member(self) -> str:
        """One character, range or named class in brackets."""
        named = re.compile(r"\[:(\^?)(\w+):\]").match(self.pattern, self.at)
        if named is not None:
            if named[2] not in _CLASSES:
                raise self.refuse(f"RE2 has no class {named[0]}")
            self.at += len(named[0])
            return _outside(named[2]) if named[1] else _CLASSES[named[2]]
        if self.pattern[self.at] == "\\" and self.pattern[self.at + 1 : self.at + 2] in [*_SHORT]:
            self.at += 2
            return _SHORT[self.pattern[self.at - 1]]
        low = self.single()
        follows = self.pattern[self.at + 1 : self.at + 2]
        if self.pattern.startswith("-", self.at) and follows not in ("]", ""):
            self.at += 1
            high = self.single()
            if high < low:
                raise self.refuse(f"the range {low}-{high} counts down")
            return f"{_coded(low)}-{_coded(high)}"
        return _coded(low)

    def single(self) -> str:
        c = self.pattern[self.at]
        if c == "\\":
            return self.character()
        self.at += 1
        return c


def _coded(c: str) -> str:
    """A character in brackets, whatever it means there."""
    return f"\\U{ord(c):08x}"


def _outside(name: str) -> str:
    """The characters that a named class leaves out."""
    inside = re.compile(f"[{_CLASSES[name]}]")
    ascii_only = [chr(code) for code in range(128) if not inside.match(chr(code))]
    return "".join(map(_coded, ascii_only)) + "\\x80-\\U0010ffff"


@functools.lru_cache(maxsize=64)
def compiled(pattern: str) -> re.Pattern[str]:
    """A pattern of RE2, for Python's `fullmatch`.

    Raises:
        GraphctxError: RE2 refuses it, or Python has nothing like it; says where.
    """
    text = _Reader(pattern).translate()
    try:
        return re.compile(text)
    except re.error as error:
        raise GraphctxError(f"the pattern {pattern!r}: {error.msg}") from None
