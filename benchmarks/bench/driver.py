"""One contestant in a process and an environment of its own, told by lines of JSON what to do.

    open   connect to, or create, a run in a directory
    calls  log images with some computing between them, as training does: the time of each call
    burst  log images one after another, wait until all are saved: the time of all
    train  training steps with and without an image: the time of each step
    close

Only the standard library, NumPy and the contestant itself are imported here: it runs in environments that know
nothing of pixlog.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Pixels = np.ndarray[Any, np.dtype[Any]]
_SETTLE_S = 120.0
_COMPUTE_S = 0.004


class Logger(Protocol):
    """What a contestant does."""

    def log(self, pixels: Pixels, step: int) -> None:
        """Log one image the way its documentation shows."""

    def settle(self, count: int) -> None:
        """Wait until all ``count`` images logged so far are saved."""

    def close(self) -> None:
        """End the run."""


class Pixlog:
    """This project: any number of clients of one run, in turn."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        import pixlog

        count = options.get("clients", 1)
        self.clients = [pixlog.connect(directory, **options.get("connect", {})) for _ in range(count)]
        self.options = options.get("log", {})

    def log(self, pixels: Pixels, step: int) -> None:
        self.clients[step % len(self.clients)].log_image("image", pixels, step=step, **self.options)

    def settle(self, count: int) -> None:
        left = sum(client.flush(_SETTLE_S) for client in self.clients)
        saved = sum(client.stats().saved for client in self.clients)
        assert not left, f"{left} images were not saved in {_SETTLE_S:g} s"
        assert saved == count, f"{saved} of {count} images were saved"

    def close(self) -> None:
        for client in self.clients:
            client.close()


class Nothing:
    """A loop that logs nothing."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        pass

    def log(self, pixels: Pixels, step: int) -> None:
        pass

    def settle(self, count: int) -> None:
        pass

    def close(self) -> None:
        pass


class Encoder:
    """The daemon's encoder in a bare loop on some threads: nothing is received, named, hashed or written."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        from concurrent.futures import Future, ThreadPoolExecutor

        from pixlogd.allocator import keep_freed_memory
        from pixlogd.encode import EncodeOptions, encode
        from pixlogd.rendering.picture import Picture

        keep_freed_memory()  # as the daemon does
        chosen = EncodeOptions()
        self.pool = ThreadPoolExecutor(options["threads"])
        self.futures: list[Future[None]] = []
        self.encode: Callable[[Pixels], bytes] = lambda pixels: (
            encode(Picture(pixels, "L" if pixels.ndim == 2 else "RGB"), chosen).data
        )

    def log(self, pixels: Pixels, step: int) -> None:
        self.futures.append(self.pool.submit(self.save, pixels, step))

    def save(self, pixels: Pixels, step: int) -> None:
        """Encode, and let go of the file."""
        self.encode(pixels)

    def settle(self, count: int) -> None:
        for future in self.futures:
            future.result()
        self.futures.clear()

    def close(self) -> None:
        self.pool.shutdown()


class Saver(Encoder):
    """The same with what every file needs: the range of its input, a digest, a name, and a place in the run's media."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        from pixlogd.rendering.media_file import Naming
        from pixlogd.rundir.store import FileStore

        super().__init__(directory, options)
        directory.mkdir(parents=True, exist_ok=True)
        self.store = FileStore(directory, "bench", fsync=False)
        self.naming = Naming

    def save(self, pixels: Pixels, step: int) -> None:
        """Encode, and store the file."""
        np.minimum.reduce(pixels.reshape(-1))
        np.maximum.reduce(pixels.reshape(-1))
        media = self.naming("image", step, "pixlog").file(self.encode(pixels), ".png", "image", 0)
        self.store.write([media])


class Wandb:
    """wandb offline: ``run.log({"image": wandb.Image(array)})``."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        os.environ.update(
            WANDB_MODE="offline", WANDB_SILENT="true", WANDB_CONSOLE="off", WANDB_ERROR_REPORTING="false"
        )
        import wandb

        self.wandb = wandb
        directory.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(mode="offline", dir=str(directory), project="bench")
        self.files = directory

    def log(self, pixels: Pixels, step: int) -> None:
        self.run.log({"image": self.wandb.Image(pixels)})

    def settle(self, count: int) -> None:
        wait_for_files(self.files, (".png",), count)

    def close(self) -> None:
        self.run.finish()


class TensorboardX:
    """tensorboardX: ``writer.add_image(..., dataformats="HWC")``."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(logdir=str(directory))

    def log(self, pixels: Pixels, step: int) -> None:
        self.writer.add_image("image", pixels, step, dataformats="HWC")

    def settle(self, count: int) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Mlflow:
    """MLflow: ``mlflow.log_image(array, key=..., step=..., synchronous=False)``, which also writes thumbnails."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", GIT_PYTHON_REFRESH="quiet")
        import mlflow

        self.mlflow = mlflow
        self.files = directory
        directory.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(f"sqlite:///{directory}/mlflow.db")
        mlflow.set_experiment(
            experiment_id=mlflow.create_experiment("bench", artifact_location=f"{directory}/artifacts")
        )
        mlflow.start_run()

    def log(self, pixels: Pixels, step: int) -> None:
        self.mlflow.log_image(pixels, key="image", step=step, synchronous=False)

    def settle(self, count: int) -> None:
        wait_for_files(self.files, (".png",), count)

    def close(self) -> None:
        self.mlflow.end_run()


class Swanlab:
    """SwanLab without its server: ``swanlab.log({"image": swanlab.Image(array)})``."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        import swanlab

        self.swanlab = swanlab
        self.files = directory
        directory.mkdir(parents=True, exist_ok=True)
        swanlab.init(project="bench", logdir=str(directory), mode="offline")

    def log(self, pixels: Pixels, step: int) -> None:
        self.swanlab.log({"image": self.swanlab.Image(pixels)}, step=step)

    def settle(self, count: int) -> None:
        wait_for_files(self.files, (".png", ".jpg", ".jpeg"), count)

    def close(self) -> None:
        self.swanlab.finish()


class Trackio:
    """Trackio: ``trackio.log({"image": trackio.Image(array)})``."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        os.environ.update(TRACKIO_DIR=str(directory), GRADIO_ANALYTICS_ENABLED="False", HF_HUB_OFFLINE="1")
        import trackio

        self.trackio = trackio
        self.files = directory
        directory.mkdir(parents=True, exist_ok=True)
        trackio.init(project="bench", embed=False)

    def log(self, pixels: Pixels, step: int) -> None:
        self.trackio.log({"image": self.trackio.Image(pixels)})

    def settle(self, count: int) -> None:
        wait_for_files(self.files, (".png",), count)

    def close(self) -> None:
        self.trackio.finish()


class Dvclive:
    """DVCLive: ``live.log_image("name.png", array)``, under a new name each time, for it keeps one image a name."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        os.environ.update(DVCLIVE_TEST="true", DVC_NO_ANALYTICS="true")
        from dvclive import Live

        self.files = directory
        self.live = Live(dir=str(directory), save_dvc_exp=False, report=None, monitor_system=False)

    def log(self, pixels: Pixels, step: int) -> None:
        self.live.log_image(f"image_{step}.png", pixels)

    def settle(self, count: int) -> None:
        wait_for_files(self.files, (".png",), count)

    def close(self) -> None:
        self.live.end()


class Rerun:
    """Rerun into a file: ``rr.log("image", rr.Image(array))``, raw pixels."""

    def __init__(self, directory: Path, options: dict[str, Any]) -> None:
        import rerun

        self.rerun = rerun
        directory.mkdir(parents=True, exist_ok=True)
        rerun.init("bench")
        rerun.save(str(directory / "bench.rrd"))

    def log(self, pixels: Pixels, step: int) -> None:
        self.rerun.set_time("step", sequence=step)
        self.rerun.log("image", self.rerun.Image(pixels))

    def settle(self, count: int) -> None:
        recording = self.rerun.get_global_data_recording()
        if recording is not None:
            recording.flush()

    def close(self) -> None:
        self.rerun.disconnect()


CONTESTANTS: dict[str, Callable[[Path, dict[str, Any]], Logger]] = {
    "pixlog": Pixlog,
    "nothing": Nothing,
    "encoder": Encoder,
    "saver": Saver,
    "wandb": Wandb,
    "tensorboardX": TensorboardX,
    "mlflow": Mlflow,
    "swanlab": Swanlab,
    "trackio": Trackio,
    "dvclive": Dvclive,
    "rerun": Rerun,
}


def wait_for_files(directory: Path, suffixes: tuple[str, ...], count: int) -> None:
    """Wait until ``count`` image files lie under a directory, none of them empty or still growing."""
    deadline = time.monotonic() + _SETTLE_S
    before = -1
    while True:
        found, nbytes = files_below(directory, suffixes)
        if found >= count and nbytes == before:
            return
        assert time.monotonic() < deadline, f"{found} of {count} image files after {_SETTLE_S:g} s"
        if found < count:
            before = -1
            time.sleep(0.002)
        else:
            before = nbytes


def files_below(directory: Path, suffixes: tuple[str, ...] = ("",)) -> tuple[int, int]:
    """Count the files below a directory that end in one of ``suffixes``, and their bytes."""
    count = nbytes = 0
    for path, _, names in os.walk(directory):
        for name in names:
            if name.lower().endswith(suffixes):
                with contextlib.suppress(FileNotFoundError):
                    nbytes += os.stat(os.path.join(path, name)).st_size
                    count += 1
    return count, nbytes


class Driver:
    """Does what it is told with one contestant."""

    def __init__(self, contestant: str) -> None:
        self.contestant = contestant
        self.logger: Logger = Nothing(Path(), {})
        self.directory = Path()
        self.pixels: Pixels = np.empty(0)
        self.step = 0

    def open(self, directory: str, images: str, options: dict[str, Any]) -> dict[str, Any]:
        """Begin a run."""
        self.directory = Path(directory)
        self.pixels = np.load(images)
        self.step = 0
        self.logger = CONTESTANTS[self.contestant](self.directory, options)
        return {}

    def calls(self, count: int) -> dict[str, Any]:
        """Time ``count`` calls with computing in between."""
        times_s = []
        weights = np.full((192, 192), 0.01, np.float32)
        for _ in range(count):
            until = time.perf_counter() + _COMPUTE_S
            while time.perf_counter() < until:
                np.matmul(weights, weights)
            times_s.append(self._timed_log())
        self.logger.settle(self.step)
        return {"times_s": times_s}

    def burst(self, count: int) -> dict[str, Any]:
        """Time ``count`` images until all of them are saved."""
        cpu_s, start = time.process_time(), time.perf_counter()
        for _ in range(count):
            self._log()
        called_s = time.perf_counter() - start
        self.logger.settle(self.step)
        return {
            "called_s": called_s,
            "saved_s": time.perf_counter() - start,
            "cpu_s": time.process_time() - cpu_s,
        }

    def nbytes(self) -> dict[str, Any]:
        """Say how many bytes the run has on disk, and how many of them in image files."""
        images, image_nbytes = files_below(self.directory, (".png", ".jpg", ".jpeg", ".webp"))
        return {
            "images": images,
            "image_nbytes": image_nbytes,
            "nbytes": files_below(self.directory)[1],
            "logged": self.step,
        }

    def train(self, steps: int, side: int, repeat: int, every: int) -> dict[str, Any]:
        """Time training steps, of which each, one of ``every``, or none (0) begins with an image."""
        rng = np.random.default_rng(0)
        data, weights = (rng.normal(size=(side, side)).astype(np.float32) / side for _ in range(2))
        times_s: dict[bool, list[float]] = {True: [], False: []}
        for step in range(steps):
            # with two in turn, each goes first as often as the other
            logs = every == 1 or (every > 1 and (step + step // every) % every == 0)
            start = time.perf_counter()
            if logs:
                self._log()
            for _ in range(repeat):
                data = np.matmul(data, weights)
                data /= max(1e-9, float(np.abs(data).max()))
            times_s[logs].append(time.perf_counter() - start)
        self.logger.settle(self.step)
        return {"with_s": times_s[True], "without_s": times_s[False]}

    def close(self) -> dict[str, Any]:
        """End the run."""
        self.logger.close()
        self.logger = Nothing(Path(), {})
        return {}

    def _log(self) -> None:
        self.logger.log(self.pixels[self.step % len(self.pixels)], self.step)
        self.step += 1

    def _timed_log(self) -> float:
        pixels = self.pixels[self.step % len(self.pixels)]
        start = time.perf_counter()
        self.logger.log(pixels, self.step)
        took_s = time.perf_counter() - start
        self.step += 1
        return took_s


def main() -> None:
    """Answer each line of the standard input by one on the standard output, which nobody else may write to."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    driver = Driver(sys.argv[1])
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(driver, command.pop("do"))(**command)
        except Exception as exc:
            answer = {"error": f"{type(exc).__name__}: {exc}"}
        print(json.dumps(answer), file=answers)
    with contextlib.suppress(Exception):
        driver.close()


if __name__ == "__main__":
    main()
