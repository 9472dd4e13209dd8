"""Which stored image a call means that names an earlier one by its receipt."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pixlog
from accounting import check_accounts, rows_of
from pixlog.errors import InputError
from pixlogd.rundir.library import Library, NotThereYet
from waiting import scaled_s
from wire_frames import CLIENT
from written_runs import WrittenRun, gray

NAMED = {"client": CLIENT, "seq": 1}
OTHER = "00000000000000bb"


def _library(run_dir: Path, *, on_its_way: bool = False) -> Library:
    return Library(run_dir, lambda client, seq: on_its_way, lambda client, seq: False)


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({"meta": {**NAMED, "why": "made of it"}}, id="meta"),
        pytest.param(
            {"input": [{"kind": "ref", **NAMED, "index": 0}]}, id="input of a call that shows it too"
        ),
    ],
)
@pytest.mark.parametrize("by", [CLIENT, OTHER])
def test_a_row_that_names_a_call_is_not_taken_for_it(run_dir: Path, more: dict[str, Any], by: str) -> None:
    """The image of a receipt is the one of its own row, though rows before it hold the receipt's client and number."""
    run = WrittenRun(run_dir)
    run.image("made of it", 0, gray(1), seq=5, client=by, **more)
    meant = run.image("meant", 0, gray(2, width=9), seq=1, client=CLIENT)
    found = _library(run_dir).find(NAMED)
    assert (found.path, found.width) == (meant["value"]["path"], 9)


def test_a_call_that_is_only_named_is_waited_for_or_refused(run_dir: Path) -> None:
    """A row that holds the receipt of a call is no sign of that call: it is on its way, or it is not in the run."""
    run = WrittenRun(run_dir)
    run.image("made of it", 0, seq=5, client=CLIENT, meta={**NAMED, "why": "made of it"})
    with pytest.raises(NotThereYet):
        _library(run_dir, on_its_way=True).find(NAMED)
    with pytest.raises(InputError, match=f"the earlier call {CLIENT}/1 is not in this run"):
        _library(run_dir).find(NAMED)


@pytest.mark.parametrize("store", ["files", "packed"])
def test_what_was_removed_with_its_run_is_not_named_again(
    run_dir: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the run directory was removed, equal content is stored again, and receipts from before are refused."""
    monkeypatch.setenv("PIXLOG_STORE", store)
    pixels = np.arange(64, dtype=np.uint8).reshape(8, 8)
    with pixlog.connect(run_dir) as client:

        def log(step: int, image: object) -> pixlog.Receipt:
            receipt = client.log_image("k", pixlog.Image(image, dedup=True), step=step)
            assert client.flush(scaled_s(60)) == 0
            return receipt

        receipt = log(0, pixels)
        log(1, pixels)
        log(2, pixlog.Image.ref(receipt))
        first, *others = rows_of(run_dir)
        assert [row["files"] for row in others] == [first["files"]] * 2
        shutil.rmtree(run_dir)
        log(3, pixels)
        log(4, pixels)
        refused = log(5, pixlog.Image.ref(receipt))
        assert f"the earlier call {client.id}/0 is not there any more" in str(refused.reason)
        stored, shared, failed = rows_of(run_dir)
    assert stored["files"] == shared["files"] != []
    assert failed["state"] == "failed"
    check_accounts(run_dir)
