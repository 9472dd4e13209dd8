"""What the manifest says of a client that comes back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pixlogd.rundir.recall import recall, recall_one
from wire_frames import CLIENT
from written_runs import WrittenRun, gray, line_of

OTHER = "00000000000000bb"


def test_recall_returns_acknowledgements_from_a_number_on(run_dir: Path) -> None:
    """Rows of the client from ``resume`` on come back as they were acknowledged, from every segment."""
    first = WrittenRun(run_dir)
    second = WrittenRun(run_dir, segment="20250103T000000Z-host-78.jsonl")
    first.image("k", 0, seq=0, client=CLIENT)
    saved = first.image("k", 1, seq=1, client=CLIENT)
    first.image("k", 1, seq=1, client=OTHER)
    first.row("k", 2, seq=2, client=CLIENT, state="failed", reason="no image", value=None)
    second.row("k", 3, seq=3, client=CLIENT, state="dropped", reason="buffer full", value=None)
    several = second.images("k", 4, [gray(1), gray(2)])
    second.append(line_of({**several, "client": CLIENT, "seq": 4}))
    acks = recall(run_dir, CLIENT, 1)
    assert acks == {
        1: (1, "saved", None, [saved["files"][0]["path"]], []),
        2: (2, "failed", "no image", [], []),
        3: (3, "dropped", "buffer full", [], []),
        4: (4, "saved", None, several["value"]["filenames"], []),
    }


def test_recall_of_one_call_returns_its_acknowledgement(run_dir: Path) -> None:
    """A call is found by client and number, not by what another row's meta says, and None without a row."""
    run = WrittenRun(run_dir)
    run.image("k", 0, seq=12, client=OTHER, meta={"client": CLIENT, "seq": 1, "more": 0})
    run.image("k", 1, seq=12, client=CLIENT)
    saved = run.image("k", 2, seq=2, client=CLIENT)
    assert recall_one(run_dir, CLIENT, 2) == (2, "saved", None, [saved["files"][0]["path"]], [])
    assert recall_one(run_dir, CLIENT, 1) is None


def test_recall_leaves_out_paths_of_overlays(run_dir: Path) -> None:
    """Only images are named in an acknowledgement, as when it was first sent."""
    run = WrittenRun(run_dir)
    row = run.image("k", 0, seq=0, client=CLIENT, masks={"m": gray()}, boxes={"b": {"box_data": []}})
    ((_, _, _, paths, _),) = recall(run_dir, CLIENT, 0).values()
    assert paths == [row["files"][0]["path"]]


def test_recall_of_a_new_run_is_empty(run_dir: Path) -> None:
    """A run without a manifest recalls nothing."""
    assert recall(run_dir, CLIENT, 0) == {}


@pytest.mark.parametrize(
    "junk",
    [
        pytest.param(b"\n", id="empty line"),
        pytest.param(b'{"client":"' + CLIENT.encode() + b'","seq":5', id="torn"),
        pytest.param(b'{"client":"' + CLIENT.encode() + b'","seq":5\n', id="no JSON"),
        pytest.param(b'["client":"' + CLIENT.encode() + b'"]\n', id="no JSON either"),
        pytest.param(b'"\\"client\\":\\"' + CLIENT.encode() + b'\\""\n', id="text"),
        pytest.param(b'[{"client":"' + CLIENT.encode() + b'","seq":5}]\n', id="list"),
        pytest.param(b'{"client":"' + CLIENT.encode() + b'","seq":"5","state":"saved"}\n', id="seq is text"),
        pytest.param(b'{"client":"' + CLIENT.encode() + b'","seq":null,"state":"saved"}\n', id="seq is null"),
        pytest.param(b'{"client":"' + CLIENT.encode() + b'","seq":5}\n', id="no state"),
        pytest.param(b'{"meta":{"client":"' + CLIENT.encode() + b'","seq":5}}\n', id="client in meta"),
        pytest.param(
            b'{"client":"' + CLIENT.encode() + b'","seq":5,"state":"saved","files":[{}]}\n'[:-20], id="cut"
        ),
        pytest.param(b"\xff\xfe" + CLIENT.encode() + b"\n", id="not UTF-8"),
    ],
)
def test_recall_passes_over_what_is_no_row(run_dir: Path, junk: bytes) -> None:
    """Torn, foreign and odd lines are no rows of the client, and hide none of those that follow or precede."""
    run = WrittenRun(run_dir)
    run.row("k", 1, seq=1, client=CLIENT)
    run.append(junk)
    if junk.endswith(b"\n"):
        run.row("k", 2, seq=2, client=CLIENT)
    later = WrittenRun(run_dir, segment="20250103T000000Z-host-78.jsonl")
    later.row("k", 3, seq=3, client=CLIENT)
    assert recall(run_dir, CLIENT, 0).keys() - {2} == {1, 3}
    assert (2 in recall(run_dir, CLIENT, 0)) == junk.endswith(b"\n")


def test_recall_returns_rows_that_are_read_the_same_way(run_dir: Path) -> None:
    """Sequence numbers are compared as numbers, whatever the order of lines."""
    run = WrittenRun(run_dir)
    for seq in (30, 4, 100, 9):
        run.row("k", seq, seq=seq, client=CLIENT)
    assert sorted(recall(run_dir, CLIENT, 9)) == [9, 30, 100]
    assert json.loads(run.segment.read_text().splitlines()[0])["seq"] == 30
