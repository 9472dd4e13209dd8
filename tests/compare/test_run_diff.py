"""Runs that were really logged, compared image by image, in both stores."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import metrics

import pixlog
from pixlog.compare.picture_files import picture_name, write_picture
from pixlog.compare.run_diff import iterate_diff
from pixlog.errors import InputError, RunKeyError
from waiting import scaled_s
from written_runs import WrittenRun, gray

RANDOM = np.random.default_rng(5)
PICTURE = RANDOM.integers(0, 200, (24, 32, 3), np.uint8)


@pytest.fixture(params=["files", "packed"])
def runs(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """Two runs of the same training, of which the second has noise, in one store and the other."""
    monkeypatch.setenv("PIXLOG_STORE", request.param)
    deep = (np.arange(24 * 32, dtype=np.uint16) * 77).reshape(24, 32)
    depth_m = np.linspace(2, 7, 24 * 32, dtype=np.float32).reshape(24, 32)
    for name, noise in (("a", 0), ("b", 1)):
        with pixlog.connect(tmp_path / name, strict=True) as client:
            for step in range(4):
                client.log({"val/pred": PICTURE + np.uint8(step * noise), "val/in": PICTURE}, step=step)
            client.log_image("deep", deep + np.uint16(300 * noise), step=0, depth="keep")
            client.log_image("metres", depth_m + np.float32(noise), step=0, depth="keep", file_type="tiff")
            client.log_image("list", [PICTURE, PICTURE[: 24 - 4 * noise], PICTURE[..., 0]], step=7)
            assert client.flush(scaled_s(30)) == 0
    return tmp_path / "a", tmp_path / "b"


def test_diff_measures_every_pair_of_real_runs(runs: tuple[Path, Path]) -> None:
    """Steps come in order with the MSE, PSNR and SSIM that scikit-image finds for the same pixels."""
    found = pixlog.diff(*runs, "val/pred")
    assert [pair.step for pair in found] == [0, 1, 2, 3]
    assert [pair.state for pair in found] == ["same", "differs", "differs", "differs"]
    assert [pair.mse for pair in found] == [0, 1, 4, 9]
    assert [pair.max_abs for pair in found] == [0, 1, 2, 3]
    assert found[0].psnr_db == math.inf
    assert (found[0].ssim, found[3].shape, found[3].dtype) == (1, (24, 32, 3), "uint8")
    assert found[3].psnr_db == pytest.approx(10 * math.log10(255**2 / 9))
    oracle_ssim: Callable[..., float] = metrics.structural_similarity
    expected = oracle_ssim(
        PICTURE,
        PICTURE + np.uint8(3),
        channel_axis=-1,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert found[3].ssim == pytest.approx(expected, abs=1e-9)
    assert [pair.step for pair in found.worst(2)] == [3, 2]
    assert repr(found) == "<RunDiff: 4 pairs: 1 the same, 3 differ>"
    assert not found.is_same


def test_kept_depth_is_compared_in_its_own_range(runs: tuple[Path, Path]) -> None:
    """16-bit images have the range 65535, floats beyond 0 to 1 their own, unless one is given."""
    (deep,) = pixlog.diff(*runs, "deep")
    assert (deep.dtype, deep.data_range, deep.max_abs, deep.mse) == ("uint16", 65535, 300, 300**2)
    assert deep.psnr_db == pytest.approx(20 * math.log10(65535 / 300))
    (metres,) = pixlog.diff(*runs, "metres")
    assert (metres.dtype, metres.data_range) == ("float32", 6)
    assert metres.mse == pytest.approx(1)
    (in_cm,) = pixlog.diff(*runs, "metres", data_range=100)
    assert in_cm.psnr_db == pytest.approx(40)


def test_unequal_sizes_are_said_and_never_resampled(runs: tuple[Path, Path]) -> None:
    """A pair of unequal size has no numbers but both sizes; its neighbours in the list are compared."""
    found = pixlog.diff(*runs, "list")
    assert [(pair.index, pair.state) for pair in found] == [(0, "same"), (1, "size"), (2, "same")]
    assert (found[1].note, found[1].mse) == ("A is 32×24, B is 32×20 pixels", None)
    assert not found[1].is_compared


def test_two_keys_of_one_run_are_compared(runs: tuple[Path, Path]) -> None:
    """Input against prediction of the same run, linked by their calls; steps and ranks narrow it."""
    found = pixlog.diff(runs[1], key="val/in", key_b="val/pred", step=slice(1, 3), rank=0)
    assert [(pair.step, pair.mse) for pair in found] == [(1, 1), (2, 4)]
    assert pixlog.diff(runs[0], key="val/in", key_b="val/pred").is_same
    assert len(pixlog.diff(runs[0], key="val/in", key_b="val/pred", rank=[3])) == 0


def test_every_number_is_valid_json(runs: tuple[Path, Path]) -> None:
    """An infinite PSNR is the string "inf", which float() reads back; nothing else is outside of JSON."""
    said = pixlog.diff(*runs, "val/pred").to_dicts()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said[0]["psnr_db"] == "inf"
    assert float(said[0]["psnr_db"]) == math.inf


def test_gray_and_alpha_compare_with_color(tmp_path: Path) -> None:
    """Gray is equal red, green and blue, an image without alpha is opaque, and alpha counts as a channel."""
    run = WrittenRun(tmp_path / "run")
    plane = gray(9)
    color = np.repeat(plane[..., None], 3, axis=2)
    clear = np.concatenate([color, np.full_like(color[..., :1], 55)], axis=2)
    for step, (a, b) in enumerate([(plane, color), (color, clear), (clear[..., 2:], color)]):
        run.image("a", step, a)
        run.image("b", step, b)
    found = pixlog.diff(run.path, key="a", key_b="b")
    assert [pair.state for pair in found] == ["same", "differs", "differs"]
    assert [pair.mse for pair in found] == [0, 200**2 / 4, 200**2 / 4]
    assert np.asarray(found[1].picture()).tolist() == np.full_like(color, 200).tolist()


def test_unequal_dtypes_and_damaged_files_are_said(tmp_path: Path) -> None:
    """8 against 16 bits is no comparison; a missing file is named."""
    run = WrittenRun(tmp_path / "run")
    run.image("a", 0, gray(1))
    run.image("b", 0, gray(1).astype(np.uint16))
    run.image("a", 1, gray(2))
    lost = run.image("b", 1, gray(3))
    (run.path / lost["files"][0]["path"]).unlink()
    first, second = pixlog.diff(run.path, key="a", key_b="b")
    assert (first.state, first.note) == ("dtype", "A is uint8, B is uint16")
    assert second.state == "unreadable"
    assert lost["files"][0]["path"] in second.note


def test_small_images_and_nan_have_no_ssim(tmp_path: Path) -> None:
    """SSIM is left out where it has no meaning, and the note says so; values that are not finite are counted."""
    run = WrittenRun(tmp_path / "run")
    run.image("a", 0, np.zeros((8, 40), np.uint8))
    run.image("b", 0, np.ones((8, 40), np.uint8))
    plane = np.zeros((20, 20), np.float32)
    holed = plane.copy()
    holed[0, :3] = np.nan
    holed[5, 5] = 0.5
    run.image("a", 1, plane, file_type="tiff")
    run.image("b", 1, holed, file_type="tiff")
    small, nan = pixlog.diff(run.path, key="a", key_b="b")
    assert (small.ssim, small.mse, small.note) == (None, 1, "no SSIM below 11×11 pixels")
    assert nan.ssim is None
    assert nan.mse == pytest.approx(0.25 / 397)
    assert nan.to_dict()["max_abs"] == "inf"
    assert nan.note == "not finite on one side: 3 values, left out of MSE and PSNR"
    assert np.asarray(nan.picture())[[0, 5, 9], [1, 5, 9]].tolist() == [255, 128, 0]


def test_difference_picture_is_exact_and_clipped(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """|a − b| · gain is written level for level, clipped at white, where key, step and rank say."""
    pair = pixlog.diff(*runs, "val/pred")[3]
    path = write_picture(pair, tmp_path / "out", 20)
    assert path == tmp_path / "out" / "val" / "pred" / "step000003.png"
    with Image.open(path) as picture:
        assert (np.asarray(picture) == 60).all()
    assert (np.asarray(pair.picture(1000)) == 255).all()
    (deep,) = pixlog.diff(*runs, "deep")
    assert (np.asarray(deep.picture(100)) == round(300 * 100 * 255 / 65535)).all()


@pytest.mark.parametrize(
    "key", ["../../up", "/etc/x", "a//b", "..", ".hidden", "x" * 400, "né\0<\ud800>", "CON/a:b"]
)
def test_difference_pictures_stay_below_their_directory(tmp_path: Path, key: str) -> None:
    """No key, however it is written, leads out of the directory or to a name that cannot be written."""
    run = WrittenRun(tmp_path / "run")
    run.image("plain", 0, gray(1))
    run.image("other", 0, gray(3))
    (pair,) = pixlog.diff(run.path, key="plain", key_b="other")
    pair = dataclasses.replace(pair, key_a=key)
    assert ".." not in picture_name(pair).parts
    out = tmp_path / "out"
    path = write_picture(pair, out, 1)
    assert path.resolve().is_relative_to(out.resolve())
    assert len(path.parts) == len(out.parts) + key.count("/") + 2
    with Image.open(path) as picture:
        assert (np.asarray(picture) == 2).all()


def test_diff_refuses_what_has_no_answer(tmp_path: Path) -> None:
    """A key with itself, no key, an unknown key and a range of 0 are errors that say what was expected."""
    run = WrittenRun(tmp_path / "run")
    run.image("val/pred", 0)
    with pytest.raises(InputError, match="would be compared with itself"):
        pixlog.diff(run.path, run.path, "val/pred")
    with pytest.raises(InputError, match=r"diff compares one key; .* has 'val/pred'"):
        pixlog.diff(run.path)
    with pytest.raises(RunKeyError, match="did you mean 'val/pred'"):
        pixlog.diff(run.path, key="val/pred", key_b="val/perd")
    with pytest.raises(InputError, match="data_range is a finite number above 0, got 0"):
        pixlog.diff(run.path, key="val/pred", key_b="x", data_range=0)


def test_progress_reaches_its_end(tmp_path: Path) -> None:
    """Progress counts up to the number of rows."""
    run = WrittenRun(tmp_path / "run")
    for step in range(30):
        run.image("a", step)
        run.image("b", step)
    said: list[tuple[int, int]] = []
    found = list(
        iterate_diff(
            run.path, key="a", key_b="b", workers=2, progress=lambda done, total: said.append((done, total))
        )
    )
    assert [pair.step for pair in found] == list(range(30))
    assert said[-1] == (30, 30)
    assert said == sorted(said)
