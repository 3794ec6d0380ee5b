"""The demo beside n8n's own schedule."""

from __future__ import annotations

from pathlib import Path

import pytest

from panpan import demo
from panpan.errors import RunUnderWay
from panpan.local.initialise import initialise
from panpan.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "AGAIN_SECONDS", 0.0)
    return initialise(tmp_path / "home")


def test_a_run_of_the_schedule_is_waited_for(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def busy_twice(_: Settings, source: str, *, wait: bool) -> list[object]:
        asked.append(source)
        if len(asked) < 3:
            raise RunUnderWay
        return ["a report"]

    monkeypatch.setattr(demo.run, "run_source", busy_twice)

    assert demo.load(settings, "pos_api") == ["a report"]
    assert asked == ["pos_api"] * 3


def test_a_run_that_never_ends_is_not_waited_for_without_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*_: object, **__: object) -> None:
        raise RunUnderWay

    monkeypatch.setattr(demo.run, "run_source", busy)
    moments = iter(range(0, 10**6, settings.ingest_timeout_seconds))
    monkeypatch.setattr(demo.time, "monotonic", lambda: next(moments))

    with pytest.raises(RunUnderWay):
        demo.load(settings, "pos_api")
