"""An array of a kind that was logged before is not described anew, and still gets its own pixels and options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import pixlog
from waiting import scaled_s

Array = np.ndarray[Any, np.dtype[Any]]

SHAPE = (20, 30, 3)


def test_repeated_kind_gets_its_own_pixels_whatever_lies_between(run_dir: Path) -> None:
    """Under one key: a shape in C and Fortran order, with gaps, as float, read-only, with and without options."""
    rng = np.random.default_rng(0)
    large = rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)
    kinds: list[Array] = [
        rng.integers(0, 256, SHAPE, dtype=np.uint8),
        np.asfortranarray(rng.integers(0, 256, SHAPE, dtype=np.uint8)),
        large[::2],
        (rng.integers(0, 256, SHAPE) / 255).astype(np.float32),
        rng.integers(0, 256, SHAPE, dtype=np.uint8),
    ]
    kinds[-1].flags.writeable = False
    expected = []
    with pixlog.connect(run_dir) as client:
        for number in range(4 * len(kinds)):
            array = kinds[number % len(kinds)]
            if number % 3 == 0:
                client.log_image("kind", array, caption=f"number {number}")
            elif number % 3 == 1:
                client.log_image("kind", array, meta={"number": number})
            else:
                client.log_image("kind", array)
            pixels = array if array.dtype == np.uint8 else np.rint(255 * array).astype(np.uint8)
            expected.append(pixels.copy())
        assert client.flush(scaled_s(30)) == 0
        assert client.stats().saved == len(expected)

    images = list(pixlog.Run(run_dir).images("kind"))
    assert len(images) == len(expected)
    for number, image in enumerate(images):
        assert image.row.step == number
        assert np.array_equal(image.array(), expected[number]), number
        assert image.caption == (f"number {number}" if number % 3 == 0 else None)
        assert image.row.meta == ({"number": number} if number % 3 == 1 else {})


def test_repeated_kind_is_copied_before_the_call_returns(run_dir: Path) -> None:
    """What is written into a small array after the call does not show, whoever logged its kind before."""
    array = np.zeros(SHAPE, np.uint8)
    with pixlog.connect(run_dir) as client:
        for value in range(50):
            array[...] = value
            client.log_image("value", array)
            array[...] = 255
        assert client.flush(scaled_s(30)) == 0
    images = list(pixlog.Run(run_dir).images("value"))
    assert [int(image.array().max()) for image in images] == list(range(50))


class CaselessText(str):
    """Text that is equal to another in upper or lower case, and shows itself as neither."""

    def __eq__(self, other: object) -> bool:
        return str.lower(self) == str(other).lower()

    def __hash__(self) -> int:
        return hash(str.lower(self))

    def __str__(self) -> str:
        return "caseless"


def test_key_of_a_class_of_its_own_is_its_characters(run_dir: Path) -> None:
    """Keys that call themselves equal, or something else, are different series with their own rows and steps."""
    array = np.zeros(SHAPE, np.uint8)
    keys = [CaselessText("Val"), CaselessText("val"), "val", CaselessText("Val")]
    with pixlog.connect(run_dir) as client:
        for key in keys:
            client.log_image(key, array)
        client.log({CaselessText("VAL"): array})
        client.log({CaselessText("val"): array})
        client.log_image(CaselessText("VAL"), object())
        assert client.flush(scaled_s(30)) == 0
    rows = sorted(pixlog.Run(run_dir).rows(), key=lambda row: row.seq)
    assert [(row.key, row.step) for row in rows] == [
        ("Val", 0),
        ("val", 0),
        ("val", 1),
        ("Val", 1),
        ("VAL", 0),
        ("val", 2),
        ("VAL", 1),
    ]
