"""Small pictures of every kind that scripts/check_pictures.py and scripts/make_decode_fixture.py compare with Pillow."""
import io
import struct
import zlib

import numpy as np
from PIL import Image


def picture(random, height=19, width=23, channels=3):
    """Smooth with some noise."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [128 + 100 * np.sin(x / (3 + c) + c) * np.cos(y / (4 + c)) for c in range(channels)]
    noisy = np.stack(planes, -1) + random.normal(0, 12, (height, width, channels))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def saved(image, kind, **options):
    to = io.BytesIO()
    image.save(to, kind, **options)
    return to.getvalue()


def in_modes(random):
    rgb = Image.fromarray(picture(random))
    rgba = Image.fromarray(picture(random, channels=4), "RGBA")
    gray = rgb.convert("L")
    palette = rgb.quantize(13)
    clear = palette.copy()
    clear.info["transparency"] = 3
    return {"1": gray.convert("1"), "L": gray, "LA": rgba.convert("LA"), "P": palette, "P256": rgb.quantize(256), "Pclear": clear,
            "RGB": rgb, "RGBA": rgba, "CMYK": rgb.convert("CMYK"), "YCbCr": rgb.convert("YCbCr"), "LAB": rgb.convert("LAB"),
            "I;16": Image.fromarray(random.integers(0, 600, (19, 23)).astype(np.uint16)),
            "I": Image.fromarray(random.integers(-100, 600, (19, 23)).astype(np.int32)),
            "F": Image.fromarray(random.normal(120, 100, (19, 23)).astype(np.float32)),
            "PA": palette.convert("PA")}


def gifs(random, modes):
    for mode in ("1", "L", "P", "P256", "Pclear", "RGB", "RGBA"):
        for interlace in (0, 1):
            yield f"{mode}{interlace}.gif", saved(modes[mode], "GIF", interlace=interlace)
    frames = [Image.fromarray(picture(random)) for _ in range(3)]
    yield "anim.gif", saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    yield "one.gif", saved(modes["P"].crop((0, 0, 1, 1)), "GIF")
    big = Image.fromarray(picture(random, 300, 400)).quantize(256)
    yield "big.gif", saved(big, "GIF")
    data = bytearray(saved(modes["P"], "GIF"))
    yield "wider_screen.gif", bytes(data[:6]) + struct.pack("<HH", 40, 30) + bytes(data[10:])
    yield "smaller_screen.gif", bytes(data[:6]) + struct.pack("<HH", 10, 10) + bytes(data[10:])
    clear = bytearray(saved(modes["Pclear"], "GIF"))
    yield "clear_wider.gif", bytes(clear[:6]) + struct.pack("<HH", 40, 30) + bytes(clear[10:])


def webps(random, modes):
    exif = Image.Exif()
    exif[274] = 6
    for mode in ("RGB", "RGBA", "L", "P", "Pclear"):
        yield f"{mode}_lossy.webp", saved(modes[mode], "WEBP", quality=60)
        yield f"{mode}_lossless.webp", saved(modes[mode], "WEBP", lossless=True)
    yield "exact.webp", saved(modes["RGBA"], "WEBP", lossless=True, exact=True)
    yield "exif.webp", saved(modes["RGB"], "WEBP", exif=exif.tobytes())
    yield "xmp.webp", saved(modes["RGB"], "WEBP", xmp=b'<x tiff:Orientation="8"/>')
    frames = [Image.fromarray(picture(random, channels=4), "RGBA") for _ in range(3)]
    yield "anim.webp", saved(frames[0], "WEBP", save_all=True, append_images=frames[1:])
    yield "anim_rgb.webp", saved(frames[0].convert("RGB"), "WEBP", save_all=True, append_images=[f.convert("RGB") for f in frames[1:]])


def bmp(bits, rows, palette=b"", size=(23, 19), compression=0, header=40, masks=(), height=None, colors=0, offset=None):
    width, real = size
    height = real if height is None else height
    if header == 12:
        head = struct.pack("<LHHHH", 12, width, height, 1, bits)
    else:
        head = struct.pack("<LlLHHLLllLL", 40, width, height & 0xFFFFFFFF, 1, bits, compression, len(rows), 2835, 2835, colors, 0)
        extra = b"".join(struct.pack("<L", m) for m in masks)
        head = struct.pack("<L", header) + head[4:] + extra
        if header > 40:
            head = head[:header].ljust(header, b"\0")
    at = 14 + len(head) + len(palette) if offset is None else offset
    return b"BM" + struct.pack("<LLL", at + len(rows), 0, at) + head + palette + rows


def bmps(random, modes):
    for mode in ("1", "L", "P", "P256", "RGB", "RGBA"):
        yield f"{mode}.bmp", saved(modes[mode], "BMP")

    def rows(bits):
        stride = ((23 * bits + 31) >> 3) & ~3
        return random.integers(0, 256, 19 * stride, dtype=np.uint8).tobytes()
    for bits in (1, 4, 8):
        colors = random.integers(0, 256, 4 << bits, dtype=np.uint8).tobytes()
        yield f"palette{bits}.bmp", bmp(bits, rows(bits), colors)
        yield f"topdown{bits}.bmp", bmp(bits, rows(bits), colors, height=-19)
        yield f"os2_{bits}.bmp", bmp(bits, rows(bits), random.integers(0, 256, 3 << bits, dtype=np.uint8).tobytes(), header=12)
        yield f"few{bits}.bmp", bmp(bits, rows(bits), colors[:8], colors=2)
        yield f"at_palette{bits}.bmp", bmp(bits, rows(bits), colors, offset=54)
    grays = b"".join(bytes((i, i, i, 0)) for i in range(256))
    yield "gray8.bmp", bmp(8, rows(8), grays)
    yield "gray4.bmp", bmp(4, rows(4), grays[:64])
    yield "black_and_white.bmp", bmp(1, rows(1), b"\0\0\0\0\xff\xff\xff\0")
    yield "black_and_white8.bmp", bmp(8, rows(8), b"\0\0\0\0\xff\xff\xff\0", colors=2)
    for bits in (16, 24, 32):
        yield f"rgb{bits}.bmp", bmp(bits, rows(bits))
        yield f"topdown{bits}.bmp", bmp(bits, rows(bits), height=-19)
    for n, masks in enumerate([(0xFF0000, 0xFF00, 0xFF, 0), (0xFF000000, 0xFF0000, 0xFF00, 0), (0xFF000000, 0xFF00, 0xFF, 0),
                               (0xFF000000, 0xFF0000, 0xFF00, 0xFF), (0xFF, 0xFF00, 0xFF0000, 0xFF000000),
                               (0xFF0000, 0xFF00, 0xFF, 0xFF000000), (0xFF000000, 0xFF00, 0xFF, 0xFF0000), (0, 0, 0, 0), (1, 2, 4, 8)]):
        for header in (56, 108, 124):
            yield f"fields32_{n}_v{header}.bmp", bmp(32, rows(32), compression=3, header=header, masks=masks)
        yield f"fields32_{n}.bmp", bmp(32, rows(32), masks=masks[:3], compression=3)
    for n, masks in enumerate([(0xF800, 0x7E0, 0x1F), (0x7C00, 0x3E0, 0x1F), (0xF00, 0xF0, 0xF)]):
        yield f"fields16_{n}.bmp", bmp(16, rows(16), masks=masks, compression=3)
    yield "fields24.bmp", bmp(24, rows(24), masks=(0xFF0000, 0xFF00, 0xFF), compression=3)
    colors = random.integers(0, 256, 1024, dtype=np.uint8).tobytes()
    runs8 = b"".join(bytes((10, 7, 0, 5)) + random.integers(0, 256, 5, dtype=np.uint8).tobytes() + b"\0" + bytes((8, 200, 0, 0)) for _ in range(19))
    yield "runs8.bmp", bmp(8, runs8 + b"\0\1", colors, compression=1)
    yield "runs8_topdown.bmp", bmp(8, runs8 + b"\0\1", colors, compression=1, height=-19)
    yield "runs8_short.bmp", bmp(8, runs8[:40] + b"\0\1", colors, compression=1)
    yield "runs8_delta.bmp", bmp(8, bytes((0, 2, 3, 1)) + runs8 + b"\0\1", colors, compression=1)
    runs4 = b"".join(bytes((12, 0x3A, 0, 5, 0x12, 0x34, 0x56, 0, 6, 0x77, 0, 0)) for _ in range(19))
    yield "runs4.bmp", bmp(4, runs4 + b"\0\1", colors[:64], compression=2)


def tiff(entries, blocks, order="<", magic=42):
    """entries {tag: (type, values)}; blocks: strips or tiles, whose offsets and sizes are put into `entries` by the tags there."""
    widths = {1: 1, 3: 2, 4: 4}
    at = 8
    offsets = []
    for block in blocks:
        offsets.append(at)
        at += len(block)
    at += at % 2
    body = b"".join(blocks).ljust(at - 8, b"\0")
    tags = dict(entries)
    where = 324 if 322 in tags else 273
    tags[where] = (4, offsets)
    tags[325 if 322 in tags else 279] = (4, [len(b) for b in blocks])
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "HL", magic, at)
    behind = at + 2 + 12 * len(tags) + 4
    directory, data = struct.pack(order + "H", len(tags)), b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = b"".join(struct.pack(order + {1: "B", 3: "H", 4: "L"}[kind], v) for v in values)
        if len(packed) <= 4:
            field = packed.ljust(4, b"\0")
        else:
            field = struct.pack(order + "L", behind + len(data))
            data += packed + b"\0" * (len(packed) % 2)
        directory += struct.pack(order + "HHL", tag, kind, len(values)) + field
    return head + body + directory + struct.pack(order + "L", 0) + data


def raw_tiffs(random):
    width, height = 23, 19

    def one(photometric, bits, order="<", extra=(), fill=1, form=None, planes=1, rows=7, compression=1, tile=None, turn=None):
        tags = {256: (3, [width]), 257: (3, [height]), 258: (3, list(bits)), 259: (3, [compression]), 262: (3, [photometric]),
                277: (3, [len(bits)]), 284: (3, [planes])}
        if extra:
            tags[338] = (3, list(extra))
        if fill != 1:
            tags[266] = (3, [fill])
        if form:
            tags[339] = (3, [form] * len(bits))
        if turn:
            tags[274] = (3, [turn])
        if photometric == 3:
            tags[320] = (3, list(random.integers(0, 65536, 3 << bits[0])))
        if photometric == 6:
            tags[530] = (3, [1, 1])
        each = sum(bits) if planes == 1 else bits[0]
        if tile:
            tags[322], tags[323] = (3, [tile]), (3, [tile])
            sizes = [tile * ((tile * each + 7) // 8)] * (-(-width // tile) * -(-height // tile))
        else:
            tags[278] = (3, [rows])
            line = (width * each + 7) // 8
            sizes = [line * min(rows, height - y) for y in range(0, height, rows)]
        if planes == 2:
            sizes = sizes * len(bits)
        if form == 3:
            blocks = [random.normal(120, 100, s // 4).astype(order + "f4").tobytes() for s in sizes]
        elif len(bits) == 1 and bits[0] > 8:
            blocks = [random.integers(0, 256, s, dtype=np.uint8).tobytes() for s in sizes]
            kind = f"{order}{'i' if form == 2 else 'u'}{bits[0] // 8}"
            if bits[0] in (16, 32):
                blocks = [random.integers(-50 if form == 2 else 0, 500, s * 8 // bits[0]).astype(kind).tobytes() for s in sizes]
        else:
            blocks = [random.integers(0, 256, s, dtype=np.uint8).tobytes() for s in sizes]
        if compression == 8:
            blocks = [zlib.compress(b) for b in blocks]
        return tiff(tags, blocks, order)
    kinds = []
    for photometric in (0, 1):
        for bits in (1, 2, 4, 8, 16, 32):
            kinds.append((photometric, (bits,), (), None))
        kinds += [(photometric, (16,), (), 2), (photometric, (32,), (), 2), (photometric, (32,), (), 3), (photometric, (8,), (), 2), (photometric, (12,), (), None)]
    kinds += [(1, (8, 8), (e,), None) for e in (0, 1, 2)]
    kinds += [(2, (8,) * 3, (), None), (2, (8,) * 4, (), None)] + [(2, (8,) * 4, (e,), None) for e in (0, 1, 2, 999)]
    kinds += [(2, (8,) * 5, (e, 0), None) for e in (0, 1, 2)] + [(2, (8,) * 6, (e, 0, 0), None) for e in (0, 1, 2)]
    kinds += [(2, (16,) * 3, (), None), (2, (16,) * 4, (), None)] + [(2, (16,) * 4, (e,), None) for e in (0, 1, 2)]
    kinds += [(3, (b,), (), None) for b in (1, 2, 4, 8)] + [(3, (8, 8), (e,), None) for e in (0, 2)]
    kinds += [(5, (8,) * 4, (), None), (5, (8,) * 5, (0,), None), (5, (8,) * 6, (0, 0), None), (5, (16,) * 4, (), None)]
    kinds += [(6, (8,), (), None), (6, (8,) * 3, (), None), (2, (12,) * 3, (), None), (4, (1,), (), None)]
    for photometric, bits, extra, form in kinds:
        name = f"{photometric}_{len(bits)}x{bits[0]}_{'-'.join(map(str, extra))}_{form or 1}"
        for order in "<>":
            for compression in (1, 8):
                yield f"raw_{name}_{'II' if order == '<' else 'MM'}{compression}.tif", one(photometric, bits, order, extra, form=form, compression=compression)
        if sum(bits) <= 24:
            yield f"fill2_{name}.tif", one(photometric, bits, "<", extra, fill=2, form=form)
            yield f"fill2_{name}_z.tif", one(photometric, bits, "<", extra, fill=2, form=form, compression=8)
        for compression in (1, 8):
            yield f"tiles_{name}_{compression}.tif", one(photometric, bits, "<", extra, form=form, tile=16, compression=compression)
            if form is None:
                yield f"planes_{name}_{compression}.tif", one(photometric, bits, "<", extra, planes=2, compression=compression)
    for turn in range(1, 9):
        yield f"turned{turn}.tif", one(2, (8, 8, 8), turn=turn)
    yield "one_strip.tif", one(2, (8, 8, 8), rows=19)


def tiffs(random, modes):
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate"):
        for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "PA"):
            try:
                yield f"{mode}_{compression}.tif", saved(modes[mode], "TIFF", compression=compression)
            except (OSError, KeyError, ValueError, RuntimeError):
                pass
    for mode in ("L", "RGB", "CMYK", "YCbCr"):
        yield f"{mode}_jpeg.tif", saved(modes[mode], "TIFF", compression="jpeg", quality=80)
    for compression in ("group3", "group4"):
        yield f"{compression}.tif", saved(modes["1"], "TIFF", compression=compression)
    yield "predictor.tif", saved(modes["RGB"], "TIFF", compression="tiff_lzw", tiffinfo={317: 2})
    yield "two_pages.tif", saved(modes["RGB"], "TIFF", save_all=True, append_images=[modes["L"]])
    yield "big.tif", saved(modes["RGB"], "TIFF", big_tiff=True)
    yield from raw_tiffs(random)


def jpegs(random, modes):
    for mode in ("L", "RGB", "CMYK"):
        for options in ({}, {"progressive": True}, {"quality": 30, "optimize": True}, {"restart_marker_rows": 1}):
            yield f"{mode}_{'_'.join(options) or 'plain'}.jpg", saved(modes[mode], "JPEG", **options)
    for sampling in (0, 1, 2):
        yield f"sampling{sampling}.jpg", saved(modes["RGB"], "JPEG", subsampling=sampling)
    plain = saved(modes["RGB"], "JPEG", quality=90)
    yield "before_eoi.jpg", plain[:-2] + b"\x12\x34" + plain[-2:]
    sos = plain.index(b"\xff\xda")
    yield "before_sos.jpg", plain[:sos] + b"\x00\x11" + plain[sos:]
    yield "fill_bytes.jpg", plain[:sos] + b"\xff\xff\xff" + plain[sos:]
    yield "no_eoi.jpg", plain[:-2]
    for n in range(12):
        data = bytearray(plain)
        data[int(random.integers(sos + 14, len(data) - 2))] = int(random.integers(256))
        yield f"garbled{n}.jpg", bytes(data)


def pngs(random, modes):
    for mode in ("1", "L", "LA", "P", "P256", "Pclear", "RGB", "RGBA", "I;16"):
        yield f"{mode}.png", saved(modes[mode], "PNG")
    plain = saved(Image.fromarray(picture(random, 20, 30)), "PNG")
    yield "no_iend.png", plain[:-12]
    yield "half_iend.png", plain[:-6]
    data = bytearray(plain)
    data[-13] ^= 1  # the checksum of the pixels
    yield "wrong_data_sum.png", bytes(data)

    def chunk(kind, content, off=0):
        return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content) ^ off)
    for name, extra in {"text": chunk(b"tEXt", b"a\0b"), "text_sum": chunk(b"tEXt", b"a\0b", 1), "unknown": chunk(b"abCd", b"12345"),
                        "gamma_short": chunk(b"gAMA", b"1"), "profile": chunk(b"iCCP", b"a\0\0" + zlib.compress(b"x" * 2000000)),
                        "profile_kind": chunk(b"iCCP", b"a\0\1"), "ztext": chunk(b"zTXt", b"a\0\0broken"), "ztext_kind": chunk(b"zTXt", b"a\0\1"),
                        "actl": chunk(b"acTL", struct.pack(">LL", 1, 0))}.items():
        yield f"{name}_before.png", plain[:33] + extra + plain[33:]
        yield f"{name}_behind.png", plain[:-12] + extra + plain[-12:]
    frames = [Image.fromarray(picture(random)) for _ in range(3)]
    yield "anim.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:])
    yield "anim_default.png", saved(frames[0], "PNG", save_all=True, append_images=frames[1:], default_image=True)
    raw = b"".join(b"\0" + bytes(30) for _ in range(6))
    for name, content in {"short_stream": zlib.compress(raw[:93]), "cut_row": zlib.compress(raw[:100]), "long_stream": zlib.compress(raw + raw),
                          "wrong_adler": zlib.compress(raw)[:-1] + b"\7"}.items():
        yield f"{name}.png", (plain[:8] + chunk(b"IHDR", struct.pack(">LLBBBBB", 10, 6, 8, 2, 0, 0, 0)) + chunk(b"IDAT", content)
                              + chunk(b"IEND", b""))
    index = zlib.compress(b"".join(b"\0" + bytes(range(y, y + 10)) for y in range(6)))
    for name, parts in {"few_colors": [chunk(b"PLTE", bytes(range(100, 112)))], "no_palette": [],
                        "odd_palette": [chunk(b"PLTE", bytes(range(100, 114)))],
                        "late_palette": [chunk(b"tRNS", b"\1\2"), chunk(b"PLTE", bytes(range(100, 112)))]}.items():
        yield f"{name}.png", (plain[:8] + chunk(b"IHDR", struct.pack(">LLBBBBB", 10, 6, 8, 3, 0, 0, 0)) + b"".join(parts)
                              + chunk(b"IDAT", index) + chunk(b"IEND", b""))


def all_kinds(random):
    modes = in_modes(random)
    for make in (jpegs, pngs, gifs, webps, bmps, tiffs):
        yield from make(random, modes)
