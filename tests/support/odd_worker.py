"""A worker process that does as the key of a call says: the real one, but for keys that crash or stop it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.rendering import worker
from pixlogd.rendering.render import Rendered, render


def render_oddly(log: Mapping[str, Any], buffers: Sequence[memoryview], defaults: EncodeDefaults) -> Rendered:
    """Render a call, or end by the signal that its key names."""
    if log["key"].startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[log["key"]])
    return render(log, buffers, defaults)


if __name__ == "__main__":
    vars(worker)["render"] = render_oddly
    worker.main()
