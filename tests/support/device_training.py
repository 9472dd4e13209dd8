"""A program of trainers whose pictures come from a device: every other one is copied later, by another thread."""

from __future__ import annotations

import random
import threading
import time

from host_device import HostDevice
from nursery import Plan, Speaker
from pictures import numbered
from training import connect, say_stats
from waiting import scaled_s


def log_from_device(plan: Plan, speaker: Speaker) -> None:
    """Log ``count`` pictures, or until killed: even steps from a device that takes its time, odd ones from here.

    Of each call that returned it says "device" or "host".
    """
    client = connect(plan, speaker)
    device = HostDevice()
    chance = random.Random(plan["seed"])

    def copy_in_bursts() -> None:
        while True:
            time.sleep(chance.random() * 0.01)
            device.go(1 + chance.randrange(6))

    threading.Thread(target=copy_in_bursts, daemon=True).start()
    shape = tuple(plan.get("shape", (32, 32, 3)))
    for number in range(plan.get("count", 1 << 30)):
        picture = numbered(number, shape)
        if number % 2:
            receipt = client.log_image("image", picture, step=number)
        else:
            taken = device.take(picture)
            picture[...] = 0
            receipt = client.log_image("image", taken, step=number)
        speaker.say("host" if number % 2 else "device", client.id, receipt.seq)
        if number % 8 == 0:
            time.sleep(0.002)
    stats = client.close(plan.get("close_s", scaled_s(60.0)))
    device.end()
    say_stats(client, speaker, stats)
