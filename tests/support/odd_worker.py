"""A worker process that does as the key of a call says: the real one, but for keys that end it or spoil its answer."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from pixlog.protocol import pack, unpack
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.rendering import worker
from pixlogd.rendering.exchange import LaneMemory
from pixlogd.rendering.render import Rendered, render
from pixlogd.rendering.worker import answer


def render_oddly(log: Mapping[str, Any], buffers: Sequence[memoryview], defaults: EncodeDefaults) -> Rendered:
    """Render a call, or end by the signal that its key names or numbers."""
    key = log["key"]
    if key.startswith("SIG"):
        os.kill(os.getpid(), int(key[3:]) if key[3:].isdigit() else signal.Signals[key])
    return render(log, buffers, defaults)


def answer_oddly(request: bytes | bytearray, memory: LaneMemory) -> bytes:
    """Answer a request, with rubbish in the place of every rendering when one of the calls has the key "rubbish"."""
    answers = answer(request, memory)
    if not any(unpack(call)[0] == "rubbish" for call in unpack(request)):
        return answers
    return pack([pack("rubbish") for _ in unpack(answers)])


if __name__ == "__main__":
    vars(worker)["render"] = render_oddly
    vars(worker)["answer"] = answer_oddly
    worker.main()
