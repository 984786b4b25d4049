"""The bearer token, compared in constant time."""

from __future__ import annotations

import hmac


class Token:
    """A bearer token that requests must have; health is open without it.

    Args:
        text: the token; visible ASCII without blanks (RFC 6750).

    Raises:
        ValueError: it is something else, or shorter than 16 characters.
    """

    def __init__(self, text: str) -> None:
        if not text.isascii() or not all("!" <= letter <= "~" for letter in text):
            raise ValueError("a token is made of visible ASCII characters, without blanks")
        if len(text) < 16:
            raise ValueError(f"a token has 16 characters or more, got {len(text)}")
        self._expected = text.encode()

    def accepts(self, authorization: str | bytes | None) -> bool:
        """Whether the value of an `authorization` header, or metadata, has the token."""
        if authorization is None:
            return False
        data = authorization.encode() if isinstance(authorization, str) else authorization
        scheme, _, given = data.partition(b" ")
        same = hmac.compare_digest(given.strip(), self._expected)
        return same and scheme.lower() == b"bearer"

    def __repr__(self) -> str:
        return "<Token>"
