"""The values of rows have exactly the shapes that W&B writes."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pixlog.errors import InputError
from pixlogd.config.encode_defaults import EncodeDefaults
from pixlogd.rendering.media_file import EarlierFile, MediaFile
from pixlogd.rendering.render import Rendered, StoredImage
from rendering import Call, decode

IMAGE = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
BOXES = {"box_data": [{"position": {"minX": 0, "maxX": 1, "minY": 0, "maxY": 1}, "class_id": 1}]}


def _data(rendered: Rendered, position: int) -> bytes:
    return bytes(rendered.new_files[position].data)


def test_one_image_has_the_fields_of_an_image_file() -> None:
    """_type, sha256, size, path, format, width, height and caption, in this order."""
    rendered = Call(key="val/k", step=3).add_array(IMAGE, caption="hi").render()
    data = _data(rendered, 0)
    digest = hashlib.sha256(data).hexdigest()
    assert list(rendered.value.items()) == [
        ("_type", "image-file"),
        ("sha256", digest),
        ("size", len(data)),
        ("path", f"media/images/val/k_3_{digest[:20]}.png"),
        ("format", "png"),
        ("width", 5),
        ("height", 4),
        ("caption", "hi"),
    ]
    assert rendered.files[0].record() == {
        "path": rendered.value["path"],
        "sha256": digest,
        "size": len(data),
        "role": "image",
        "index": 0,
    }


@pytest.mark.parametrize(
    ("contract", "caption", "written"),
    [
        ("pixlog", "", True),
        ("pixlog", 0, True),
        ("pixlog", None, False),
        ("wandb", "", False),
        ("wandb", "x", True),
    ],
)
def test_captions_are_written_by_the_rule_of_the_contract(contract: str, caption: Any, written: bool) -> None:
    """Anything but None by default, only truthy ones under the contract "wandb"."""
    value = Call(contract).add_array(IMAGE, caption=caption).render().value
    assert ("caption" in value) == written


@pytest.mark.parametrize(("grouping", "written"), [(3, True), (0, False), (None, False)])
def test_grouping_is_written_when_truthy(grouping: int | None, written: bool) -> None:
    """grouping=0 is dropped, as in W&B."""
    assert ("grouping" in Call().add_array(IMAGE, grouping=grouping).render().value) == written


@pytest.mark.parametrize("file_type", ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tiff"])
def test_format_is_the_file_type_as_it_was_written(file_type: str) -> None:
    """ "jpg" stays jpg and "jpeg" jpeg, in the format field and in the suffix."""
    value = Call().add_array(IMAGE, file_type=file_type).render().value
    assert value["format"] == file_type
    assert value["path"].endswith("." + file_type)


def test_defaults_of_the_key_decide_what_the_call_leaves_open() -> None:
    """file_type and quality come from the settings unless the call gives them."""
    defaults = EncodeDefaults(file_type="jpg", quality=5)
    coarse = Call().add_array(IMAGE).render(defaults)
    assert coarse.value["format"] == "jpg"
    fine = Call().add_array(IMAGE, quality=95).render(defaults)
    assert fine.value["size"] > coarse.value["size"]
    assert Call().add_array(IMAGE, file_type="png").render(defaults).notes == []


def test_options_that_a_format_lacks_are_noted() -> None:
    """quality= on a png is no failure, but the row says that it did nothing."""
    assert Call().add_array(IMAGE, quality=90).render().notes == ["quality=90 has no effect on png"]


def test_wandb_contract_refuses_later_file_types() -> None:
    """Only png, jpg, jpeg and bmp exist in 0.18.0; a default of another type falls back to png."""
    with pytest.raises(InputError, match="webp"):
        Call("wandb").add_array(IMAGE, file_type="webp").render()
    assert Call("wandb").add_array(IMAGE).render(EncodeDefaults(file_type="webp")).value["format"] == "png"


def test_overlays_have_the_fields_of_wandb() -> None:
    """boxes and masks are objects by group, with _type, sha256, size and path."""
    call = Call()
    mask = call.array_data(np.zeros((4, 5), np.uint8), layout="HW")
    rendered = call.add_array(IMAGE, boxes={"b": BOXES}, masks={"m": {"data": mask}}).render()
    boxes, masks = rendered.value["boxes"], rendered.value["masks"]
    assert list(rendered.value)[-2:] == ["boxes", "masks"]
    digest = hashlib.sha256(_data(rendered, 1)).hexdigest()
    assert boxes == {
        "b": {
            "_type": "boxes2D",
            "sha256": digest,
            "size": len(_data(rendered, 1)),
            "path": f"media/metadata/boxes2D/k_0_{digest[:20]}.boxes2D.json",
        }
    }
    assert masks["m"]["_type"] == "mask"
    assert masks["m"]["path"].startswith("media/images/mask/k_0_")
    assert masks["m"]["path"].endswith(".mask.png")
    assert [(file.role, file.record().get("group")) for file in rendered.files] == [
        ("image", None),
        ("boxes", "b"),
        ("mask", "m"),
    ]


def test_boxes_are_json_of_the_whole_value() -> None:
    """Compact UTF-8 by default; under the contract "wandb" the bytes of 0.18.0, escaped and spaced."""
    boxes = {"box_data": [], "class_labels": {1: "é"}, "extra": float("nan")}
    assert _data(Call().add_array(IMAGE, boxes={"b": boxes}).render(), 1) == (
        '{"box_data":[],"class_labels":{"1":"é"},"extra":null}'.encode()
    )
    assert _data(Call("wandb").add_array(IMAGE, boxes={"b": boxes}).render(), 1) == (
        b'{"box_data": [], "class_labels": {"1": "\\u00e9"}, "extra": NaN}'
    )


def test_empty_boxes_have_the_digest_that_wandb_gives() -> None:
    """An empty group is 15 bytes compact and 16 bytes as 0.18.0 writes it."""
    compact = Call().add_array(IMAGE, boxes={"b": {"box_data": []}}).render().value["boxes"]["b"]
    spaced = Call("wandb").add_array(IMAGE, boxes={"b": {"box_data": []}}).render().value["boxes"]["b"]
    assert (compact["size"], compact["sha256"][:8]) == (15, "72653289")
    assert spaced["size"] == 16


@pytest.mark.parametrize("kind", ["polygons", "keypoints"])
def test_polygons_and_keypoints_are_json_files(kind: str) -> None:
    """They lie beside the boxes, each kind in a directory of its own."""
    options: dict[str, Any] = {kind: {"g": {"points": [[0, 1.5]]}}}
    rendered = Call().add_array(IMAGE, **options).render()
    entry = rendered.value[kind]["g"]
    assert entry["_type"] == kind
    assert entry["path"].startswith(f"media/metadata/{kind}/k_0_")
    assert json.loads(_data(rendered, 1)) == {"points": [[0, 1.5]]}


def test_a_list_has_the_fields_of_separated_images() -> None:
    """Size and format of the first image, count, file names, captions with nulls, overlays with nulls."""
    call = Call().add_array(IMAGE, caption="x", boxes={"b": BOXES}, grouping=4).add_array(IMAGE[:2])
    rendered = call.as_list().render()
    assert list(rendered.value) == [
        "_type",
        "width",
        "height",
        "format",
        "count",
        "filenames",
        "captions",
        "all_boxes",
    ]
    assert rendered.value["_type"] == "images/separated"
    assert (rendered.value["width"], rendered.value["height"], rendered.value["count"]) == (5, 4, 2)
    assert rendered.value["filenames"] == [file.path for file in rendered.files if file.role == "image"]
    assert rendered.value["captions"] == ["x", None]
    assert rendered.value["all_boxes"][1] is None
    assert rendered.value["all_boxes"][0]["b"]["_type"] == "boxes2D"
    assert [file.index for file in rendered.files] == [0, 0, 1]
    assert isinstance(rendered.input, list)
    assert len(rendered.input) == 2


@pytest.mark.parametrize(("contract", "kept"), [("pixlog", True), ("wandb", False)])
def test_a_list_keeps_captions_when_the_first_has_none(contract: str, kept: bool) -> None:
    """W&B looks at the first image only; by default no caption is lost."""
    call = Call(contract).add_array(IMAGE).add_array(IMAGE, caption="b").as_list()
    assert call.render().value.get("captions") == ([None, "b"] if kept else None)


def test_a_list_of_one_stays_a_list() -> None:
    """A list is a list whatever its length."""
    assert Call().add_array(IMAGE).as_list().render().value["count"] == 1


@pytest.mark.parametrize(("contract", "count"), [("pixlog", 110), ("wandb", 108)])
def test_a_list_is_cut_under_the_wandb_contract_only(contract: str, count: int) -> None:
    """108 images are W&B's limit; by default there is none."""
    call = Call(contract).as_list()
    for level in range(110):
        call.add_array(np.full((1, 1), level, dtype=np.uint8))
    rendered = call.render()
    assert rendered.value["count"] == len(rendered.value["filenames"]) == len(rendered.files) == count
    assert bool(rendered.notes) == (contract == "wandb")


def test_a_list_names_the_image_that_failed() -> None:
    """An error in a list says which image it is about."""
    call = Call().add_array(IMAGE).add_encoded(b"nonsense", ".png").as_list()
    with pytest.raises(InputError, match="image 1 of 2"):
        call.render()


def test_an_empty_list_counts_zero() -> None:
    """No images, no files, no guess at their size."""
    rendered = Call().as_list().render()
    assert rendered.value == {"_type": "images/separated", "count": 0, "filenames": []}
    assert rendered.files == []


@pytest.mark.parametrize(
    ("url", "file_format"),
    [
        ("s3://bucket/a/b.PNG", "PNG"),
        ("https://host/x.tar.jpg?size=3#top", "jpg"),
        ("gs://bucket/image", "image"),
        ("http://host", ""),
    ],
)
def test_references_are_recorded_and_not_fetched(url: str, file_format: str) -> None:
    """The value holds the URL, its digest and the suffix of its last part; no file is made."""
    rendered = Call().add({"kind": "reference", "url": url}, caption="far").render()
    assert rendered.files == []
    assert rendered.value["path"] == url
    assert rendered.value["sha256"] == hashlib.sha256(url.encode()).hexdigest()
    assert rendered.value["format"] == file_format
    assert rendered.value["caption"] == "far"


class OneStored:
    """Knows one stored image: number 3 of whatever client."""

    def __init__(self, image: StoredImage) -> None:
        self.image = image

    def find(self, data: Mapping[str, Any]) -> StoredImage:
        """Return the image."""
        assert data["seq"] == 3
        return self.image

    def settle(self, media: MediaFile) -> MediaFile | EarlierFile:
        """Return the image's file for its own content, and anything else as it is."""
        if media.sha256 != self.image.sha256:
            return media
        return EarlierFile(self.image.path, media.sha256, media.size, media.index)


def test_equal_content_shares_a_file_where_wanted() -> None:
    """Under dedup= content that is stored already gets its row and no file; otherwise it gets a file of its own."""
    first = Call().add_array(IMAGE).render().new_files[0]
    known = OneStored(StoredImage("media/images/first.png", first.sha256, first.size, "png", 4, 4))
    again = Call().add_array(IMAGE, dedup=True).render(stored=known)
    assert again.new_files == []
    assert again.value["path"] == "media/images/first.png"
    assert Call().add_array(IMAGE).render(stored=known).new_files != []
    assert Call().add_array(IMAGE).render(EncodeDefaults(dedup=True), known).new_files == []


def test_earlier_images_take_new_overlays() -> None:
    """An item of kind "ref" names the stored file again and stores only what is new."""
    stored = StoredImage("media/images/k_0_ab.png", "ab" * 32, 77, "png", 5, 4)
    call = Call().add({"kind": "ref", "client": "c" * 16, "seq": 3, "index": 1}, boxes={"b": BOXES})
    rendered = call.render(stored=OneStored(stored))
    assert rendered.value["path"] == stored.path
    assert (rendered.value["width"], rendered.value["height"]) == (5, 4)
    assert isinstance(rendered.files[0], EarlierFile)
    assert rendered.files[0].record()["size"] == 77
    assert [file.role for file in rendered.new_files] == ["boxes"]


def test_earlier_images_need_a_resolver() -> None:
    """Without a way to look rows up the call fails with a reason."""
    with pytest.raises(InputError, match="earlier row"):
        Call().add({"kind": "ref", "client": "c", "seq": 3, "index": 0}).render()


def test_classes_and_meta_go_into_the_input_record() -> None:
    """What W&B's shape cannot say is kept beside the statistics."""
    classes = [{"id": 1, "name": "cat", "color": [1, 2, 3]}]
    record = Call().add_array(IMAGE, classes=classes, meta={"epoch": 3}).render().input
    assert isinstance(record, dict)
    assert record["classes"] == classes
    assert record["meta"] == {"epoch": 3}


def test_rows_are_plain_json() -> None:
    """Value, input and file entries serialise without NaN literals."""
    array = np.array([[np.nan, 1e9], [np.inf, -2]], dtype=np.float32)
    rendered = Call().add_array(array).render()
    json.dumps(
        [rendered.value, rendered.input, [file.record() for file in rendered.files], rendered.notes],
        allow_nan=False,
    )


def test_an_images_own_contract_wins_over_the_calls() -> None:
    """Image(contract=...) decides for that image."""
    dark = np.array([[0, 1]], dtype=np.uint8)
    assert decode(Call("pixlog").add_array(dark, contract="wandb").render()).getextrema() == (0, 255)


def test_equal_pixels_have_equal_names() -> None:
    """The same image logged twice under one key and step is one file."""
    paths = {Call().add_array(IMAGE).render().value["path"] for _ in range(2)}
    assert len(paths) == 1
