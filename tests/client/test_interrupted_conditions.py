"""Ctrl-C in ``Condition.__enter__``, which is written in Python: behind its taking of the lock, before the ``with``."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

import pixlog
from host_device import host_device
from scripted_daemon import ScriptedDaemon
from waiting import scaled_s

Connect = Callable[..., pixlog.Client]

IMAGE = np.zeros((10, 100), np.uint8)


def interrupted_behind_enter(work: Callable[[], object]) -> bool:
    """Do ``work`` with KeyboardInterrupt where it has entered a condition; return whether that happened."""
    code = threading.Condition.__enter__.__code__

    def on_return(frame: FrameType, event: str, _: Any) -> Any:
        if event == "return":
            sys.settrace(None)
            raise KeyboardInterrupt
        return on_return

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: on_return if frame.f_code is code else None)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("what", ["log_image", "flush"])
def test_ctrl_c_leaves_no_condition_taken(daemon: ScriptedDaemon, connect: Connect, what: str) -> None:
    """There is no such moment in a call of the program; else other threads would stand still from then on."""
    daemon.acknowledges = True
    client = connect()
    with host_device() as device:
        device.open = True
        client.log_image("first", device.take(IMAGE)).wait(scaled_s(10))  # from now on there is every thread
        calls = {
            "log_image": lambda: client.log_image("k", device.take(IMAGE)),
            "flush": lambda: client.flush(scaled_s(10)),
        }
        was_interrupted = interrupted_behind_enter(calls[what])
        told: list[bool] = []
        thread = threading.Thread(
            target=lambda: told.append(client.log_image("other", device.take(IMAGE)).wait(scaled_s(5))),
            daemon=True,
        )
        thread.start()
        thread.join(scaled_s(10))
        assert (was_interrupted, told) == (False, [True])
