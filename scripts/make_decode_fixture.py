#!/usr/bin/env python3
"""Writes tests/goldens/decode: small files of every kind the decoders read, and what Pillow makes of them.

expected.json: for each file its size and XXH64 (seed 0) of the RGB bytes after exif_transpose, with alpha dropped
("drop": convert("RGB")) and composed with white ("white": as transformers' convert_to_rgb), and without
exif_transpose ("stored"). damages.json: for some files the first 8 digits of "drop" of the file cut off before byte i
("cut") and with bit i % 8 of byte i flipped ("flip"), for each i; "" where Pillow refuses the file.

    python3 -m venv .venv && .venv/bin/pip install pillow==13.0.0 numpy xxhash
    .venv/bin/python scripts/make_decode_fixture.py
"""
import io
import itertools
import json
import pathlib
import sys
import struct
import zlib

import numpy as np
import xxhash
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import picture_kinds  # noqa: E402
from pillow_pictures import composed_with_white, opened, pixel_bytes  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests" / "goldens" / "decode"
random = np.random.default_rng(7)
DAMAGED = ["tiny_baseline.jpg", "tiny_progressive.jpg", "cmyk.jpg", "rgb8.png", "palette2_trns.png", "rgba16_interlaced.png",
           "gray1.png", "exif_behind.png", "tiny.gif", "tiny_interlaced.gif", "tiny.webp", "tiny_lossless.webp", "tiny_palette.bmp",
           "tiny_runs.bmp", "tiny_raw.tif", "tiny_lzw.tif"]


def picture(height, width, channels):
    """Smooth with some noise, so that chroma upsampling and the transform matter."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(x / (3 + c) + c) * np.cos(y / (4 + c)) for c in range(channels)]
    noisy = np.stack(planes, -1) + random.normal(0, 12, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def tiff_block(orientation, byte_order="<", kind=3, before=()):
    """An EXIF block whose only entry that counts is the orientation (tag 274)."""
    head = (b"II\x2a\0" if byte_order == "<" else b"MM\0\x2a") + struct.pack(byte_order + "L", 8)
    entries, data = [], b""
    count = len(before) + 1
    behind = 8 + 2 + 12 * count + 4
    for tag, text in before:
        entries.append(struct.pack(byte_order + "HHLL", tag, 2, len(text), behind + len(data)))
        data += text
    value = struct.pack(byte_order + {3: "HH", 4: "L"}[kind], *((orientation, 0) if kind == 3 else (orientation,)))
    entries.append(struct.pack(byte_order + "HHL", 274, kind, 1) + value)
    return head + struct.pack(byte_order + "H", count) + b"".join(entries) + struct.pack(byte_order + "L", 0) + data


def chunk(kind, data):
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


PASSES = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def png(samples, depth, color, interlaced=False, before=(), behind=()):
    """samples [H, W, channels], integers below 2^depth."""
    def rows_of(part):
        result = b""
        for number, row in enumerate(part):
            bits = "".join(format(int(v), f"0{depth}b") for v in row.reshape(-1))
            bits += "0" * (-len(bits) % 8)
            line = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
            if number % 2 and depth == 8:  # the "sub" filter on every other row
                step = part.shape[2]
                line = b"\1" + bytes((v - (line[i - step] if i >= step else 0)) & 255 for i, v in enumerate(line))
            else:
                line = b"\0" + line
            result += line
        return result
    height, width, _ = samples.shape
    if interlaced:
        raw = b"".join(rows_of(samples[y::dy, x::dx]) for y, x, dy, dx in PASSES if samples[y::dy, x::dx].size)
    else:
        raw = rows_of(samples)
    packed = zlib.compress(raw)
    half = len(packed) // 2
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, depth, color, 0, 0, int(interlaced)))
            + b"".join(before) + chunk(b"IDAT", packed[:half]) + chunk(b"IDAT", packed[half:])
            + b"".join(behind) + chunk(b"IEND", b""))


def jpeg(array, mode="RGB", **options):
    to = io.BytesIO()
    Image.fromarray(array if array.shape[-1] > 1 else array[..., 0], mode).save(to, "JPEG", **options)
    return to.getvalue()


def ycck(array):
    """The same file marked as YCCK (Adobe transform 2)."""
    data = bytearray(jpeg(array, "CMYK", quality=90))
    at = data.index(b"Adobe")
    data[at + 11] = 2
    return bytes(data)


def with_app1(data, payloads):
    markers = b"".join(b"\xff\xe1" + struct.pack(">H", len(p) + 2) + p for p in payloads)
    return data[:2] + markers + data[2:]


def files():
    for sampling, name in ((0, "444"), (1, "422"), (2, "420")):
        for progressive in (False, True):
            kind = "progressive" if progressive else "baseline"
            yield f"{kind}_{name}.jpg", jpeg(picture(37, 53, 3), quality=80, subsampling=sampling, progressive=progressive)
    yield "gray.jpg", jpeg(picture(20, 31, 1), "L", quality=75)
    yield "cmyk.jpg", jpeg(picture(23, 19, 4), "CMYK", quality=90)
    yield "ycck.jpg", ycck(picture(23, 19, 4))
    yield "rgb_stored.jpg", jpeg(picture(21, 18, 3), quality=90, keep_rgb=True)
    yield "restart.jpg", jpeg(picture(40, 40, 3), quality=60, restart_marker_rows=1)
    for progressive in (False, True):
        name = "tiny_progressive.jpg" if progressive else "tiny_baseline.jpg"
        yield name, jpeg(picture(18, 21, 3), quality=40, subsampling=2, progressive=progressive, optimize=True)
    yield "one_pixel.jpg", jpeg(picture(1, 1, 3))
    base = jpeg(picture(17, 26, 3), quality=85)
    for orientation in range(10):
        order = "<" if orientation % 2 else ">"
        yield f"exif{orientation}.jpg", with_app1(base, [b"Exif\0\0" + tiff_block(orientation, order)])
    yield "exif_long.jpg", with_app1(base, [b"Exif\0\0" + tiff_block(6, kind=4, before=((271, b"Maker of it\0"),))])
    whole = tiff_block(8, before=((272, b"A camera\0"),))
    yield "exif_in_two_markers.jpg", with_app1(base, [b"Exif\0\0" + whole[:20], b"Exif\0\0" + whole[20:]])
    cut = tiff_block(6, before=((271, b"Maker of it, cut off\0"),))[:-6]
    yield "exif_truncated.jpg", with_app1(base, [b"Exif\0\0" + cut])
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="8"/>'
    yield "xmp.jpg", with_app1(base, [xmp])
    yield "xmp_and_exif.jpg", with_app1(base, [xmp, b"Exif\0\0" + tiff_block(3)])

    for interlaced in (False, True):
        suffix = "_interlaced" if interlaced else ""
        for depth in (1, 2, 4, 8, 16):
            top = 2 ** depth
            gray = random.integers(0, top, (11, 13, 1))
            if depth == 16:
                gray[::2] //= 300  # some stay below 256
            yield f"gray{depth}{suffix}.png", png(gray, depth, 0, interlaced)
            trns = chunk(b"tRNS", struct.pack(">H", int(gray[3, 4, 0])))
            yield f"gray{depth}_trns{suffix}.png", png(gray, depth, 0, interlaced, [trns])
            if depth <= 8:
                colors = min(top, 200)
                palette = chunk(b"PLTE", random.integers(0, 256, colors * 3, dtype=np.uint8).tobytes())
                index = random.integers(0, colors, (11, 13, 1))
                yield f"palette{depth}{suffix}.png", png(index, depth, 3, interlaced, [palette])
                alphas = chunk(b"tRNS", random.integers(0, 256, colors // 2, dtype=np.uint8).tobytes())
                yield f"palette{depth}_trns{suffix}.png", png(index, depth, 3, interlaced, [palette, alphas])
                only = chunk(b"tRNS", b"\xff" * (colors // 2) + b"\0")
                yield f"palette{depth}_one_clear{suffix}.png", png(index, depth, 3, interlaced, [palette, only])
            if depth >= 8:
                yield f"gray_alpha{depth}{suffix}.png", png(random.integers(0, top, (11, 13, 2)), depth, 4, interlaced)
                color = random.integers(0, top, (11, 13, 3))
                yield f"rgb{depth}{suffix}.png", png(color, depth, 2, interlaced)
                trns = chunk(b"tRNS", struct.pack(">HHH", *(int(v) for v in color[5, 6])))
                yield f"rgb{depth}_trns{suffix}.png", png(color, depth, 2, interlaced, [trns])
                yield f"rgba{depth}{suffix}.png", png(random.integers(0, top, (11, 13, 4)), depth, 6, interlaced)
    rgb = random.integers(0, 256, (11, 13, 3))
    pairs = np.stack(np.meshgrid(np.arange(256), np.arange(256)), -1)
    yield "every_alpha.png", png(pairs, 8, 4)
    yield "exif.png", png(rgb, 8, 2, before=[chunk(b"eXIf", tiff_block(6))])
    yield "exif_behind.png", png(rgb, 8, 2, behind=[chunk(b"eXIf", tiff_block(5, ">"))])
    profile = b"\nexif\n      44\n" + (b"Exif\0\0" + tiff_block(8)).hex().encode() + b"\n"
    yield "exif_profile.png", png(rgb, 8, 2, before=[chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))])
    xmp = b"<tiff:Orientation>7</tiff:Orientation>"
    yield "xmp.png", png(rgb, 8, 2, before=[chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)])
    yield "xmp_compressed.png", png(rgb, 8, 2, behind=[chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp))])
    yield "gamma_and_profile.png", png(rgb, 8, 2, before=[chunk(b"gAMA", struct.pack(">L", 100000)),
                                                         chunk(b"iCCP", b"junk\0\0" + zlib.compress(b"no profile"))])
    yield "one_pixel.png", png(rgb[:1, :1], 8, 2)


def of_other_formats():
    """Of picture_kinds.py, a part: what is not yet here, and small ones to damage."""
    source = np.random.default_rng(11)
    modes = picture_kinds.in_modes(source)
    small = {mode: image.crop((0, 0, 9, 7)) for mode, image in modes.items()}
    for image in small.values():
        image.info.clear()
    small["Pclear"].info["transparency"] = 3
    for name, data in picture_kinds.all_kinds(source):
        skipped = name.endswith(("jpg", "png")) and not name.startswith(("half", "before", "fill", "garbled0", "no_iend", "wrong", "short", "few", "text_b", "anim"))
        tiff = name.endswith("tif") and ("_MM" in name or "planes" in name or "tiles" in name and "2_3x8" not in name)
        if not (skipped or tiff or len(data) > 6000):
            yield name, data
    yield "tiny.gif", picture_kinds.saved(small["Pclear"], "GIF", interlace=0)
    yield "tiny_interlaced.gif", picture_kinds.saved(small["P"], "GIF", interlace=1)
    yield "tiny.webp", picture_kinds.saved(small["RGB"], "WEBP", quality=40)
    yield "tiny_lossless.webp", picture_kinds.saved(small["RGBA"], "WEBP", lossless=True)
    yield "tiny_palette.bmp", picture_kinds.saved(small["P"], "BMP")
    yield "tiny_runs.bmp", picture_kinds.bmp(8, bytes((5, 1, 0, 4, 1, 2, 3, 4, 0, 0)) * 3 + b"\0\1", bytes(range(64)), size=(9, 3), compression=1, colors=16)
    yield "tiny_raw.tif", picture_kinds.saved(small["RGB"], "TIFF")
    yield "tiny_lzw.tif", picture_kinds.saved(small["RGBA"], "TIFF", compression="tiff_lzw")


def digest(image):
    return xxhash.xxh64(pixel_bytes(image)).hexdigest()


def damaged(data, how):
    """What Pillow makes of the file cut off before, or with one bit wrong in, each byte."""
    for i in range(len(data)):
        broken = bytearray(data[:i] if how == "cut" else data)
        if how == "flip":
            broken[i] ^= 1 << i % 8
        try:
            with opened(broken) as image:
                rgb = image.convert("RGB")
                yield "" if max(rgb.size) > 65500 else digest(rgb)[:8]  # the limit of Longsight
        except Exception:  # Pillow raises many types for broken files
            yield ""


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    expected = {}
    reported = ((path.name, path.read_bytes()) for path in sorted(FOLDER.glob("reported_*")))  # from trouble reports
    for name, data in itertools.chain(files(), of_other_formats(), reported):
        try:
            Image.open(io.BytesIO(data)).convert("RGB")
        except Exception:  # the check script compares what both refuse
            continue
        (FOLDER / name).write_bytes(data)
        stored = Image.open(io.BytesIO(data))
        with opened(data) as upright:
            expected[name] = {
                "height": upright.height,
                "width": upright.width,
                "drop": digest(upright.convert("RGB")),
                "white": digest(composed_with_white(upright)),
                "stored": digest(stored.convert("RGB")),
            }
    (FOLDER / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    # Where the two versions of libjpeg-turbo differ (Debian's 2.1.5 and Pillow's 3.2.0): null. With Pillow's own as libjpeg.so.62
    # in LD_LIBRARY_PATH, build/host/tests/decode_pictures gives what Pillow gives.
    different = {"tiny_baseline.jpg": [396], "tiny_progressive.jpg": [510, 517, 552]}
    damages = {name: {how: list(damaged((FOLDER / name).read_bytes(), how)) for how in ("cut", "flip")} for name in DAMAGED}
    for name, places in different.items():
        for i in places:
            damages[name]["flip"][i] = None
    (FOLDER / "damages.json").write_text(json.dumps(damages) + "\n")


if __name__ == "__main__":
    main()
