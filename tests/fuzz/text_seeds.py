"""YAML, JSON and chat templates, honest and hostile: content by name. large_...: about a megabyte each."""
import json
import os

from seed_files import GOLDENS, MIB, deep, escapes, files, numbered

LAUGHS = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi"))


def config_yaml():
    return files("configs/*.yaml") | numbered([
        LAUGHS, "a: &a {b: *a}\n", "<<: *x\n", "!!python/object/apply:os.system [ls]\n", "train: !!int 3\n",
        "train: {steps: 1}\ntrain: {steps: 2}\n", "train: {steps: 1, steps: 2}\n", "? [a, b]\n: c\n", "--- 1\n--- 2\n",
        "train: {steps: 017}\n", "train: {steps: 9223372036854775808}\n", "train: {steps: .nan}\n",
        "train: {optimizer: {lr: 1e999}}\n", "train: {optimizer: {lr: .inf}}\n", "train: {steps: -1}\n",
        deep(1000),
        deep(1000, "{a: ", "}"), "- " * 1000 + "x", "a:\n" + "".join(" " * i + "b:\n" for i in range(1, 200)),
        b"\xff\xfe", "a: \"\\U00110000\"\n", "a: \"\\xZZ\"\n", "%YAML 9.9\n---\na: 1\n",
        "%TAG ! tag:x,2000:\n---\n!a b\n", "a: |9\n b\n", "a: 'x", "a: \"x", "[", "{", "]", "}", "a: [1, 2", ": : :",
        "- - - -", "a: b: c", "\t a: b", "\0", "#" * 5000, "data: {train: [{messages: x, weight: 0}]}\n",
        "output: {dir: ''}\n", "memory: {budget: 99999999999999999999GiB}\n",
        "data: {train: [{webdataset: ['{0..999999999}{0..999999999}.tar']}]}\n"
    ])


def large_yaml():
    return {
        "flow": "[" + "a," * (MIB // 2 - 2) + "a]", "block": "- a\n" * (MIB // 4), "keys":
        "".join(f"k{i}:\n" for i in range(120_000)), "nested": deep(MIB // 2), "text": "a: " + "x" * (MIB - 4), "maps":
        "[" + "{}," * (MIB // 3 - 2) + "{}]", "unclosed": "[" * MIB, "questions": "? " * (MIB // 2), "quotes":
        "a: \"" + "\\n" * (MIB // 2 - 4) + "\"", "comment": "#" * MIB, "colons": ":" * MIB, "null_keys":
        "{" + "," * (MIB - 2) + "}", "lines": "\n" * MIB, "entries": "-\n" * (MIB // 2)
    }


ODD_JSON = [
    "", "null", "[]", "{}", "[1]", "0", "\"x\"", "{\"a\":1,\"a\":2}",
    deep(1000),
    deep(500, "{\"a\":", "}"), "\ufeff{}", "{\"a\":18446744073709551616}", "{\"a\":1e999}", "{\"a\":-0}",
    "{\"a\":\"\\ud800\"}", "{}\0", "{} x", "{\"a\":\"\\u0000\"}", "//x"
]


def messages(content, **more):
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "yes"}]
    return json.dumps({"messages": turns, **more}) + "\n"


def data_record():
    seeds = files("tests/goldens/data_formats/*.json*", "tests/goldens/tokenizer/families/*/samples.jsonl",
                  "configs/tiny/*.jsonl")
    hostile = [
        messages("<image>" * 500, images=["a.png"]),
        messages("<image>", images=["a.png"] * 500),
        messages([{"type": "image"}] * 50),
        messages([{"type": "image", "image": {"bytes": "!!!!"}}]),
        messages([{"type": "image", "image": "data:image/png;base64,AAAA"}]),
        messages([{"type": "video", "video": ["a.png"] * 40, "fps": 1e308}]),
        messages("x", tools=[{"a": [[[[]]]]}]),
        messages("x", system=3),
        messages("x", id=[1]),
        messages(None),
        messages(5),
        messages({"a": 1}),
        messages([{"type": "text", "text": "x", "resized_width": 2**63}]),
        messages([{"type": "image", "image": "a.png", "min_pixels": -1, "max_pixels": 2**64}]),
        "{\"text\": \"x\"}\n" * 200, "{}\n" * 200, "[{}, {}", "[" + "{\"text\": \"x\"}," * 50 + "5]",
        "{\"messages\": [" * 60, "{\"conversations\": [[\"a\", \"b\"], [\"c\", \"d\"]]}",
        "{\"conversations\": [{\"from\": \"human\", \"value\": \"<image>\"}]}", "PAR1", b"\x1f\x8b",
        "{\"query\": \"a\", \"response\": \"b\"}", "{\"instruction\": \"a\", \"input\": 1}"
    ]
    return seeds | numbered(ODD_JSON, "odd") | numbered(hostile) | numbered(
        [messages("<image>", images=[e]) for e in escapes()], "escape")


def large_records():
    return {
        "brackets": "[" * MIB, "objects": "[" + "{}," * (MIB // 3 - 2) + "{}]", "lines": "{}\n" * (MIB // 3), "blank":
        "\n" * MIB, "numbers": "{\"messages\": [" + "0," * (MIB // 2 - 20) + "0]}", "lists":
        "{\"messages\": [" + "[]," * (MIB // 3 - 20) + "0]}", "parts":
        messages([{"type": "text", "text": ""}] * (MIB // 34)), "keys": json.dumps({f"{i}": 0
                                                                                    for i in range(90_000)}), "turns":
        json.dumps({"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}] * 11_000
                    }), "images": messages("<image>" * 60_000, images=["a.png"] * 60_000), "text":
        messages("x" * (MIB - 200)), "quotes": messages("\"" * (MIB // 2 - 200))
    }


def safetensors_index():
    def index(shards, **more):
        return json.dumps({"metadata": {"total_size": 12}, "weight_map": shards, **more})

    good = {"t0": "a.safetensors", "t1": "a.safetensors", "t2": "b.safetensors"}
    names = escapes() + [
        "a", "a.safetensors/", "./a.safetensors", "x/../a.safetensors", "\u2024\u2024/a", "\uff0e\uff0e\uff0fa"
    ]
    hostile = [
        index({}), index([]), index({"t0": 1}), index({"t0": {"a": []}}), index(good)[:-1],
        index({**good, "": "a.safetensors"}), index(good, metadata={"total_size": 2**70}),
        "{\"weight_map\": {\"t0\": \"a\", \"t0\": \"b\"}}"
    ]
    return {"good": index(good).encode()} | numbered(ODD_JSON, "odd") | numbered(hostile) | numbered(
        [index({**good, "t2": name}) for name in names], "escape")


def large_index():
    return {
        "one_shard": json.dumps({"weight_map": {f"t{i}": "a.safetensors"
                                                for i in range(36_000)}}), "many_shards":
        json.dumps({"weight_map": {f"{i}": f"s{i}"
                                   for i in range(55_000)}}), "nested": deep(MIB // 2), "strings":
        json.dumps({"weight_map":
                    {"t":
                     "a" * (MIB - 40)}}), "metadata": json.dumps({"metadata": list(range(140_000)), "weight_map": {}})
    }


MANIFEST = {
    "format": "longsight checkpoint", "schema": 1, "step": 3, "samples_seen": 9, "tokens_seen": 99, "samples_drawn": 9,
    "best_loss": 0.5, "written": "2026-01-01T00:00:00Z", "ranks": 2, "data_groups": 1, "sequence_ranks": 2, "logs":
    {"metrics.jsonl": {"bytes": 5, "hash": "00"}}, "files": [{"name": "rank-0.safetensors", "bytes": 100, "hash":
                                                              "aa"}], "tensors":
    [{"name": "w", "dtype": "f32", "shape": [2, 3], "steps": 3, "slices":
      [[0, 0, 4], [0, 4, 6]]}], "frozen": {"v": "bb"}, "facts": [{"name": "model", "value": "x"}]
}


def manifest_text(**changes):
    return "{\"hash\": \"0\",\n\"manifest\": " + json.dumps({**MANIFEST, **changes}) + "}\n"


def tensor(**changes):
    return {**MANIFEST["tensors"][0], **changes}


def checkpoint_manifest():
    big = 2**63
    return {"good": manifest_text().encode()} | numbered(
        ["{\"hash\": \"0\",\n" + odd for odd in ODD_JSON], "odd") | numbered(
            [manifest_text(files=[{"name": name, "bytes": 1, "hash": "a"}])
             for name in escapes()], "escape") | numbered([
                 manifest_text(schema=2),
                 manifest_text(step=-1),
                 manifest_text(step=big),
                 manifest_text(ranks=0),
                 manifest_text(best_loss="x"),
                 manifest_text(tensors=[tensor(shape=[big])]),
                 manifest_text(tensors=[tensor(shape=[big - 1, big - 1])]),
                 manifest_text(tensors=[tensor(shape=[2**32, 2**32])]),
                 manifest_text(tensors=[tensor(shape=[0, big - 1], slices=[])]),
                 manifest_text(tensors=[tensor(shape=[1] * 9, slices=[[0, 0, 1]])]),
                 manifest_text(tensors=[tensor(shape=[-1])]),
                 manifest_text(tensors=[tensor(shape=[1.5])]),
                 manifest_text(tensors=[tensor(shape=[], slices=[[0, 0, 1]])]),
                 manifest_text(tensors=[tensor(slices=[[0, 0, 4], [0, 3, 6]])]),
                 manifest_text(tensors=[tensor(slices=[[0, 0, 4], [0, 5, 6]])]),
                 manifest_text(tensors=[tensor(slices=[[1, 0, 6]])]),
                 manifest_text(tensors=[tensor(slices=[[big, 0, 6]])]),
                 manifest_text(tensors=[tensor(slices=[[0, 0, big]])]),
                 manifest_text(tensors=[tensor(slices=[[0, 0, 6, 7]])]),
                 manifest_text(tensors=[tensor(slices=[[]])]),
                 manifest_text(tensors=[tensor(slices=3)]),
                 manifest_text(tensors=[tensor(dtype="f8")]),
                 manifest_text(tensors=[tensor(), tensor()]),
                 manifest_text(tensors=[5]),
                 manifest_text(logs={"../x": {"bytes": big, "hash": ""}}),
                 manifest_text(logs=[]),
                 manifest_text(frozen={"v": 1}),
                 manifest_text(facts=[{}])
             ])


def large_manifest():
    return {
        "tensors": manifest_text(tensors=[tensor(shape=[1], slices=[[0, 0, 1]])] * 9_000), "slices":
        manifest_text(tensors=[tensor(shape=[60_000], slices=[[0, i, i + 1] for i in range(50_000)])]), "shapes":
        manifest_text(tensors=[tensor(shape=[1] * 330_000)]), "facts":
        manifest_text(facts=[{"name": "", "value": ""}] * 38_000), "frozen":
        manifest_text(frozen={f"{i}": ""
                              for i in range(80_000)}), "nested": "{\"hash\": \"0\",\n" + deep(MIB // 2 - 20)
    }


def image_processor():
    return files("tests/goldens/*/model/preprocessor_config.json") | numbered(ODD_JSON, "odd") | numbered([
        json.dumps(c) for c in [{"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 2**40}}, {
            "image_processor_type": "CLIPImageProcessor", "size": -1
        }, {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 0}, {
            "image_processor_type": "Qwen2VLImageProcessor", "min_pixels": 10, "max_pixels": 1
        }, {"image_processor_type": "CLIPImageProcessor", "image_mean": [1, 2]}, {
            "image_processor_type": "CLIPImageProcessor", "image_std": [0, 0, 0]
        }, {"longsight": {"exif": 3}}, {"longsight": []}, {"image_processor_type": 5}, {"resample": 99}]
    ])


def model_config():
    goldens = files("tests/goldens/*/model/config.json", "configs/models/*.json")
    configs = {name: json.loads(text) for name, text in goldens.items()}
    changed = {}
    # Numbers that products of sizes do not survive, and parts that are something else, in a model of each kind.
    for name, config in {config.get("model_type"): (name, config) for name, config in configs.items()}.values():
        for i, odd in enumerate([-1, 0, 2**31, 2**62, 1e308, "x", [], None]):
            inner = {key: {k: odd if isinstance(v, int) else v for k, v in value.items()} if isinstance(value, dict) else value
                     for key, value in config.items()}
            changed[f"{name}-inner-{i}"] = json.dumps(inner)
            changed[f"{name}-outer-{i}"] = json.dumps({k: odd if k != "model_type" and i % 2 else v for k, v in config.items()})
    rope = [{"rope_type": kind, "factor": factor} for kind in ["linear", "dynamic", "yarn", "llama3", "mrope", "x"] for factor in [0, -1, 1e308]]
    hostile = [json.dumps({"model_type": kind, **more}) for kind in ["llama", "qwen3", "qwen2_vl"]
               for more in [{}, *({"rope_scaling": r} for r in rope), {"layer_types": ["x"] * 5000}, {"quantization_config": {}},
                            {"num_hidden_layers": 2**40}, {"mrope_section": [2**62] * 3}]]
    return goldens | {name: text.encode() for name, text in changed.items()} | numbered(ODD_JSON, "odd") | numbered(hostile)


def large_configs():
    return {
        "keys": json.dumps({"model_type": "llama", **{f"k{i}": 0 for i in range(70_000)}}), "layers":
        json.dumps({"model_type": "qwen3", "layer_types": ["full_attention"] * 40_000}), "nested": deep(MIB // 2), "labels":
        json.dumps({"model_type": "llama", "id2label": {f"{i}": f"LABEL_{i}" for i in range(30_000)}})
    }


def chat_template():
    with open(os.path.join(GOLDENS, "jinja", "cases.json"), encoding="utf-8") as file:
        cases = [case["template"] for case in json.load(file)["cases"]]
    return files("configs/tiny/tokenizer/chat_template.jinja") | numbered(cases, "case") | numbered([
        "{{ 'x' * 1000000000 }}", "{% for i in range(1000000000) %}x{% endfor %}", "{{ range(10**18)|list }}",
        "{{ 2**100000 }}", "{{ 10 ** 10 ** 10 }}", "{{ '%1000000000d' % 1 }}", "{{ '{:>999999999}'.format(1) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{{ " + "(" * 500 + "1" + ")" * 500 + " }}",
        "{{ " + "-" * 2000 + "1 }}", "{{ " + "not " * 2000 + "1 }}", "{% if 1 %}" * 500, "{{ [[]] * 100000 * 100000 }}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
        "{{ messages|tojson(indent=1000000000) }}", "{{ 'a'|indent(1000000000) }}", "{{ 'a'|center(1000000000) }}",
        "{{ 'a'.zfill(1000000000) }}", "{{ 'aaaa'|replace('a', 'a'*100000)|replace('a', 'a'*100000) }}",
        "{{ ().__class__ }}", "{{ ''.join([s]*1000000) }}", "{{ 1 // 0 }}", "{{ 1 % 0 }}", "{{ s[1:-1:0] }}",
        "{{ s[::-9223372036854775808] }}", "{{ -9223372036854775808 // -1 }}", "{{ n|abs }}",
        "{{ 9223372036854775807 + 1 }}", "{{ 'x'|batch(0)|list }}", "{{ l|slice(0)|list }}", "{{ 1|round(400) }}", "{%",
        "{{", "{#", "{% raw %}", "{% set x %}", "{{ 'x", "{{ x.y.z }}", "{% include 'x' %}", "{% import 'x' as y %}",
        "{% extends 'x' %}", "{{ raise_exception('x') }}", "{{ strftime_now('%' * 1000) }}"
    ])


def large_templates():
    return {
        "text": "x" * MIB, "prints": "{{s}}" * (MIB // 5), "blocks": "{% if 1 %}" * (MIB // 10), "parentheses":
        "{{" + "(" * (MIB - 2), "list": "{{ [" + "1," * (MIB // 2 - 10) + "1]|length }}", "sum":
        "{{ 1" + "+1" * (MIB // 2 - 10) + " }}", "attributes": "{{ s" + ".a" * (MIB // 2 - 10) + " }}", "filters":
        "{{ s" + "|e" * (MIB // 2 - 10) + " }}", "ifs":
        "{% if n %}a{% elif n %}" + "b{% elif n %}" * (MIB // 14) + "{% endif %}", "list_that_grows":
        "{% set ns = namespace(l=[1]) %}{% for i in range(60) %}{% set ns.l = ns.l + ns.l %}{% endfor %}",
        "text_that_grows":
        "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}", "range":
        "{{ range(10**8)|list|length }}", "product": "{{ ([1] * 10**8)|length }}"
    }
