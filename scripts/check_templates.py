#!/usr/bin/env python3
"""Compares chat templates with jinja2 as transformers sets it up, to the character: the published templates that the PyPI
source package llama-cpp-python carries and those of the goldens over a matrix of conversations, and random templates.

    scripts/setup.sh --with-peers
    cmake --build build/host --target render
    .venv/bin/python scripts/check_templates.py [--binary build/host/tests/render] [--random 10000] [--seed 1] [--only NAME]
                                                [--time]

The package is downloaded into the work folder (build/templates) the first time. Errors are compared too: both sides refuse,
and what a template says with raise_exception is the same. Prints what differs, and what cannot be rendered at all by name and
construct. Exits with 1 if anything differs or more than 3 published templates cannot be rendered. With --time: how long a
conversation of 100 messages takes.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tarfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import jinja_reference as reference

PACKAGE = "llama-cpp-python==0.3.36"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/tests/render")
    parser.add_argument("--work", default="build/templates", type=pathlib.Path)
    parser.add_argument("--random", default=10_000, type=int)
    parser.add_argument("--seed", default=1, type=int)
    parser.add_argument("--only", default="", help="published templates whose name holds this")
    parser.add_argument("--time", action="store_true")
    return parser.parse_args()


def published(work):
    """{name: source} of the package's templates."""
    archives = list(work.glob("llama_cpp_python*.tar.gz"))
    if not archives:
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps", "--no-binary", "llama-cpp-python",
                        "--dest", work, PACKAGE], check=True)
        archives = list(work.glob("llama_cpp_python*.tar.gz"))
    templates = {}
    with tarfile.open(archives[0]) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".jinja"):
                templates[member.name.rsplit("/", 1)[1]] = archive.extractfile(member).read().decode()
    return templates


def goldens():
    templates = {}
    for path in sorted(ROOT.glob("tests/goldens/*/model/*")) + sorted(ROOT.glob("tests/goldens/*/*/chat_template*")):
        name = str(path.relative_to(ROOT))
        if path.name.endswith(".jinja"):
            templates[name] = path.read_text()
        elif path.name in ("chat_template.json", "tokenizer_config.json"):
            found = json.loads(path.read_text()).get("chat_template")
            for each in found if isinstance(found, list) else [{"name": "", "template": found}] if found else []:
                templates[f"{name}:{each['name']}"] = each["template"]
    return templates


TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "Wetter für \"Orte\"", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "description": "city"}, "days": {"type": "integer", "enum": [1, 2]},
                                     "tags": {"type": "array", "items": {"type": "string"}},
                                     "more": {"type": "object", "properties": {"x": {"type": ["number", "null"]}}}},
    "required": ["city"]}, "return": {"type": "string", "description": "text"}}},
    {"type": "function", "function": {"name": "noop", "description": "does nothing", "parameters": {"type": "object", "properties": {}}}}]


def call(arguments, number="123456789"):
    return {"id": number, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def conversations():
    """(name, messages)"""
    system, user, assistant = ({"role": role, "content": text} for role, text in
                               (("system", " You help. \n"), ("user", "  Hello <b> 🙂\n"), ("assistant", "Hi, ünïcode! \n")))
    parts = [{"type": "image"}, {"type": "text", "text": "What is this?"}]
    yield "empty", []
    yield "user", [user]
    yield "system", [system, user]
    yield "system only", [system]
    yield "turns", [user, assistant, {"role": "user", "content": "and now?"}, assistant]
    yield "system turns", [system, user, assistant, {"role": "user", "content": "and now?"}]
    yield "empty content", [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}]
    yield "none content", [user, {"role": "assistant", "content": None}]
    yield "no content", [user, {"role": "assistant"}]
    yield "two users", [user, user]
    yield "two assistants", [user, assistant, assistant]
    yield "assistant first", [assistant, user]
    yield "late system", [user, system, assistant]
    yield "unknown role", [user, {"role": "critic", "content": "bad"}]
    yield "developer", [{"role": "developer", "content": "be brief"}, user]
    yield "parts", [{"role": "user", "content": parts}, {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}]
    yield "images", [{"role": "system", "content": [{"type": "text", "text": "sys"}]},
                     {"role": "user", "content": [*parts, {"type": "image", "image": "x.png"}, {"type": "image_url", "image_url": {"url": "y"}},
                                                  {"type": "video", "video": "v"}, {"type": "audio"}, {"type": "text", "text": "?"}]}, assistant]
    yield "text parts", [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    yield "unknown part", [{"role": "user", "content": [{"type": "smell", "smell": "x"}]}]
    yield "tool call", [user, {"role": "assistant", "content": "", "tool_calls": [call({"city": "Köln", "days": 2})]},
                        {"role": "tool", "name": "get_weather", "tool_call_id": "123456789", "content": "{\"rain\": true}"}, assistant]
    yield "tool call text", [system, user, {"role": "assistant", "content": None, "tool_calls": [call("{\"city\": \"Köln\"}")]},
                             {"role": "tool", "name": "get_weather", "tool_call_id": "123456789", "content": "sunny"}]
    yield "tool calls", [user, {"role": "assistant", "content": "Let me see.", "tool_calls": [call({"city": "A"}), call({"tags": ["x", 1.5, None]}, "abcdefghi")]},
                         {"role": "tool", "tool_call_id": "123456789", "content": "1"}, {"role": "tool", "tool_call_id": "abcdefghi", "content": "2"}, assistant, user]
    yield "tool first", [{"role": "tool", "content": "x"}]
    yield "thinking", [user, {"role": "assistant", "content": "<think>\nhm\n</think>\n\nYes.", "reasoning_content": "hm"}, user, assistant]
    yield "reasoning", [user, {"role": "assistant", "content": "Yes.", "reasoning_content": "let me\nthink", "thinking": "let me\nthink"}]
    yield "template words", [{"role": "user", "content": "{{ 7 * 7 }} {% raw %} <|im_end|> [INST] \\n"}, {"role": "assistant", "content": "'quoted' \"x\"\t"}]
    yield "long", [m for i in range(6) for m in ({"role": "user", "content": f"q{i}"}, {"role": "assistant", "content": f"a{i}"})]


def contexts():
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    for name, messages in conversations():
        for tools in (None, TOOLS):
            for prompt in (False, True):
                yield f"{name}, tools {tools is not None}, prompt {prompt}", {
                    "messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt, **tokens}
        yield f"{name}, no tokens", {"messages": messages, "add_generation_prompt": True}
        yield f"{name}, options", {"messages": messages, "tools": TOOLS, "documents": [{"title": "T", "text": "doc"}], "enable_thinking": False,
                                   "add_generation_prompt": True, "xml_tools": True, "python_tools": ["x"], "date_string": "1 Jan 2026",
                                   "reasoning_effort": "low", "custom_tools": TOOLS, "thinking": True, "builtin_tools": ["python"], **tokens}


def run(binary, jobs, timed=False):
    lines = "".join(json.dumps({"now": reference.NOW, **job}, ensure_ascii=False) + "\n" for job in jobs)
    result = subprocess.run([binary, *(["--time"] if timed else [])], input=lines.encode(), stdout=subprocess.PIPE, check=False)
    answers = [json.loads(line) for line in result.stdout.decode().splitlines()]
    if result.returncode != 0 or len(answers) != len(jobs):
        print(f"the program ended with {result.returncode} after {len(answers)} of {len(jobs)} answers; next: {json.dumps(jobs[min(len(answers), len(jobs) - 1)])}")
        sys.exit(1)
    return answers


# What has no text in Python but an address, or a size that is not supported here.
WITHOUT_TEXT = re.compile(r"<generator object|<built-in method|<function |<bound method| object at 0x|<Macro|<Cycler|<LoopContext|<class ")


def difference(expected, got):
    """None, "known" (not supported, and said so), or what differs."""
    if "error" in expected:
        if "error" not in got:
            return f"jinja2 refuses ({expected['error']}), here it is {got['text']!r}"
        if expected["raised"] != got["raised"] or (expected["raised"] and expected["error"] != got["error"]):
            return f"jinja2: {expected['error']!r}, here: {got['error']!r}"
        return None
    if "error" in got:
        if WITHOUT_TEXT.search(expected["text"]) or "beyond 64 bits" in got["error"] or "not supported" in got["error"] or "has no text" in got["error"]:
            return "known"
        return f"jinja2: {expected['text']!r}, here refused: {got['error']}"
    if expected["text"] != got["text"]:
        return f"jinja2: {expected['text']!r}\n  here:   {got['text']!r}"
    if expected["generation"] != got["generation"]:
        return f"generation: jinja2 {expected['generation']}, here {got['generation']}"
    return None


def check_published(arguments):
    templates = {**published(arguments.work), **goldens()}
    templates = {name: source for name, source in templates.items() if arguments.only in name}
    differing, unsupported, count = 0, {}, 0
    for name, source in templates.items():
        all_contexts = list(contexts())
        answers = run(arguments.binary, [{"template": source, "context": context} for _, context in all_contexts])
        rendered = 0
        for (case, context), got in zip(all_contexts, answers):
            expected = reference.render(source, context)
            count += 1
            rendered += "text" in expected
            problem = difference(expected, got)
            if problem is None:
                continue
            if problem == "known" or ("error" in got and "not supported" in got["error"]):
                unsupported[name] = got["error"]
                continue
            differing += 1
            if differing <= 20:
                print(f"{name} [{case}]: {problem}")
        print(f"{name}: {len(all_contexts)} conversations, {rendered} rendered, {len(all_contexts) - rendered} refused by both", flush=True)
    print(f"published: {len(templates)} templates, {count} renderings, {differing} differ")
    for name, why in unsupported.items():
        print(f"cannot be rendered: {name}: {why}")
    return differing == 0 and len(unsupported) <= 3


def check_random(arguments):
    jobs = []
    for i in range(arguments.random):
        generator = reference.Generator(arguments.seed * 1_000_000 + i)
        jobs.append({"template": generator.template(), "context": generator.context()})
    answers = run(arguments.binary, jobs)
    counts = {"rendered": 0, "refused": 0, "known": 0, "differ": 0}
    for i, (job, got) in enumerate(zip(jobs, answers)):
        expected = reference.render(job["template"], job["context"])
        problem = difference(expected, got)
        counts["known" if problem == "known" else "differ" if problem else "refused" if "error" in expected else "rendered"] += 1
        if problem not in (None, "known") and counts["differ"] <= 20:
            print(f"random {i}: {job['template']!r}\n  {problem}")
            if "error" in expected:
                print(f"  here: {got.get('error')}")
    print("random:", ", ".join(f"{value} {key}" for key, value in counts.items()))
    return counts["differ"] == 0


def time_long(arguments):
    messages = [{"role": ("user", "assistant")[i % 2], "content": f"This is message {i} of a conversation."} for i in range(100)]
    templates = {**published(arguments.work), **goldens()}
    jobs = [{"template": source, "context": {"messages": messages, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "tools": None}}
            for name, source in templates.items() if arguments.only in name]
    times = sorted(answer["microseconds"] for answer in run(arguments.binary, jobs, timed=True) if "microseconds" in answer)
    print(f"100 messages: {len(times)} templates, median {times[len(times) // 2]:.0f} us, slowest {times[-1]:.0f} us")


def main():
    arguments = parse_arguments()
    good = check_published(arguments)
    good = check_random(arguments) and good
    if arguments.time:
        time_long(arguments)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
