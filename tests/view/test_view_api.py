"""What the viewer's server answers, and what it refuses."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import pixlog.view
from asking import ask
from pixlog.view.app import make_app
from pixlog.view.gate import Access
from pixlog.view.open_runs import open_runs, short_names
from pixlog.view.thumbnails import ThumbnailCache
from viewed_runs import STEPS, flat, write_deep, write_training
from written_runs import WrittenRun, encode


@pytest.fixture
def app(training_dir: Path) -> Any:
    """Return the viewer's application on the small training."""
    return make_app(open_runs([training_dir]))


def unpack(body: bytes) -> dict[str, Any]:
    """Read a packed body as the page does: {name: value of the header, or array}."""
    head_nbytes = int.from_bytes(body[:4], "little")
    header: dict[str, Any] = json.loads(body[4 : 4 + head_nbytes])
    at = -(-(4 + head_nbytes) // 8) * 8
    for name, kind, length in header["arrays"]:
        header[name] = np.frombuffer(body, f"<{kind}", length, at)
        at += -(-header[name].nbytes // 8) * 8
    assert at == len(body)
    return header


def test_table_has_each_row_and_then_only_what_came(app: Any, training_dir: Path) -> None:
    """The first table has every row; the next, from there on, only the rows and keys that were written since."""
    table = unpack(ask(app, "/api/runs/0/table").content)
    assert len(table["key"]) == 3 * 2 * STEPS + 4 + 3
    assert set(table["keys"]) == {
        "val/input",
        "val/truth",
        "val/pred",
        "val/rare",
        "train/batch",
        "train/bad",
    }
    assert sorted(table["state"].tolist())[-2:] == [1, 2]
    more = WrittenRun(training_dir, segment="20250102T030406Z-host-78.jsonl")
    more.image("val/new", 99, flat(1), client="00000000000000bb")
    count = len(table["key"])
    rest = unpack(ask(app, f"/api/runs/0/table?from={count}&keys={len(table['keys'])}").content)
    assert rest["keys"] == ["val/new"]
    assert rest["step"].tolist() == [99.0]


def test_media_is_the_stored_file_and_may_be_kept(app: Any, training_dir: Path) -> None:
    """A file goes out byte for byte, cacheable for good, sandboxed, and as a download under its own name."""
    row = ask(app, "/api/runs/0/rows?ids=0").json()[0]
    answer = ask(app, "/media/0/0/0?download")
    assert hashlib.sha256(answer.content).hexdigest() == row["images"][0]["sha256"]
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-security-policy"] == "sandbox"
    assert Path(row["images"][0]["path"]).name in answer.headers["content-disposition"]


def test_media_of_a_packed_run_is_the_part_of_its_shard(tmp_path: Path) -> None:
    """A file within a shard is answered alone; an offset or size that leaves the shard is no file."""
    run = WrittenRun(tmp_path / "run")
    data = encode(flat(10))
    (run.path / "media").mkdir()
    (run.path / "media" / "shard-0.tar").write_bytes(b"other" * 100 + data + b"more" * 100)
    entry = {"sha256": hashlib.sha256(data).hexdigest(), "role": "image", "index": 0, "path": "media/a.png"}
    for offset, nbytes in ((500, len(data)), (500, 10**6), (-5, len(data))):
        place = {"shard": "media/shard-0.tar", "offset": offset, "size": nbytes}
        value = {"_type": "image-file", "path": "media/a.png", "width": 40, "height": 30}
        run.row("k", 0, value=value, files=[entry | place])
    app = make_app(open_runs([run.path]))
    assert ask(app, "/media/0/0/0").content == data
    assert ask(app, "/thumbnail/0/0/0/128").status_code == 200
    assert [ask(app, f"/media/0/{row}/0").status_code for row in (1, 2)] == [404, 404]


def test_mask_and_values_come_as_stored(app: Any) -> None:
    """Class ids and pixel values arrive with the dtype and shape of the stored arrays."""
    number = next(
        n for n in range(20) if ask(app, f"/api/runs/0/rows?ids={n}").json()[0]["key"] == "val/truth"
    )
    mask = unpack(ask(app, f"/api/runs/0/mask?id={number}&group=truth").content)
    assert (mask["width"], mask["height"], mask["ids"].dtype) == (40, 30, np.uint8)
    assert np.bincount(mask["ids"]).tolist() == [300, 600, 300]
    values = unpack(ask(app, f"/api/runs/0/values?id={number}").content)
    assert values["values"].reshape(30, 40, 3)[3, 3].tolist() == [0, 100, 0]


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_deep_images_are_shown_as_png_and_valued_as_stored(tmp_path: Path, dtype: str) -> None:
    """A TIFF goes to the browser as a PNG, its values as they are."""
    pixels = np.linspace(0, 60000, 12 * 10).reshape(10, 12).astype(dtype)
    WrittenRun(tmp_path / "run").image("depth", 0, pixels, file_type="tiff")
    app = make_app(open_runs([tmp_path / "run"]))
    answer = ask(app, "/picture/0/0/0")
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).size == (12, 10)
    values = unpack(ask(app, "/api/runs/0/values?id=0").content)
    assert values["values"].dtype == dtype
    assert np.array_equal(values["values"].reshape(10, 12), pixels)


def test_linked_rows_are_those_of_the_same_call(app: Any) -> None:
    """A row of a call brings the call's other rows in the order in which they were logged, and no others."""
    rows = ask(app, "/api/runs/0/linked?id=10").json()
    assert [row["key"] for row in rows] == ["val/input", "val/truth", "val/pred"]
    assert len({row["call"] for row in rows}) == 1


def test_addresses_say_half_surrogates_and_nothing_else_that_utf8_cannot(app: Any) -> None:
    """What the page writes for half a surrogate pair is read as such; other bytes are refused with what was got."""
    assert ask(app, "/api/runs/0/lengths?key=%ED%A0%80").status_code == 200
    refused = ask(app, "/api/runs/0/lengths?key=%FF")
    assert (refused.status_code, refused.json()["error"]) == (400, "key takes text in UTF-8, got 'key=%FF'")


def test_lengths_tell_which_rows_have_several_images(tmp_path: Path) -> None:
    """Of a key with lists, every row with several images and how many; rows that came are in the next answer."""
    run = WrittenRun(tmp_path / "run")
    for step in range(40):
        run.image("single", step, flat(step))
        run.images("list", step, [flat(1)] * (1 + step % 3))
    app = make_app(open_runs([run.path]))

    def lengths(key: str) -> dict[int, int]:
        found = unpack(ask(app, f"/api/runs/0/lengths?key={key}").content)
        return dict(zip(found["id"].tolist(), found["length"].tolist(), strict=True))

    expected = {2 * step + 1: 1 + step % 3 for step in range(40) if step % 3}
    assert lengths("list") == expected
    assert lengths("single") == lengths("unknown") == {}
    run.images("list", 40, [flat(1)] * 7)
    assert lengths("list") == {**expected, 80: 7}


def test_matches_say_which_rows_pass(app: Any) -> None:
    """The filter's answer has a 1 for each row that passes; a mistake is an error with its place."""
    found = unpack(ask(app, "/api/runs/0/matches?where=meta.score<0.3 and rank==1").content)["match"]
    assert found.sum() == 3 * 4
    answer = ask(app, "/api/runs/0/matches?where=score<1")
    assert answer.status_code == 400
    assert "did you mean meta.score" in answer.json()["error"]
    assert "did you mean" in ask(app, "/api/filter-error?where=score<1").json()["error"]


def _row_with_path(run_dir: Path, path: str) -> Any:
    run = WrittenRun(run_dir)
    entry = run.media("k", 0, encode(flat(1)), "png", role="image") | {"path": path}
    value = {"_type": "image-file", "path": path, "format": "png", "width": 40, "height": 30}
    run.row("k", 0, value=value, files=[entry])
    return make_app(open_runs([run_dir]))


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "/etc/hostname",
        "media/../../secret.png",
        "media/images/link.png",
        "media/up/secret.png",
    ],
)
def test_paths_out_of_the_run_are_refused(tmp_path: Path, path: str) -> None:
    """Whatever a manifest names, nothing outside the run directory is served: no dots, no roots, no links."""
    (tmp_path / "secret.png").write_bytes(encode(flat(7)))
    images = tmp_path / "run" / "media" / "images"
    images.mkdir(parents=True)
    (images / "link.png").symlink_to(tmp_path / "secret.png")
    (images.parent / "up").symlink_to(tmp_path)
    app = _row_with_path(tmp_path / "run", path)
    for asked in ("/media/0/0/0", "/picture/0/0/0", "/thumbnail/0/0/0/128", "/api/runs/0/values?id=0"):
        answer = ask(app, asked)
        assert answer.status_code in (403, 404), (asked, answer.text)
        assert b"PNG" not in answer.content


def test_special_files_are_refused(tmp_path: Path) -> None:
    """A pipe in place of an image is refused instead of waited for."""
    (tmp_path / "run" / "media").mkdir(parents=True)
    os.mkfifo(tmp_path / "run" / "media" / "pipe.png")
    app = _row_with_path(tmp_path / "run", "media/pipe.png")
    assert ask(app, "/media/0/0/0").status_code == 403


def test_files_that_no_row_names_are_not_served(app: Any, training_dir: Path) -> None:
    """There is no way to ask for a path: only for a row's image by number."""
    (training_dir / "media" / "other.png").write_bytes(encode(flat(3)))
    for path in (
        "/media/other.png",
        "/media/0/0/9",
        "/media/0/9999/0",
        "/media/1/0/0",
        "/static/..%2fapp.py",
    ):
        assert ask(app, path).status_code in (400, 404), path
    assert ask(app, "/api/runs/0/rows?ids=1,x").status_code == 400
    assert ask(app, "/api/runs/0/rows?ids=-1").status_code == 400


def test_missing_file_is_told_as_gone(app: Any, training_dir: Path) -> None:
    """A file that was deleted is an answer that says so."""
    path = ask(app, "/api/runs/0/rows?ids=0").json()[0]["images"][0]["path"]
    (training_dir / path).unlink()
    answer = ask(app, "/picture/0/0/0")
    assert answer.status_code == 404
    assert "cannot be read" in answer.json()["error"]


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8650", "", "127.0.0.1.evil.example", "192.168.1.5"]
)
def test_foreign_host_names_are_refused(app: Any, host: str) -> None:
    """A page that rebinds its own name to this address gets nothing."""
    assert ask(app, "/api/state", host=host).status_code == 421


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.1", "127.0.0.1:9999", "[::1]:8650", "LOCALHOST"])
def test_own_names_pass_on_any_port(app: Any, host: str) -> None:
    """The port is not looked at, because a tunnel may have another at its other end."""
    assert ask(app, "/api/state", host=host).status_code == 200


def test_requests_of_other_sites_are_refused(app: Any) -> None:
    """A page elsewhere cannot embed or fetch images, nor write anything."""
    assert ask(app, "/media/0/0/0", sec_fetch_site="cross-site").status_code == 403
    assert ask(app, "/media/0/0/0", sec_fetch_site="same-origin").status_code == 200
    assert ask(app, "/", sec_fetch_site="cross-site").status_code == 200
    assert ask(app, "/api/state", method="POST").status_code == 405


def test_every_answer_has_a_strict_policy(app: Any) -> None:
    """No inline script or style, no other origin, no markup sinks, no framing."""
    for path in ("/", "/static/main.js", "/api/state", "/nothing"):
        policy = ask(app, path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert "frame-ancestors 'none'" in policy


def test_token_is_asked_for_and_kept_as_a_cookie(training_dir: Path) -> None:
    """Without the token nothing is answered; the link with it sets a cookie and leaves no token in the address."""
    app = make_app(open_runs([training_dir]), access=Access("0.0.0.0", "s3cret"))
    assert ask(app, "/").status_code == 401
    assert ask(app, "/?token=wrong").status_code == 401
    assert ask(app, "/static/main.js").status_code == 401
    welcome = ask(app, "/?token=s3cret", host="10.0.0.7:8650")
    assert welcome.status_code == 303
    assert welcome.headers["location"] == "/"
    cookie = welcome.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert ask(app, "/api/state", cookie=cookie.partition(";")[0]).status_code == 200
    assert ask(app, "/api/state", host="evil.example", cookie=cookie.partition(";")[0]).status_code == 421


def test_thumbnails_are_made_once_and_bounded(tmp_path: Path) -> None:
    """A second viewer takes the thumbnail from the folder; memory and folder stay within their limits."""
    made = []

    def make() -> tuple[bytes, str]:
        made.append(1)
        return bytes(1000), "image/webp"

    for _ in range(2):
        assert ThumbnailCache(tmp_path / "cache").get("ab", 128, make) == (bytes(1000), "image/webp")
    assert len(made) == 1
    small = ThumbnailCache(tmp_path / "cache", memory_nbytes=4500)
    for number in range(20):
        small.get(f"{number}", 128, make)
    assert small.memory_nbytes <= 4500
    bounded = ThumbnailCache(tmp_path / "cache", disk_nbytes=8000)
    bounded.get("another", 128, make)
    kept = [file for file in (tmp_path / "cache").rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in kept) <= 8000


def test_equal_deep_images_have_the_thumbnail_of_their_own_preview(tmp_path: Path) -> None:
    """Equal stored files that were rendered with two value ranges look unlike, within a run and across runs."""
    shown = []
    for name, levels in (("one", (250, 40)), ("two", (90,))):
        run = WrittenRun(tmp_path / name)
        for level in levels:
            write_deep(run, "depth", level)
        app = make_app(open_runs([run.path]), thumbnails=ThumbnailCache(tmp_path / "cache"))
        for number in range(len(levels)):
            answer = ask(app, f"/thumbnail/0/{number}/0/128")
            shown.append(int(np.asarray(Image.open(io.BytesIO(answer.content)).convert("L")).max()))
    assert shown == [250, 40, 90]


def test_thumbnail_is_small_and_leaves_the_run_alone(tmp_path: Path) -> None:
    """A large image becomes a thumbnail of the side asked for, written nowhere into the run directory."""
    run = WrittenRun(tmp_path / "run")
    run.image("k", 0, flat(9, width=900, height=300))
    before = sorted(tmp_path.joinpath("run").rglob("*"))
    app = make_app(open_runs([run.path]), thumbnails=ThumbnailCache(tmp_path / "cache"))
    answer = ask(app, "/thumbnail/0/0/0/256")
    assert Image.open(io.BytesIO(answer.content)).size == (256, 85)
    assert ask(app, "/thumbnail/0/0/0/257").status_code == 400
    assert sorted(tmp_path.joinpath("run").rglob("*")) == before


def test_page_names_every_module_for_one_round_trip(app: Any) -> None:
    """The page preloads each of its modules and style sheets, and all that it names are there."""
    page = ask(app, "/").text
    static = Path(str(pixlog.view.__file__)).parent / "static"
    for file in static.iterdir():
        if file.suffix in (".js", ".css", ".svg"):
            assert f'"static/{file.name}"' in page
            assert ask(app, f"/static/{file.name}").status_code == 200
    tag = ask(app, "/static/main.js").headers["etag"]
    assert ask(app, "/static/main.js", if_none_match=tag).status_code == 304


def test_counters_come_without_a_daemon(app: Any) -> None:
    """A run that no daemon serves is told as such."""
    answer = ask(app, "/api/changes").json()
    assert answer["runs"] == [{"rows": 3 * 2 * STEPS + 7, "daemon": None, "problems": 0}]


def test_runs_are_named_by_what_tells_them_apart() -> None:
    """Names are the shortest ends of the paths that differ."""
    assert short_names([Path("/a/one"), Path("/b/two")]) == ["one", "two"]
    assert short_names([Path("/a/run"), Path("/b/run")]) == ["a/run", "b/run"]


def test_damaged_rows_do_not_stop_the_page(tmp_path: Path) -> None:
    """A row whose files are no files is shown with the complaint; others are shown as they are."""
    run = write_training(tmp_path / "run")
    run.row("odd", 0, files=[{"path": 3}])
    app = make_app(open_runs([run.path]))
    count = len(unpack(ask(app, "/api/runs/0/table").content)["key"])
    odd = ask(app, f"/api/runs/0/rows?ids={count - 1}").json()[0]
    assert odd["images"] == []
    assert "path, sha256" in odd["reason"]


def test_rows_taken_back_and_written_again_pass_filters_and_make_pages_read_anew(tmp_path: Path) -> None:
    """The mark by which a page knows its rows changes with them, and the filter has the values they have now."""
    written = WrittenRun(tmp_path / "run")
    for step in range(4):
        written.row("k", step, meta={"loss": step})
    app = make_app(open_runs([written.path]))

    def matches() -> list[int]:
        return [
            int(one) for one in unpack(ask(app, "/api/runs/0/matches?where=meta.loss>0").content)["match"]
        ]

    mark = ask(app, "/api/state").json()["mark"]
    whole = written.segment.read_bytes()
    written.segment.write_bytes(b"".join(whole.splitlines(keepends=True)[:2]))
    assert matches() == [0, 1, 0, 0]
    without = ask(app, "/api/changes").json()["mark"]
    written.segment.write_bytes(whole)
    assert matches() == [0, 1, 1, 1]
    assert len({mark, without, ask(app, "/api/changes").json()["mark"]}) == 3
    written.row("k", 4, meta={"loss": 4})
    assert matches() == [0, 1, 1, 1, 1]
