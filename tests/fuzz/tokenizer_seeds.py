"""Tokenizers, honest and hostile: content by name. large_...: about a megabyte each."""
import json
import os
import struct

from seed_files import GOLDENS, MIB, deep, files, numbered
from text_seeds import ODD_JSON

def bpe(vocab, merges=(), **more):
    return json.dumps({
        "version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer":
        {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}, "post_processor": None, "decoder":
        {"type": "ByteLevel"}, "model": {"type": "BPE", "vocab": vocab, "merges": list(merges)}, **more
    })


def added(content, number, **more):
    return {
        "id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
        "special": True, **more
    }


LETTERS = {c: i for i, c in enumerate("abcdefghijklmnopqrstuvwxyz")}


def tokenizer_json():
    def split(regex):
        return {
            "type":
            "Sequence", "pretokenizers":
            [{"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False},
             {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}]
        }

    return files(
        "tests/goldens/tokenizer/families/*/tokenizer.json", "configs/tiny/tokenizer/tokenizer.json",
        most=20_000) | numbered(ODD_JSON, "odd") | numbered([
            bpe(LETTERS),
            bpe({**LETTERS, "ab": 26}, ["a b"]),
            bpe({**LETTERS, "ab": 26}, [["a", "b"]]),
            bpe({}),
            bpe({"a": 16_777_215}),
            bpe({"a": 1 << 40}),
            bpe({"a": -1}),
            bpe({"a": 1.5}),
            bpe({"a": 0, "b": 0}),
            bpe(LETTERS, ["a z"]),
            bpe(LETTERS, ["a"]),
            bpe(LETTERS, ["a b c"]),
            bpe(LETTERS, [["a", "b", "c"]]),
            bpe(LETTERS, [[1, 2]]),
            bpe(LETTERS, ["x y"] * 100),
            bpe(LETTERS, added_tokens=[added("<image>", 16_777_215)]),
            bpe(LETTERS, added_tokens=[added("<image>", 1 << 63)]),
            bpe(LETTERS, added_tokens=[added("", 26)]),
            bpe(LETTERS, added_tokens=[added("a", 30)]),
            bpe(LETTERS, added_tokens=[added(" ", 26, lstrip=True, rstrip=True, single_word=True)]),
            bpe(LETTERS, added_tokens=[added("l" * 10_000, 26)]),
            bpe(LETTERS, added_tokens=3),
            bpe(LETTERS, added_tokens=[3]),
            bpe(LETTERS, pre_tokenizer=split("(a+)+$")),
            bpe(LETTERS, pre_tokenizer=split("(?:a|aa)+b")),
            bpe(LETTERS, pre_tokenizer=split("(" * 300)),
            bpe(LETTERS, pre_tokenizer=split("(?R)")),
            bpe(LETTERS, pre_tokenizer=split("a{65535}{65535}")),
            bpe(LETTERS, pre_tokenizer=split("(?=a*)*")),
            bpe(LETTERS, pre_tokenizer=split("\\p{L}+|\\s+|.")),
            bpe(LETTERS, pre_tokenizer=split("")),
            bpe(LETTERS, pre_tokenizer=split("x*")),
            bpe(LETTERS, pre_tokenizer=split("(?<=(?:a|bb)*)c")),
            bpe(LETTERS,
                pre_tokenizer={
                    "type": "Split", "pattern": {"String": "a"}, "behavior": "MergedWithNext", "invert": True
                }),
            bpe(LETTERS, pre_tokenizer={"type": "Sequence", "pretokenizers": []}),
            bpe(LETTERS, pre_tokenizer={"type": "Digits", "individual_digits": True}),
            bpe(LETTERS, pre_tokenizer={"type": "Metaspace", "replacement": "__"}),
            bpe(LETTERS, normalizer={"type": "Replace", "pattern": {"String": "l"}, "content": "l" * 5000}),
            bpe(LETTERS,
                normalizer={
                    "type": "Sequence", "normalizers":
                    [{"type": "Replace", "pattern": {"String": "l"}, "content": "ll"}] * 40
                }),
            bpe(LETTERS, normalizer={"type": "Prepend", "prepend": "x" * 10_000}),
            bpe(LETTERS, normalizer={"type": "NFC"}),
            bpe(LETTERS, normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}),
            bpe(LETTERS,
                decoder={
                    "type": "Sequence", "decoders":
                    [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa"}] * 40
                }),
            bpe(LETTERS, decoder={"type": "Strip", "content": " ", "start": 1 << 40, "stop": 0}),
            bpe(LETTERS,
                post_processor={
                    "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "q", "type_id": 0}}, {
                        "Sequence": {"id": "A", "type_id": 0}
                    }], "pair": [], "special_tokens": {}
                }),
            bpe(LETTERS,
                model={
                    "type": "BPE", "vocab": LETTERS, "merges": [], "byte_fallback": True, "unk_token": "a", "fuse_unk":
                    True, "ignore_merges": True
                }),
            bpe(LETTERS, model={"type": "BPE", "vocab": LETTERS}),
            bpe(LETTERS, model={"type": "Unigram", "vocab": []}),
            bpe(LETTERS, model={"type": "BPE", "vocab": LETTERS, "merges": [], "dropout": 0.1}),
            bpe(LETTERS, model=None)
        ])


def large_tokenizers():
    def words(n):
        return {f"{i:x}": i for i in range(n)}

    return {
        "vocabulary":
        bpe(words(70_000)), "merges":
        bpe(LETTERS, ["a b"] * (MIB // 7 - 100)), "added":
        bpe(LETTERS, added_tokens=[added(f"<{i}>", 26 + i) for i in range(7_000)]), "large_id":
        bpe({"a": 16_777_215}), "largest_id":
        bpe({"a": 1_048_575}), "long_token":
        bpe({"a" * (MIB - 2000): 0}), "nested":
        deep(MIB // 2), "keys":
        json.dumps(words(70_000)), "numbers":
        "{\"model\": [" + "0," * (MIB // 2 - 20) + "0]}", "lists":
        "{\"model\": [" + "[]," * (MIB // 3 - 20) + "0]}", "long_replacement":
        bpe(LETTERS, normalizer={"type": "Replace", "pattern": {"String": "l"}, "content": "l" * (MIB - 2000)}),
        "growth":
        bpe(LETTERS,
            normalizer={
                "type": "Sequence", "normalizers":
                [{"type": "Replace", "pattern": {"String": "l"}, "content": "ll"}] * 60
            }), "growth_of_decoder":
        bpe(LETTERS,
            decoder={
                "type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": "l"}, "content": "ll"}] * 60
            })
    }


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def piece(text, kind=1, score=0.0):
    return field(1, field(1, text) + b"\x15" + struct.pack("<f", score) + b"\x18" + varint(kind))


def sentencepiece():
    with open(os.path.join(GOLDENS, "tokenizer", "sentencepiece", "tokenizer.model"), "rb") as file:
        good = file.read()
    base = piece(b"<unk>", 2) + piece(b"<s>", 3) + piece(b"</s>", 3)
    byte_pieces = b"".join(piece(b"<0x%02X>" % i, 6) for i in range(256))
    bpe_kind, unigram = field(2, b"\x18\x02"), field(2, b"\x18\x01")

    def charsmap(blob):
        return base + piece(b"a") + unigram + field(3, field(2, blob))

    return {"good": good, "half": good[:len(good) // 2], "twice": good + good} | numbered([
        b"",
        base,
        base + piece(b"a"),
        base + piece(b"a") + bpe_kind,
        base + byte_pieces + bpe_kind + field(2, b"\x98\x02\x01"),
        base + base,
        piece(b"a"),
        base + piece(b""),
        base + piece(b"a") + piece(b"a"),
        base + piece(b"\xff\xfe"),
        base + piece(b"a", 1, float("nan")) + unigram,
        base + piece(b"a", 1, float("inf")) + unigram,
        base + piece(b"a\0b") + unigram,
        base + piece(b"x" * 10_000) + unigram,
        base + piece(b"<0x41>", 6),
        base + field(2, b"\x18\x63"),
        base + field(2, b"\xc0\x02\xff\xff\xff\xff\x0f"),
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a" * 100,
        b"\x0b" * 500,
        # Tables of the normaliser: none, too short, one that leads outside of itself.
        charsmap(b""),
        charsmap(b"\x01"),
        charsmap(struct.pack("<I", 4) + b"\0\0\0\0"),
        charsmap(struct.pack("<I", 1 << 31) + b"\0" * 8),
        charsmap(struct.pack("<I", 1024) + struct.pack("<I", 0xFFFFFC00) * 256 + b"a\0"),
        charsmap(struct.pack("<I", 1024) + struct.pack("<256I", *([1 << 10 | 1 << 8] * 256)) + b"a\0"),
        charsmap(
            struct.pack("<I", 1024) + struct.pack("<256I", *[(0x1FFFFF << 10) | 1 << 8 | i
                                                             for i in range(256)]) + b"a\0"),
        charsmap(
            struct.pack("<I", 1024) + struct.pack("<256I", *[0x7FFFFFFF if i % 2 else 1 << 8 | i
                                                             for i in range(256)]) + b"a"),
        charsmap(struct.pack("<I", 6) + b"abcdef"),
        charsmap(struct.pack("<I", 1024) + b"\0" * 1024 + b"no end")
    ])


def large_sentencepiece():
    base = piece(b"<unk>", 2) + piece(b"<s>", 3) + piece(b"</s>", 3)
    return {
        "pieces": base + b"".join(piece(b"%x" % i) for i in range(60_000)), "long_piece":
        base + piece(b"a" * (MIB - 100)), "zeros": bytes(MIB), "groups": b"\x0b" * MIB
    }
