"""Calls that make no sense are failed images with a reason, and no errors of the daemon's own."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from daemon_rooms import client_of, entry_of, open_run, row_of
from pixlog.protocol import Header, Kind
from pixlogd.config.settings import Settings
from pixlogd.malformed import malformation_of
from pixlogd.rundir.open_run import ClientRecord
from pixlogd.work import process
from sound_frames import Sentence, sound_sentences
from wire_frames import log_header

COUNT = 3000
DAEMON = Settings(nice=0)
NONSENSE: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        7,
        1 << 40,
        -(1 << 62),
        0.5,
        float("nan"),
        "",
        "x",
        "HWC",
        "<f4",
        b"",
        b"x" * 9,
    ),
    *([], [1], [4, 6], [[]], {}, {"a": 1}, {"data": {}}, {1: 2}),
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[ClientRecord]:
    """Return a client of a run that is open here."""
    with open_run(tmp_path / "run") as run:
        yield client_of(run)


def places_in(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place of a header that can be overwritten: its container and the key or index in it."""
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from places_in(value[key])


def sound_calls() -> list[Sentence]:
    """Return calls that show images of their own, pixels inline."""
    return [
        sentence
        for sentence in sound_sentences(0)
        if sentence.kind == Kind.LOG and "at" not in sentence.header and sentence.header["items"]
    ]


def test_calls_with_nonsense_in_them_fail_by_name(
    client: ClientRecord, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever stands where in the header of a call, it ends with a row, and never as an error of the daemon's own."""
    numbers = random.Random(1)
    calls = sound_calls()
    blamed: list[str] = []
    for seq in range(COUNT):
        sentence = numbers.choice(calls)
        header: Header = {**copy.deepcopy(sentence.header), "seq": seq}
        for _ in range(numbers.choice((1, 1, 2, 4))):
            container, key = numbers.choice([*places_in(header["items"]), (header, "buffers")])
            if numbers.random() < 0.2 and isinstance(container, dict):
                container.pop(key, None)
            else:
                container[key] = copy.deepcopy(numbers.choice(NONSENSE))
            if not isinstance(header.get("items"), list) or not header["items"]:
                break
        told = repr(header)
        caplog.clear()
        outcome = process([entry_of(client, header, sentence.payload)], DAEMON)
        blamed += [f"{told}\n{caplog.text}" for _ in caplog.records if "internal error" in caplog.text]
        assert outcome.finished or outcome.early
    assert not blamed, f"{len(blamed)} of {COUNT}:\n" + "\n".join(blamed[:3])


def test_sound_calls_are_not_called_malformed() -> None:
    """Of what clients do say, nothing is wrong."""
    assert [malformation_of(call.header) for call in sound_calls()] == [None] * len(sound_calls())


def test_error_over_a_sound_call_stays_an_internal_error(
    client: ClientRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of the daemon's own is not blamed on the call: it fails with the error, whose traceback is logged."""

    def stumble(*_: object) -> None:
        raise IndexError("stumbled")

    monkeypatch.setattr("pixlogd.work.render", stumble)
    outcome = process([entry_of(client, log_header(0))], DAEMON)
    assert row_of(outcome.finished[0])["reason"] == "internal error: IndexError: stumbled"
