"""Inputs that are logged with wandb 0.18.0 and with pixlog's contract "wandb", described as plain data.

A case is one log call; `parity_inputs` builds its images.  Loaded by two interpreters with different packages, hence
nothing but numpy.

A case may name, as ``differs``, the reason for which pixlog deliberately does something else; the reasons are texts
in ``parity_page``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parity_inputs import FLOAT_RANGES, RANGES

Description = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One log call: its images (source and options of each), whether they are a list, and key and step."""

    name: str
    group: str
    images: tuple[Description, ...]
    is_list: bool = False
    key: str = "k"
    step: int = 3
    differs: str | None = None

    @property
    def needs_torch(self) -> bool:
        """Whether building the input takes torch."""
        return any(image["source"]["kind"] == "torch" for image in self.images)


@dataclass
class _Cases:
    found: list[Case] = field(default_factory=list)

    def add(self, group: str, name: str, *images: Description, **case: Any) -> None:
        self.found.append(Case(f"{group}/{name}", group, images, **case))


def image(source: Description, **options: Any) -> Description:
    """Describe one image."""
    return {"source": source, "options": options}


def array(
    shape: tuple[int, ...], dtype: str = "u1", values: str = "bytes", kind: str = "array"
) -> Description:
    """Describe an array or (kind "torch") a tensor."""
    return {"kind": kind, "shape": shape, "dtype": dtype, "values": values}


def all_cases() -> list[Case]:
    """Return every case, in the order of the page."""
    cases = _Cases()
    for fill in (_values, _not_finite, _shapes, _modes, _file_types, _pil, _tensors, _files, _other_inputs):
        fill(cases)
    for fill in (_captions, _lists, _boxes, _masks, _classes, _keys):
        fill(cases)
    names = [case.name for case in cases.found]
    assert len(set(names)) == len(names), "two cases of one name"
    return cases.found


def _values(cases: _Cases) -> None:
    shapes = [(6, 7), (5, 6, 3), (4, 5, 4)]
    number = 0
    for dtype in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">f4", ">i4"):
        kind = np.dtype(dtype).kind
        for name, (low, high) in {**RANGES, **(FLOAT_RANGES if kind == "f" else {})}.items():
            if kind != "f" and not (np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max):
                continue
            shape = shapes[number % 3]
            number += 1
            differs = "widened" if dtype == "i1" and low >= 0 and high <= 1 else None
            cases.add("values", f"{dtype} {name}", image(array(shape, dtype, name)), differs=differs)
    for name in ("binary", "zeros", "ones"):
        cases.add("values", f"bool {name}", image(array((5, 6), "?", name)))
    cases.add(
        "values",
        "int8 whose range is wider than the dtype",
        image(array((5, 6), "i1", "full")),
        differs="widened",
    )
    cases.add(
        "values",
        "int16 whose range is wider than the dtype",
        image(array((5, 6), "i2", "full")),
        differs="widened",
    )
    for dtype in ("c8", "c16"):
        cases.add("values", f"{dtype} unit", image(array((5, 6), dtype, "unit")))


def _not_finite(cases: _Cases) -> None:
    for dtype in ("f4", "f8"):
        for values in ("nan", "posinf", "neginf", "all three"):
            cases.add(
                "not finite", f"{dtype} {values}", image(array((4, 6), dtype, values)), differs="not finite"
            )
    cases.add("not finite", "f4 nan in bytes", image(array((4, 6), "f4", "nan in bytes")))
    cases.add("not finite", "f4 posinf in bytes", image(array((4, 6), "f4", "posinf in bytes")))


def _shapes(cases: _Cases) -> None:
    good = [
        (5, 7), (5, 7, 1), (1, 5, 7), (1, 5, 7, 1), (5, 7, 3), (5, 7, 4), (1, 5, 7, 3), (5, 7, 3, 1), (5, 1, 7, 3),
        (1, 1), (1, 7), (5, 1), (5, 1, 7), (3, 5, 3), (4, 5, 4), (2, 1, 7),
    ]  # fmt: skip
    bad = [(), (5,), (5, 7, 2), (5, 7, 5), (3, 5, 7), (2, 5, 7, 3), (0, 7), (5, 0, 3), (5, 7, 0)]
    one_pixel = [(5, 1, 3), (1, 7, 3), (1, 1, 3), (1, 1, 4), (5, 1, 1), (1, 1, 1), (1, 7, 1)]
    for shape in good + bad:
        cases.add("shapes", str(shape), image(array(shape)))
    for shape in one_pixel:
        cases.add("shapes", str(shape), image(array(shape)), differs="one pixel")
    cases.add("shapes", "(4,)", image(array((4,))))


def _modes(cases: _Cases) -> None:
    for shape, modes in (
        ((5, 8), ("L", "RGB", "RGBA", "LA", "1", "P", "I")),
        ((5, 8, 3), ("L", "RGB", "RGBA", "1", "P")),
        ((5, 8, 4), ("L", "RGB", "RGBA", "LA")),
        ((5, 8, 2), ("LA",)),
    ):
        for mode in modes:
            natural = {(5, 8): "L", (5, 8, 3): "RGB", (5, 8, 4): "RGBA", (5, 8, 2): "LA"}[shape]
            differs = None if mode == natural else "mode"
            cases.add("modes", f"{shape} as {mode}", image(array(shape), mode=mode), differs=differs)
    cases.add("modes", "(5, 8) as XYZ", image(array((5, 8)), mode="XYZ"))
    cases.add("modes", "(5, 8, 2) as RGB", image(array((5, 8, 2)), mode="RGB"))
    cases.add("modes", "a PIL image ignores mode", image(_pil_source("RGB"), mode="L"))


def _file_types(cases: _Cases) -> None:
    for shape in ((9, 8), (9, 8, 3), (9, 8, 4)):
        for file_type in ("png", "jpg", "jpeg", "bmp"):
            differs = "alpha in jpg" if shape[2:] == (4,) and file_type.startswith("jp") else None
            cases.add(
                "file types",
                f"{shape} as {file_type}",
                image(array(shape), file_type=file_type),
                differs=differs,
            )
    for file_type in ("webp", "gif", "PNG", ".png", "tiff"):
        cases.add("file types", f"(9, 8) as {file_type}", image(array((9, 8)), file_type=file_type))


PIL_MODES = (
    "1",
    "L",
    "P",
    "RGB",
    "RGBA",
    "LA",
    "I",
    "I;16",
    "CMYK",
    "YCbCr",
    "RGBX",
    "F",
    "HSV",
    "LAB",
    "PA",
    "RGBa",
    "La",
)


def _pil_source(mode: str) -> Description:
    return {"kind": "pil", "mode": mode, "size": (9, 6)}


def _pil(cases: _Cases) -> None:
    for mode in PIL_MODES:
        for file_type in ("png", "jpg", "bmp"):
            cases.add("PIL images", f"{mode} as {file_type}", image(_pil_source(mode), file_type=file_type))


def _tensors(cases: _Cases) -> None:
    shapes = [
        (5, 7), (1, 5, 7), (2, 5, 7), (3, 5, 7), (4, 5, 7), (1, 3, 5, 7), (2, 3, 4, 5), (9, 3, 4, 5), (8, 1, 4, 5),
        (3, 4, 4, 5), (17, 1, 2, 3), (3, 5, 1), (3, 1, 7), (4, 7, 3), (1, 1, 5, 7), (2, 2, 4, 5),
    ]  # fmt: skip
    bad = [(5, 7, 3), (6, 5, 7), (7,), (2, 5, 4, 5), (1, 2, 3, 4, 5)]
    for shape in shapes + bad:
        cases.add("tensors", f"float32 {shape}", image(array(shape, "f4", "unit", "torch")))
    for dtype in ("u1", "f2", "f4", "f8", "bfloat16"):
        for values in ("bytes", "low bytes", "zeros", "fives", "binary"):
            cases.add("tensors", f"{dtype} {values}", image(array((3, 5, 7), dtype, values, "torch")))
        if dtype != "u1":
            for values in ("signed unit", "part of unit", "negative and large", "tiny"):
                cases.add("tensors", f"{dtype} {values}", image(array((3, 5, 7), dtype, values, "torch")))
    for dtype in ("?", "i1", "i2", "i4", "i8"):
        cases.add("tensors", f"{dtype} binary", image(array((3, 5, 7), dtype, "binary", "torch")))
    cases.add("tensors", "mode is ignored", image(array((3, 5, 7), "f4", "unit", "torch"), mode="L"))
    cases.add("tensors", "jpg", image(array((3, 5, 7), "f4", "unit", "torch"), file_type="jpg"))
    cases.add(
        "tensors",
        "4 channels as jpg",
        image(array((4, 5, 7), "f4", "unit", "torch"), file_type="jpg"),
        differs="alpha in jpg",
    )
    for values in ("nan", "posinf", "neginf"):
        cases.add(
            "tensors",
            f"float32 {values}",
            image(array((3, 4, 6), "f4", values, "torch")),
            differs="not finite",
        )


def _file(name: str, content: str = "png", as_path: bool = False) -> Description:
    return {"kind": "file", "name": name, "content": content, "as_path": as_path}


def _files(cases: _Cases) -> None:
    for name, content in (
        ("a.png", "png"), ("a.JPG", "jpeg"), ("a.tar.png", "png"), ("noextension", "png"), ("a.gif", "gif"),
        ("a.bmp", "bmp"), ("a.webp", "webp"), ("wrong.png", "jpeg"), ("a.tiff", "tiff"), ("ü ñ.png", "png"),
    ):  # fmt: skip
        cases.add("files", name, image(_file(name, content)))
    cases.add("files", "options are ignored", image(_file("a.png"), mode="L"))
    for name, content in (("missing.png", ""), ("", ""), ("empty.png", "empty"), ("text.png", "text")):
        cases.add("files", name or "empty name", image(_file(name, content)))
    cases.add("files", "a truncated jpg", image(_file("cut.jpg", "truncated")))
    cases.add("files", "a directory", image(_file("directory", "directory")))
    cases.add("files", "a file:// URL", image({"kind": "text", "text": "file:///tmp/x.png"}))
    cases.add("files", "pathlib.Path", image(_file("a.png", as_path=True)), differs="more inputs")


def _other_inputs(cases: _Cases) -> None:
    for name in ("None", "int", "list"):
        cases.add("other inputs", name, image({"kind": "literal", "value": name}))
    for name in ("bytes of a png", "BytesIO of a png", "open png file"):
        cases.add("other inputs", name, image({"kind": "literal", "value": name}), differs="more inputs")
    for url in ("s3://bucket/a.png", "https://host/a/b.jpg?x=1", "gs://bucket/c", "http://host/d.e.gif"):
        cases.add("other inputs", url, image({"kind": "text", "text": url}), differs="references")
    for name in (
        "masked array",
        "matrix",
        "Fortran order",
        "negative strides",
        "read-only",
        "object array",
        "string array",
    ):
        differs = "no objects" if name == "object array" else None
        cases.add("other inputs", name, image({"kind": "literal", "value": name}), differs=differs)


def _captions(cases: _Cases) -> None:
    for caption in ("hi", "", "ü", 0, 7, None, ["a", 1], "two\nlines"):
        cases.add("captions", f"caption={caption!r}", image(array((3, 4)), caption=caption))
    for grouping in (0, 3, None):
        cases.add("captions", f"grouping={grouping!r}", image(array((3, 4)), grouping=grouping))
    both = image(array((3, 4)), caption="x", grouping=2, file_type="bmp")
    cases.add("captions", "caption, grouping and file type", both)


def _lists(cases: _Cases) -> None:
    plain = image(array((3, 4)))
    named = image(array((3, 4, 3)), caption="b")
    boxed = image(array((3, 4)), boxes={"g": {"box_data": [_box()]}})
    masked = image(array((3, 4)), caption="m", masks={"g": {"mask_data": array((3, 4), "u1", "ids")}})
    wide = image(array((5, 9)), file_type="jpg")
    for name, images in (
        ("of one", (plain,)),
        ("of three", (plain, plain, plain)),
        ("first caption only", (named, plain)),
        ("later caption only", (plain, named)),
        ("falsy first caption", (image(array((3, 4)), caption=""), named)),
        ("different sizes and formats", (wide, plain, named)),
        ("boxes on one", (boxed, plain)),
        ("masks on the last", (plain, masked)),
        ("boxes and masks", (boxed, masked)),
        ("groupings", (image(array((3, 4)), grouping=1), plain)),
        ("108", (plain,) * 108),
        ("110", tuple(image(array((1, 1), "u1", f"constant {level}")) for level in range(110))),
        ("a bad image inside", (plain, image(array((3, 4, 5))))),
    ):
        cases.add("lists", name, *images, is_list=True)


def _box(**more: Any) -> Description:
    return {"position": {"minX": 0.1, "maxX": 0.5, "minY": 0.25, "maxY": 1}, "class_id": 1, **more}


def _boxes(cases: _Cases) -> None:
    middle = {"middle": [0.5, 0.25], "width": 0.25, "height": 1}
    labels = {1: "cat", 2: "é"}
    good: dict[str, Any] = {
        "corner form": {"box_data": [_box()]},
        "middle form": {"box_data": [_box(position=middle)]},
        "labels": {"box_data": [_box()], "class_labels": labels},
        "no class_id with labels": {"box_data": [{"position": middle}], "class_labels": labels},
        "scores and caption": {"box_data": [_box(scores={"acc": 0.5, "n": 3}, box_caption="ü")]},
        "pixel domain": {"box_data": [_box(domain="pixel")]},
        "unknown domain": {"box_data": [_box(domain="parsec")]},
        "extra keys": {"box_data": [_box(extra={"a": [1, None]})], "more": "é"},
        "empty": {"box_data": []},
        "min above max": {"box_data": [_box(position={"minX": 5, "maxX": -1, "minY": 0, "maxY": 0})]},
        "NaN score": {"box_data": [_box(scores={"acc": float("nan")})]},
        "bool class_id": {"box_data": [_box(class_id=True)]},
        "integer positions": {
            "box_data": [_box(position={"minX": 1, "maxX": 2, "minY": 3, "maxY": 4}, domain="pixel")]
        },
    }
    bad: dict[str, Any] = {
        "no box_data": {},
        "box_data a tuple": {"box_data": (_box(),)},
        "box_data a dict": {"box_data": {}},
        "no position": {"box_data": [{"class_id": 1}]},
        "half a position": {"box_data": [_box(position={"minX": 1, "maxX": 2})]},
        "text in a position": {"box_data": [_box(position={"minX": "1", "maxX": 2, "minY": 3, "maxY": 4})]},
        "middle of three": {"box_data": [_box(position={"middle": [1, 2, 3], "width": 1, "height": 1})]},
        "float class_id": {"box_data": [_box(class_id=1.5)]},
        "text class_id": {"box_data": [_box(class_id="1")]},
        "None class_id": {"box_data": [_box(class_id=None)]},
        "no class_id and no labels": {"box_data": [{"position": middle}]},
        "scores a list": {"box_data": [_box(scores=[1])]},
        "None score": {"box_data": [_box(scores={"a": None})]},
        "number as score name": {"box_data": [_box(scores={1: 2})]},
        "caption a number": {"box_data": [_box(box_caption=3)]},
        "caption None": {"box_data": [_box(box_caption=None)]},
        "labels with text keys": {"box_data": [_box()], "class_labels": {"a": "b"}},
        "labels with number values": {"box_data": [_box()], "class_labels": {1: 2}},
        "labels a list": {"box_data": [_box()], "class_labels": ["cat"]},
        "not JSON": {"box_data": [_box(extra="a set")]},
    }
    for name, value in {**good, **bad}.items():
        cases.add("boxes", name, image(array((3, 4)), boxes={"group": value}))
    cases.add("boxes", "two groups", image(array((3, 4)), boxes={"b": good["empty"], "a": good["labels"]}))
    cases.add("boxes", "no groups", image(array((3, 4)), boxes={}))
    cases.add("boxes", "not a dict", image(array((3, 4)), boxes=[good["empty"]]))
    cases.add("boxes", "a group that is text", image(array((3, 4)), boxes={"g": "x"}))
    odd_id = {"box_data": [_box(class_id="np.int64(3)")]}
    cases.add(
        "boxes", "np.int64 class_id", image(array((3, 4)), boxes={"g": odd_id}), differs="numpy numbers"
    )
    odd_place = {"box_data": [_box(position={"minX": "np.float32(0.5)", "maxX": 1, "minY": 0, "maxY": 1})]}
    cases.add(
        "boxes", "np.float32 position", image(array((3, 4)), boxes={"g": odd_place}), differs="numpy numbers"
    )
    odd_middle = {"box_data": [_box(position={"middle": ["a", None], "width": 1, "height": 1})]}
    cases.add("boxes", "middle of no numbers", image(array((3, 4)), boxes={"g": odd_middle}))


def _masks(cases: _Cases) -> None:
    for dtype in ("u1", "i2", "u2", "i4", "i8", ">i4", "f4", "f8", "f2"):
        cases.add("masks", f"{dtype} ids", _masked(array((3, 4), dtype, "ids")))
    cases.add("masks", "bool", _masked(array((3, 4), "?", "binary")))
    cases.add("masks", "0 and 1", _masked(array((3, 4), "u1", "binary")))
    cases.add("masks", "255", _masked(array((3, 4), "u1", "bytes")))
    cases.add("masks", "fractions", _masked(array((3, 4), "f8", "wide fractions")))
    cases.add("masks", "another size than the image", _masked(array((9, 2), "u1", "ids")))
    cases.add("masks", "labels", _masked(array((3, 4), "u1", "ids"), class_labels={0: "road", 1: "é"}))
    cases.add("masks", "empty labels", _masked(array((3, 4), "u1", "ids"), class_labels={}))
    cases.add("masks", "negative ids", _masked(array((3, 4), "i4", "slightly negative")))
    cases.add("masks", "ids above 255", _masked(array((3, 4), "i4", "wide")))
    cases.add(
        "masks",
        "floats out of range",
        _masked(array((3, 4), "f4", "negative and large")),
        differs="wrapped ids",
    )
    cases.add("masks", "floats with NaN", _masked(array((3, 4), "f4", "nan in bytes")), differs="wrapped ids")
    cases.add("masks", "three axes", _masked(array((3, 4, 3))))
    cases.add("masks", "one axis", _masked(array((3,))))
    cases.add("masks", "no pixel", _masked(array((0, 4))))
    cases.add("masks", "a list", image(array((3, 4)), masks={"g": {"mask_data": [[1, 2], [3, 4]]}}))
    cases.add("masks", "neither data nor path", image(array((3, 4)), masks={"g": {}}))
    cases.add("masks", "labels with text keys", _masked(array((3, 4), "u1", "ids"), class_labels={"a": "b"}))
    cases.add("masks", "a file", image(array((3, 4)), masks={"g": {"path": _file("mask.png")}}))
    cases.add(
        "masks", "a missing file", image(array((3, 4)), masks={"g": {"path": _file("missing.png", "")}})
    )
    ids = {"mask_data": array((3, 4), "u1", "ids")}
    cases.add("masks", "two groups", image(array((3, 4)), masks={"b": ids, "a": ids}))
    cases.add("masks", "not a dict", image(array((3, 4)), masks=[ids]))
    cases.add("masks", "a group that is a number", image(array((3, 4)), masks={"g": 5}))
    cases.add("masks", "over a jpg", image(array((3, 4)), file_type="jpg", masks={"g": ids}))
    both = image(array((3, 4)), boxes={"g": {"box_data": [_box()]}}, masks={"g": ids}, caption="c")
    cases.add("masks", "masks and boxes", both)
    pil = {"kind": "pil", "mode": "L", "size": (4, 3)}
    cases.add(
        "masks", "a PIL image", image(array((3, 4)), masks={"g": {"mask_data": pil}}), differs="more inputs"
    )


def _masked(mask: Description, **more: Any) -> Description:
    return image(array((3, 4)), masks={"group": {"mask_data": mask, **more}})


def _classes(cases: _Cases) -> None:
    for name, classes in (
        ("a list", [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]),
        ("extra keys", [{"id": 1, "name": "cat", "color": [1, 2, 3]}]),
        ("duplicates", [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]),
        ("none", []),
        ("no name", [{"id": 1}]),
        ("no id", [{"name": "cat"}]),
        ("a dict", {"id": 1, "name": "cat"}),
    ):
        cases.add("classes", name, image(array((3, 4)), classes=classes))


def _keys(cases: _Cases) -> None:
    for key in ("a/b", "a b:*?", "ünï", "a.b", "", "a//b", "a/", "...", "line\nbreak", "a\\b"):
        cases.add("keys", repr(key), image(array((3, 4))), key=key)
    for key in ("../x", "./x", "a/../b"):
        cases.add("keys", repr(key), image(array((3, 4))), key=key, differs="traversal")
    for step in (0, 7, 10**12):
        cases.add("keys", f"step {step}", image(array((3, 4))), step=step)
