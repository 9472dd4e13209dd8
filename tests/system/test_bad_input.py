"""What cannot be logged is one warning and a failed row, or under ``strict`` an exception; the training goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixlog
from accounting import check_accounts
from waiting import scaled_s

GOOD = np.zeros((8, 8), np.uint8)

BAD_CALLS: dict[str, tuple[object, dict[str, Any], type[pixlog.InputError], str]] = {
    "none": (None, {}, pixlog.InputTypeError, "got None: expected a NumPy array"),
    "numbers": ([1, 2, 3], {}, pixlog.InputTypeError, "turn numbers into an array first"),
    "shape": (
        np.zeros((8, 8, 7), np.uint8),
        {},
        pixlog.InputError,
        "got an array of shape (8, 8, 7), expected",
    ),
    "dtype": (np.array([[object()]]), {}, pixlog.InputError, "dtype object cannot be an image: expected"),
    "empty": (np.zeros((0, 5)), {}, pixlog.InputError, "shape (0, 5), expected at least one pixel"),
    "file type": (
        GOOD,
        {"file_type": "tga"},
        pixlog.InputError,
        "file_type='tga' is unknown, expected one of 'png'",
    ),
    "option": (GOOD, {"captoin": "x"}, pixlog.InputTypeError, "did you mean 'caption'?"),
    "quality": (GOOD, {"quality": 0}, pixlog.InputError, "quality=0, expected 1 to 100"),
    "path": ("/nowhere/x.png", {}, pixlog.InputError, "no such image file: '/nowhere/x.png'"),
    "bytes": (b"not an image", {}, pixlog.InputError, "starts with b'not an i', expected png, jpg"),
    "mask": (GOOD, {"masks": {"m": {"mask_data": GOOD[:3]}}}, pixlog.InputError, "masks['m'] is 8×3, but"),
    "captions": (
        [GOOD, GOOD],
        {"caption": ["a"]},
        pixlog.InputError,
        "got 1 entries in caption for 2 images",
    ),
    "meta": (GOOD, {"meta": {"a": object()}}, pixlog.InputTypeError, "meta['a'] is of type builtins.object"),
    "step": (GOOD, {"step": 1.5}, pixlog.InputTypeError, "step is of type float, expected int"),
    "large step": (
        GOOD,
        {"step": 1 << 63},
        pixlog.InputError,
        f"step is {1 << 63}, expected one of 64 bits, from {-(1 << 63)} to {(1 << 63) - 1}",
    ),
}


def test_bad_calls_warn_once_and_leave_failed_rows(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Each bad call, made twice, is one warning with its key, and two failed rows with the reason; good ones go on."""
    with caplog.at_level(logging.WARNING, "pixlog"), pixlog.connect(run_dir) as client:
        for _ in range(2):
            for key, (data, options, _, _) in BAD_CALLS.items():
                receipt = client.log_image(key, data, **options)
                assert receipt.wait(scaled_s(10))
                assert receipt.state == "failed"
            client.log_image("good", GOOD)
    stats = client.stats()
    assert (stats.saved, stats.failed, stats.dropped) == (2, 2 * len(BAD_CALLS), 0)
    check_accounts(run_dir, clients={client.id: stats})
    run = pixlog.Run(run_dir)
    for key, (_, _, _, words) in BAD_CALLS.items():
        rows = run.rows(key)
        assert [row.state for row in rows] == ["failed", "failed"]
        assert all(words in (row.reason or "") for row in rows)
        warnings = [message for message in caplog.messages if message.startswith(f"pixlog: {key!r}: ")]
        assert len(warnings) == 1
        assert words in warnings[0]


def test_strict_client_raises_at_each_bad_call(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Under ``strict`` a bad call raises what says what was wrong and under which key, and no row is written."""
    with pixlog.connect(run_dir, strict=True) as client:
        for key, (data, options, kind, words) in BAD_CALLS.items():
            with pytest.raises(kind) as caught:
                client.log_image(key, data, **options)
            assert words in str(caught.value)
            assert f"in logging {key!r}" in caught.value.__notes__
        client.log_image("good", GOOD)
    assert [row.key for row in pixlog.Run(run_dir).rows()] == ["good"]
    assert not caplog.messages


def test_last_step_has_none_after_it(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A call without a step says so, under the step that was the last; the calls after it go on undisturbed."""
    first, last = -(1 << 63), (1 << 63) - 1
    with pixlog.connect(run_dir) as client:
        client.log_image("k", GOOD, step=last)
        client.log_image("k", GOOD)
        client.log_image("k", GOOD, step=first)
        client.log_image("k", None, step=first)
    rows = [(row.step, row.state, (row.reason or "")[:9]) for row in pixlog.Run(run_dir).rows("k")]
    assert rows == [
        (first, "saved", ""),
        (first, "failed", "got None:"),
        (last, "saved", ""),
        (last, "failed", "no step c"),
    ]
    assert [message for message in caplog.messages if "got None" not in message] == [
        f"pixlog: 'k': not logged: no step comes after {last}, the last one of key 'k': give a step "
        f"(said once for this key)"
    ]


def test_strict_comes_from_the_environment(run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PIXLOG_STRICT=1 makes a script strict without changing it."""
    monkeypatch.setenv("PIXLOG_STRICT", "1")
    with pixlog.connect(run_dir) as client, pytest.raises(pixlog.InputTypeError):
        client.log_image("k", None)


def test_bad_entry_of_a_mapping_leaves_the_others(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In ``client.log({...})`` each key stands for itself, and rows of one call stay linked."""
    with pixlog.connect(run_dir) as client:
        receipts = client.log({"a": GOOD, "b": None, "c": GOOD}, step=4)
    assert {key: receipt.state for key, receipt in receipts.items()} == {
        "a": "saved",
        "b": "failed",
        "c": "saved",
    }
    rows = {row.key: row for row in pixlog.Run(run_dir).rows(step=4)}
    assert rows["a"].call == rows["c"].call
    assert len(caplog.messages) == 1


def test_key_that_is_no_text_is_a_failed_row(run_dir: Path) -> None:
    """A key of another type fails under its own repr; nothing is raised."""
    with pixlog.connect(run_dir) as client:
        client.log_image(5, GOOD)  # type: ignore[arg-type]
    (row,) = pixlog.Run(run_dir).rows("5")
    assert row.reason == "the key is of type int, expected str"


def test_call_after_close_warns_and_is_dropped(run_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After ``close`` a call does nothing but warn, and its receipt says that it was dropped."""
    client = pixlog.connect(run_dir)
    client.close()
    receipt = client.log_image("k", GOOD)
    assert receipt.state == "dropped"
    assert len(caplog.messages) == 1
    assert "after close()" in caplog.messages[0]
