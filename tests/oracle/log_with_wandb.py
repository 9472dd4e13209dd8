"""Log every parity case with the wandb of this interpreter and write down what came of it.

Usage: PYTHON log_with_wandb.py OUTPUT_DIR, with a Python that has wandb 0.18.0, never with pixlog's own.  Writes
``results.json`` (versions, and for each case its JSON, its decoded modes and sizes, or its exception) and
``pixels.npz``.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.metadata
import json
import os
import sys
import types
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

import numpy as np
from PIL import Image

import parity_cases
import parity_inputs


def main(output: Path) -> None:
    """Run all cases in one offline run."""
    os.environ.update(WANDB_MODE="offline", WANDB_SILENT="true", WANDB_DIR=str(output))
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    warnings.simplefilter("ignore")
    wandb: Any = importlib.import_module("wandb")
    torch = _load_torch()
    run = wandb.init(dir=str(output), project="parity")
    results: dict[str, Any] = {}
    pixels: dict[str, Any] = {}
    for number, case in enumerate(parity_cases.all_cases()):
        if case.needs_torch and torch is None:
            continue
        directory = output / f"case{number}"
        directory.mkdir()
        results[case.name] = _log(wandb, run, torch, case, directory, pixels)
    versions = {
        "wandb": wandb.__version__,
        "numpy": np.__version__,
        "Pillow": importlib.metadata.version("pillow"),
    }
    if torch is not None:
        versions["torch"] = torch.__version__
    run.finish()
    (output / "results.json").write_text(json.dumps({"versions": versions, "cases": results}))
    np.savez(output / "pixels.npz", **pixels)


def _log(
    wandb: Any, run: Any, torch: Any, case: parity_cases.Case, directory: Path, pixels: dict[str, Any]
) -> dict[str, Any]:
    val_to_json = importlib.import_module("wandb.sdk.data_types.utils").val_to_json
    try:
        images = [_image(wandb, torch, image, directory) for image in case.images]
        value = val_to_json(run, case.key, images if case.is_list else images[0], namespace=case.step)
        json.dumps(value)
    except Exception as exc:
        return {"raised": [kind.__name__ for kind in type(exc).__mro__], "message": str(exc)[:200]}
    decoded: list[dict[str, Any]] = []
    for number, path in enumerate(_paths(value)):
        if path.endswith(".json"):
            decoded.append({"path": path, "text": (Path(run.dir) / path).read_text()})
            continue
        with Image.open(Path(run.dir) / path) as image:
            image.load()
            pixels[f"{case.name}#{number}"] = np.asarray(image)
            decoded.append({"path": path, "mode": image.mode, "palette": image.getpalette()})
    return {"value": value, "decoded": decoded}


def _paths(value: dict[str, Any]) -> list[str]:
    """Return the files of a value: images, then overlays as they come."""
    paths = list(value["filenames"]) if "filenames" in value else [value["path"]]
    every = [value] if "path" in value else [*(value.get("all_boxes") or []), *(value.get("all_masks") or [])]
    for one in every:
        groups = [one.get("boxes", {}), one.get("masks", {})] if "path" in value else [one or {}]
        paths += [entry["path"] for group in groups for entry in group.values()]
    return paths


def _image(wandb: Any, torch: Any, description: dict[str, Any], directory: Path) -> Any:
    options = parity_inputs.build_overlays(description["options"], directory)
    source = description["source"]
    kind = source["kind"]
    if kind == "array":
        data: Any = parity_inputs.build_array(source)
    elif kind == "torch":
        data = torch.from_numpy(parity_inputs.build_array(source))
        if source["dtype"] == "bfloat16":
            data = data.to(torch.bfloat16)
    elif kind == "pil":
        data = parity_inputs.build_pil(source)
    elif kind == "file":
        data = parity_inputs.build_file(source, directory)
        if source["as_path"]:
            data = Path(data)
    elif kind == "text":
        data = source["text"]
    else:
        data = parity_inputs.build_literal(source["value"], directory)
    return wandb.Image(data, **options)


def _load_torch() -> Any:
    """Import torch and torchvision's grid code; None where either is missing.

    torchvision as a whole insists on compiled operators of its own, which a CPU-only torch lacks; the grid is plain
    Python, so only that module is loaded.
    """
    spec = importlib.machinery.PathFinder.find_spec("torchvision")
    if spec is None or spec.submodule_search_locations is None:
        return None
    package = types.ModuleType("torchvision")
    package.__path__ = list(spec.submodule_search_locations)
    package.__spec__ = spec
    sys.modules["torchvision"] = package
    try:
        torch = importlib.import_module("torch")
        importlib.import_module("torchvision.utils")
    except ImportError:
        return None
    return torch


if __name__ == "__main__":
    main(Path(sys.argv[1]))
