#!/usr/bin/env python3
"""Compares token ids with the libraries `tokenizers` and `sentencepiece`, for real vocabularies: Qwen (from the PyPI package
dashscope) and a Llama-style SentencePiece model (from mistral-common), in every form that model folders have them in.

    cmake --build build/host --target tokenize
    scripts/check_tokenizers.py [--binary build/host/tests/tokenize] [--work build/tokenizers] [--lines 10000] [--only qwen]

Makes a virtual environment in the work folder and takes the packages from PyPI, the first time. Texts: mixed lines (code,
sentences in two dozen languages, special tokens, noise), every Unicode code point alone, and combining marks in pairs. Prints
the number of differing texts for each tokenizer, and the speed of both sides on the lines, one thread each. Exits with 1 if
anything differs.
"""

import argparse
import base64
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import time
import unicodedata
import zipfile

PACKAGES = ["tokenizers==0.23.3", "sentencepiece==0.2.3", "faker==40.63.0"]
DATA_PACKAGES = ["dashscope==2.0.2", "mistral-common==1.13.1"]  # for their vocabularies: downloaded, not installed

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>"]
LLAMA_SPECIAL = ["<unk>", "<s>", "</s>"]
MARK = "\u2581"


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/tests/tokenize")
    parser.add_argument("--work", default="build/tokenizers", type=pathlib.Path)
    parser.add_argument("--lines", default=10_000, type=int)
    parser.add_argument("--only", default="", help="tokenizers whose name holds this")
    return parser.parse_args()


def in_environment(work):
    """Goes on inside of the work folder's virtual environment."""
    python = work / "venv/bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", work / "venv"], check=True)
    if pathlib.Path(sys.prefix).resolve() == (work / "venv").resolve():
        return
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--no-cache-dir", *PACKAGES], check=True)
    if not list((work / "wheels").glob("dashscope*")):
        subprocess.run([*pip, "download", "--no-cache-dir", "--no-deps", "--dest", work / "wheels", *DATA_PACKAGES], check=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.execv(python, [str(python), *sys.argv])


def member(work, wheel, name):
    """The content of a file in a downloaded package."""
    (path,) = (work / "wheels").glob(wheel)
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


# ---- tokenizer folders ----


def byte_letters():
    """The GPT-2 byte alphabet."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


def merges_of_ranks(ranks):
    """The two parts that are merged last in each token, in the order of the tokens."""
    merges = []
    for token, rank in sorted(ranks.items(), key=lambda item: item[1]):
        parts = [token[i : i + 1] for i in range(len(token))]
        while len(parts) > 2:
            pairs = [(ranks.get(parts[i] + parts[i + 1], rank), i) for i in range(len(parts) - 1)]
            best, at = min(pairs)
            if best >= rank:
                raise ValueError(f"token {rank} is not made of earlier ones")
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        if len(parts) == 2:
            merges.append(parts)
    return merges


def added(tokens, first):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return [{"id": first + i, "content": token, **plain} for i, token in enumerate(tokens)]


def qwen_json(work):
    letters = byte_letters()
    lines = member(work, "dashscope*", "dashscope/resources/qwen.tiktoken").split(b"\n")
    ranks = {base64.b64decode(line.split()[0]): int(line.split()[1]) for line in lines if line}

    def text(token):
        return "".join(letters[byte] for byte in token)

    split = {"type": "Split", "pattern": {"Regex": QWEN2}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": added(QWEN_SPECIAL, len(ranks)),
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "post_processor": byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "vocab": {text(token): rank for token, rank in ranks.items()},
            "merges": [[text(left), text(right)] for left, right in merges_of_ranks(ranks)],
        },
    }


def llama_model(work):
    """vocab and merges of a SentencePiece model, as tokenizer.json has them: of merges to one piece, all are there."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(work / "llama-model/tokenizer.model"))
    vocab = {processor.id_to_piece(i): i for i in range(len(processor))}
    merges = []
    for piece, i in vocab.items():
        splits = [(piece[:at], piece[at:]) for at in range(1, len(piece))]
        splits = [(left, right) for left, right in splits if left in vocab and right in vocab]
        splits.sort(key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
        merges += [(-processor.get_score(i), list(pair)) for pair in splits]
    merges.sort(key=lambda merge: merge[0])
    return {
        "type": "BPE",
        "unk_token": "<unk>",
        "fuse_unk": True,
        "byte_fallback": True,
        "vocab": vocab,
        "merges": [pair for _, pair in merges],
    }


def llama_json(model, normalizer, pre_tokenizer):
    replace = {"type": "Replace", "pattern": {"String": MARK}, "content": " "}
    decoders = [replace, {"type": "ByteFallback"}, {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    return {
        "version": "1.0",
        "added_tokens": added(LLAMA_SPECIAL, 0) + added(["<image>"], len(model["vocab"])),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": model,
    }


def metaspace(scheme, split):
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": scheme, "split": split}


def write_folders(work):
    def write(name, tokenizer):
        (work / name).mkdir(parents=True, exist_ok=True)
        (work / name / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")

    write("qwen", qwen_json(work))
    plain = work / "llama-model"
    plain.mkdir(parents=True, exist_ok=True)
    (plain / "tokenizer.model").write_bytes(member(work, "mistral_common*", "mistral_common/data/tokenizer.model.v1"))
    model = llama_model(work)
    (plain / "added_tokens.json").write_text(json.dumps({"<image>": len(model["vocab"])}))
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
    prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, replace]}
    gemma = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
    write("llama-prepend", llama_json(model, prepend, None))
    write("llama-always", llama_json(model, None, metaspace("always", False)))
    write("llama-first", llama_json(model, None, metaspace("first", False)))
    write("llama-split", llama_json(model, None, metaspace("always", True)))
    write("gemma-form", llama_json(model, replace, gemma))


# ---- texts ----


def code_lines(count):
    """Lines of Python's own library."""
    files = sorted(pathlib.Path(os.__file__).parent.glob("*.py"))
    lines = [line for file in files for line in file.read_text(encoding="utf-8", errors="ignore").split("\n") if line.strip()]
    return random.sample(lines, count)


def sentences(count):
    import faker

    locales = "ar_AA bg_BG cs_CZ de_DE el_GR en_US es_ES fa_IR fr_FR he_IL hi_IN hy_AM ja_JP ka_GE ko_KR pl_PL ru_RU ta_IN th_TH"
    locales += " tr_TR uk_UA vi_VN zh_CN zh_TW"
    makers = [faker.Faker(locale) for locale in locales.split()]
    for maker in makers:
        maker.seed_instance(3)

    def line(i):
        maker = makers[i % len(makers)]
        parts = [maker.paragraph, maker.sentence, maker.address, lambda: f"{maker.name()}, {maker.job()}: {maker.phone_number()}"]
        return parts[i // len(makers) % len(parts)]()

    return [line(i) for i in range(count)]


def noise(count):
    pieces = ["a", "B", "the", " ", "  ", "\n", "\r\n", "\t", "'s", "'LL", "1", "234", "½", "é", "e\u0301", "你好", "😀", "👍🏽", "🇽🇰"]
    pieces += ["\u00a0", "\u3000", MARK, " " + MARK, "ß", "ſ", "'ſ", "한", "\u1100\u1161", "ก็", "<image>", "<s>", "</s>", "<unk>", "<ima"]
    pieces += ["<|im_start|>", "<|im_end|>", "<|image_pad|>", "<0x0A>", "...", "!?", "_", "—", "\u200d", "\ufeff", "\u0000", "\U0010ffff"]
    return ["".join(random.choices(pieces, k=random.randint(1, 40))) for _ in range(count)]


def marks_in_pairs(each):
    marks = [chr(c) for c in range(0x110000) if unicodedata.combining(chr(c))]
    return [f"e{a}{b} {a}{b}" for a in marks for b in random.sample(marks, each)]


def texts(lines):
    random.seed(5)
    mixed = code_lines(lines * 4 // 10) + sentences(lines * 4 // 10)
    mixed += noise(lines - len(mixed))
    random.shuffle(mixed)
    return {
        "lines": mixed,
        "code points": [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000],
        "marks in pairs": marks_in_pairs(20),
    }


# ---- both sides ----


def ours(binary, folder, texts, *flags):
    stdin = "\n".join(json.dumps(text) for text in texts) + "\n"
    run = subprocess.run([binary, folder, *flags], input=stdin, capture_output=True, text=True, check=False)
    if run.returncode != 0:
        sys.exit(run.stderr)
    return run.stdout


def ids_of(output):
    return [[int(i) for i in line.split()] for line in output.split("\n")[:-1]]


class Tokenizers:
    def __init__(self, folder):
        import tokenizers

        self.tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))

    def batch(self, texts):
        return self.tokenizer.encode_batch(texts, add_special_tokens=False)

    def ids(self, texts):
        return [encoding.ids for encoding in self.batch(texts)]


class SentencePiece:
    """Special tokens split off, each part through SentencePiece."""

    def __init__(self, folder):
        import sentencepiece

        self.processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        self.special = {token: i for i, token in enumerate(LLAMA_SPECIAL)}
        self.special["<image>"] = len(self.processor)
        self.pattern = re.compile("(" + "|".join(map(re.escape, self.special)) + ")")

    def batch(self, texts):
        return [self.one(text) for text in texts]

    ids = batch

    def one(self, text):
        result = []
        for part in self.pattern.split(text):
            result += [self.special[part]] if part in self.special else self.processor.encode(part) if part else []
        return result


def seconds(call, *arguments):
    best = None
    for _ in range(5):
        begin = time.perf_counter()
        call(*arguments)
        taken = time.perf_counter() - begin
        best = taken if best is None else min(best, taken)
    return best


def main():
    arguments = parse_arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    in_environment(arguments.work)
    write_folders(arguments.work)
    all_texts = texts(arguments.lines)
    different = 0
    print(f"{'tokenizer':14} {'texts':15} {'number':>8} {'differ':>7}")
    for folder in sorted(path.parent for path in arguments.work.glob(f"*{arguments.only}*/tokenizer.*")):
        reference = SentencePiece(folder) if (folder / "tokenizer.model").exists() else Tokenizers(folder)
        for name, some in all_texts.items():
            expected, got = reference.ids(some), ids_of(ours(arguments.binary, folder, some))
            wrong = [i for i in range(len(some)) if i >= len(got) or got[i] != expected[i]]
            print(f"{folder.name:14} {name:15} {len(some):8} {len(wrong):7}", flush=True)
            for i in wrong[:3]:
                print(f"    {some[i]!a}\n      expected {expected[i][:40]}\n      got      {got[i][:40]}")
            different += len(wrong)
        lines = all_texts["lines"]
        size = sum(len(line.encode()) for line in lines) / 1e6
        own = float(ours(arguments.binary, folder, lines, "--time"))
        other = seconds(reference.batch, lines)
        print(f"{folder.name:14} MB/s {size / own:.1f}, reference {size / other:.1f}: {other / own:.2f} times", flush=True)
    print(f"{different} differences")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
