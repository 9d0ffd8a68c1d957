#!/usr/bin/env python3
"""Writes tests/goldens/resize/expected.json: XXH64 (seed 0) of images resized by Pillow 13.

A case: [height, width, new height, new width, filter (1 Lanczos, 2 bilinear, 3 bicubic), seed, digest, digest with the
horizontal pass first (Pillow up to 12)]. The image: byte i is byte i % 8 of Philox(seed, "resize fixture").bits(i / 8),
the generator of runtime/base/philox.h; for odd seeds 255 where that byte is odd, else 0 (overshoot everywhere).

    python3 -m venv .venv && .venv/bin/pip install pillow==13.0.0 numpy xxhash
    .venv/bin/python scripts/make_resize_fixture.py
"""
import json
import pathlib
import random

import numpy as np
import PIL
import xxhash
from PIL import Image

FILE = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens" / "resize" / "expected.json"


def philox_bits(seed, stream, count):
    index = np.arange(count, dtype=np.uint64)
    name = xxhash.xxh3_64_intdigest(stream.encode())
    low = np.uint64(0xFFFFFFFF)
    c = [index & low, index >> np.uint64(32), np.full(count, name & 0xFFFFFFFF, np.uint64), np.full(count, name >> 32, np.uint64)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a = np.uint64(0xD2511F53) * c[0]
        b = np.uint64(0xCD9E8D57) * c[2]
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]), b & low, (a >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]), a & low]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c[0] | c[1] << np.uint64(32)


def picture(height, width, seed):
    count = height * width * 3
    data = philox_bits(seed, "resize fixture", (count + 7) // 8).astype("<u8").view(np.uint8)[:count]
    if seed % 2:
        data = (data & 1) * np.uint8(255)
    return Image.fromarray(data.reshape(height, width, 3))


def sizes():
    draw = random.Random(13)
    for number in range(450):
        largest = draw.choice([6, 30, 100, 300])
        yield tuple(draw.randint(1, largest) for _ in range(4))
    for number in range(42):  # around the rule of the pass order: H_in - H_out = 2 (W_in - W_out) + 0, 1, -1
        new_height, width, shrink = draw.randint(1, 40), draw.randint(21, 60), draw.randint(-10, 20)
        rest = 2 * shrink + number % 3 - 1
        yield max(1, new_height + rest), width, new_height, width - shrink
    for number in range(8):  # one axis, or none
        height, width = draw.randint(1, 90), draw.randint(1, 90)
        yield height, width, height if number % 2 else draw.randint(1, 90), width if number % 3 else draw.randint(1, 90)
    yield 480, 640, 336, 448
    yield 427, 640, 336, 503
    yield 50, 700, 336, 4704 // 4
    yield 1, 1, 64, 64
    yield 300, 1, 7, 5


def digest(image):
    return xxhash.xxh64(np.asarray(image).tobytes()).hexdigest()


def main():
    assert PIL.__version__.startswith("13."), PIL.__version__
    lines = []
    for number, (height, width, new_height, new_width) in enumerate(sizes()):
        kind = 1 + number % 3
        image = picture(height, width, number)
        both = image.resize((new_width, new_height), kind)
        # Two calls of one pass each.
        horizontal_first = image.resize((new_width, height), kind).resize((new_width, new_height), kind)
        lines.append(json.dumps([height, width, new_height, new_width, kind, number, digest(both), digest(horizontal_first)]))
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    main()
