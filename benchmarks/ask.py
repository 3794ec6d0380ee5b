"""
What an answer costs: every question of the suite, asked of the simulated business.

Comes in: how many days the business has, how often each question is asked. Goes out: milliseconds of an answer (median,
p95, longest), the mean processor time of one, and whether a question asked a hundred times has one answer. The limit is
300 ms at the median, of the answer itself, as the page Ask needs it; a command has the start of a program on top.
"""

from __future__ import annotations

import statistics
import time
from datetime import date, timedelta
from typing import Any

import yaml

from benchmarks import scratch
from benchmarks.load import Talk
from benchmarks.measure import load_average, machine, processor_seconds
from panpan.ask.answering import Reply, ask
from panpan.settings import CHECKOUT, Settings
from panpan.simulate.business import build
from panpan.simulate.catalogue import START

LIMIT_MS = 300
REPEATS = 100
SUITE = CHECKOUT / "tests" / "fixtures" / "ask"
KINDS = ("answered_english", "answered_spanish", "ambiguous", "unanswerable")
REPEATED = ("monthly revenue by store", "sales yesterday", "revenue without tax")  # answered, asked back, refused


def bench_ask(days: int, rounds: int, talk: Talk) -> dict[str, Any]:
    """Fill a scratch warehouse with so many days of the business and ask it all the suite's questions."""
    with scratch.scratch_server() as server:
        settings = scratch.fresh_database(server)
        talk(f"loading {days} days of the simulated business")
        build(settings, days)
        today = START + timedelta(days=days)
        questions = _questions()
        outcomes: dict[str, list[float]] = {"answered": [], "asked back": [], "refused": []}
        used = processor_seconds(server)
        for question in questions:
            seconds, reply = _asked(settings, question, today, rounds)
            outcomes[_outcome(reply)].append(statistics.median(seconds))
        used = (processor_seconds(server) - used) / (rounds * len(questions))
        talk(f"asking {len(REPEATED)} questions {REPEATS} times each")
        answers = {question: _answers(settings, question, today) for question in REPEATED}
        return {
            "days": days,
            "questions": len(questions),
            "limit_ms": LIMIT_MS,
            "outcomes": [_row(name, found) for name, found in outcomes.items() if found],
            "processor_ms": round(used * 1000),
            "repeats": REPEATS,
            "different_answers": max(answers.values()),
            "load": load_average(),
            "machine": machine(server),
        }


def _questions() -> list[str]:
    """The suite's, in the order of its files; what has no length is no question."""
    files = [yaml.safe_load((SUITE / f"{kind}.yaml").read_text(encoding="utf-8")) for kind in KINDS]
    return [each["q"] for file in files for each in file if each["q"].strip()]


def _asked(settings: Settings, question: str, today: date, rounds: int) -> tuple[list[float], Reply]:
    seconds = []
    for _ in range(rounds):
        started = time.monotonic()
        reply = ask(settings, question, today)
        seconds.append(time.monotonic() - started)
    return seconds, reply


def _outcome(reply: Reply) -> str:
    if reply.is_answered:
        return "answered"
    return "asked back" if reply.refusal and reply.refusal.kind == "ambiguous" else "refused"


def _answers(settings: Settings, question: str, today: date) -> int:
    """How many different answers so many askings had."""
    replies = (ask(settings, question, today) for _ in range(REPEATS))
    return len({repr((r.plan and (r.plan.plan_id, r.plan.sql), r.rows, r.refusal, r.suggestions)) for r in replies})


def _row(name: str, seconds: list[float]) -> dict[str, Any]:
    spread = statistics.quantiles(seconds, n=20) if len(seconds) > 1 else seconds
    return {
        "outcome": name,
        "questions": len(seconds),
        "median_ms": round(statistics.median(seconds) * 1000),
        "p95_ms": round(spread[-1] * 1000),
        "longest_ms": round(max(seconds) * 1000),
    }
