"""Compare pixlog's contract "wandb" with the real wandb 0.18.0, case by case.

The real one runs in a Python of its own (`log_with_wandb.py`), because it needs older packages.  pixlog's side goes the
whole way that a logged image goes, from ``pixlog.Image`` through the items on the wire to the rendered files; only
tensors are described by hand, since torch is not among pixlog's packages.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

import pixlog.model.image
from parity_cases import Case
from parity_inputs import build_array, build_file, build_literal, build_overlays, build_pil
from pixlog.errors import PixlogError
from pixlog.model.describe import describe
from pixlog.pixels.samples import round_to_bfloat16
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.rendering.render import Rendered, render
from rendering import Call

ROOT: Final = Path(__file__).resolve().parents[2]
_SCRIPT: Final = ROOT / "tests" / "oracle" / "log_with_wandb.py"

# What wandb raises by accident of its code, and the error that stands for it in pixlog.
_DOCUMENTED_CLASSES: Final = {
    "AttributeError": ("InputTypeError",),
    "AssertionError": ("InputError",),
    "IndexError": ("InputError",),
    "OSError": ("InputError",),
    "RuntimeError": ("InputError",),
    "SystemError": ("InputError",),
    "KeyError": ("InputTypeError",),
    "ValueError": ("InputError",),
}


@dataclass(frozen=True)
class Outcome:
    """What logging a case gave: the row's value and the decoded files, or the classes of the exception."""

    value: dict[str, Any] | None
    files: list[dict[str, Any]]
    pixels: list[npt.NDArray[Any] | None]
    raised: list[str]
    message: str = ""


@dataclass(frozen=True)
class Verdict:
    """How the two sides compare: "equal", "error" (both raise, of classes that belong together) or "different"."""

    case: Case
    kind: str
    detail: str = ""

    @property
    def as_expected(self) -> bool:
        """Whether the case differs exactly if a reason for it is written down."""
        return (self.kind == "different") == (self.case.differs is not None)


def oracle_python() -> Path | None:
    """Return the Python that has wandb 0.18.0: ``PIXLOG_TEST_ORACLE``, else the one that ``make oracle`` made."""
    named = os.environ.get("PIXLOG_TEST_ORACLE")
    python = Path(named).absolute() if named else ROOT / ".venv-oracle" / "bin" / "python"
    return python if python.exists() else None


def run_wandb(python: Path, directory: Path) -> tuple[dict[str, str], dict[str, Outcome]]:
    """Log every case with wandb in ``directory``; return the versions of its packages and the outcomes by case."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(python), str(_SCRIPT), str(directory)],
        env={**environment, "HOME": str(directory)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{_SCRIPT.name} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    results = json.loads((directory / "results.json").read_text())
    outcomes = {}
    with np.load(directory / "pixels.npz") as pixels:
        for name, result in results["cases"].items():
            files = result.get("decoded", [])
            keys = [f"{name}#{number}" for number in range(len(files))]
            arrays = [pixels.get(key) for key in keys]
            outcomes[name] = Outcome(
                result.get("value"), files, arrays, result.get("raised", []), result.get("message", "")
            )
    return results["versions"], outcomes


def log_with_pixlog(case: Case, directory: Path) -> Outcome:
    """Take a case the whole way through pixlog under the contract "wandb"."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rendered = _rendered(case, directory)
    except (PixlogError, OSError) as exc:
        return Outcome(None, [], [], [kind.__name__ for kind in type(exc).__mro__], str(exc)[:200])
    files: list[dict[str, Any]] = []
    pixels: list[npt.NDArray[Any] | None] = []
    for file in _in_order_of_value(rendered):
        if file.path.endswith(".json"):
            files.append({"path": file.path, "text": bytes(file.data).decode()})
            pixels.append(None)
            continue
        with PilImage.open(io.BytesIO(file.data)) as image:
            image.load()
            files.append({"path": file.path, "mode": image.mode, "palette": image.getpalette()})
            pixels.append(np.asarray(image))
    return Outcome(rendered.value, files, pixels, [])


def _in_order_of_value(rendered: Rendered) -> list[Any]:
    """Return images, then boxes, then masks: image by image for a single one, kind by kind for a list."""
    files = rendered.new_files
    return [file for role in ("image", "boxes", "mask") for file in files if file.role == role]


def _rendered(case: Case, directory: Path) -> Rendered:
    if case.needs_torch:
        call = Call("wandb", case.key, case.step)
        for image in case.images:
            pixels = build_array(image["source"])
            dtype = None
            if image["source"]["dtype"] == "bfloat16":
                rounded = round_to_bfloat16(np.ascontiguousarray(pixels, dtype=np.float32))
                pixels, dtype = (rounded.view(np.uint32) >> 16).astype("<u2"), "bfloat16"
            call.add_array(pixels, origin="torch", dtype=dtype, **image["options"])
        return call.render()
    images = [_image(image, directory) for image in case.images]
    described = describe(images if case.is_list else images[0], contract="wandb")
    header = {
        "key": case.key,
        "step": case.step,
        "contract": "wandb",
        "list": described.is_list,
        "items": described.items,
    }
    buffers = [
        memoryview(np.ascontiguousarray(buffer).tobytes() if isinstance(buffer, np.ndarray) else buffer)
        for buffer in described.buffers
    ]
    return render(header, buffers, EncodeDefaults())


def _image(description: dict[str, Any], directory: Path) -> pixlog.model.image.Image:
    options = build_overlays(description["options"], directory)
    source = description["source"]
    data: Any
    match source["kind"]:
        case "array":
            data = build_array(source)
        case "pil":
            data = build_pil(source)
        case "file":
            data = build_file(source, directory)
            data = Path(data) if source["as_path"] else data
        case "text":
            data = source["text"]
        case _:
            data = build_literal(source["value"], directory)
    try:
        return pixlog.model.image.Image(data, contract="wandb", **options)
    finally:
        if isinstance(data, io.IOBase):
            data.close()


def compare(case: Case, theirs: Outcome, ours: Outcome) -> Verdict:
    """Compare the outcomes of a case: decoded pixels, JSON, and exceptions by class."""
    if theirs.raised and ours.raised:
        if _classes_agree(theirs.raised, ours.raised):
            return Verdict(case, "error", f"{theirs.raised[0]} → {ours.raised[0]}")
        return Verdict(case, "different", f"{theirs.raised[0]} became {ours.raised[0]}: {ours.message}")
    if theirs.raised:
        return Verdict(case, "different", f"wandb raises {theirs.raised[0]}")
    if ours.raised:
        return Verdict(case, "different", f"pixlog raises {ours.raised[0]}: {ours.message}")
    difference = _different_value(theirs, ours) or _different_files(theirs, ours)
    return Verdict(case, "different" if difference else "equal", difference)


def _classes_agree(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    builtin = next(name for name in theirs if not name.startswith(("Unidentified", "UFunc", "_")))
    return builtin in ours or any(name in ours for name in _DOCUMENTED_CLASSES.get(builtin, ()))


def _different_value(theirs: Outcome, ours: Outcome) -> str:
    expected, got = _without_digests(theirs.value), _without_digests(ours.value)
    if expected == got and list(expected) == list(got):
        return ""
    fields = [name for name in {**expected, **got} if expected.get(name) != got.get(name)]
    return f"JSON differs in {', '.join(fields) or 'the order of fields'}"


def _without_digests(value: Any) -> Any:
    """Blank what follows from the encoder's bytes: digests and sizes of images; those of JSON files stay."""
    if isinstance(value, dict):
        entry = {name: _without_digests(part) for name, part in value.items()}
        if entry.get("_type") in ("image-file", "mask"):
            entry |= {"sha256": "", "size": 0}
            entry["path"] = _blank(entry["path"])
        if "filenames" in entry:
            entry["filenames"] = [_blank(path) for path in entry["filenames"]]
        return entry
    return [_without_digests(part) for part in value] if isinstance(value, list) else value


def _blank(path: str) -> str:
    return re.sub(r"_[0-9a-f]{20}(?=\.|$)", "_*", os.path.normpath(path))


def _different_files(theirs: Outcome, ours: Outcome) -> str:
    if len(theirs.files) != len(ours.files):
        return f"{len(theirs.files)} files became {len(ours.files)}"
    for expected, got, left, right in zip(theirs.files, ours.files, theirs.pixels, ours.pixels, strict=True):
        if left is None or right is None:
            if expected["text"] != got["text"]:
                return "the text of a JSON file differs"
        elif expected["mode"] != got["mode"]:
            return f"mode {expected['mode']} became {got['mode']}"
        elif left.shape != right.shape:
            return f"pixels {left.shape} became {right.shape}"
        elif not np.array_equal(left, right):
            count = int(np.count_nonzero(left != right))
            return f"{count} of {left.size} samples differ"
        elif expected["palette"] != got["palette"]:
            return "the palette differs"
    return ""
