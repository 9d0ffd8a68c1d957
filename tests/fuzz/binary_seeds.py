"""Safetensors, archives and pictures, honest and hostile: content by name. large_...: up to 100 MB."""
import gzip
import io
import json
import os
import struct
import tarfile
import zlib

from seed_files import GOLDENS, MIB, deep, escapes, files, numbered

def container(header, body=b"", length=None):
    text = header if isinstance(header,
                                bytes) else header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def data_index():
    """Behind the letter of the kind: fingerprint, how many numbers, the numbers, a text."""
    def body(numbers, text=b"", count=None):
        return struct.pack("<QQ", 1, len(numbers) if count is None else count) + struct.pack(f"<{len(numbers)}q", *numbers) + text

    big = 2**63 - 1
    lines = [[0, 13, 1, 14, 13, 2], [], [0, 13], [-1, 13, 1], [0, -1, 1], [0, 13, 0], [big, 13, 1], [0, big, 1], [big, big, big],
             [0, 1 << 24, 1], [0, (1 << 24) + 1, 1], [5, 13, 1], [0, 0, 1], [26, 2, 9]]
    names = b"a.jsonb.json"
    members = [512, 13, 0, 6, 1536, 13, 6, 6]
    tars = [[2, 0, 1, *members], [0], [2, 0, 0, *members], [2, 1, 0, *members], [1, 0, *members], [3, 0, 1, *members], [big, 0, 1], [-1],
            [2, 0, 1, big, 13, 0, 6, *members[4:]], [2, 0, 1, 512, big, 0, 6, *members[4:]], [2, 0, 1, 512, 13, big, 6, *members[4:]],
            [2, 0, 1, 512, 13, 0, big, *members[4:]], [2, 0, 1, 512, 13, 12, 1, *members[4:]], [1, 0, *members * 50], [0, *members]]
    return numbered([b"l" + body(n) for n in lines], "lines") | numbered([b"t" + body(n, names) for n in tars], "tar") | numbered(
        [b"l" + body([0, 13, 1], count=c) for c in [0, 4, 2**61, 2**64 - 1]], "count") | numbered(
            [b"", b"l", b"t", b"w", b"wlongsight index 2\n", b"l" + bytes(15)], "short")


def safetensors():
    two = {"a": entry("F32", [2], 0, 8), "b": entry("BF16", [2, 2], 8, 16)}
    body = bytes(range(16))
    return numbered([
        container(two, body),
        container({"__metadata__": {"format": "pt"}, **two}, body),
        container("{}"),
        container({"a": entry("F32", [0], 0, 0)}),
        container({"a": entry("F32", [], 0, 4)}, b"1234"),
        container("{}   "),
        # Lengths of the header that cannot be.
        container(two, body, 0),
        container(two, body, 1 << 63),
        container(two, body, (1 << 64) - 1),
        container(two, body, (1 << 64) - 8),
        container(two, body, 100_000_001),
        container(two, body, 100_000_000),
        b"1234567",
        b"",
        # Overlaps, holes, places outside of the file, backwards.
        container({**two, "b": entry("BF16", [2, 2], 4, 12)}, body),
        container({**two, "b": entry("BF16", [2, 2], 9, 17)}, body + b"x"),
        container(two, body + b"x"),
        container(two, body[:-1]),
        container({"a": entry("F32", [2], 8, 0)}, body),
        container({"a": entry("F32", [2], 0, 8), "b": entry("F32", [2], 0, 8)}, body[:8]),
        container({"a": entry("U8", [8], (1 << 64) - 8, 1 << 64)}, body),
        container({"a": entry("U8", [8], -8, 0)}, body),
        container({"a": entry("U8", [8], 0.0, 8.0)}, body[:8]),
        # Shapes whose product does not fit, or fits again behind 2^64.
        container({"a": entry("F32", [1 << 62, 4], 0, 0)}),
        container({"a": entry("F32", [1 << 63], 0, 0)}),
        container({"a": entry("F64", [1 << 61], 0, 0)}),
        container({"a": entry("U8", [1 << 32, 1 << 32], 0, 0)}),
        container({"a": entry("F32", [(1 << 63) - 1, 0], 0, 0)}),
        container({"a": entry("F32", [1 << 63, 0], 0, 0)}),
        container({"a": entry("F32", [-2], 0, 8)}, body[:8]),
        container({"a": entry("F32", [1] * 9, 0, 4)}, body[:4]),
        container({"a": entry("F32", [1] * 1000, 0, 4)}, body[:4]),
        # Names and fields.
        container("{\"a\":%s,\"a\":%s}" % (json.dumps(two["a"]), json.dumps(two["a"])), body[:8]),
        container({"": two["a"]}, body[:8]),
        container({"x" * 600: two["a"]}, body[:8]),
        container({"a\0b": two["a"]}, body[:8]),
        container("{\"a\x01\":{}}"),
        container(b"{\"\xff\xfe\":{}}"),
        container({"a": {**two["a"], "more": 1}}, body[:8]),
        container({"a": {"dtype": "F32", "shape": [2]}}, body[:8]),
        container({"a": entry("F4", [2], 0, 1)}, b"x"),
        container({"a": entry("BOOL", [2], 0, 2)}, b"xy"),
        container({"__metadata__": {"a": 1}}),
        container({"__metadata__": []}),
        container({"__metadata__": {"a": "b"}, "__metadata__ ": two["a"]}, body[:8]),
        container("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}"),
        container("{\"__metadata__\":{},\"__metadata__\":{}}"),
        # JSON that is none, deep, or something else.
        container(deep(1000)),
        container("{\"a\":" + deep(1000) + "}"),
        container("{\"a\":" * 1000),
        container("[]"),
        container(" {}"),
        container("{}\0"),
        container("{"),
        container("\ufeff{}"),
        container("{\"a\":{\"dtype\":\"F32\",\"shape\":[" + "1," * 500 + "1],\"data_offsets\":[0,4]}}", b"1234")
    ])


def large_safetensors():
    many = io.StringIO()
    many.write("{")
    many.write(",".join(f"\"{i}\":{{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[{i},{i + 1}]}}"
                        for i in range(1_000_000)))
    many.write("}")
    return {
        "million_tensors": container(many.getvalue(), bytes(1_000_000)), "header_of_100_mb":
        container("{" + " " * 99_999_998 + "}"), "string_of_100_mb": container("{\"" + "a" * 99_999_990 + "\":1}"),
        "number_of_100_mb": container("{\"a\":{\"shape\":[" + "1" * 99_999_900), "metadata":
        container("{\"__metadata__\":{" + ",".join(f"\"{i}\":\"\"" for i in range(80_000)) + "}}"), "brackets":
        container("{\"a\":" + "[" * 10_000_000), "nothing": container("", length=1 << 63) + bytes(MIB)
    }


def archive(*members, form=tarfile.USTAR_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, content, *more in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for key, value in (more[0] if more else {}).items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def tar():
    record = b'{"messages": [{"role": "user", "content": "<image>"}, {"role": "assistant", "content": "a"}], "images": ["%s"]}'
    good = archive(("a.json", record % b"a.png"), ("a.png", b"x"))
    changed = []
    for at, field_bytes in [(124, b"\x80" + b"\xff" * 11), (124, b"77777777777\0"), (124, b"-0000000001\0"),
                            (124, b"\xff" * 12), (124, b"           \0"), (156, b"S"), (156, b"x"), (156, b"g"),
                            (156, b"L"), (156, b"2"), (156, b"\xff"), (0, b"\0"), (0, b"../../etc/passwd"),
                            (0, b"/etc/passwd"), (0, b"\xff\xfe"), (148, b"0000000\0"), (257, b"\0" * 8)]:
        changed.append(good[:at] + field_bytes + good[at + len(field_bytes):])
    pax = [archive(("x" * 200 + ".json", b"{}"), form=tarfile.PAX_FORMAT)]
    for record_text in [
            b"9999999999 path=a\n", b"0 path=a\n", b"11 path=a\n", b"12 size=-1\n\n", b"30 size=99999999999999999999\n",
            b"19 GNU.sparse.a=1\n\n", b" =\n", b"99999999999999999999999 a=b\n"
    ]:
        block = archive(("x", record_text, {"type": b"x"}))[:1024]
        pax.append(block + good)
    return files("tests/goldens/data_formats/shards/*.tar") | {"good": good} | numbered(changed, "changed") | numbered(
        pax, "pax") | numbered(
            [archive(("a.json", record % name.encode()), ("a.png", b"x"))
             for name in escapes() if "\0" not in name], "escape") | numbered([
                 b"", b"\0" * 512, b"\0" * 1024, good[:700], good + good, good[:-1024], good + b"x",
                 archive(("a.json", b"{"), ("a.png", b"x")),
                 archive(("a.txt", b"caption"), ("a.png", b"x")),
                 archive(("a.json", b"{}")),
                 archive(("a.png", b"x")),
                 archive(("a.json", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"})),
                 archive(("a.json", b"", {"type": tarfile.LNKTYPE, "linkname": "../x"})),
                 archive(("a.json", b"", {"type": tarfile.CHRTYPE})),
                 archive(*[("a.json", b"{}")] * 20),
                 archive(*[(f"{i}.txt", b"x") for i in range(20)]),
                 archive(("d/" * 50 + "a.json", b"{}"), form=tarfile.GNU_FORMAT)
             ])


def large_tars():
    return {
        "members": archive(*[(f"{i}.txt", b"") for i in range(2000)]), "one": archive(("a.txt", b"x" * (MIB - 3000))),
        "pax_in_a_row": (archive(("x", b"10 path=a\n", {"type": b"x"}))[:1024]) * 1000, "zeros": bytes(MIB), "long_pax":
        archive(("x", b"%d path=%s\n" % (MIB - 4000 + 14, b"a" * (MIB - 4000)), {"type": b"x"}), ("a", b""))
    }


def gzip_files():
    text = b'{"text": "x"}\n' * 50
    good = gzip.compress(text, mtime=0)
    return {"good": good} | numbered([
        good + good, good[:-1], good[:-4], good[:-8] + b"\0" * 8, good[:10], good[:3], b"\x1f\x8b", good + b"x",
        good + b"\0" * 100, b"\x1f\x8b\x08\xff" + b"\xff" * 100,
        gzip.compress(bytes(100_000)),
        gzip.compress(b"")
    ])


def picture(suffix):
    small = files(f"tests/goldens/decode/*.{suffix}", most=6000)
    cut = {f"cut-{name}": data[:len(data) * 2 // 3] for name, data in list(small.items())[::3]}
    return small | cut


def png_attacks():
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start, end = b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")

    def header(width, height, depth=8, color=2, interlace=0):
        return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlace))

    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    bomb = chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(10_000_000)))
    return numbered([
        start + header(w, h) + body + end
        for w, h in [(0, 1), (1, 0), (2**31, 1), (2**31 - 1, 2**31 - 1), (65500, 65500), (1, 65501), (1024, 1024), (1,
                                                                                                                    1)]
    ] + [
        start + header(1, 1, d, c, i) + body + end
        for d, c, i in [(3, 0, 0), (16, 3, 0), (1, 2, 0), (8, 7, 0), (8, 2, 9), (8, 3, 1)]
    ] + [
        start + header(1, 1) + chunk(b"IDAT", zlib.compress(bytes(10_000_000))) + end, start + header(1, 1) + bomb +
        body + end, start + header(1, 1) + bomb * 8 + body + end, start + header(1, 1) + body, start +
        header(1, 1) * 2 + body + end,
        # A stream that asks for a dictionary.
        start + header(1, 1) + chunk(b"IDAT", b"\x78\xbb\0\0\0\1" + bytes(20)) + end,
        # What was read of the first header does not hold for the second.
        start + header(1, 1, 1, 3) + chunk(b"PLTE", b"abcdef") + chunk(b"tRNS", b"a") + header(1, 1) + body + end,
        start + header(40, 40) + chunk(b"acTL", struct.pack(">II", 1, 0)) +
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 8, 8, 32, 32, 0, 0, 0, 0)) + header(8, 8) + body + end, start + header(1, 1) + chunk(b"PLTE", b"abcd") + body + end, start +
        header(1, 1) + chunk(b"tRNS", b"a" * 999) + body + end, start + body + end, start + struct.pack(">I", 2**31) +
        b"IHDR", start + header(1, 1) + chunk(b"acTL", b"\xff" * 8) + body + end
    ])


def jpeg_attacks():
    with open(os.path.join(GOLDENS, "decode", "baseline_444.jpg"), "rb") as file:
        good = file.read()
    frame = good.find(b"\xff\xc0")

    def size(height, width):
        return good[:frame + 5] + struct.pack(">HH", height, width) + good[frame + 9:]

    scans = good.find(b"\xff\xda")
    return numbered([
        size(65500, 65500),
        size(65535, 65535),
        size(0, 10),
        size(10, 0),
        size(1024, 1024), good[:2] + b"\xff\xe1\xff\xff" + good[2:], good[:scans] * 2 + good[scans:],
        good[:scans] + good[scans:-2] * 50, good[:2] + b"\xff\xfe\x00\x01" + good[2:],
        good[:frame] + b"\xff\xc2" + good[frame + 2:], good[:frame] + b"\xff\xc9" + good[frame + 2:],
        good[:2] + b"\xff" * 3000
    ])
