"""PIL images of every mode and image files that are encoded already."""

import io

import numpy as np
import pytest
from PIL import Image

from pixlog.errors import InputError
from rendering import Call, encoded, pixels_of

WIDTH, HEIGHT = 11, 5


def _gradient(mode: str) -> Image.Image:
    ramp = np.arange(WIDTH * HEIGHT * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
    rgb = Image.fromarray(ramp)
    if mode == "LAB":
        return Image.frombytes("LAB", (WIDTH, HEIGHT), ramp.tobytes())
    if mode in ("RGBa", "La"):
        return rgb.convert("RGBA" if mode == "RGBa" else "LA").convert(mode)
    if mode == "PA":
        return rgb.convert("P").convert("PA")
    if mode.startswith("I;16"):
        levels = np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 1000
        image = Image.fromarray(levels)
        return image if mode == "I;16" else image.convert("I").convert(mode)
    return rgb.convert(mode)


@pytest.mark.parametrize(
    ("mode", "decoded"),
    [
        ("1", "1"),
        ("L", "L"),
        ("LA", "LA"),
        ("P", "P"),
        ("RGB", "RGB"),
        ("RGBA", "RGBA"),
        ("I", "I;16"),
        ("I;16", "I;16"),
        ("I;16B", "I;16"),
        ("F", "L"),
        ("CMYK", "RGB"),
        ("YCbCr", "RGB"),
        ("HSV", "RGB"),
        ("LAB", "RGB"),
        ("RGBX", "RGB"),
        ("RGBa", "RGBA"),
        ("La", "LA"),
        ("PA", "RGBA"),
    ],
)
def test_pil_images_of_every_mode_make_a_png(mode: str, decoded: str) -> None:
    """Modes that PNG holds are kept, all others come back in the nearest one."""
    image = Call().add_pil(_gradient(mode)).decode()
    assert (image.mode, image.size) == (decoded, (WIDTH, HEIGHT))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pil_pixels_are_kept_exactly(mode: str) -> None:
    """No range rule touches a PIL image: a dark one stays dark."""
    source = _gradient(mode)
    image = Call().add_pil(source).decode()
    assert np.array_equal(pixels_of(image), np.asarray(source))
    if mode == "P":
        assert np.array_equal(np.asarray(image.convert("RGB")), np.asarray(source.convert("RGB")))


@pytest.mark.parametrize("mode", ["CMYK", "HSV", "RGBX", "PA"])
def test_pil_modes_without_a_png_form_are_converted_by_pillow(mode: str) -> None:
    """The nearest mode has Pillow's own colours, and a note says so."""
    source = _gradient(mode)
    call = Call().add_pil(source)
    image = call.decode()
    assert np.array_equal(pixels_of(image), np.asarray(source.convert(image.mode)))
    assert any(mode in note for note in call.render().notes)


def test_pil_integers_are_clipped_to_16_bits_with_a_note() -> None:
    """Mode I holds 32 bits, PNG 16."""
    source = Image.fromarray(np.array([[-5, 7, 70000]], dtype=np.int32))
    call = Call().add_pil(source)
    assert pixels_of(call.decode()).tolist() == [[0, 7, 65535]]
    assert "-5 to 70000" in call.render().notes[0]


def test_pil_floats_follow_the_range_rules() -> None:
    """Mode F within [0, 1] is scaled like a float array."""
    source = Image.fromarray(np.array([[0, 0.5, 1]], dtype=np.float32))
    assert pixels_of(Call().add_pil(source).decode()).tolist() == [[0, 128, 255]]


def test_pil_floats_are_kept_in_a_tiff() -> None:
    """depth="keep" saves mode F as it is."""
    source = Image.fromarray(np.array([[-0.125, 1e9]], dtype=np.float32))
    image = Call().add_pil(source, depth="keep").decode()
    assert image.format == "TIFF"
    assert np.array_equal(pixels_of(image), np.asarray(source))


def test_pil_colour_profiles_are_kept() -> None:
    """An ICC profile goes into the file."""
    from PIL import ImageCms

    source = _gradient("RGB")
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source.info["icc_profile"] = profile
    assert Call().add_pil(source).decode().info["icc_profile"] == profile


def test_pil_transparent_palettes_are_kept() -> None:
    """A palette with alpha keeps its alpha."""
    source = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    source.putpalette([10, 20, 30, 40, 50, 60, 70, 80], "RGBA")
    image = Call().add_pil(source).decode().convert("RGBA")
    assert [image.getpixel((x, 0)) for x in (0, 1)] == [(10, 20, 30, 40), (50, 60, 70, 80)]


def _with_transparent_colour(mode: str, told: object) -> Image.Image:
    """Return a picture that has a transparent colour and no alpha channel, as it comes from a file."""
    file = io.BytesIO()
    _gradient(mode).save(file, "png", transparency=told)
    image = Image.open(file)
    image.load()
    assert image.mode == mode
    assert "transparency" in image.info
    return image


TRANSPARENT = [
    pytest.param("1", 255, "LA", id="black or white"),
    pytest.param("L", int(np.asarray(_gradient("L"))[2, 3]), "LA", id="gray"),
    pytest.param("RGB", (0, 1, 2), "RGBA", id="colour"),
    pytest.param("P", int(np.asarray(_gradient("P"))[2, 3]), "P", id="palette entry"),
    pytest.param("P", bytes([0, 128, 255, 7]), "P", id="palette alphas"),
]


@pytest.mark.parametrize(("mode", "told", "saved"), TRANSPARENT)
def test_pil_transparent_colours_are_kept(mode: str, told: object, saved: str) -> None:
    """A transparent colour becomes the alpha that Pillow makes of it."""
    source = _with_transparent_colour(mode, told)
    expected = np.asarray(source.convert("RGBA"))
    image = Call().add_pil(source).decode()
    assert image.mode == saved
    assert np.array_equal(np.asarray(image.convert("RGBA")), expected)
    assert np.array_equal(np.asarray(Call().add_pil(source, mode="RGBA").decode()), expected)


@pytest.mark.parametrize(("mode", "told", "saved"), TRANSPARENT)
def test_wandb_contract_saves_pil_images_without_their_transparent_colour(
    mode: str, told: object, saved: str
) -> None:
    """wandb.Image 0.18.0 tells Pillow to leave it out, so that the file is the one of the opaque picture."""
    source = _with_transparent_colour(mode, told)
    opaque = source.copy()
    del opaque.info["transparency"]
    files = [Call("wandb").add_pil(image).render().new_files[0].data for image in (source, opaque)]
    assert bytes(files[0]) == bytes(files[1])


def test_pil_transparent_colours_follow_the_order_of_channels() -> None:
    """With color="BGR" the transparent pixels are those that Pillow names."""
    source = _with_transparent_colour("RGB", (0, 1, 2))
    image = Call().add_pil(source, color="BGR").decode()
    assert image.getchannel("A").tobytes() == source.convert("RGBA").getchannel("A").tobytes()
    assert image.getpixel((0, 0)) == (2, 1, 0, 0)


def test_pil_transparent_palette_entries_may_lie_beyond_the_palette() -> None:
    """GIFs name an entry that is not there; what the palette holds is kept."""
    source = _gradient("P")
    source.putpalette([10, 20, 30, 40, 50, 60])
    source.info["transparency"] = 9
    image = Call().add_pil(source).decode().convert("RGBA")
    assert np.array_equal(np.asarray(image)[:, :, 3] == 0, np.asarray(source) == 9)


def test_pil_transparent_levels_of_sixteen_bits_are_told_of() -> None:
    """Gray of 16 bits keeps its levels; that its transparent one is lost is said in a note."""
    source = _gradient("I;16")
    source.info["transparency"] = 7000
    call = Call().add_pil(source)
    assert np.array_equal(pixels_of(call.decode()), np.asarray(source))
    assert "transparent level 7000" in call.render().notes[0]


@pytest.mark.parametrize(
    ("mode", "told"),
    [("L", 256), ("L", [1, 2, 3]), ("RGB", 7), ("RGB", [1, 2]), ("P", [256]), ("P", [0] * 257), ("LA", 7)],
)
def test_pil_transparency_that_does_not_fit_the_mode_is_refused(mode: str, told: object) -> None:
    """What no Pillow image says is an error that names it."""
    call = Call().add_pil(_gradient(mode))
    call.header["items"][0]["data"]["transparency"] = told
    with pytest.raises(InputError, match=rf"transparency=.*mode '{mode}'"):
        call.render()


@pytest.mark.parametrize("file_type", ["jpg", "bmp", "webp", "gif", "tiff"])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "HSV"])
def test_pil_modes_can_be_saved_in_every_format(mode: str, file_type: str) -> None:
    """Any common mode makes a decodable file of any type by default."""
    image = Call().add_pil(_gradient(mode), file_type=file_type).decode()
    assert image.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("mode", "file_type", "decoded"),
    [
        ("1", "png", "1"),
        ("1", "jpg", "L"),
        ("1", "bmp", "1"),
        ("P", "png", "P"),
        ("P", "bmp", "P"),
        ("RGBA", "bmp", "RGB"),
        ("LA", "png", "LA"),
        ("I", "png", "I;16"),
        ("CMYK", "jpg", "CMYK"),
        ("YCbCr", "jpeg", "RGB"),
        ("RGBX", "jpg", "RGB"),
    ],
)
def test_wandb_contract_saves_the_modes_that_pillow_saves(mode: str, file_type: str, decoded: str) -> None:
    """Mode by file type, the decoded mode is what 0.18.0 gives."""
    assert Call("wandb").add_pil(_gradient(mode), file_type=file_type).decode().mode == decoded


@pytest.mark.parametrize(
    ("mode", "file_type"),
    [
        ("P", "jpg"),
        ("RGBA", "jpg"),
        ("LA", "jpg"),
        ("LA", "bmp"),
        ("I", "bmp"),
        ("I;16", "jpg"),
        ("CMYK", "png"),
        ("CMYK", "bmp"),
        ("YCbCr", "png"),
        ("RGBX", "png"),
        ("F", "png"),
        ("HSV", "png"),
        ("LAB", "jpg"),
        ("PA", "png"),
        ("RGBa", "png"),
        ("La", "png"),
    ],
)
def test_wandb_contract_refuses_the_modes_that_pillow_refuses(mode: str, file_type: str) -> None:
    """What raised OSError in 0.18.0 is an error here."""
    with pytest.raises(InputError, match="wandb"):
        Call("wandb").add_pil(_gradient(mode), file_type=file_type).render()


def test_wandb_contract_ignores_mode_for_pil_images() -> None:
    """mode= applies to arrays only."""
    assert Call("wandb").add_pil(_gradient("RGB"), mode="L").decode().mode == "RGB"
    assert Call().add_pil(_gradient("RGB"), mode="L").decode().mode == "L"


def test_wandb_contract_drops_the_alpha_of_arrays_in_a_jpg() -> None:
    """RGBA arrays lose alpha without blending, unless mode asks for RGBA."""
    array = np.zeros((8, 8, 4), dtype=np.uint8)
    array[:, :, 0] = 250
    call = Call("wandb").add_array(array, file_type="jpg")
    assert pixels_of(call.decode())[0, 0, 0] > 240
    assert "alpha" in call.render().notes[0]
    with pytest.raises(InputError, match="RGBA"):
        Call("wandb").add_array(array, file_type="jpg", mode="RGBA").render()


def test_default_contract_flattens_alpha_on_the_background() -> None:
    """RGBA in a jpg is blended over the background colour, with a note."""
    array = np.zeros((8, 8, 4), dtype=np.uint8)
    call = Call().add_array(array, file_type="jpg", background=[0, 0, 250])
    assert pixels_of(call.decode())[0, 0, 2] > 240
    assert any("flattened" in note for note in call.render().notes)


@pytest.mark.parametrize(("file_type", "suffix"), [("png", ".PNG"), ("jpeg", ".tar.jpg"), ("webp", "")])
def test_encoded_images_are_kept_byte_for_byte(file_type: str, suffix: str) -> None:
    """A file that is an image already is stored as it is, with its own suffix."""
    content = encoded(_gradient("RGB"), file_type)
    rendered = Call().add_encoded(content, suffix).render()
    assert bytes(rendered.new_files[0].data) == content
    assert rendered.value["format"] == suffix[1:]
    assert (rendered.value["width"], rendered.value["height"]) == (WIDTH, HEIGHT)
    assert rendered.value["path"].endswith(suffix)


def test_encoded_images_note_options_that_do_not_apply() -> None:
    """file_type and mode change nothing about a finished file, and the row says so."""
    content = encoded(_gradient("RGB"), "png")
    assert (
        "mode, file_type" in Call().add_encoded(content, ".png", mode="L", file_type="jpg").render().notes[0]
    )


@pytest.mark.parametrize("cut", [0, 5, 60, -9])
def test_encoded_images_must_decode(cut: int) -> None:
    """Nothing, garbage and truncated files are errors: what is stored can be read."""
    content = encoded(_gradient("RGB").resize((64, 64)), "jpeg")[:cut]
    with pytest.raises(InputError, match="no decodable image"):
        Call().add_encoded(content, ".jpg").render()
