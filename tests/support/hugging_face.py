"""Data sets of Hugging Face's ``datasets``, loaded from disk without asking the Hub."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the package is imported


@contextmanager
def loaded(kind: str, directory: Path, **what: Any) -> Iterator[Any]:
    """Give the data set of ``kind``; its cache is below ``directory``, and its files are closed afterwards."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the package's imports and threads have to say is not ours
        import datasets
        import tqdm

        tqdm.tqdm.monitor_interval = 0  # no thread that watches progress bars
        datasets.disable_progress_bars()
        arguments = {name: str(value) if isinstance(value, Path) else value for name, value in what.items()}
        found = datasets.load_dataset(kind, cache_dir=str(directory / "hf-cache"), **arguments)
        yield found
        del found
        gc.collect()
