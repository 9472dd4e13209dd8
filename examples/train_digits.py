"""Train a small network that finds and reads digits on photographs, and log its images with pixlog.

    python examples/train_digits.py            less than a minute on two cores
    python examples/train_digits.py --fast     the same in small

Two spawned ranks average their gradients, as under DistributedDataParallel; each forks data-loader workers.  All of
these processes log into one run directory, and none of them gathers images for another.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import queue
import sys
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import (
    Progress as ProgressBar,
)

import pixlog
from digits_job import rank
from digits_job.averaging import Averaging
from digits_job.job import Job
from digits_job.messages import Messages, ProcessReport, Progress, Score
from digits_job.readme_picture import save_readme_picture
from digits_job.report import complaints, costs_table, print_learning, print_where_to_look, processes_table
from digits_job.viewing import page_of
from digits_job.weights import count_of
from pixlog.reading.verify import verify
from pixlog.sheet.contact_sheet import contact_sheet


def main() -> int:
    """Run the training, in view where that is wanted; return the exit code."""
    arguments = _parse_arguments()
    console = Console()
    with page_of(arguments.run_dir, console) if arguments.view else contextlib.nullcontext():
        return _train_and_account(arguments, console)


def _train_and_account(arguments: argparse.Namespace, console: Console) -> int:
    """Run the training and account for every image; return the exit code."""
    job = _make_job(arguments.run_dir, fast=arguments.fast)
    console.print(
        f"{job.ranks} ranks × {job.workers} data-loader workers, {job.epochs} epochs of {job.steps} steps, "
        f"logging into {job.run_dir}"
    )
    started = time.perf_counter()
    losses, scores, processes = _train(job, console)
    training_s = time.perf_counter() - started

    run = pixlog.Run(job.run_dir)
    sheet = job.run_dir / "contact-sheet.png"
    with console.status("checking every file, making the contact sheet"):
        checked = verify(run)
        wrong = complaints(run, processes, checked)
        contact_sheet(run).save(sheet)
        if arguments.picture is not None:
            save_readme_picture(run, arguments.picture)
    console.print(processes_table(processes))
    console.print(costs_table(processes))
    print_learning(console, training_s, losses, scores)
    print_where_to_look(console, job.run_dir, sheet)
    for line in wrong:
        console.print(f"[bold red]wrong:[/] {line}", markup=True)
    if not wrong:
        console.print(f"Verified: {checked.row_count:,} rows, {checked.file_count:,} files, all as logged.")
    return 1 if wrong else 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    default = Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S")
    parser.add_argument("--run-dir", type=Path, default=default, help="default: runs/demo-<time>")
    parser.add_argument("--fast", action="store_true", help="a few steps only, to see that everything works")
    parser.add_argument("--view", action="store_true", help="open the run in a browser while it is written")
    parser.add_argument("--picture", type=Path, metavar="PNG", help="also write the README's picture there")
    arguments = parser.parse_args()
    if (arguments.run_dir / "manifest").exists():
        parser.error(
            f"{arguments.run_dir} holds a run already, whose images this one could not tell from its own"
        )
    return arguments


def _make_job(run_dir: Path, *, fast: bool) -> Job:
    from sklearn.datasets import load_digits, load_sample_image

    data = load_digits()
    digits = (data.images / 16).astype(np.float32)
    photos = tuple(np.ascontiguousarray(load_sample_image(name)) for name in ("china.jpg", "flower.jpg"))
    if fast:
        return Job(run_dir, digits, data.target, photos, epochs=2, steps=8)
    return Job(run_dir, digits, data.target, photos)


def _train(job: Job, console: Console) -> tuple[list[float], list[Score], list[ProcessReport]]:
    """Spawn the ranks and listen to them until all are done; raise if one dies."""
    # The ranks share the cores among themselves; threads within each would only get in one another's way.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    spawn = multiprocessing.get_context("spawn")
    messages: Messages = spawn.Queue()
    averaging = Averaging(spawn, job.ranks, count_of(rank.SHAPES))
    ranks = [
        spawn.Process(target=rank.train, args=(job, number, averaging, messages), name=f"rank {number}")
        for number in range(job.ranks)
    ]
    for process in ranks:
        process.start()
    losses: list[float] = []
    scores: list[Score] = []
    reports: list[ProcessReport] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with ProgressBar(*columns, console=console) as bar:
            task = bar.add_task("starting", total=job.all_steps)
            while len(reports) < job.ranks * (1 + job.workers):
                match _next_message(messages, ranks):
                    case Progress(step, loss):
                        losses.append(loss)
                        bar.update(task, completed=step + 1, description=f"loss {loss:.2f}")
                    case Score() as score:
                        scores.append(score)
                    case ProcessReport() as report:
                        reports.append(report)
    except BaseException:
        for process in ranks:
            process.terminate()
        raise
    finally:
        for process in ranks:
            process.join()
    return losses, scores, reports


def _next_message(messages: Messages, ranks: list[SpawnProcess]) -> Progress | Score | ProcessReport:
    while True:
        try:
            return messages.get(timeout=1)
        except queue.Empty:
            for process in ranks:
                if process.exitcode not in (None, 0):
                    raise SystemExit(f"{process.name} ended with exit code {process.exitcode}") from None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: what was logged until now is saved")
