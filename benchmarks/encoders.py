"""How fast the daemon's encoders are, beside Pillow and OpenCV, in one run of about a minute.

    python benchmarks/encoders.py [--json PATH] [--seconds S]

Every comparison interleaves its contestants, so that a busy machine slows all of them; times are medians, and a
ratio is the median over rounds.  The scaling table starts with a control, zlib on plain bytes, which holds no lock
and shares no data: what it loses, the machine lost.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from pixlogd.encode import EncodeOptions, encode
from pixlogd.encode.deflate import encoder_names
from pixlogd.rendering.picture import Picture

Pixels = npt.NDArray[Any]
Encode = Callable[[], bytes]


def photographs() -> tuple[Pixels, Pixels]:
    """The two photographs that scikit-learn ships, 427 x 640 RGB."""
    from sklearn.datasets import load_sample_image

    return load_sample_image("china.jpg"), load_sample_image("flower.jpg")


def contents() -> dict[str, Pixels]:
    """What gets logged: photographs, renderings, masks, plots, depth and digits."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:1080, :1920].astype(np.float32)
    waves = [
        128 + 60 * np.sin(columns / (97 + 20 * i) + i) + 50 * np.cos(rows / (61 + 9 * i)) for i in range(3)
    ]
    noisy = np.stack(waves, -1) + rng.normal(0, 4, (1080, 1920, 3))
    pictures: dict[str, Pixels] = {"photo-like 1080p RGB": noisy.clip(0, 255).astype(np.uint8)}
    china, flower = photographs()
    enlarged = np.asarray(Image.fromarray(china).resize((1920, 1080), Image.Resampling.BICUBIC), np.float32)
    grainy = enlarged + rng.normal(0, 3, enlarged.shape)
    pictures["photo, enlarged, grain 1080p RGB"] = np.rint(grainy).clip(0, 255).astype(np.uint8)
    # No part of a row repeats within the row, which would flatter a compressor.
    tiles = [
        [china, flower, china[:, ::-1]],
        [flower[:, ::-1], china[::-1], flower[::-1]],
        [china[::-1], flower, china[::-1, ::-1]],
    ]
    pictures["real photos, tiled 1080p RGB"] = np.ascontiguousarray(
        np.concatenate([np.concatenate(row, 1) for row in tiles], 0)[:1080]
    )
    pictures["real photo 427x640 RGB"] = china
    pictures["real photo 256x256 RGB"] = china[100:356, 300:556].copy()
    pictures["real photo 28x28 RGB"] = china[100:128, 300:328].copy()
    pictures["real photo 28x28 gray"] = china[100:128, 300:328, 0].copy()
    pictures["depth 1080p 16-bit gray"] = (
        30000 + 20000 * np.sin(columns / 300) * np.cos(rows / 300) + rng.normal(0, 30, (1080, 1920))
    ).astype(np.uint16)
    pictures["mask 1080p gray"] = np.asarray(_mask(rng))
    pictures["plot 1080p RGB"] = np.asarray(_plot(rng))
    return pictures


def _mask(rng: np.random.Generator) -> Image.Image:
    image = Image.new("L", (1920, 1080))
    draw = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, rx, ry = (int(rng.integers(*span)) for span in ((0, 1920), (0, 1080), (10, 200), (10, 200)))
        draw.ellipse([x - rx, y - ry, x + rx, y + ry], fill=int(rng.integers(0, 12)))
    return image


def _plot(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (1920, 1080), (255, 255, 255))
    draw = ImageDraw.Draw(image)
    for colour in ((31, 119, 180), (255, 127, 14), (44, 160, 44)):
        heights = 540 + np.cumsum(rng.normal(0, 6, 1920))
        draw.line([(x, float(y)) for x, y in enumerate(heights)], fill=colour, width=2)
    for i in range(80):
        draw.text((int(rng.integers(0, 1920)), int(rng.integers(0, 1080))), f"label {i}", fill=(0, 0, 0))
    return image


def picture_of(pixels: Pixels) -> Picture:
    """The picture that the daemon would encode."""
    mode = "I;16" if pixels.dtype == np.uint16 else "L" if pixels.ndim == 2 else "RGB"
    return Picture(pixels, mode)


def with_pixlog(pixels: Pixels, **options: Any) -> Encode:
    """The daemon's encoder."""
    picture, chosen = picture_of(pixels), EncodeOptions(**options)
    return lambda: encode(picture, chosen).data


def with_pillow(pixels: Pixels, name: str, **options: Any) -> Encode:
    """What trackers do in the training loop."""

    def save() -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, name, **options)
        return buffer.getvalue()

    return save


def with_opencv(pixels: Pixels) -> Encode | None:
    """OpenCV's PNG at level 1 where it is installed."""
    try:
        import cv2
    except ImportError:
        return None

    def save() -> bytes:
        data: bytes = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
        return data

    return save


def race(contestants: dict[str, Encode], seconds: float) -> dict[str, dict[str, float]]:
    """Medians of time, of the ratio to the first contestant, and bytes against it; at least three rounds."""
    nbytes = {name: len(run()) for name, run in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(next(iter(times.values()))) < 3:
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    first = next(iter(contestants))
    return {
        name: {
            "median_ms": statistics.median(times[name]) * 1e3,
            "times_faster": statistics.median(a / b for a, b in zip(times[first], times[name], strict=True)),
            "bytes_ratio": nbytes[name] / nbytes[first],
            "nbytes": nbytes[name],
        }
        for name in contestants
    }


def scaling(run: Callable[[], object], seconds: float) -> dict[str, float]:
    """Images per second on two threads over images per second on one: medians over pairs of runs.

    A thread's time is its wall time less the time it was ready to run and had no processor, as Linux counts it;
    so what is left is computing and waiting for locks, and other work on the machine does not count.  "wall" is
    the ratio without that correction.
    """
    run()
    start = time.perf_counter()
    run()
    count = max(1, round(0.06 / (time.perf_counter() - start)))
    one: list[tuple[float, float]] = []
    two: list[tuple[float, float]] = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline or len(one) < 3:
        one.append(_times_s(run, 1, count))
        two.append(_times_s(run, 2, count))
    return {
        "one_thread_ms": statistics.median(own for own, _ in one) / count * 1e3,
        "scaling": statistics.median(2 * a[0] / b[0] for a, b in zip(one, two, strict=True)),
        "wall": statistics.median(2 * a[1] / b[1] for a, b in zip(one, two, strict=True)),
    }


def _times_s(run: Callable[[], object], thread_count: int, count: int) -> tuple[float, float]:
    """(mean of the threads' times without the wait for a processor, wall time of the slowest)."""
    times: list[tuple[float, float]] = []
    barrier = threading.Barrier(thread_count)

    def work() -> None:
        barrier.wait()
        waited, start = _processor_wait_s(), time.perf_counter()
        for _ in range(count):
            run()
        wall = time.perf_counter() - start
        times.append((wall - (_processor_wait_s() - waited), wall))

    threads = [threading.Thread(target=work) for _ in range(thread_count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statistics.mean(own for own, _ in times), max(wall for _, wall in times)


def _processor_wait_s() -> float:
    """How long the calling thread has been ready but not running; 0 where the system does not say."""
    try:
        return (
            int(Path(f"/proc/self/task/{threading.get_native_id()}/schedstat").read_text().split()[1]) / 1e9
        )
    except OSError:
        return 0.0


def measure(seconds: float, progress: Progress) -> dict[str, Any]:
    """All three tables as one JSON-able result."""
    pictures = contents()
    photo = pictures["real photos, tiled 1080p RGB"]
    formats: dict[str, tuple[str, dict[str, Any]]] = {
        "jpg": ("JPEG", {}),
        "webp": ("WEBP", {}),
        "webp lossless": ("WEBP", {"lossless": True}),
        "tiff": ("TIFF", {}),
        "bmp": ("BMP", {}),
    }
    noise = os.urandom(1 << 20)
    on_threads: dict[str, Callable[[], object]] = {
        "control: zlib on bytes": lambda: zlib.compress(noise, 1),
        "png": with_pixlog(photo),
        "png 256x256": with_pixlog(pictures["real photo 256x256 RGB"]),
        "jpg": with_pixlog(photo, file_type="jpg"),
        "jpg, Pillow into BytesIO": with_pillow(photo, "JPEG"),
        "webp": with_pixlog(photo, file_type="webp"),
        "webp lossless": with_pixlog(photo, file_type="webp", lossless=True),
        "tiff": with_pixlog(photo, file_type="tiff"),
        "bmp": with_pixlog(photo, file_type="bmp"),
        "gif 256x256": with_pixlog(pictures["real photo 256x256 RGB"], file_type="gif"),
        "avif 256x256": with_pixlog(pictures["real photo 256x256 RGB"], file_type="avif"),
    }
    results: dict[str, Any] = {"coders": encoder_names(), "png": {}, "formats": {}, "scaling": {}}
    bar = progress.add_task("encoders", total=len(pictures) + len(formats) + len(on_threads))
    for name, pixels in pictures.items():
        contestants = {
            "Pillow": with_pillow(pixels, "PNG"),
            "Pillow level 1": with_pillow(pixels, "PNG", compress_level=1),
            "pixlog fast": with_pixlog(pixels),
        }
        if opencv := with_opencv(pixels):
            contestants["OpenCV level 1"] = opencv
        results["png"][name] = race(contestants, seconds)
        progress.advance(bar)
    for file_type, (name, options) in formats.items():
        ours = with_pixlog(photo, file_type=file_type.split()[0], lossless=options.get("lossless"))
        results["formats"][file_type] = race(
            {"Pillow": with_pillow(photo, name, **options), "pixlog": ours}, seconds
        )
        progress.advance(bar)
    for name, run in on_threads.items():
        results["scaling"][name] = scaling(run, seconds)
        progress.advance(bar)
    return results


def show(results: dict[str, Any], console: Console) -> None:
    """The three tables."""
    table = Table(
        title="PNG: time, and how many times faster than Pillow's default with how many bytes of its bytes"
    )
    contestants = list(next(iter(results["png"].values())))
    table.add_column("picture")
    for name in contestants:
        table.add_column(name, justify="right")
    for name, entries in results["png"].items():
        cells = [f"{entries[contestants[0]]['median_ms']:.3f} ms"]
        for contestant in contestants[1:]:
            entry = entries[contestant]
            cells.append(
                f"{entry['median_ms']:.3f} ms  [b]{entry['times_faster']:.1f}x[/b]  {entry['bytes_ratio']:.3f}"
            )
        table.add_row(name, *cells)
    console.print(table)

    table = Table(
        "format", "Pillow", "pixlog", "times faster", "bytes", title="Other formats, 1080p RGB, level fast"
    )
    for name, entries in results["formats"].items():
        ours = entries["pixlog"]
        table.add_row(
            name,
            f"{entries['Pillow']['median_ms']:.1f} ms",
            f"{ours['median_ms']:.1f} ms",
            f"{ours['times_faster']:.2f}x",
            f"{ours['bytes_ratio']:.3f}",
        )
    console.print(table)

    table = Table(
        "encoder", "one thread", "1 -> 2 threads", "by wall clock", title="Scaling, 1080p RGB unless said"
    )
    for name, entry in results["scaling"].items():
        table.add_row(
            name, f"{entry['one_thread_ms']:.2f} ms", f"{entry['scaling']:.2f}x", f"{entry['wall']:.2f}x"
        )
    console.print(table)


def main() -> None:
    """Measure, show, and write JSON if asked."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write the results there")
    parser.add_argument("--seconds", type=float, default=1.2, help="time for each comparison (default 1.2)")
    arguments = parser.parse_args()
    console = Console()
    with Progress(console=console, transient=True) as progress:
        results = measure(arguments.seconds, progress)
    show(results, console)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
