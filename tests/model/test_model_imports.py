"""What importing pixlog and describing arrays may load."""

from __future__ import annotations

import subprocess
import sys

from waiting import scaled_s

SCRIPT = """
import sys
import numpy as np
before = set(sys.modules)
import pixlog
image = pixlog.Image(
    np.zeros((8, 9, 3)),
    caption="a",
    classes=[{"id": 1, "name": "a"}],
    boxes={"b": {"box_data": [{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}]}},
    masks={"m": {"mask_data": np.zeros((8, 9), int)}},
)
from pixlog.model.describe import describe
describe(image)
describe(np.zeros((2, 3, 16, 16)))
try:
    pixlog.Image(object())
except TypeError:
    pass
files = {name for name in set(sys.modules) - before if getattr(sys.modules[name], "__file__", None)}
tops = {name.partition(".")[0] for name in files}
print(*sorted(top for top in tops if top not in sys.stdlib_module_names))
"""


def test_describing_arrays_loads_nothing_but_numpy_and_msgpack() -> None:
    """Images of NumPy arrays with overlays need no framework, no Pillow and nothing of the daemon."""
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=scaled_s(60)
    )
    assert set(result.stdout.split()) <= {"msgpack", "numpy", "pixlog"}
