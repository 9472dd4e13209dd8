"""``gif`` and ``mp4``: frames, order and colours as decoders that we did not write find them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

import pixlog
from exported_runs import photo
from pixlog.cli.app import run_command
from pixlog.errors import InputError, InputTypeError, RunError
from pixlog.export.animation_frames import GAP_PX, LABEL_PX
from pixlog.export.gif_stream import durations_cs
from pixlog.sheet.sheet_painter import BACKGROUND
from viewed_runs import HOSTILE, flat, write_training
from written_runs import WrittenRun

if TYPE_CHECKING:
    from playwright.sync_api import Browser

Frames = list[npt.NDArray[np.uint8]]
COLORS = [(250, 10, 10), (10, 240, 20), (30, 20, 230), (220, 210, 30), (5, 5, 5), (240, 240, 240)]


def gif_frames(path: Path) -> Frames:
    """Return every frame of a GIF in RGB, as Pillow shows it."""
    with Image.open(path) as film:
        frames = []
        for number in range(getattr(film, "n_frames", 1)):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")))
    return frames


def av_frames(path: Path) -> Frames:
    """Return every frame of a film in RGB, as FFmpeg decodes it."""
    film: Any
    with av.open(str(path)) as film:
        return [np.asarray(frame.to_image()) for frame in film.decode(video=0)]


_SEEK = """async ([source, moments]) => {
  const video = document.createElement("video");
  const loaded = new Promise((done, fail) => {
    video.onloadeddata = done;
    video.onerror = () => fail(new Error(video.error.message));
  });
  video.muted = true;
  video.src = source;
  await loaded;
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  const context = canvas.getContext("2d");
  const colors = [];
  const seen = () => {
    context.drawImage(video, 0, 0);
    return [...context.getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3);
  };
  for (const moment of moments) {
    const sought = new Promise((done) => (video.onseeked = done));
    video.currentTime = moment;
    await sought;
    // A busy browser may say so before the new frame is there; every frame has another colour, and none is black.
    const before = String(colors.at(-1) ?? [0, 0, 0]);
    for (let tries = 0; tries < 300 && String(seen()) === before; ++tries) {
      await new Promise((done) => setTimeout(done, 20));
    }
    colors.push(seen());
  }
  return { width: canvas.width, height: canvas.height, duration_s: video.duration, colors };
}"""

READERS: dict[str, list[Callable[[Path], Frames]]] = {"gif": [gif_frames, av_frames], "mp4": [av_frames]}
CLOSE = {"gif": 0, "mp4": 6}
"""How far a level may be off: a GIF of few colours keeps them, 4:2:0 and its rounding do not."""


def assert_close(found: npt.NDArray[Any], expected: object, kind: str) -> None:
    """Fail unless two colours, or pictures, are as near as the format keeps them."""
    assert np.abs(found.astype(int) - np.asarray(expected, int)).max() <= CLOSE[kind]


@pytest.fixture
def written(tmp_path: Path) -> WrittenRun:
    """An empty run directory to write rows into."""
    return WrittenRun(tmp_path / "run")


def exported(written: WrittenRun, kind: str, **options: Any) -> list[Frames]:
    """Export and return the frames as every reader finds them."""
    report = pixlog.export_run(
        written.path, kind, written.path.parent / f"film.{kind}", force=True, **options
    )
    assert report.ok
    return [read(report.out) for read in READERS[kind]]


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_film_has_every_step_in_order_with_its_color(written: WrittenRun, kind: str) -> None:
    """One frame a step, by step whatever the order of logging, enlarged without smoothing, in the logged colours."""
    for step in (3, 0, 5, 1, 4, 2):
        written.image("k", step, flat(*COLORS[step], width=20, height=15))
    for frames in exported(written, kind, labels=False, side_px=160):
        assert [frame.shape for frame in frames] == [(120, 160, 3)] * 6
        for frame, color in zip(frames, COLORS, strict=True):
            assert_close(frame, color, kind)


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_films_of_a_real_run_show_its_photos(logged_run: pixlog.Run, tmp_path: Path, kind: str) -> None:
    """Of either store every image is a frame that resembles what was logged; rows of a step logged thrice are three."""
    report = pixlog.export_run(
        logged_run, kind, tmp_path / "f", key="val/truth", labels=False, overlays=False, side_px=240
    )
    assert (report.ok, report.counts.images) == (True, 4)
    for read in READERS[kind]:
        frames = read(report.out)
        assert len(frames) == 4
        for step, frame in enumerate(frames):
            large = np.repeat(np.repeat(photo(step), 6, axis=0), 6, axis=1)
            off = np.abs(frame.astype(int) - large)[2:-2:6, 2:-2:6].mean()
            assert off < 30, f"step {step} is off by {off}"
            others = [
                np.repeat(np.repeat(photo(other), 6, axis=0), 6, axis=1)
                for other in range(4)
                if other != step
            ]
            assert all(off < np.abs(frame.astype(int) - other)[2:-2:6, 2:-2:6].mean() / 2 for other in others)
    twice = pixlog.export_run(logged_run, kind, tmp_path / "t", key="twice")
    assert [len(read(twice.out)) for read in READERS[kind]] == [3] * len(READERS[kind])


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_unequal_sizes_stand_in_the_middle_undistorted(written: WrittenRun, kind: str) -> None:
    """Wide, tall and odd images keep their shape; what is left of the tile is plain ground; sides are even in mp4."""
    red = (250, 10, 10)
    for step, (width, height) in enumerate([(40, 20), (10, 40), (33, 33)]):
        written.image("k", step, flat(*red, width=width, height=height))
    for frames in exported(written, kind, labels=False, side_px=40):
        shapes = {frame.shape for frame in frames}
        assert shapes == {(40, 40, 3)}
        for frame, (width, height) in zip(frames, [(40, 20), (10, 40), (33, 33)], strict=True):
            lit = frame[..., 0] > 130
            rows, columns = np.flatnonzero(lit.any(1)), np.flatnonzero(lit.any(0))
            assert abs(np.ptp(columns) + 1 - width) <= (2 if kind == "mp4" else 0)
            assert abs(np.ptp(rows) + 1 - height) <= (2 if kind == "mp4" else 0)
            assert abs(rows[0] - (40 - height) // 2) <= (1 if kind == "mp4" else 0)
            assert_close(frame[20, 20], red, kind)
    assert_close(frames[1][20, 2], BACKGROUND, kind)


def test_mp4_has_even_sides_the_rate_and_tagged_colors(written: WrittenRun) -> None:
    """An odd frame grows by a line; the stream says H.264, 4:2:0, BT.709 and the frames a second asked for."""
    for step in range(5):
        written.image("k", step, flat(200, 30, 30, width=33, height=21))
    pixlog.export_run(written.path, "mp4", written.path.parent / "f.mp4", labels=False, side_px=33, fps=2.5)
    with av.open(str(written.path.parent / "f.mp4")) as film:
        stream: Any = film.streams[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 34, 22)
        assert float(stream.average_rate) == 2.5
        assert (stream.frames, float(stream.duration * stream.time_base)) == (5, 2.0)
        assert (int(context.colorspace), int(context.color_primaries), int(context.color_range)) == (1, 1, 1)


def test_gif_keeps_time_and_loops(written: WrittenRun) -> None:
    """Hundredths of a second are shared out so that the whole keeps to the rate; it plays forever."""
    for step in range(7):
        written.image("k", step, flat(10 * step, width=8, height=8))
    exported(written, "gif", fps=30)
    with Image.open(written.path.parent / "film.gif") as film:
        assert film.info["loop"] == 0
        durations = []
        for number in range(7):
            film.seek(number)
            durations.append(film.info["duration"])
    assert durations == [30, 40, 30, 30, 40, 30, 30]
    ends = durations_cs(30)
    assert sum(next(ends) for _ in range(300)) == 1000


@pytest.mark.parametrize("kind", ["gif", "mp4"])
def test_film_shows_a_frame_for_as_long_as_can_be(written: WrittenRun, kind: str) -> None:
    """The least number of frames a second that is taken is one that the format can say."""
    for step in range(2):
        written.image("k", step, flat(*COLORS[step]))
    report = pixlog.export_run(written.path, kind, written.path.parent / f"f.{kind}", fps=0.01)
    assert report.counts.images == 2
    if kind == "gif":
        with Image.open(report.out) as picture:
            assert picture.info["duration"] == 100_000


def test_gif_of_few_colors_is_exact_and_repeats_nothing(written: WrittenRun) -> None:
    """256 colours are kept as they are, in each frame others; an unchanged frame is a frame and takes few bytes."""
    random = np.random.default_rng(0)
    pictures = []
    for step in range(4):
        palette = random.integers(0, 256, (256, 3), np.uint8)
        pictures.append(palette[random.integers(0, 256, (60, 64))])
        written.image("k", step, pictures[-1])
    for frames in exported(written, "gif", labels=False, side_px=64):
        assert all((frame == picture).all() for frame, picture in zip(frames, pictures, strict=True))
    size = (written.path.parent / "film.gif").stat().st_size
    for step in range(4, 104):
        written.image("k", step, pictures[-1])
    for frames in exported(written, "gif", labels=False, side_px=64):
        assert len(frames) == 104
        assert all((frame == pictures[-1]).all() for frame in frames[4:])
    assert (written.path.parent / "film.gif").stat().st_size - size < 100 * 60


def test_keys_stand_side_by_side_in_the_order_asked_for(written: WrittenRun) -> None:
    """Each key has its column; one that was logged at fewer steps keeps its picture; before it there is ground."""
    for step in range(4):
        written.image("fast", step, flat(10 + step, 200, 0))
    written.image("slow", 1, flat(100, 0, 200))
    written.image("slow", 3, flat(120, 0, 200))
    for frames in exported(written, "gif", key=["slow", "fast"], labels=False, side_px=40):
        assert {frame.shape for frame in frames} == {(30, 80 + GAP_PX, 3)}
        left = [tuple(frame[15, 20].tolist()) for frame in frames]
        right = [tuple(frame[15, 60 + GAP_PX].tolist()) for frame in frames]
        assert left == [BACKGROUND, (100, 0, 200), (100, 0, 200), (120, 0, 200)]
        assert right == [(10 + step, 200, 0) for step in range(4)]


def test_ranks_and_lists_fill_a_grid(written: WrittenRun) -> None:
    """Every rank and every image of a list has a tile of its own; a list that is shorter leaves the rest as it was."""
    written.images("k", 0, [flat(10 * n, 9, 9) for n in range(3)])
    written.images("k", 1, [flat(200, 9, 9)])
    written.image("k", 1, flat(99, 9, 9), rank=1, client="b" * 16)
    for frames in exported(written, "gif", labels=False, side_px=40):
        corners = [
            [int(frame[y, x, 0]) for y in (15, 45 + GAP_PX) for x in (20, 60 + GAP_PX)] for frame in frames
        ]
        assert corners == [[0, 10, 20, BACKGROUND[0]], [200, 10, 20, 99]]


def test_labels_add_strips_and_leave_the_pictures_alone(written: WrittenRun) -> None:
    """Step and caption stand over the frame, tile names under tiles; hostile and long text is drawn, or cut."""
    for step in range(3):
        written.image("k", step, flat(*COLORS[step]), caption=HOSTILE * 20)
        written.image("other", step, flat(*COLORS[step + 1]), caption="世界 é")
    for frames in exported(written, "gif", key="k", side_px=80):
        assert {frame.shape for frame in frames} == {(60 + LABEL_PX, 80, 3)}
        strips = [frame[:LABEL_PX].tobytes() for frame in frames]
        assert len(set(strips)) == 3
        assert all((frame[LABEL_PX:] == color).all() for frame, color in zip(frames, COLORS, strict=False))
    for frames in exported(written, "gif", side_px=80):
        assert {frame.shape for frame in frames} == {(60 + 2 * LABEL_PX, 160 + GAP_PX, 3)}
        assert (frames[1][LABEL_PX : LABEL_PX + 60, :80] == COLORS[1]).all()
        foot = frames[1][-LABEL_PX:, :80].reshape(-1, 3)
        assert len(np.unique(foot, axis=0)) > 2


def test_overlays_are_drawn_unless_they_are_not_wanted(tmp_path: Path) -> None:
    """Masks tint the picture; without overlays every pixel is as logged."""
    run = write_training(tmp_path / "run")
    shown = exported(run, "gif", key="val/truth", rank=0, labels=False, side_px=40)[0]
    plain = exported(run, "gif", key="val/truth", rank=0, labels=False, side_px=40, overlays=False)[0]
    assert len(shown) == len(plain) == 12
    assert all((frame == [10 * step, 100, 0]).all() for step, frame in enumerate(plain))
    assert all((frame[20, 5] != [10 * step, 100, 0]).any() for step, frame in enumerate(shown))


def test_unreadable_and_unsaved_images_are_accounted_for(written: WrittenRun, tmp_path: Path) -> None:
    """A missing file leaves out its frame and is told; failed rows are counted; references have no picture."""
    for step in range(3):
        row = written.image("k", step, flat(*COLORS[step]))
        if step == 1:
            (written.path / row["files"][0]["path"]).unlink()
    written.row("k", 3, state="failed", reason="7 channels")
    written.row("k", 4, value={"_type": "image-file", "path": "s3://b/a.png", "format": "png"})
    report = pixlog.export_run(written.path, "gif", tmp_path / "f.gif")
    assert len(gif_frames(report.out)) == 2
    assert not report.ok
    counts = report.counts
    assert (counts.images, counts.references, counts.saved_rows, counts.failed_rows) == (2, 1, 4, 1)
    assert "cannot read media/images/k_1" in counts.examples[0]


@pytest.mark.parametrize(
    ("kind", "options", "error", "complaint"),
    [
        ("gif", {"fps": 60}, InputError, "fps of a GIF is 0.01 to 50, got 60"),
        ("gif", {"fps": 0}, InputError, "got 0"),
        ("mp4", {"fps": float("nan")}, InputError, "fps is 0.01 to 240, got nan"),
        ("gif", {"fps": 0.0001}, InputError, "fps of a GIF is 0.01 to 50, got 0.0001"),
        ("mp4", {"fps": 0.0001}, InputError, "fps is 0.01 to 240, got 0.0001"),
        ("mp4", {"crf": 60}, InputError, "crf is 0 to 51, got 60"),
        ("gif", {"side_px": 8}, InputError, "side_px is 16 or more, got 8"),
        ("gif", {"crf": 3}, InputTypeError, "gif has no option 'crf'"),
        ("gif", {"key": "many"}, InputError, "a frame shows 64 images at most, and 70 go side by side"),
        ("mp4", {"key": "nine", "side_px": 6000}, InputError, "expected at most 8192 on a side"),
        ("mp4", {"key": "ref"}, RunError, "none of the rows that fit has an image to show"),
    ],
)
def test_films_that_cannot_be_are_refused(
    written: WrittenRun, kind: str, options: dict[str, Any], error: type[Exception], complaint: str
) -> None:
    """What cannot be shown is an error that says what was got and what is possible; nothing is left behind."""
    written.image("k", 0)
    written.images("many", 0, [flat(1, width=2, height=2)] * 70)
    written.images("nine", 0, [flat(1, width=20, height=20)] * 9)
    written.row("ref", 0, value={"_type": "image-file", "path": "s3://b/a.png", "format": "png"})
    before = sorted(written.path.parent.iterdir())
    with pytest.raises(error, match=complaint):
        pixlog.export_run(written.path, kind, written.path.parent / "f", **{"key": "k", **options})
    assert sorted(written.path.parent.iterdir()) == before


def test_command_passes_the_options_of_films_on(
    written: WrittenRun, capsys: pytest.CaptureFixture[str]
) -> None:
    """--fps, --side, --no-labels and --no-overlays reach the format; an option of another format is refused."""
    for step in range(3):
        written.image("k", step, flat(*COLORS[step]))
    out = written.path.parent / "f.gif"
    arguments = ["export", str(written.path), "--to", "gif", "--out", str(out)]
    assert run_command([*arguments, "--fps", "5", "--side", "80", "--no-labels", "--no-overlays"]) == 0
    with Image.open(out) as film:
        assert (film.size, film.info["duration"]) == ((80, 60), 200)
    assert "3 images of 3 rows" in capsys.readouterr().out
    assert run_command([*arguments, "--crf", "5"]) == 1
    assert "crf is one of mp4" in capsys.readouterr().err


def test_mp4_plays_in_a_browser(written: WrittenRun, browser: Browser) -> None:
    """Chromium decodes the video, knows its size and length, and shows each step's colour when sought to."""
    for step, color in enumerate(COLORS):
        written.image("k", step, flat(*color))
    report = pixlog.export_run(
        written.path, "mp4", written.path.parent / "f.mp4", labels=False, side_px=160, fps=4
    )
    page = browser.new_page()
    data = base64.b64encode(report.out.read_bytes()).decode()
    found = page.evaluate(_SEEK, [f"data:video/mp4;base64,{data}", [(step + 0.5) / 4 for step in range(6)]])
    page.close()
    assert (found["width"], found["height"], found["duration_s"]) == (160, 120, 1.5)
    for seen, color in zip(found["colors"], COLORS, strict=True):
        # The browser's own conversion takes 2.0 for the 2.11 by which blue follows Cb; taken for BT.601, for want of
        # the tags, red and green would be off by 22.
        assert np.abs(np.subtract(seen, color)).max() <= 14
