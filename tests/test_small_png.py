"""Pictures of few colours, written and read by hand."""

import struct
import zlib

import numpy as np
import pytest

from notebooks.small_png import SIGNATURE, shrunk


def chunks(png: bytes) -> dict[bytes, bytes]:
    found, at = {}, len(SIGNATURE)
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        found[kind] = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(
            kind + found[kind]
        )
        at += size + 12
    return found


def png_of(pixels: np.ndarray, *, line_filter: int = 2) -> bytes:
    """RGBA, each line as its difference from the one above (2), or as it is (0)."""
    height, width, _ = pixels.shape
    flat = pixels.reshape(height, -1)
    if line_filter == 2:
        flat = np.diff(flat, axis=0, prepend=np.zeros((1, flat.shape[1]), np.uint8))
    lines = np.insert(flat, 0, line_filter, axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes())), (b"IEND", b""))
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in parts
    )


def colors_of(png: bytes) -> np.ndarray:
    """Of a PNG with a palette."""
    found = chunks(png)
    width, height, depth, kind = struct.unpack(">IIBB", found[b"IHDR"][:10])
    assert (depth, kind) == (8, 3)
    palette = np.frombuffer(found[b"PLTE"], np.uint8).reshape(-1, 3)
    lines = np.frombuffer(zlib.decompress(found[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert (lines[:, 0] == 0).all()
    return palette[lines[:, 1:]]


@pytest.fixture
def picture() -> np.ndarray:
    pixels = np.full((60, 80, 4), 255, np.uint8)
    pixels[10:30, 5:40, :3] = 31, 95, 196
    pixels[40:50, :, :3] = 200, 71, 47
    return pixels


def test_few_colors_stay_as_they_are_to_a_few_steps(picture: np.ndarray):
    small = shrunk(png_of(picture))

    assert len(chunks(small)[b"PLTE"]) == 3 * 3
    difference = colors_of(small).astype(int) - picture[..., :3]
    assert np.abs(difference).max() <= 2
    assert (colors_of(small)[0, 0] == 255).all()


def test_many_colors_become_the_nearest_of_256(picture: np.ndarray):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3))
    picture[:30, :40, :3] = noise[:30, :40]
    small = shrunk(png_of(picture))

    assert len(chunks(small)[b"PLTE"]) == 3 * 256
    assert np.abs(colors_of(small)[30:].astype(int) - picture[30:, :, :3]).max() <= 2


def test_a_rare_color_that_is_like_no_other_stays(picture: np.ndarray):
    picture[..., :3] = np.random.default_rng(0).integers(0, 100, (60, 80, 3))
    picture[3, 3, :3] = 178, 24, 43
    small = colors_of(shrunk(png_of(picture)))

    assert np.abs(small[3, 3].astype(int) - [178, 24, 43]).max() <= 2


def test_what_is_stored_otherwise_stays(picture: np.ndarray):
    png = png_of(picture, line_filter=0)

    assert shrunk(png) == png
