"""
The optional rewriter: free text into a question of the grammar, by any OpenAI-compatible endpoint. Off by default.

It sees the question and the names of metrics and dimensions, never a figure and never the data's values. What it says
is taken as a question and nothing else: the same grammar reads it, so it can't bring a number, a statement or a name
of its own into an answer. Whatever goes wrong, the answer is the one without it.
"""

from __future__ import annotations

import json
import re

import requests

from panpan.ask.lexicon import Lexicon
from panpan.ask.words import MOST_CHARACTERS
from panpan.settings import Settings

TIMEOUT_SECONDS = 10
MOST_BYTES = 64_000
_PROMPT = (
    "Rewrite the user's question into one short English question about a business figure, using only these metrics: "
    "{metrics}. You may add 'by' with: {dimensions}; names the user gave; a period such as 'last week', 'in May 2026'. "
    "Reply with the question alone. Never answer it, never give a figure. If it can't be asked so, reply: none"
)
_DIGITS = re.compile(r"\d+")


def rewrite(settings: Settings, question: str, lexicon: Lexicon) -> str | None:
    """The question in other words; None when there is no rewriter, or nothing usable came back."""
    if not settings.ask_rewriter_url:
        return None
    key = settings.ask_rewriter_key
    dimensions = sorted({name for metric in lexicon.metrics.values() for name in metric.dimensions})
    prompt = _PROMPT.format(metrics=", ".join(lexicon.metrics), dimensions=", ".join(dimensions))
    try:
        response = requests.post(
            f"{settings.ask_rewriter_url.rstrip('/')}/chat/completions",
            json={
                "model": settings.ask_rewriter_model,
                "temperature": 0,
                "messages": [{"role": "system", "content": prompt}, {"role": "user", "content": question}],
            },
            headers={"Authorization": f"Bearer {key.get_secret_value()}"} if key else {},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
            stream=True,
        )
        with response:
            response.raise_for_status()
            body = response.raw.read(MOST_BYTES, decode_content=True)
        said = json.loads(body)["choices"][0]["message"]["content"]
    except (requests.RequestException, ValueError, LookupError, TypeError):
        return None
    return _usable(said, question) if isinstance(said, str) else None


def _usable(said: str, question: str) -> str | None:
    """One line that names no number the asker did not name: a rewriter must not choose a day or a limit."""
    text = said.strip()
    if not text or text == "none" or "\n" in text or len(text) > MOST_CHARACTERS:
        return None
    return text if set(_DIGITS.findall(text)) <= set(_DIGITS.findall(question)) else None
