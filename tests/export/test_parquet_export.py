"""``parquet``, ``Run.to_arrow`` and ``Run.to_pandas``: the rows as a table that DuckDB, pandas and pyarrow query."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pixlog
from exported_runs import COUNTS, IMAGES, STEPS, URL, photo, segment_ids
from written_runs import WrittenRun, gray


def _query(sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        rows: list[tuple[Any, ...]] = database.sql(sql).fetchall()
    return rows


def test_parquet_answers_queries_of_duckdb(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """States, captions, flattened meta, sizes and overlays are typed columns; unsaved rows are lines without image."""
    report = pixlog.export_run(logged_run, "parquet", tmp_path / "rows.parquet")
    table = f"'{report.out}'"
    assert (report.counts.images, report.ok) == (IMAGES, True)
    assert dict(_query(f"SELECT state, count(DISTINCT (client, seq)) FROM {table} GROUP BY state")) == COUNTS
    assert _query(f"""
        SELECT step, caption, "meta.score", "meta.epoch", "meta.name", width, height, format
        FROM {table} WHERE key = 'val/truth' AND "meta.score" < 0.5 ORDER BY step
    """) == [(step, f"photo {step}", step / 4, 0, f"cat {step}", 40, 30, "png") for step in (0, 1)]
    assert _query(f"SELECT step, image_index, caption FROM {table} WHERE key = 'val/list' ORDER BY 1, 2") == [
        (step, index, "abc"[index]) for step in (-1, 2) for index in range(3)
    ]
    assert _query(f"SELECT url, path FROM {table} WHERE url IS NOT NULL") == [(URL, None)]
    assert _query(f'SELECT DISTINCT typeof(time), typeof("meta.epoch") FROM {table}') == [
        ("TIMESTAMP WITH TIME ZONE", "BIGINT")
    ]
    roles = _query(f"""
        SELECT o.role, count(*) FROM (SELECT unnest(overlays) AS o FROM {table}) GROUP BY 1 ORDER BY 1
    """)
    assert roles == [
        ("boxes", STEPS),
        ("keypoints", STEPS),
        ("mask", STEPS),
        ("polygons", STEPS),
        ("preview", 2 * STEPS),
    ]
    reasons = _query(f"SELECT state, reason FROM {table} WHERE path IS NULL AND url IS NULL ORDER BY step")
    assert [state for state, _ in reasons] == ["failed", "failed", "dropped"]
    assert all(reason for _, reason in reasons)


def test_parquet_paths_lead_to_the_bytes(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """path, or shard and offset, with size, are where a file's bytes are in the run directory."""
    out = pixlog.export_run(logged_run, "parquet", tmp_path / "rows.parquet", key="val/truth").out
    for step, path, shard, offset, size in _query(
        f"SELECT step, path, shard, shard_offset, size FROM '{out}'"
    ):
        data = (logged_run.path / (shard or path)).read_bytes()[offset or 0 :][:size]
        assert (np.asarray(Image.open(io.BytesIO(data))) == photo(step)).all()


def test_parquet_keeps_mixed_and_nested_meta_as_json(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """An entry of several types, or of a list, has no column of its own and is whole in ``meta``."""
    out = pixlog.export_run(logged_run, "parquet", tmp_path / "rows.parquet", key="val/truth").out
    table = pq.read_table(out)
    assert {name for name in table.column_names if name.startswith("meta.")} == {
        "meta.epoch",
        "meta.name",
        "meta.score",
    }
    metas = [json.loads(text) for text in table["meta"].to_pylist()]
    assert [meta["mixed"] for meta in metas] == [0, "text", 2, 3]
    assert metas[1]["list"] == [1, 2]


def test_parquet_embeds_the_bytes_of_images_and_overlays(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """With ``embed`` images and masks decode from the table alone, references and unsaved rows are null."""
    out = pixlog.export_run(logged_run, "parquet", tmp_path / "rows.parquet", embed=True).out
    lines = pq.read_table(out).to_pylist()
    truths = [line for line in lines if line["key"] == "val/truth"]
    for line in truths:
        assert (np.asarray(Image.open(io.BytesIO(line["image"]["bytes"]))) == photo(line["step"])).all()
        (mask,) = [overlay for overlay in line["overlays"] if overlay["role"] == "mask"]
        assert (np.asarray(Image.open(io.BytesIO(mask["bytes"]))) == segment_ids(line["step"])).all()
    assert len(truths) == STEPS
    assert sum(line["image"] is None for line in lines) == 1 + 3


def test_parquet_is_written_in_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines leave memory group by group."""
    monkeypatch.setattr("pixlog.export.parquet._LINES_A_GROUP", 10)
    written = WrittenRun(tmp_path / "run")
    for step in range(25):
        written.image("k", step)
    out = pixlog.export_run(written.path, "parquet", tmp_path / "rows.parquet").out
    groups = pq.ParquetFile(out).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [10, 10, 5]


def test_parquet_counts_what_it_cannot_embed(tmp_path: Path) -> None:
    """An image whose file is gone is a line without bytes, and is counted and named."""
    written = WrittenRun(tmp_path / "run")
    gone = written.image("k", 0)
    written.image("k", 1)
    (written.path / gone["files"][0]["path"]).unlink()
    report = pixlog.export_run(written.path, "parquet", tmp_path / "rows.parquet", embed=True)
    assert (report.counts.images, sum(report.counts.left_out.values()), report.ok) == (1, 1, False)
    assert "'k' step 0" in report.counts.examples[0]
    assert [line["image"]["bytes"] is None for line in pq.read_table(report.out).to_pylist()] == [True, False]


def test_run_gives_the_same_table_to_arrow_and_pandas(logged_run: pixlog.Run, tmp_path: Path) -> None:
    """``to_arrow`` equals what is exported, and ``to_pandas`` has its values, whole numbers whole."""
    out = pixlog.export_run(logged_run, "parquet", tmp_path / "rows.parquet").out
    table = logged_run.to_arrow()
    assert table.equals(pq.read_table(out))
    frame = logged_run.to_pandas("val/truth", slice(1, 3))
    assert frame["step"].tolist() == [1, 2]
    assert frame["meta.score"].tolist() == [0.25, 0.5]
    assert frame["time"].dt.year.min() >= 2024
    everything = logged_run.to_pandas()
    assert len(everything) == table.num_rows
    assert str(everything["width"].dtype) == "Int32"
    assert everything.groupby("state").size().to_dict() == COUNTS | {"saved": IMAGES + 1}


def test_table_of_nothing_has_its_columns(tmp_path: Path) -> None:
    """A choice that nothing fits gives an empty table with the usual columns."""
    written = WrittenRun(tmp_path / "run")
    written.image("k", 0)
    run = pixlog.Run(written.path)
    table = run.to_arrow(step=7)
    assert table.num_rows == 0
    assert table.column_names == run.to_arrow().column_names
    assert len(run.to_pandas(step=7)) == 0


def test_table_says_sizes_of_each_image_of_a_list(tmp_path: Path) -> None:
    """Width and height are each image's own, though a row says them only of its first."""
    written = WrittenRun(tmp_path / "run")
    written.images("k", 0, [gray(0), gray(1, width=9, height=5)])
    table = pixlog.Run(written.path).to_arrow()
    assert list(zip(table["width"].to_pylist(), table["height"].to_pylist(), strict=True)) == [(6, 4), (9, 5)]


def test_table_takes_text_that_utf8_cannot_say(tmp_path: Path) -> None:
    """Half surrogates in keys, captions and meta become escapes."""
    written = WrittenRun(tmp_path / "run")
    written.append(
        b'{"v":1,"key":"\\ud800","step":0,"rank":0,"client":"z","seq":0,"state":"failed","time":1.0,'
        b'"reason":"\\udfff","meta":{"\\ud801":"\\ud802"}}\n'
    )
    (line,) = pixlog.Run(written.path).to_arrow().to_pylist()
    assert (line["key"], line["reason"], line["meta.\\ud801"]) == ("\\ud800", "\\udfff", "\\ud802")


@pytest.mark.parametrize(("package", "ask"), [("pyarrow", "to_arrow"), ("pandas", "to_pandas")])
def test_table_without_its_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, ask: str
) -> None:
    """The error names the package and the extra."""
    written = WrittenRun(tmp_path / "run")
    written.image("k", 0)
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(pixlog.MissingExtra, match=rf"{package}.*pixlog\[export\]"):
        getattr(pixlog.Run(written.path), ask)()
