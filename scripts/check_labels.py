#!/usr/bin/env python3
"""Compares what is learned of conversations with what jinja2 says of the same chat templates: the published ones that
check_templates.py downloads and those of the goldens.

    scripts/setup.sh --with-peers
    cmake --build build/host --target labels
    .venv/bin/python scripts/check_labels.py [--binary build/host/tests/labels] [--work build/templates] [--only NAME] [--show N]

Where a template marks {% generation %}, these marks are the reference. Else an answer is what the conversation up to it has more
than the prompt for it (add_generation_prompt), where it goes on from that prompt, and where the whole conversation goes on from it:
the reference is this text without spaces at its ends; where no special token ends it, what is learned has the tokenizer's eos behind
it (and the special tokens behind it, where the template writes these only in front of a further message). Prints how many answers were compared, how many have no reference (the template renders a part of a conversation otherwise), and
how many conversations are refused, by reason. Exits with 1 if an answer differs.
"""

import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import check_templates
import jinja_reference as reference

NOW = 1_721_952_000  # what strftime_now shows of samples
NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
SPECIAL = re.compile(r"<[|｜][^<>{}'\"\s]*?[|｜]>|<(?:start|begin|beginning|end)_of_\w+>|<seed:\w+>|<SPECIAL_\d+>|<sep>|\]~\w*\[|\[e~\[|<[/]?s>|<eos>|<bos>|<eop>|<eod>|<\|?im_end\|?>"
                     r"|\[/?INST\]|\[/?(?:TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS|SYSTEM_PROMPT|gMASK|TOOL_CONTENT|THINK|ARGS|CALL_ID)\]")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="build/host/tests/labels")
    parser.add_argument("--work", default="build/templates", type=pathlib.Path)
    parser.add_argument("--only", default="", help="templates whose name holds this")
    parser.add_argument("--show", default=20, type=int, help="how many differences are printed")
    return parser.parse_args()


def conversations():
    """(name, messages, tools)"""
    def says(role, content, **more):
        return {"role": role, "content": content, **more}

    call = check_templates.call
    for tools in (None, check_templates.TOOLS):
        yield "turn", [says("user", "Hello?"), says("assistant", "Hi, ünïcode!")], tools
        yield "spaces", [says("user", " Hello?\n"), says("assistant", "\n Hi! \n")], tools
        yield "system", [says("system", "Be brief."), says("user", "Hello?"), says("assistant", "Hi.")], tools
        yield "turns", [says("user", "One?"), says("assistant", "First."), says("user", "Two?"), says("assistant", "Second."),
                        says("user", "Three?"), says("assistant", "Third.")], tools
        yield "system turns", [says("system", "Be brief."), says("user", "One?"), says("assistant", "First."),
                               says("user", "Two?"), says("assistant", "Second.")], tools
        yield "ends with a question", [says("user", "One?"), says("assistant", "First."), says("user", "Two?")], tools
        yield "same words", [says("user", "same"), says("assistant", "same"), says("user", "same"), says("assistant", "same")], tools
        yield "end of turn in a text", [says("user", "What is <|im_end|>?"), says("assistant", "A token </s> of <|eot_id|>.")], tools
        yield "thought", [says("user", "One?"), says("assistant", "Yes.", reasoning_content="let me think")], tools
        yield "thought in the text", [says("user", "One?"), says("assistant", "<think>\nhm\n</think>\n\nYes.")], tools
    result = says("tool", "{\"rain\": true}", name="get_weather", tool_call_id="123456789")
    yield "call", [says("user", "Rain?"), says("assistant", "", tool_calls=[call({"city": "Köln", "days": 2})]), result,
                   says("assistant", "Yes.")], check_templates.TOOLS
    yield "call last", [says("user", "Rain?"), says("assistant", "", tool_calls=[call({"city": "Köln", "days": 2})])], check_templates.TOOLS
    yield "words and calls", [says("user", "Rain?"), says("assistant", "Let me see.", tool_calls=[
        call({"city": "A"}), call({"city": "B"}, "abcdefghi")]), result,
        says("tool", "2", name="get_weather", tool_call_id="abcdefghi"), says("assistant", "Yes."), says("user", "And?"),
        says("assistant", "No.")], check_templates.TOOLS


def forms(messages):
    """With contents as texts, and as lists of parts."""
    yield messages
    yield [{**m, "content": [{"type": "text", "text": m["content"]}] if m["content"] else []} for m in messages]


def rendered(source, messages, tools, prompt):
    return reference.render(source, {"messages": messages, "tools": tools, "documents": None, "add_generation_prompt": prompt, **NAMED})


def expected_answers(source, messages, tools, text):
    """For each assistant message its text without spaces around, or None where there is no reference."""
    for form in forms(messages):
        whole = rendered(source, form, tools, False)
        if whole.get("text") != text:
            continue
        if "{% generation" in source or "{%- generation" in source:
            raw = text.encode()
            return "marks", [raw[begin:end].decode() for begin, end in whole["generation"]]
        answers = []
        for i, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            prompt, until = rendered(source, form[:i], tools, True), rendered(source, form[:i + 1], tools, False)
            before, behind = prompt.get("text"), until.get("text")
            known = before is not None and behind is not None and behind.startswith(before) and text.startswith(behind.rstrip())
            answers.append(behind[len(before):].strip() if known else None)
        return "prefixes", answers
    return "", []


def main():
    arguments = parse_arguments()
    reference.NOW = NOW
    templates = {**check_templates.published(arguments.work), **check_templates.goldens()}
    counts, refused, differing = collections.Counter(), collections.Counter(), 0
    for name, source in templates.items():
        if arguments.only not in name:
            continue
        special = sorted({*SPECIAL.findall(source), *NAMED.values()})
        jobs = [{"template": source, "messages": messages, "tools": tools, "special": special, "named": NAMED}
                for _, messages, tools in conversations()]
        lines = "".join(json.dumps(job, ensure_ascii=False) + "\n" for job in jobs)
        done = subprocess.run([arguments.binary], input=lines.encode(), stdout=subprocess.PIPE, check=True)
        here = collections.Counter()
        for (case, messages, tools), line in zip(conversations(), done.stdout.decode().splitlines(), strict=True):
            got = json.loads(line)
            if "error" in got:
                here["refused"] += 1
                refused[re.sub(r"message \d+|\d+", "N", got["error"])[:70]] += 1
                continue
            raw = got["text"].encode()
            learned = [raw[begin:end].decode() for begin, end in got["learned"]]
            how, expected = "", []
            for text in dict.fromkeys([got["text"], without_eos(raw, got["learned"])]):
                how, expected = expected_answers(source, messages, tools, text)
                if how:
                    break
            if not how:
                here["no reference"] += 1
                continue
            if how == "marks":
                same = "".join(expected) == "".join(learned) or "".join(expected) == "".join(l.removesuffix("</s>") for l in learned)
                here["equal" if same else "differ"] += 1
                problems = [] if same else [(expected, learned)]
            else:
                problems = []
                if len(learned) != len(expected):
                    problems.append((expected, learned))
                    here["differ"] += 1
                else:
                    for want, said in zip(expected, learned):
                        said = said.strip()
                        more = said[len(want or ""):].strip()
                        # An eos on a line of its own ends the conversation, not the answer.
                        if want and want.endswith("\n</s>") and not said.endswith("</s>"):
                            want = want.removesuffix("</s>").strip()
                        same = want is None or said.startswith(want) and (not more or more in special)
                        here["no reference" if want is None else "equal" if same else "differ"] += 1
                        if not same:
                            problems.append((want, said))
            for want, said in problems:
                differing += 1
                if differing <= arguments.show:
                    print(f"{name} [{case}, tools {tools is not None}]:\n  {how}: {want!r}\n  here:  {said!r}")
        print(f"{name}: {', '.join(f'{n} {what}' for what, n in sorted(here.items()))}", flush=True)
        counts.update(here)
    print(f"{len(templates)} templates: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    for why, n in refused.most_common(12):
        print(f"refused {n} times: {why}")
    sys.exit(1 if counts["differ"] else 0)


def without_eos(raw, learned):
    """The text without the eos at the ends of learned stretches: where it was added, the template's own text."""
    kept, at = b"", 0
    for begin, end in learned:
        if raw[begin:end].endswith(b"</s>"):
            kept += raw[at:end - 4]
            at = end
    return (kept + raw[at:]).decode()


if __name__ == "__main__":
    main()
