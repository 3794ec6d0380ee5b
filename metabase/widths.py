"""
How wide words are drawn, so that what is too long is cut before it is drawn.
"""

from __future__ import annotations

from functools import lru_cache

from fpdf import FPDF


def cut(words: str, width: float, size: float) -> str:
    """Words that fit a width, with an ellipsis where some are missing."""
    if measured(words, size) <= width:
        return words
    while words and measured(f"{words}…", size) > width:
        words = words[:-1]
    return f"{words}…"


@lru_cache(maxsize=20_000)
def measured(words: str, size: float) -> float:
    """The width of a line, by the metrics of Helvetica, which our letters have; others count as wide ones."""
    known = "".join(letter if letter.encode("latin-1", "ignore") else "m" for letter in words)
    return float(_ruler().get_string_width(known)) * size / 100


@lru_cache(maxsize=1)
def _ruler() -> FPDF:
    ruler = FPDF(unit="pt")
    ruler.set_font("Helvetica", size=100)
    return ruler
