"""One rank of the training: it learns, averages its gradients with the others, and logs what it sees.

This is the file to read for how pixlog is used: connect once in each process, then log from wherever the images are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

import pixlog
from digits_job import finder, reader
from digits_job.averaging import Averaging
from digits_job.clock import Clock
from digits_job.job import Job
from digits_job.loader import scene_batches
from digits_job.messages import Messages, ProcessReport, Progress, Score
from digits_job.pictures import misread, photo_pictures, step_pictures
from digits_job.readings import paint_classes, read_at, read_regions
from digits_job.scenes import Pixels, Scene, validation_scene
from digits_job.weights import Adam, Floats, count_of, initialise, layers_of

SHAPES = [*finder.SHAPES, *reader.SHAPES]
_RATE = 4e-3


def train(job: Job, rank: int, averaging: Averaging, messages: Messages) -> None:
    """Run one rank from beginning to end."""
    # What torchrun would set; pixlog takes the rank of every row from here.
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(job.ranks))
    clock = Clock()
    client = pixlog.connect(job.run_dir)
    with scene_batches(job, rank, client, messages) as batches:
        _learn(job, rank, client, batches, averaging, messages, clock)
    with clock.closing():
        stats = client.close()
    messages.put(ProcessReport(f"rank {rank}", stats, clock.kinds, clock.closing_s))


def _learn(
    job: Job,
    rank: int,
    client: pixlog.Client,
    batches: Iterator[list[Scene]],
    averaging: Averaging,
    messages: Messages,
    clock: Clock,
) -> None:
    count = count_of(SHAPES)
    weights, gradient, adam = np.zeros(count, np.float32), np.zeros(count, np.float32), Adam(count)
    layers, slopes = layers_of(weights, SHAPES), layers_of(gradient, SHAPES)
    initialise(layers, np.random.default_rng(0))
    parts = len(finder.SHAPES)
    photo = validation_scene(job, rank)
    for step, scenes in enumerate(batches):
        pictures = _in_floats(np.stack([scene.pixels for scene in scenes]))
        truth = np.stack([scene.classes > 0 for scene in scenes]).astype(np.float32)
        loss, found = finder.train(layers[:parts], pictures, truth, slopes[:parts])
        crops = [found[number][digit.square] for number, scene in enumerate(scenes) for digit in scene.digits]
        labels = np.array([digit.label for scene in scenes for digit in scene.digits])
        loss += reader.train(layers[parts:], crops, labels, slopes[parts:])
        averaging.average(rank, gradient)
        adam.update(weights, gradient, _rate_at(step, job.all_steps))

        if step % job.log_every == 0:
            with clock.call("train", [scenes[0].pixels, scenes[0].classes, found[0]]):
                client.log(step_pictures(scenes[0], found[0]), step=step, meta={"loss": round(loss, 4)})
        if rank == 0:
            messages.put(Progress(step, loss))
        if (step + 1) % job.steps == 0:
            score = _validate(client, photo, layers, parts, (step + 1) // job.steps, clock)
            if rank == 0:
                messages.put(score)


def _validate(
    client: pixlog.Client,
    photo: Scene,
    layers: finder.Layers,
    parts: int,
    epoch: int,
    clock: Clock,
) -> Score:
    """Look for digits in a whole photograph; log what was found, and what was not."""
    pictures = _in_floats(photo.pixels[None])
    probability = finder.find(layers[:parts], pictures)[0]
    readings = read_regions(layers[parts:], probability)
    found = paint_classes(readings, probability.shape)
    right = sum(read_at(digit, found) == digit.label for digit in photo.digits) / len(photo.digits)
    overlap = _overlap(photo.classes > 0, found > 0)
    seen = [photo.pixels, photo.classes, photo.pixels, found, probability, probability]
    with clock.call("val", seen):
        client.log(
            photo_pictures(photo, probability, readings),
            step=epoch,
            meta={"overlap": round(overlap, 4), "read_right": round(right, 4)},
        )
    crops, captions = misread(photo, found)
    if crops:
        with clock.call("val/misread", crops):
            client.log_image("val/misread", crops, step=epoch, caption=captions)
    weights = finder.filters(layers)
    with clock.call("model/filters", [np.clip(np.concatenate(weights), 0, 1)]):
        client.log_image("model/filters", weights, step=epoch, layout="NHWC", normalize="minmax", grid=8)
    return Score(epoch, overlap, right)


def _overlap(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.bool_]) -> float:
    return float((truth & found).sum() / max(1, (truth | found).sum()))


def _in_floats(pixels: Pixels) -> Floats:
    return pixels.astype(np.float32) / np.float32(255)


def _rate_at(step: int, all_steps: int) -> float:
    """Rise over twenty steps, then fall to a tenth."""
    return _RATE * min(1.0, (step + 1) / 20) * (1 - 0.9 * step / all_steps)
