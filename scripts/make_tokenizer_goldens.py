#!/usr/bin/env python3
"""Writes tests/goldens/tokenizer/:

    cases           what the library `tokenizers` makes of texts, for many kinds of byte-level tokenizer.json
    characters      the same for BPE over characters with byte fallback (Llama-2, Mistral, Gemma)
    sentencepiece   a small tokenizer.model, and what the library `sentencepiece` makes of texts
    vocab_files     what transformers makes of folders with vocab.json and merges.txt (those of internvl-qwen2) alone
    learned         what `tokenizers` learns from texts
    words           what `tokenizers` makes of texts that speak of <image>, which is a token where pictures stand alone
    chats           what transformers makes of conversations with the chat templates of runtime/data/chat/builtin_programs.h

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf transformers==5.23.0 jinja2==3.1.6
    scripts/make_tokenizer_goldens.py [PART ...]

Each case is a JSON merge patch (RFC 7396) on a tokenizer.json: of tests/goldens/llava-clip-llama, or for `characters` of
tests/goldens/tokenizer/families/paligemma. `code_points` are hashes (FNV-1a, 64 bit) over the ids of every code point in several
surroundings, one for each block of 256 code points: see blocks().
"""

import copy
import json
import pathlib
import random
import re
import sys
import unicodedata

import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
BASE = ROOT / "tests/goldens/llava-clip-llama/model/tokenizer.json"
OUT = ROOT / "tests/goldens/tokenizer"
CHARACTERS = OUT / "families/paligemma/tokenizer.json"
MARK = "\u2581"

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


def characters(base):
    """Cases of BPE over characters; `base` is in Gemma's form."""
    specials = base["added_tokens"]
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
    prepend = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": MARK}, replace]}
    back = {"type": "Replace", "pattern": {"String": MARK}, "content": " "}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    llama_decoder = {"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}, strip]}
    more = [
        flags(id=641, content="<norm>", normalized=True),
        flags(id=642, content="<left>", lstrip=True, special=True),
        flags(id=643, content="<right> x", rstrip=True, normalized=True),
    ]

    def metaspace(**given):
        part = {"type": "Metaspace", "replacement": MARK, **given}
        # A merge patch adds to an object; null takes the members of the base's pre_tokenizer away.
        gone = dict.fromkeys(("pattern", "behavior", "invert"))
        return {"normalizer": None, "pre_tokenizer": {**part, **gone}, "decoder": {"decoders": None, **part}}

    yield "gemma", {}
    yield "llama", {"normalizer": {**prepend, "pattern": None, "content": None}, "pre_tokenizer": None, "decoder": llama_decoder}
    yield "metaspace always", metaspace(prepend_scheme="always", split=False)
    yield "metaspace always, split", metaspace(prepend_scheme="always", split=True)
    yield "metaspace first", metaspace(prepend_scheme="first", split=False)
    yield "metaspace never, split", metaspace(prepend_scheme="never", split=True)
    yield "metaspace, older file", metaspace(add_prefix_space=True)
    unknown = {"model": {"byte_fallback": False, "fuse_unk": False}}
    yield "unknown", unknown
    yield "unknown, fused", {"model": {"byte_fallback": False, "fuse_unk": True}}
    yield "ignore merges", {"model": {"ignore_merges": True, "merges": base["model"]["merges"][::3]}, **metaspace(split=True)}
    yield "added tokens", {"added_tokens": specials + more}
    both = {"normalizer": {**prepend, "pattern": None, "content": None}, "pre_tokenizer": None}
    yield "added tokens, prepend", {**both, "added_tokens": specials + more}
    # A merge that goes over a space: words cannot be merged one by one.
    inner = {"vocab": {f"e{MARK}": 640}, "merges": [["e", MARK], *base["model"]["merges"]]}
    yield "inner space", {"model": inner, "added_tokens": [*specials[:-1], {**specials[-1], "id": 641}]}


def sentencepiece_model(folder):
    import sentencepiece

    samples = (ROOT / "tests/goldens/llava-clip-llama/samples.jsonl").read_text(encoding="utf-8").split("\n")
    folder.mkdir(parents=True, exist_ok=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter((TEXTS + samples) * 4),
        model_prefix=str(folder / "tokenizer"),
        model_type="bpe",
        vocab_size=480,
        byte_fallback=True,
        character_coverage=0.98,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.vocab").unlink()
    (folder / "added_tokens.json").write_text(json.dumps({"<image>": 480, "<pad>": 481}) + "\n")


def sentencepiece_cases():
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    folder = OUT / "sentencepiece"
    sentencepiece_model(folder)
    special = {"<unk>": 0, "<s>": 1, "</s>": 2, "<image>": 480, "<pad>": 481}
    pattern = re.compile("(" + "|".join(map(re.escape, special)) + ")")
    result = []
    for legacy in (True, False):
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString((folder / "tokenizer.model").read_bytes())
        model.normalizer_spec.add_dummy_prefix = legacy
        processor = sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())

        def encode(text, processor=processor, legacy=legacy):
            ids = []
            for i, part in enumerate(pattern.split(text)):
                if part in special:
                    ids.append(special[part])
                elif part:
                    ids += processor.encode(part if legacy or i > 0 else " " + part)
            return ids

        result.append({"legacy": legacy, "texts": [[text, encode(text)] for text in TEXTS + noise_texts()]})
        hashes = []
        for block in blocks():
            ids = []
            for code in range(block << 8, (block + 1) << 8):
                if not 0xD800 <= code < 0xE000:
                    ids += encode(surroundings(chr(code)))
            hashes.append([block, f"{fnv(ids):016x}"])
        result[-1]["code_points"] = hashes
    return result


def words():
    """Texts as lists of parts, null where the token of a picture stands: ids where <image> in the parts is no added token."""
    texts = [["<image>"], ["What is <image> in HTML?"], ["a ", None, " b <image>\nc"], ["<image>", None, "<image>"], [None, " x<image>"],
             [" <image> ", None, "\n<image><image>.", None], ["<image", None, "image>"], ["é<image>é", None], ["<pad><image></s>", None]]
    plain = {"normalizer": {"type": "NFC"}}
    cases = [("llava-clip-llama/model", {}, {}), ("llava-clip-llama/model", plain, {"normalized": True, "special": False}),
             ("llava-clip-llama/model", {}, {"lstrip": True, "rstrip": True}), ("smolvlm/model", {}, {}), ("paligemma/model", {}, {}),
             ("paligemma/model", {}, {"normalized": True, "special": False})]
    for folder, patch, options in cases:
        base = merge_patch(json.loads((ROOT / "tests/goldens" / folder / "tokenizer.json").read_text(encoding="utf-8")), patch)
        place = "\ue000"
        added = [{**one, **options} if one["content"] == "<image>" else one for one in base["added_tokens"]]
        patch = {**patch, "added_tokens": added}
        base["added_tokens"] = [{**one, "content": place} if one["content"] == "<image>" else one for one in added]
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(base))
        ids = [tokenizer.encode("".join(place if p is None else p for p in parts), add_special_tokens=False).ids for parts in texts]
        yield {"folder": folder, "patch": patch, "texts": list(zip(texts, ids))}


def chats():
    import transformers

    header = (ROOT / "runtime/data/chat/builtin_programs.h").read_text(encoding="utf-8")
    templates = {}
    for name, body in re.findall(r"const char\* k(\w+) =\n(.*?);\n", header, re.DOTALL):
        templates[name] = "".join(json.loads(literal) for literal in re.findall(r"^\s*(\".*\")$", body, re.MULTILINE))
    # Template, what it has for an image, for a video, and whether a content is a plain text.
    formats = {
        "llava": (templates["LlavaTemplate"], "<image>"),
        "llava-hub": (templates["LlavaHubTemplate"], "<image>"),
        "vicuna": (templates["VicunaHead"] + templates["LlavaTemplate"], "<image>"),
        "internvl": (templates["InternVlTemplate"], "<IMG_CONTEXT>"),
        "internvl older": (templates["InternVlTemplate"].replace("<IMG_CONTEXT>", "<image>"), "<image>"),
        "internvl2_5": (templates["InternVl25Head"] + templates["InternVlTemplate"], "<IMG_CONTEXT>"),
        "internlm2-chat": (templates["InternLm2ChatTemplate"], "<IMG_CONTEXT>"),
        "qwen2-vl": (templates["Qwen2VlTemplate"], "<|vision_start|><|image_pad|><|vision_end|>"),
        "smolvlm": ("<|im_start|>" + templates["SmolVlmTemplate"], "<image>"),
        "smolvlm 2": ("<|im_start|>" + templates["SmolVlmTemplate"].replace("{{ '<image>' }}", "{{ '<image>' }}{% elif line['type'] == 'video' %}{{ '<video>' }}"), "<image>"),
        "idefics3": ("<|begin_of_text|>" + templates["SmolVlmTemplate"], "<image>"),
        "chatml": (templates["ChatMlTemplate"], None),
        "qwen2": (templates["Qwen2Head"] + templates["Qwen2Tail"], None),
        "qwen2.5": (templates["Qwen25Head"] + templates["Qwen2Tail"], None),
        "llama-2": (templates["Llama2Template"], None),
        "llama-3": (templates["Llama3Template"], None),
        "mistral": (templates["MistralTemplate"], None),
    }

    def says(role, *parts):
        kinds = {"": {"type": "image"}, "VIDEO": {"type": "video"}}
        return {"role": role, "content": [kinds.get(p, {"type": "text", "text": p}) for p in parts]}

    talk = [
        says("system", "Be brief."), says("user", "Look at ", "", " and ", "", "now."), says("assistant", "Two ", "cats."),
        says("user", "", "And here?"), says("assistant", "Höhle 😀\n"),
    ]
    texts = [
        says("system", " Be brief.\n"), says("user", "\n\u00a0 Look at it. \t"), says("assistant", " Two ", "cats. "),
        says("user", "And here?"), says("assistant", "\u3000Höhle 😀\n"),
    ]
    film = [says("user", "See ", "VIDEO", " and ", "", "?"), says("assistant", "Yes.")]
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(BASE))
    result = []
    for name, (template, image) in formats.items():
        talks = [talk, talk[1:], talk[1:3], talk[3:]] if image else [texts, texts[1:], texts[1:3], texts[3:]]
        if name == "qwen2-vl":
            talks.append(film)
        if name == "mistral":
            talks = talks[1:]  # it has no system message
        for messages in talks:
            given = messages
            if not image:
                given = [{"role": m["role"], "content": "".join(p["text"] for p in m["content"])} for m in messages]

            def render(part, generate, jinja=template, bos="<|begin_of_text|>" if name == "llama-3" else "<s>"):
                return tokenizer.apply_chat_template(part, chat_template=jinja, tokenize=False, add_generation_prompt=generate,
                                                     bos_token=bos, eos_token="</s>")
            entry = {"format": name.split()[0], "image": image, "video": "<|vision_start|><|video_pad|><|vision_end|>"}
            entry |= {"messages": messages, "text": render(given, False), "prompt": render(given[:-1], True)}
            result.append(entry)
    return result


def vocab_files():
    """Cases of files beside vocab.json and merges.txt."""
    import tempfile

    import transformers

    model = json.loads((ROOT / "tests/goldens/internvl-qwen2/model/tokenizer.json").read_text(encoding="utf-8"))["model"]
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<tool>"]
    first = max(model["vocab"].values()) + 1
    added = {str(first + i): flags(content=name, special=name != "<tool>") for i, name in enumerate(names)}
    spaced = flags(content="<mask>", lstrip=True, special=True)
    cases = {
        "qwen2": {"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added,
                                            "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}},
        "qwen2 of an older version": {
            "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"},
            "special_tokens_map.json": {"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]},
            "added_tokens.json": {name: first + i for i, name in enumerate(names)}},
        "qwen2 with the tokens of its class": {"tokenizer_config.json": {"tokenizer_class": "Qwen2TokenizerFast"}},
        "qwen2 with a prefix space": {"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": True,
                                                                "added_tokens_decoder": added}},
        "gpt2": {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|im_start|>",
                                           "added_tokens_decoder": added}},
        "gpt2 with a token that takes spaces": {
            "tokenizer_config.json": {"tokenizer_class": "GPT2TokenizerFast", "add_prefix_space": True},
            "special_tokens_map.json": {"mask_token": spaced}},
        "gpt2 with a token of its pieces": {"tokenizer_config.json": {"tokenizer_class": "GPT2Tokenizer", "eos_token": "the"}},
    }
    texts = TEXTS + ["<|im_start|>user\nthe <mask> <mask>x<|im_end|>\n<tool>y</tool><|endoftext|> the there"]
    for name, files in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "vocab.json").write_text(json.dumps(model["vocab"]), encoding="utf-8")
            (folder / "merges.txt").write_text(
                "#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in model["merges"]), encoding="utf-8")
            for file, content in files.items():
                (folder / file).write_text(json.dumps(content), encoding="utf-8")
            kind = getattr(transformers, files["tokenizer_config.json"]["tokenizer_class"])
            tokenizer = kind.from_pretrained(folder)
            entries = []
            for text in texts:
                if "prefix" in name and unicodedata.normalize("NFC", text) != text:
                    continue
                ids = tokenizer.encode(text)
                decoded = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
                entries.append([text, ids, None if decoded == text else decoded])
            roles = {role: getattr(tokenizer, f"{role}_token_id") for role in ("bos", "eos", "pad")}
        yield {"name": name, "files": files, "roles": roles, "texts": entries}


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


def noise_texts():
    random.seed(7)
    alphabet = "ab \n\t'sSt1٣é\u0301你😀.,-<\u00a0"
    return ["".join(random.choice(alphabet) for _ in range(random.randint(1, 40))) for _ in range(60)]


def mark_pairs():
    """Marks in pairs: newer than Unicode 9 and older ones."""
    marks = [chr(c) for c in (0x301, 0x323, 0x327, 0x345, 0x5B0, 0x93C, 0xF71, 0xF73, 0x1ABF, 0x1DFA, 0x11930, 0x11935, 0x1E136, 0x10F46)]
    return "".join("e" + a + b + " " + a + b for a in marks for b in marks)


def encoded(base, name, patch, with_code_points):
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(merge_patch(copy.deepcopy(base), patch)))
    entry = {"name": name, "patch": patch, "texts": []}
    for text in TEXTS + noise_texts() + ([mark_pairs()] if name == "qwen2" else []):
        ids = tokenizer.encode(text).ids
        plain = tokenizer.decode(ids, skip_special_tokens=True)
        entry["texts"].append([text, ids, None if plain == text else plain])
    if with_code_points:
        entry["code_points"] = []
        for block in blocks():
            ids = []
            for code in range(block << 8, (block + 1) << 8):
                if not 0xD800 <= code < 0xE000:
                    ids += tokenizer.encode(surroundings(chr(code)), add_special_tokens=False).ids
            entry["code_points"].append([block, f"{fnv(ids):016x}"])
    return entry


def write_lines(path, entries):
    lines = (json.dumps(entry, ensure_ascii=False, separators=(",", ":")) for entry in entries)
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


def write_indented(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def main():
    parts = sys.argv[1:] or ["cases", "characters", "sentencepiece", "vocab_files", "learned", "words", "chats"]
    OUT.mkdir(parents=True, exist_ok=True)
    for part in parts:
        path = OUT / f"{part}.json"
        if part == "cases":
            base = json.loads(BASE.read_text(encoding="utf-8"))
            hashed = ("llama3", "qwen2", "gpt2", "digits", "digit runs")
            write_lines(path, [encoded(base, name, patch, name in hashed) for name, patch in cases(base)])
        elif part == "characters":
            base = json.loads(CHARACTERS.read_text(encoding="utf-8"))
            hashed = ("gemma", "llama")
            write_lines(path, [encoded(base, name, patch, name in hashed) for name, patch in characters(base)])
        elif part == "sentencepiece":
            write_lines(path, sentencepiece_cases())
        elif part == "vocab_files":
            write_lines(path, list(vocab_files()))
        elif part == "learned":
            write_indented(path, learned())
        elif part == "words":
            write_lines(path, list(words()))
        elif part == "chats":
            write_indented(path, chats())
        else:
            sys.exit(f"no part {part}")


if __name__ == "__main__":
    main()
