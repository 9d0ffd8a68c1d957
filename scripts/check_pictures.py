#!/usr/bin/env python3
"""Pictures of all kinds, valid, odd and broken, decoded by Longsight and by Pillow 13: the same bytes, or both refuse.

Pictures come from Pillow, from generators of formats that it does not write, and from those by cutting them off and
flipping bits. Compared are size and RGB bytes after exif_transpose as read and with white behind them, and that the size
from the header is that of the picture. Prints what differs; exit code 1 if anything does.

    .venv/bin/python scripts/check_pictures.py [--cases 20] [--seed 1] [--keep DIR] [--binary build/host/tests/decode_pictures]

--cases: broken variants of each kind of file.
"""
import argparse
import pathlib
import random as python_random
import subprocess
import sys
import tempfile
import zlib

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from picture_kinds import all_kinds  # noqa: E402
from pillow_pictures import composed_with_white, opened, pixel_bytes  # noqa: E402


def digest(image):
    return f"{zlib.crc32(pixel_bytes(image)):08x}"


def by_pillow(path):
    """[width, height, hash, hash with white] or "refused ..."."""
    try:
        with opened(path) as image:
            rgb = image.convert("RGB")
            if max(rgb.size) > 65500:
                return "refused: beyond what Longsight reads"
            return [str(rgb.width), str(rgb.height), digest(rgb), digest(composed_with_white(image))]
    except Exception as error:  # Pillow raises many types for broken files
        return f"refused {type(error).__name__}: {error}"


def broken(data, random, count):
    """The file cut off, with one bit wrong, with a byte wrong, with junk behind it."""
    if not count:
        return
    yield "junk", data + b"\0\xffjunk" * 3
    for n in range(count):
        choice = n % 3
        if choice == 0:
            cut = random.randrange(len(data)) if n % 2 else len(data) - 1 - random.randrange(min(40, len(data)))
            yield f"cut{cut}", data[:cut]
        else:
            at = random.randrange(len(data)) if n % 2 else random.randrange(min(len(data), 200))
            changed = bytearray(data)
            changed[at] = changed[at] ^ 1 << random.randrange(8) if choice == 1 else random.randrange(256)
            yield f"byte{at}", bytes(changed)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep")
    parser.add_argument("--only", default="")
    parser.add_argument("--binary", default="build/host/tests/decode_pictures")
    arguments = parser.parse_args()
    random = python_random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(arguments.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name, data in all_kinds(np.random.default_rng(arguments.seed)):
            if arguments.only not in name:
                continue
            variants = [("", data), *broken(data, random, arguments.cases)]
            for n, (how, content) in enumerate(variants):
                path = folder / f"{name}.{n}.{how}"
                path.write_bytes(content)
                paths.append(path)
        ran = subprocess.run([arguments.binary], input="\n".join(map(str, paths)) + "\n", capture_output=True, text=True)
        lines = ran.stdout.splitlines()
        if ran.returncode or len(lines) != len(paths):
            sys.exit(f"{arguments.binary} ended with {ran.returncode} after {len(lines)} of {len(paths)} files, "
                     f"at {paths[min(len(lines), len(paths) - 1)]}: {ran.stderr[-2000:]}")
        counts = {"equal": 0, "both refuse": 0}
        wrong = []
        for path, line in zip(paths, lines):
            pillow = by_pillow(path)
            ours = line.split()
            if isinstance(pillow, str):
                if line.startswith("refused 65"):
                    counts["both refuse"] += 1
                else:
                    wrong.append(f"{path.name}: Pillow: {pillow[:120]}; ours: {line[:120]}")
            elif ours[:4] == pillow and ours[4:6] == pillow[:2]:
                counts["equal"] += 1
            else:
                wrong.append(f"{path.name}: Pillow: {' '.join(pillow)}; ours: {line[:160]}")
    for text in wrong:
        print(text)
    print(f"{len(paths)} pictures: {counts['equal']} equal, {counts['both refuse']} refused by both, {len(wrong)} differ")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
