"""Programs of trainers that are interrupted: by Ctrl-C, by signal handlers that raise or log, by each other."""

from __future__ import annotations

import logging
import random
import signal
import threading
from types import FrameType

import pixlog
from nursery import Plan, Speaker
from pictures import numbered
from pixlog.client import Client
from training import connect, say_stats
from waiting import scaled_s

_SHAPES = ((8, 8), (64, 48, 3), (200, 200, 3), (320, 300, 3))  # the last is copied without the lock


class TimeLimit(TimeoutError):
    """What a user's signal handler raises; an OSError, as such exceptions often are."""


def interrupt(plan: Plan, speaker: Speaker) -> None:
    """Log pictures while a timer strikes at random moments, ``strikes`` times in all; say how it went.

    ``handler`` is what the signal does: "ctrl-c", "raise" (an OSError of the program's own) or "log".
    """
    client = connect(plan, speaker)
    chance = random.Random(plan["seed"])
    strikes = raised = caught = 0
    handler_calls: list[pixlog.Receipt] = []

    def on_alarm(number: int, frame: FrameType | None) -> None:
        nonlocal raised, strikes
        strikes += 1
        if plan["handler"] == "log":
            handler_calls.append(client.log_image("handler", numbered(strikes), step=strikes))
            return
        raised += 1
        raise KeyboardInterrupt if plan["handler"] == "ctrl-c" else TimeLimit("too late")

    signal.signal(signal.SIGALRM, on_alarm)
    pictures = [numbered(0, shape) for shape in _SHAPES]
    calls = 0
    client.log_image(
        "first", numbered(0), step=0
    )  # imports what it needs, and an import may swallow an OSError
    while strikes < plan["strikes"]:
        try:
            try:
                # Most calls take 10 to 100 µs: the moments are spread over that and a little more.
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(1e-6, 150e-6))
                for _ in range(3):
                    picture = chance.choice(pictures)
                    picture[...] = numbered(calls, picture.shape)
                    calls += 1
                    client.log_image("image", picture, step=calls - 1)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)  # where it may strike for the last time
        except (KeyboardInterrupt, TimeLimit):
            caught += 1
        if client.stats().pending > 300:
            client.flush()
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    unsettled = client.flush(scaled_s(60))
    stats = client.stats()
    speaker.say_json(
        "outcome",
        {
            "strikes": strikes,
            "raised": raised,
            "caught": caught,
            "calls": calls,
            "unsettled": unsettled,
            "handler_states": [receipt.state for receipt in handler_calls],
            "buffer_nbytes": stats.buffer_nbytes,
        },
    )
    say_stats(client, speaker, client.close(scaled_s(60)))


def log_from_threads(plan: Plan, speaker: Speaker) -> None:
    """Log from many threads at once."""
    client = connect(plan, speaker)
    barrier = threading.Barrier(plan["threads"])

    def log_some(first: int) -> None:
        barrier.wait()
        for number in range(first, first + plan["count"]):
            client.log_image("image", numbered(number, _SHAPES[number % len(_SHAPES)]), step=number)

    threads = [
        threading.Thread(target=log_some, args=(index * plan["count"],)) for index in range(plan["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    say_stats(client, speaker, client.close(scaled_s(60)))


class Cycle:
    """Garbage that logs an image when it is collected, at whatever moment that is."""

    def __init__(self, client: Client, number: int) -> None:
        self.client, self.number = client, number
        self.me = self

    def __del__(self) -> None:
        self.client.log_image("garbage", numbered(self.number), step=self.number)


def log_from_destructors(plan: Plan, speaker: Speaker) -> None:
    """Make garbage that logs when it is collected, with collections as often as can be."""
    import gc

    client = connect(plan, speaker)
    gc.set_threshold(3, 1, 1)
    for number in range(plan["count"]):
        Cycle(client, number)
        client.log_image("image", numbered(number), step=number)
    gc.collect()
    gc.set_threshold(700, 10, 10)
    say_stats(client, speaker, client.close(scaled_s(60)))


class ImageHandler(logging.Handler):
    """A log handler that logs an image for each record, such as a rendering of its text."""

    def __init__(self, client: Client, key: str) -> None:
        super().__init__()
        self.client, self.key = client, key
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Log one image."""
        self.count += 1
        self.client.log_image(self.key, numbered(self.count), step=self.count)


def log_from_handlers(plan: Plan, speaker: Speaker) -> None:
    """Log images from handlers of "pixlog" and of the root logger, in several threads, bad images among them."""
    client = connect(plan, speaker)
    handlers = ImageHandler(client, "pixlog"), ImageHandler(client, "root")
    logging.getLogger("pixlog").addHandler(handlers[0])
    logging.getLogger().addHandler(handlers[1])
    logging.getLogger().setLevel(logging.DEBUG)

    def log_some(first: int) -> None:
        for number in range(first, first + plan["count"]):
            client.log_image("image", numbered(number), step=number)
            logging.getLogger("program").info("step %d", number)
            client.log_image(f"bad{number}", object())  # warns, which a handler hears

    threads = [
        threading.Thread(target=log_some, args=(index * plan["count"],)) for index in range(plan["threads"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = client.close(scaled_s(60))
    speaker.say_json("handled", [handler.count for handler in handlers])
    say_stats(client, speaker, stats)
