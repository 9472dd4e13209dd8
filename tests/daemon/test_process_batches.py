"""What a worker makes of calls, the odd ones above all: every one comes to an end with a row and a word."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon_rooms import client_of, entry_of, open_run, row_of
from pixlog.protocol import Header
from pixlogd.config.settings import Settings
from pixlogd.rundir.open_run import ClientRecord, OpenRun
from pixlogd.work import Finished, process
from wire_frames import log_header
from written_runs import encode, gray

DAEMON = Settings(nice=0)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[OpenRun]:
    """Return a run that is open here."""
    with open_run(tmp_path / "run") as run:
        yield run


@pytest.fixture
def client(run: OpenRun) -> ClientRecord:
    """Return a client of the run."""
    return client_of(run)


def process_one(client: ClientRecord, header: Header, payload: bytes | None = None) -> Finished:
    """Put one call through a worker."""
    outcome = process([entry_of(client, header, payload)], DAEMON)
    assert outcome.stalled == []
    (finished,) = outcome.finished
    return finished


def nested(depth: int) -> Any:
    """Return lists in lists."""
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def test_process_saves_media_and_makes_the_row(client: ClientRecord) -> None:
    """A sound call becomes files in place, a row that names them, and an acknowledgement with the image paths."""
    finished = process_one(client, log_header(3, meta={"a": 1}, call="c-1"))
    row = row_of(finished)
    assert (row["seq"], row["state"], row["meta"], row["call"]) == (3, "saved", {"a": 1}, "c-1")
    (file,) = row["files"]
    media = client.run.run_dir / file["path"]
    assert media.stat().st_size == file["size"] == finished.nbytes
    assert finished.ack == (3, "saved", None, [file["path"]], [])


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"meta": b"bytes"}, id="bytes"),
        pytest.param({"meta": {b"k": 1}}, id="bytes as key"),
        pytest.param({"meta": {(1, 2): 1}}, id="tuple as key"),
        pytest.param({"meta": msgpack.ExtType(5, b"x")}, id="ext type"),
        pytest.param({"meta": msgpack.Timestamp(1)}, id="timestamp"),
        pytest.param({"meta": nested(500)}, id="nested 500 deep"),
        pytest.param({"meta": nested(5000)}, id="nested 5000 deep"),
        pytest.param({"meta": float("nan")}, id="nan"),
        pytest.param({"meta": {"a": [float("inf"), "\ud800"]}}, id="infinity and half a pair"),
        pytest.param({"key": "\ud800\udfff\0"}, id="surrogates in key"),
        pytest.param({"key": "k" * 100_000}, id="long key"),
        pytest.param({"call": "\ud800"}, id="half a pair in call"),
        pytest.param({"time": float("nan")}, id="no time"),
        pytest.param({"step": (1 << 63) - 1}, id="large step"),
        pytest.param({"items": [{"data": {}}]}, id="no kind"),
        pytest.param({"items": [{"data": {"kind": "array"}}]}, id="no fields"),
        pytest.param({"items": [{"data": {"kind": ["array"]}}]}, id="kind of another type"),
        pytest.param({"items": [{"data": {"kind": b"\xff" * 300}}]}, id="kind of bytes"),
        pytest.param({"items": [], "list": True}, id="empty list"),
        pytest.param({"state": "failed", "reason": "\ud800", "items": []}, id="half a pair in reason"),
        pytest.param({"state": "dropped", "meta": b"bytes", "items": []}, id="dropped, bytes in meta"),
    ],
)
def test_process_brings_odd_calls_to_an_end(client: ClientRecord, changed: dict[str, Any]) -> None:
    """Whatever msgpack can say becomes a row that JSON can say, and an acknowledgement; nothing is raised."""
    finished = process_one(client, log_header(3, **changed))
    row = row_of(finished)
    assert row["seq"] == finished.ack[0] == 3
    assert row["state"] == finished.ack[1]
    assert row["state"] in ("saved", "failed", "dropped")
    msgpack.packb(finished.ack, unicode_errors="surrogatepass")


@pytest.mark.parametrize(
    "outside", ["../" * 12 + "tmp/escaped", "/tmp/escaped", "a/../../../escaped", "..", "\0/../x"]
)
@pytest.mark.parametrize("where", ["key", "suffix", "group", "file_type"])
def test_process_writes_inside_the_run_directory_only(
    client: ClientRecord, tmp_path: Path, where: str, outside: str
) -> None:
    """No name that a client chooses leads out of the media directory."""
    header, payload = log_header(3), None
    item = header["items"][0]
    if where == "key":
        header["key"] = outside
    elif where == "suffix":
        item["data"] = {"kind": "encoded", "buffer": 0, "suffix": outside}
        payload = encode(gray())
        header["buffers"] = [[0, len(payload)]]
    elif where == "group":
        item["boxes"] = {outside: {"box_data": []}}
        item["masks"] = {outside: {"data": dict(item["data"]), "class_labels": {0: outside}}}
    else:
        item["file_type"] = outside
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    process_one(client, header, payload)
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.resolve().is_relative_to(client.run.run_dir.resolve() / "media") for path in new)
    assert not Path("/tmp/escaped").exists()
    assert where == "file_type" or new


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 70)
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(st.characters(), max_size=8)
    | st.sampled_from(
        ["array", "pil", "encoded", "reference", "ref", "RGB", "|u1", "HWC", "bfloat16", "png", "keep"]
    )
    | st.binary(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=8,
)
ITEM_FIELDS = (
    *("mode", "caption", "grouping", "file_type", "normalize", "value_range", "color", "quality", "lossless"),
    *("level", "depth", "background", "grid", "dedup", "meta", "boxes", "masks", "polygons", "keypoints"),
    *("classes", "contract"),
)
DATA_FIELDS = (
    *(
        "kind",
        "buffer",
        "dtype",
        "shape",
        "axes",
        "layout",
        "origin",
        "masked",
        "mode",
        "size",
        "palette",
        "transparency",
        "icc",
    ),
    *("suffix", "url", "client", "seq", "index"),
)


@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    kind=st.sampled_from(["array", "pil", "encoded", "reference", "ref"]),
    data=st.dictionaries(st.sampled_from(DATA_FIELDS), VALUES, max_size=4),
    item=st.dictionaries(st.sampled_from(ITEM_FIELDS), VALUES, max_size=3),
    contract=st.sampled_from(["pixlog", "wandb", "other"]),
)
def test_process_brings_any_item_to_an_end(
    client: ClientRecord, kind: str, data: dict[str, Any], item: dict[str, Any], contract: str
) -> None:
    """Items with any field replaced by any value end saved or failed, and the row can be read."""
    header = log_header(3, contract=contract)
    header["items"][0]["data"] |= {
        "kind": kind,
        "mode": "L",
        "size": [6, 4],
        "suffix": ".png",
        "url": "s3://b/k",
        **data,
    }
    header["items"][0] |= item
    row = row_of(process_one(client, header))
    assert row["state"] in ("saved", "failed")
    assert row["reason"] if row["state"] == "failed" else row["value"]
    assert all((client.run.run_dir / file["path"]).is_file() for file in row.get("files", []))


def test_process_stalls_on_a_disk_that_refuses(client: ClientRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full, what came before is finished and the rest of the batch is handed back untouched."""
    real, calls = client.run.store.write, []

    def write(files: Any) -> Any:
        calls.append(files)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(files)

    monkeypatch.setattr(client.run.store, "write", write)
    batch = [entry_of(client, log_header(seq)) for seq in range(4)]
    outcome = process(batch, DAEMON)
    assert [item.entry for item in outcome.finished] == batch[:1]
    assert outcome.stalled == batch[1:]
    assert outcome.trouble is not None
    assert outcome.trouble.errno == errno.ENOSPC


def test_process_runs_in_many_threads(client: ClientRecord) -> None:
    """Batches of one run in several threads do not disturb each other."""
    batches = [
        [entry_of(client, log_header(seq)) for seq in range(start, start + 25)] for start in range(0, 200, 25)
    ]
    outcomes = [process([], DAEMON)] * len(batches)

    def work(number: int) -> None:
        outcomes[number] = process(batches[number], DAEMON)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = [row_of(finished) for outcome in outcomes for finished in outcome.finished]
    assert sorted(row["seq"] for row in rows) == list(range(200))
    assert all((client.run.run_dir / row["files"][0]["path"]).is_file() for row in rows)


def test_shared_content_is_named_where_it_was_stored(client: ClientRecord) -> None:
    """A call with ``dedup`` that failed leaves its file unwritten; later ones name the file that there is."""
    item = log_header(0)["items"][0]
    broken = {"data": {**item["data"], "dtype": "object"}}
    failed = log_header(0, items=[{**item, "dedup": True}, broken], list=True)
    assert row_of(process_one(client, failed, bytes(24)))["state"] == "failed"
    plain = row_of(process_one(client, log_header(1, key="plain"), bytes(24)))
    shared = row_of(
        process_one(client, log_header(2, key="shared", items=[{**item, "dedup": True}]), bytes(24))
    )
    assert shared["files"][0]["path"] == plain["files"][0]["path"]
    assert (client.run.run_dir / shared["files"][0]["path"]).is_file()
