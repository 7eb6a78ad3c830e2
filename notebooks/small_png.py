"""A PNG of at most 256 colours: charts have few, and their pictures get four times smaller."""

import struct
import zlib

import numpy as np
from jaxtyping import Int, UInt8

SIGNATURE = b"\x89PNG\r\n\x1a\n"
MOST_COLORS = 256
STEP = 4
"""Colours are rounded to multiples of it, which nobody sees."""
RGB, RGBA, PALETTE = 2, 6, 3
"""How a PNG names its kind of colours."""
UP = 2
"""The first byte of a line that is stored as its difference from the line above."""


def shrunk(png: bytes) -> bytes:
    """The same picture, opaque; colours that are not chosen become the nearest that is.

    A PNG that is stored otherwise than Chromium does it stays as it is.
    """
    pixels = _pixels(png)
    if pixels is None:
        return png
    height, width, _ = pixels.shape
    rounded = (pixels[..., :3].astype(int) + STEP // 2) // STEP * STEP
    rounded = np.minimum(rounded, 255)
    codes = rounded @ np.array([1 << 16, 1 << 8, 1])
    found, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colors = np.stack([found // 65536, found // 256 % 256, found % 256], axis=1)
    kept = colors[_chosen(colors, counts)]
    nearest = _distances(colors, kept).argmin(1).astype(np.uint8)
    image = nearest[places].reshape(height, width)
    lines = np.pad(image, ((0, 0), (1, 0)))  # each line begins with its filter, 0: none
    parts = [
        _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, PALETTE, 0, 0, 0)),
        _chunk(b"PLTE", kept.astype(np.uint8).tobytes()),
        _chunk(b"IDAT", zlib.compress(lines.tobytes(), 9)),
        _chunk(b"IEND", b""),
    ]
    return SIGNATURE + b"".join(parts)


def _chosen(
    colors: Int[np.ndarray, "color channel"], counts: Int[np.ndarray, " color"]
) -> list[int]:
    """The most frequent colours, then one by one the farthest from all of them.

    The ends of a colour bar are rare, and unlike anything else in a figure.
    """
    chosen = np.argsort(-counts, kind="stable")[: MOST_COLORS // 2].tolist()
    away = _distances(colors, colors[chosen]).min(1)
    while len(chosen) < MOST_COLORS and away.max() > 0:
        chosen.append(int(away.argmax()))
        away = np.minimum(away, _distances(colors, colors[chosen[-1:]])[:, 0])
    return chosen


def _distances(
    colors: Int[np.ndarray, "color channel"], others: Int[np.ndarray, "other channel"]
) -> Int[np.ndarray, "color other"]:
    return ((colors[:, None] - others) ** 2).sum(2)


def _chunk(kind: bytes, body: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + check


def _pixels(png: bytes) -> UInt8[np.ndarray, "height width channel"] | None:
    """The picture of a PNG; None if it is stored otherwise than Chromium does it."""
    header, packed, at = b"", b"", len(SIGNATURE)
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    width, height, depth, kind, _, _, is_interlaced = struct.unpack(">IIBBBBB", header)
    if (depth, kind, is_interlaced) not in {(8, RGB, 0), (8, RGBA, 0)}:
        return None
    lines = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, -1)
    if (lines[:, 0] != UP).any():
        return None
    return np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, -1)
