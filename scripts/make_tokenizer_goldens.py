#!/usr/bin/env python3
"""Writes tests/goldens/tokenizer/: what the library `tokenizers` makes of texts, for many kinds of tokenizer.json
(cases.json), what it learns from texts (learned.json), and what transformers makes of conversations with the chat templates
of runtime/data/chat_templates.h (chats.json).

    pip install tokenizers==0.23.3 transformers==5.23.0 jinja2==3.1.6
    scripts/make_tokenizer_goldens.py

Each case is a JSON merge patch (RFC 7396) on the tokenizer.json of tests/goldens/llava-clip-llama. `code_points` are hashes
(FNV-1a, 64 bit) over the ids of every code point in several surroundings, one for each block of 256 code points: see blocks().
"""

import copy
import json
import pathlib
import random
import re

import tokenizers
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = ROOT / "tests/goldens/llava-clip-llama/model/tokenizer.json"
OUT = ROOT / "tests/goldens/tokenizer"

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
OTHER = r"[A-Z]?[a-z]+|\d{1,2}|\s+|[^\sA-Za-z0-9]+"  # no scanner of ours; leaves gaps

TEXTS = [
    "", " ", "  ", "\n", " \n", "\n ", "a", "Hello, world!", "  two  spaces ", "tab\tand\r\nCRLF\n\n\nend\n",
    "it's we're I've you'll he'd I'm can't", "IT'S WE'RE I'VE YOU'LL HE'D I'M CAN'T", "'S 'ſ 'x ' '' 'r 'l 'v 'll",
    "1 12 123 1234 12345 1,234.5 x1y22z333", "½ ² Ⅷ ٣٤٥ १२३४ 𝟙𝟚𝟛", "naïve café Zürich — “quotes” … €5", "你好，世界。日本語テキスト 한국어",
    "Привет мир Ελληνικά עברית العربية", "emoji 😀👨‍👩‍👧‍👦🇽🇰 👍🏽", "e\u0301 a\u0323\u0302 \u1100\u1161\u11a8 \u212b \u0958 \ufb01",
    "def f(x):\n    return x  # two  spaces\n\tand a tab", "<s>x</s> <image>\n<image>y <unk>", "<image", "<imag<image>e>",
    "</s></s><s>", " <image> ", "x<pad>  y", "\u00a0nbsp\u2003em\u3000ideographic\u200bzero\u180emvs", "\u0085next\u2028line\u2029par",
    "a" * 47, "a" * 48, "a" * 49, "the " * 30, "ab" * 100, "x\u0000y\u0001\u007f", "\ufeffbom \ufffd \U0010ffff",
    "  \n  \n\n  x", "\r\r\n\n\r", "!!!???...\n\nnext", " ' 's", "#$%^&*()_+{}|:<>?", "\u0301leading mark", "aaaa bbbb cccc dddd the the",
    "foo foobar barfoo foo_ foo. 'foo' foo", "x FOO  y FOO\n\nz", "café <caf\u00e9> <cafe\u0301>", "BAR BARBAR  BAR",
]


def flags(**given):
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    return {**plain, **given}


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def byte_level(**given):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **given}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def cases(base):
    last = byte_level(use_regex=False)
    specials = base["added_tokens"]
    merges = base["model"]["merges"]
    more = [
        flags(id=782, content="foo", single_word=True),
        flags(id=783, content=" FOO", lstrip=True, rstrip=True),
        flags(id=784, content="<cafe\u0301>", normalized=True),
        flags(id=785, content="BAR", lstrip=True, special=True),
        flags(id=786, content="BARB", rstrip=True, normalized=True),
    ]
    bos, eos = ({"SpecialToken": {"id": name, "type_id": 0}} for name in ("<s>", "</s>"))
    text = {"Sequence": {"id": "A", "type_id": 0}}
    template = {
        "type": "TemplateProcessing",
        "single": [bos, bos, text, eos],
        "pair": [bos, text, eos],
        "special_tokens": {n: {"id": n, "ids": [i], "tokens": [n]} for n, i in (("<s>", 1), ("</s>", 2))},
    }
    yield "llama3", {}
    yield "qwen2", {"normalizer": {"type": "NFC"}, "pre_tokenizer": sequence(split(QWEN2), last), "post_processor": byte_level()}
    yield "gpt2", {"pre_tokenizer": byte_level(), "post_processor": byte_level()}
    yield "gpt2 as a Split", {"pre_tokenizer": sequence(split(GPT2), last)}
    yield "digits", {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": True}, byte_level())}
    yield "digit runs", {"pre_tokenizer": sequence({"type": "Digits", "individual_digits": False}, byte_level())}
    yield "prefix space", {"pre_tokenizer": byte_level(add_prefix_space=True)}
    yield "prefix space in a Sequence", {"pre_tokenizer": sequence(split(QWEN2), byte_level(add_prefix_space=True))}
    yield "another pattern", {"pre_tokenizer": sequence(split(OTHER), last)}
    yield "no pattern", {"pre_tokenizer": last}
    yield "ignore merges", {"model": {"ignore_merges": True, "merges": merges[::2][:40] + [["t", "h"]]}}
    yield "merges as strings", {"model": {"merges": [" ".join(m) for m in merges]}}
    yield "added tokens", {"normalizer": {"type": "NFC"}, "added_tokens": specials + more}
    yield "template", {"post_processor": {"type": "Sequence", "processors": [byte_level(), template]}}


def learned():
    special = ["<unk>", "<s>", "</s>", "<pad>", "<image>"]
    people, tones = ["woman", "man", "person"], ["light", "medium-light", "medium", "medium-dark", "dark"]
    work = ["astronaut", "cook", "farmer", "firefighter", "judge", "mechanic", "pilot", "scientist", "singer", "teacher"]
    texts = [f"{p} {w}: {t} skin tone" for p in people for w in work for t in tones]
    texts += [f"flag: {c}" for c in ("Kosovo", "Côte d’Ivoire", "Åland Islands", "Türkiye", "Curaçao", "St. Lucia")]
    texts += ["a" * n for n in range(1, 20)] + ["ab" * n for n in range(1, 12)] + ["don't  we'll 12 123 1234\n\n你好 😀😀"]
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=special,
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    model.train_from_iterator(texts, trainer)
    bpe = json.loads(model.to_str())["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    return {"vocab_size": 420, "texts": texts, "tokens": tokens, "merges": bpe["merges"]}


def chats():
    header = (ROOT / "runtime/data/chat_templates.h").read_text(encoding="utf-8")
    templates = {}
    for name, body in re.findall(r"const char\* k(\w+) =\n(.*?);\n", header, re.DOTALL):
        templates[name] = "".join(json.loads(literal) for literal in re.findall(r"^\s*(\".*\")$", body, re.MULTILINE))
    formats = {
        "llava": (templates["LlavaTemplate"], "<image>"),
        "llava-hub": (templates["LlavaHubTemplate"], "<image>"),
        "vicuna": (templates["VicunaHead"] + templates["LlavaTemplate"], "<image>"),
        "internvl": (templates["InternVlTemplate"], "<IMG_CONTEXT>"),
        "qwen2-vl": (templates["Qwen2VlTemplate"], "<|image_pad|>"),
    }

    def says(role, *parts):
        return {"role": role, "content": [{"type": "text", "text": p} if p else {"type": "image"} for p in parts]}

    talk = [
        says("system", "Be brief."), says("user", "Look at ", "", " and ", "", "now."), says("assistant", "Two ", "cats."),
        says("user", "", "And here?"), says("assistant", "Höhle 😀\n"),
    ]
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(BASE))
    result = []
    for name, (template, image) in formats.items():
        for messages in (talk, talk[1:], talk[1:3], talk[3:]):
            def render(part, generate, jinja=template):
                return tokenizer.apply_chat_template(part, chat_template=jinja, tokenize=False, add_generation_prompt=generate)
            result.append({"format": name, "image_token": image, "messages": messages, "text": render(messages, False),
                           "prompt": render(messages[:-1], True)})
    return result


def merge_patch(target, patch):
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        result[key] = merge_patch(result.get(key), value)
    return result


def blocks():
    """Blocks of 256 code points: all with something in them, but few of the ideographs, syllables and private ones."""
    for block in range(0x1100):
        first = block << 8
        uniform = 0x3500 <= first < 0x4D00 or 0x4F00 <= first < 0x9F00 or 0xAD00 <= first < 0xD600
        uniform |= 0xD800 <= first < 0xF800 or 0x17100 <= first < 0x18700 or 0x20100 <= first
        if not uniform or block in (0x2A6, 0x2EB, 0x313, 0x323, 0xE00, 0xE01, 0x10FF) or 0x2F8 <= block < 0x2FB:
            yield block


def surroundings(c):
    return f"a{c}b 1{c}{c} {c}\n{c}'{c} '{c}e"


def fnv(ids, value=0xCBF29CE484222325):
    for i in ids:
        value = ((value ^ i) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def main():
    base = json.loads(BASE.read_text(encoding="utf-8"))
    random.seed(7)
    # Marks in pairs: newer than Unicode 9 and older ones.
    marks = [chr(c) for c in (0x301, 0x323, 0x327, 0x345, 0x5B0, 0x93C, 0xF71, 0xF73, 0x1ABF, 0x1DFA, 0x11930, 0x11935, 0x1E136, 0x10F46)]
    pairs = ["e" + a + b + " " + a + b for a in marks for b in marks]
    alphabet = "ab \n\t'sSt1٣é\u0301你😀.,-<\u00a0"
    noise = ["".join(random.choice(alphabet) for _ in range(random.randint(1, 40))) for _ in range(60)]
    result = []
    for name, patch in cases(base):
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(merge_patch(copy.deepcopy(base), patch)))
        entry = {"name": name, "patch": patch, "texts": []}
        for text in TEXTS + noise + (["".join(pairs)] if name == "qwen2" else []):
            ids = tokenizer.encode(text).ids
            plain = tokenizer.decode(ids, skip_special_tokens=True)
            entry["texts"].append([text, ids, None if plain == text else plain])
        if name in ("llama3", "qwen2", "gpt2", "digits", "digit runs"):
            entry["code_points"] = []
            for block in blocks():
                ids = []
                for code in range(block << 8, (block + 1) << 8):
                    if not 0xD800 <= code < 0xE000:
                        ids += tokenizer.encode(surroundings(chr(code)), add_special_tokens=False).ids
                entry["code_points"].append([block, f"{fnv(ids):016x}"])
        result.append(entry)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "learned.json").write_text(json.dumps(learned(), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    (OUT / "chats.json").write_text(json.dumps(chats(), ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    with (OUT / "cases.json").open("w", encoding="utf-8") as out:
        out.write("[\n")
        for i, entry in enumerate(result):
            out.write(("" if i == 0 else ",\n") + json.dumps(entry, ensure_ascii=False, separators=(",", ":")))
        out.write("\n]\n")


if __name__ == "__main__":
    main()
