"""Still pictures look as in a viewer, or are refused by name."""

import numpy as np
import pytest
from PIL import Image, ImageCms

from curate.errors import InvalidRow
from curate.media.container.pictures import is_picture, load_picture, load_rgb
from curate.media.container.probe import probe

RAMP = np.linspace(0, 65535, 96 * 64).astype(np.uint16).reshape(64, 96)
GREY = np.repeat((RAMP / 257).round().astype(np.uint8)[..., None], 3, axis=2)
COLOUR = np.stack([GREY[..., 0], 255 - GREY[..., 0], GREY[..., 0] // 2], axis=-1)


def differs(path, expected) -> float:
    return float(np.abs(load_rgb(path).astype(int) - expected).mean())


@pytest.mark.parametrize("suffix", ["png", "tif", "jp2", "pgm"])
def test_grey_of_16_bits_keeps_its_shades(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(RAMP).save(path)
    assert differs(path, GREY) < 1


def test_tiff_of_12_bits_or_with_white_at_zero(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert differs(tmp_path / "a.tif", 255 - GREY) < 1


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_pixels_without_a_defined_white_are_refused(tmp_path, kind):
    Image.fromarray(RAMP.astype(kind)).save(tmp_path / "a.tif")
    with pytest.raises(InvalidRow, match="white is not defined: convert it to 8 or 16 bits") as caught:
        load_rgb(tmp_path / "a.tif")
    assert caught.value.reason == "unreadable"


@pytest.mark.parametrize("suffix", ["png", "tif", "webp", "gif"])
def test_transparent_pictures_are_on_white(tmp_path, suffix):
    layer = Image.fromarray(COLOUR).convert("RGBA")
    layer.putalpha(Image.fromarray(np.repeat([[255] * 48 + [0] * 48], 64, axis=0).astype(np.uint8)))
    layer.save(tmp_path / f"a.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
    expected = COLOUR.copy()
    expected[:, 48:] = 255
    assert differs(tmp_path / f"a.{suffix}", expected) < 5


def test_grey_with_transparency_and_a_palette_with_one(tmp_path):
    grey = Image.fromarray(GREY[..., 0]).convert("LA")
    grey.putalpha(0)
    grey.save(tmp_path / "a.png")
    assert (load_rgb(tmp_path / "a.png") == 255).all()
    palette = Image.fromarray(np.eye(8, dtype=np.uint8)).convert("P")
    palette.putpalette([9, 9, 9, 200, 30, 40])
    palette.save(tmp_path / "b.png", transparency=0)
    rgb = load_rgb(tmp_path / "b.png")
    assert rgb[0, 0].tolist() == [200, 30, 40]
    assert rgb[0, 1].tolist() == [255, 255, 255]


def test_inks_and_lab_become_rgb(tmp_path):
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    assert differs(tmp_path / "a.jpg", COLOUR) < 3
    profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
    ImageCms.profileToProfile(Image.fromarray(COLOUR), *profiles, outputMode="LAB").save(tmp_path / "b.tif")
    assert differs(tmp_path / "b.tif", COLOUR) < 4


def swapped_profile() -> bytes:
    """sRGB with red and blue exchanged, so that reading it wrong is visible."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(data[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(data[128:132], "big"), 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    data[red + 4 : red + 12], data[blue + 4 : blue + 12] = data[blue + 4 : blue + 12], data[red + 4 : red + 12]
    return bytes(data)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_colour_profiles_are_applied(tmp_path, suffix):
    options = {"png": {}, "tif": {}, "jpg": {"quality": 98, "subsampling": 0}, "webp": {"lossless": True}}[suffix]
    Image.fromarray(COLOUR).save(tmp_path / f"a.{suffix}", icc_profile=swapped_profile(), **options)
    assert differs(tmp_path / f"a.{suffix}", COLOUR[..., ::-1]) < 3
    Image.fromarray(COLOUR).save(tmp_path / f"b.{suffix}", icc_profile=b"no profile at all", **options)
    assert differs(tmp_path / f"b.{suffix}", COLOUR) < 3


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "I;16"])
def test_all_eight_orientations(tmp_path, mode):
    turns = {1: lambda p: p, 2: np.fliplr, 3: lambda p: np.rot90(p, 2), 4: np.flipud, 5: lambda p: p.swapaxes(0, 1)}
    turns |= {6: lambda p: np.rot90(p, -1), 7: lambda p: np.rot90(p, 2).swapaxes(0, 1), 8: np.rot90}
    for orientation, turn in turns.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        image = Image.fromarray(RAMP) if mode == "I;16" else Image.fromarray(COLOUR).convert(mode)
        image.save(tmp_path / "a.png", exif=exif)
        expected = {"I;16": GREY, "LA": np.asarray(image.convert("RGB"))}.get(mode, COLOUR)
        assert np.abs(load_rgb(tmp_path / "a.png").astype(int) - turn(expected)).max() <= 1, orientation


@pytest.mark.parametrize("suffix", ["gif", "webp", "png", "tif"])
def test_the_first_picture_of_several_and_a_notice(tmp_path, suffix):
    frames = [Image.fromarray(picture) for picture in (COLOUR, 255 - COLOUR, GREY)]
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:], **options)
    rgb, notice = load_picture(tmp_path / f"a.{suffix}")
    assert np.abs(rgb.astype(int) - COLOUR).mean() < 6
    assert notice == f"a.{suffix} holds 3 pictures: only the first is used"


@pytest.mark.filterwarnings("error")
def test_pictures_of_too_many_pixels_are_refused_with_their_size(tmp_path, capfd):
    Image.new("1", (20_000, 20_000)).save(tmp_path / "a.png")
    with pytest.raises(InvalidRow, match=r"has 400 megapixels \(20000x20000\); the limit is 100") as caught:
        probe(tmp_path / "a.png")
    assert caught.value.reason == "unreadable"
    assert capfd.readouterr().err == ""


def test_pictures_in_other_formats_are_refused_by_name(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.ico")
    (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    for name, kind in (("a.ico", "ICO"), ("b.heic", "HEIF")):
        with pytest.raises(InvalidRow, match=f"format {kind}, which is not supported: convert it") as caught:
            is_picture(tmp_path / name)
        assert caught.value.reason == "not_media"


def test_a_picture_out_of_reach_is_not_broken(tmp_path, monkeypatch):
    with pytest.raises(InvalidRow) as caught:
        load_rgb(tmp_path / "gone.png")
    assert caught.value.reason == "unavailable"
    Image.fromarray(COLOUR).save(tmp_path / "a.png")

    def fail(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(InvalidRow, match=r"a\.png is out of reach: Input/output error") as caught:
        load_rgb(tmp_path / "a.png")
    assert caught.value.reason == "unavailable"
