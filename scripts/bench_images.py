#!/usr/bin/env python3
"""Decoding and resizing against Pillow on one core: makes pictures, runs both sides in turn, prints a table.

Times are milliseconds of one thread's core time per image (median of the rounds' medians): from file to RGB, and bicubic
with the shorter edge at 336 pixels. The ratio is Pillow's time over ours for both steps together: above 1 we are
faster.

    scripts/setup.sh --with-peers
    cmake --preset host -DLONGSIGHT_NATIVE=ON && cmake --build --preset host --target longsight
    .venv/bin/python scripts/bench_images.py [--binary build/host/longsight] [--rounds 5] [--seconds 0.5]
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import numpy as np
import PIL
from PIL import Image

SIZE = 336


def picture(height, width, seed):
    """Detail on all scales, as photographs have."""
    random = np.random.default_rng(seed)
    sum_ = np.full((height, width, 3), 128.0)
    for scale in (4, 8, 16, 32, 64, 128, 256):
        shape = (height * scale // 512 + 3, width * scale // 512 + 3, 3)
        noise = random.normal(size=shape).astype(np.float32)
        layers = [Image.fromarray(noise[:, :, c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(3)]
        sum_ += np.stack([np.asarray(layer) for layer in layers], -1) * 40 / scale**0.5
    return Image.fromarray(np.clip(sum_, 0, 255).astype(np.uint8))


def write_pictures(folder):
    for name, height, width in (("small", 480, 640), ("hd", 1080, 1920), ("camera", 3000, 4000)):
        image = picture(height, width, height)
        image.save(folder / f"{name}.jpg", quality=88)
        if name == "camera":
            continue
        image.save(folder / f"{name}.png")
        if name == "small":
            image.save(folder / f"{name}_progressive.jpg", quality=88, progressive=True)
            image.quantize(64).save(folder / f"{name}_palette.png")
            image.convert("RGBA").save(folder / f"{name}_alpha.png")
    return sorted(str(file) for file in folder.iterdir())


def pillow_times(file, seconds):
    decode, resize = [], []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(decode) < 3:
        start = time.thread_time()
        image = Image.open(file).convert("RGB")
        middle = time.thread_time()
        short, factor = min(image.size), SIZE
        image.resize(tuple(int(factor * edge / short) for edge in image.size), Image.Resampling.BICUBIC)
        decode.append(middle - start)
        resize.append(time.thread_time() - middle)
    return 1e3 * statistics.median(decode), 1e3 * statistics.median(resize)


def our_times(binary, files, seconds):
    command = [binary, "bench", "images", "--json", "--size", str(SIZE), "--seconds", str(seconds), *files]
    result = subprocess.run(command, check=True, capture_output=True, text=True,
                            env={**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
    return [(line["decode_ms"], line["resize_ms"]) for line in json.loads(result.stdout.splitlines()[-1])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/longsight")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="for each file, side and round")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write_pictures(pathlib.Path(folder))
        ours, theirs = [], []
        for _ in range(arguments.rounds):
            ours.append(our_times(arguments.binary, files, arguments.seconds))
            theirs.append([pillow_times(file, arguments.seconds) for file in files])
    print(f"Pillow {PIL.__version__}, {arguments.rounds} rounds in turn; milliseconds of one core\n")
    print("| picture | decode: Longsight | Pillow | resize: Longsight | Pillow | both: Pillow / Longsight |")
    print("|---|---|---|---|---|---|")
    for i, file in enumerate(files):
        a, b = [[statistics.median(round_[i][step] for round_ in side) for step in (0, 1)] for side in (ours, theirs)]
        print(f"| {pathlib.Path(file).name} | {a[0]:.2f} | {b[0]:.2f} | {a[1]:.2f} | {b[1]:.2f} | {sum(b) / sum(a):.2f} |")


if __name__ == "__main__":
    main()
