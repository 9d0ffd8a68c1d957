#!/usr/bin/env python3
"""Makes tests/goldens/jinja/: what jinja2 gives, as transformers sets it up.

    .venv/bin/python scripts/make_jinja_fixtures.py

cases.json: [{"template", "context", "text" | "error" + "raised", "generation"}], from the list here, one for each rule of the
language. random.jsonl: the same for random templates (scripts/jinja_reference.py), half of them with errors in them.
"""

import json
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import jinja_reference as reference

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "tests/goldens/jinja"
MESSAGES = [{"role": "system", "content": " Sys. "}, {"role": "user", "content": "Hi <b>"}, {"role": "assistant", "content": "Yo\n"}]
CONTEXT = {"messages": MESSAGES, "x": "text", "n": 3, "f": 2.5, "t": True, "none": None, "l": [3, 1, 2], "d": {"b": 1, "a": [1, {"z": None}], "items": 5},
           "e": [], "s": "héllo wörld", "bos_token": "<s>"}

# One a line; ⏎ is a line end and ␍ a carriage return.
CASES = r"""
{{ x }}{{ n }}{{ f }}{{ t }}{{ none }}{{ l }}{{ d }}{{ missing }}|
a⏎{% if t %}⏎  b⏎{% endif %}⏎c⏎
a ⏎ {%- if t -%} ⏎ b ⏎ {%- endif -%} ⏎ c
  {%+ if t +%}⏎ b {% endif %}⏎  {# comment #}⏎ c⏎⏎
  {# a -#}  ⏎  b {#- c #} ⏎{#+ d +#}⏎ e
{{- x -}} ⏎ {{ x }}⏎{{ x }}  {%- set a = 1 %}⏎\t{% set b = 2 %}⏎q
{% raw %}{{ x }} {% if %}{% endraw %} {%- raw -%}  a  {%- endraw -%}  b{% raw %}⏎ c⏎ {% endraw %}⏎d
line␍⏎line␍line␍⏎
{{ "a\tb\x41\u00e9\n\\\q\101" }}{{ 'it\'s' "joined" }}
{{ 1_000 }}{{ 0x1F }}{{ 0b101 }}{{ 0o17 }}{{ 1.5e3 }}{{ 1e-7 }}{{ 1.0 }}{{ 12345678901234567.0 }}{{ 0.1 + 0.2 }}{{ 1e400 }}
{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 % -3 }}{{ 7 / 2 }}{{ 2 ** 10 }}{{ 2 ** -1 }}{{ 7.5 // 2 }}{{ -7.5 % 2 }}{{ 2 ** 3 ** 2 }}{{ -2 ** 2 }}
{{ 1 / 0 }}
{{ 1 // 0 }}
{{ 'a' + 1 }}
{{ 'a' ~ 1 ~ none ~ missing ~ 1.0 }}{{ 'ab' * 3 }}{{ [1] * 2 }}{{ [1] + [2] }}{{ (1,) + (2, 3) }}{{ 3 * 'x' }}{{ 'a' * -1 }}
{{ true + 1 }}{{ true == 1 }}{{ 1 == 1.0 }}{{ 'a' == 1 }}{{ [1, 'a'] == [1.0, 'a'] }}{{ (1,) == [1] }}{{ {'a': 1} == {'a': 1.0} }}
{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ 'a' in 'abc' }}{{ 1 in [1, 2] }}{{ 'a' not in {'b': 1} }}{{ 'x' in missing }}
{{ 'a' < 1 }}
{{ none < 1 }}
{{ 1 in 'abc' }}
{{ n and x }}{{ 0 or x }}{{ '' or none or [] }}{{ not x }}{{ not '' }}{{ x if t else 'no' }}|{{ x if not t }}|
{{ (x if not t).y }}
{{ s[0] }}{{ s[-1] }}{{ s[1:4] }}{{ s[::-1] }}{{ s[-3:] }}{{ s[10:2:-3] }}{{ l[1:] }}{{ l[::2] }}{{ l[::-1] }}{{ l[5] }}|{{ s[99] }}|{{ (1, 2, 3)[:2] }}
{{ l[::0] }}
{{ none[1:] }}{{ d.b }}{{ d['b'] }}{{ d.items is callable }}
{{ d['items'] }}{{ d.missing }}{{ d['missing'] }}{{ d.a[1].z }}{{ d.a.1.z }}{{ x.foo }}{{ n.foo }}{{ l['x'] }}{{ l.1 }}
{{ d.missing.more }}
{{ missing.more }}
{{ missing['more'] }}
{{ missing + 1 }}
{{ missing() }}
{{ x() }}
{{ none.x }}{{ none['x'] }}|{{ x.__class__ }}|{{ x._private }}|{{ d.update is defined }}|{{ l.append is defined }}
{{ none.x.y }}
{{ l.append(4) }}
{{ d.update({}) }}
{{ x.__class__.__mro__ }}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.depth }}{{ loop.previtem.role if not loop.first }}{{ loop.nextitem.role if not loop.last }};{% endfor %}
{% for m in messages if m.role != 'user' %}{{ loop.index }}/{{ loop.length }} {{ m.role }} {% else %}none{% endfor %}{% for q in [] %}{% else %}empty{% endfor %}
{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}
{% for i in [1] %}{% break %}{% else %}else{% endfor %}{% for i in [1, 2] %}{% continue %}{% else %}else{% endfor %}{% for i in [1] %}{% else %}else{% endfor %}
{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{{ ',' if not loop.last }}{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for c in 'né' %}[{{ c }}]{% endfor %}
{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% for a, b in [(1, 2, 3)] %}{% endfor %}
{% for a in 5 %}{% endfor %}
{% for x in missing %}{{ x }}{% else %}nothing{% endfor %}
{% for x in [[1, [2, [3]]], 4] recursive %}{% if x is iterable %}({{ loop.depth }}:{{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}
{% for i in [1, 1, 2] %}{{ loop.changed(i) }}{{ loop.cycle('a', 'b') }}{% endfor %}
{% for i in [1, 2] %}{% for j in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}{{ loop }}
{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(found=false, n=0) %}{% for i in [1, 2] %}{% set ns.n = ns.n + i %}{% set ns.found = true %}{% endfor %}{{ ns.n }}{{ ns.found }}{{ ns.missing }}
{% set ns = namespace() %}{% for i in [1, 2, 3] if not ns.stop %}{{ i }}{% if i == 2 %}{% set ns.stop = true %}{% endif %}{% endfor %}
{% set d.b = 1 %}
{% set ns = namespace(_x=1) %}
{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns.b }}{{ ns }}
{% if t %}{% set y = 1 %}{% endif %}{{ y }}{% if not t %}{% set x = 'changed' %}{% endif %}{{ x }}
{% for i in [1] %}{{ n }}{% endfor %}{% set n = 9 %}{{ n }}
{{ n }}{% for i in [1] %}{{ n }}{% endfor %}{% set n = 9 %}{{ n }}
{% macro f() %}{{ n }}{% endmacro %}{{ f() }}{% set n = 4 %}{{ f() }}
{% set a %} block {{ n }} {% endset %}[{{ a }}]{% set b | upper | trim %} x {% endset %}[{{ b }}]
{% macro m(a, b=2, c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}|{{ m(1, c='x') }}
{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, z=4) }}{{ m.name }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% macro m() %}<{{ caller() }}>{% endmacro %}{% call m() %}in {{ n }}{% endcall %}{% macro k() %}{{ caller(1, 2) }}{% endmacro %}{% call(a, b=5, c=6) k() %}{{ a }}{{ b }}{{ c }}{% endcall %}
{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}
{% macro fact(k) %}{% if k > 1 %}{{ k }}*{{ fact(k - 1) }}{% else %}1{% endif %}{% endmacro %}{{ fact(5) }}{% set g = fact %}{{ g(2) }}
{% with a = 1, b = n %}{{ a }}{{ b }}{% set c = 5 %}{% endwith %}{{ a }}{{ c }}
{% filter upper %}abc {{ x }}{% endfilter %}{% filter replace('a', 'b') | trim %} a {% endfilter %}
{% print x, n %}
{{ range(3) }}{{ range(1, 10, 4) | list }}{{ range(5)[1:3] }}{{ range(3) | length }}{{ 2 in range(3) }}{{ range(0) or 'e' }}{{ range(3)[-1] }}
{{ dict(a=1, b='x') }}{{ dict([('k', 'v')], z=1) }}{{ dict.fromkeys(['a'], 1) }}{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{% set j = joiner('|') %}{{ j() }}x{{ j() }}
{{ raise_exception('bad ' ~ n) }}
{{ raise_exception(missing) }}
{{ strftime_now('%Y-%m-%d %H:%M:%S %A %j') }}
{{ d | tojson }}{{ d | tojson(indent=2) }}{{ [1.0, 1e20, none, true, 'é"\\\n\x01\x7f/<&'] | tojson }}{{ 'é😀' | tojson(ensure_ascii=true) }}
{{ {'b': 1, 'a': 2, 3: none, true: 1.5} | tojson }}{{ {'b': 1, 'a': {}} | tojson(sort_keys=true, indent=1, separators=(';', '=')) }}{{ [] | tojson(indent=4) }}
{{ missing | tojson }}
{{ range(3) | tojson }}
{{ '  a ' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ l | join(',') }}|{{ messages | join('/', attribute='role') }}|{{ 'abc' | join('-') }}
{{ l | length }}{{ s | count }}{{ missing | length }}{{ d | length }}
{{ 5 | length }}
{{ missing | default('d') }}{{ '' | default('d') }}{{ '' | d('d', true) }}{{ none | default('d') }}
{{ l | first }}{{ l | last }}{{ e | first }}|{{ e | last }}|{{ 'ab' | last }}{{ d | last }}
{{ (e | first).x }}
{{ messages | map(attribute='role') | list }}{{ l | map('string') | join }}{{ ['a', 'B'] | map('upper') | list }}{{ messages | map(attribute='nope', default='z') | list }}
{{ l | select('odd') | list }}{{ l | reject('eq', 1) | list }}{{ messages | selectattr('role', 'in', ['user']) | list | length }}{{ messages | rejectattr('content') | list }}
{{ (l | map('nope')) is defined }}
{{ l | map('nope') | list }}
{{ d | items | list }}{{ d | dictsort }}{{ {'b': 1, 'A': 2} | dictsort(true) }}{{ {'b': 1, 'A': 2} | dictsort(by='value', reverse=true) }}
{{ [3, 1, 2] | sort }}{{ ['b', 'A', 'a'] | sort }}{{ ['b', 'A'] | sort(case_sensitive=true) }}{{ messages | sort(attribute='role') | map(attribute='role') | list }}{{ [3, 1] | sort(reverse=true) }}
{{ [1, 'a'] | sort }}
{{ ['a', 'A', 'b'] | unique | list }}{{ [1, 1.0, true, 2] | unique | list }}
{{ [[1]] | unique | list }}
{{ 'hello world-wide (web)' | title }}{{ 'hELLO' | capitalize }}{{ 'ß' | upper }}{{ 'ΑΣ' | lower }}{{ 'ǆ' | title }}{{ "it's".title() }}
{{ 'aaa' | replace('a', 'b', 2) }}{{ 'abc' | replace('', '-') }}{{ 12 | replace(1, 3) }}
{{ '42.7' | int }}{{ 'x' | int }}{{ 'x' | int(7) }}{{ '0x1f' | int(base=16) }}{{ ' 5 ' | int }}{{ 2.9 | int }}{{ '1_000' | int }}{{ none | int }}{{ '1e3' | float }}{{ 'x' | float(1.5) }}{{ true | int }}
{{ missing | int }}
{{ 2.5 | round }}{{ 3.14159 | round(2) }}{{ 2.1 | round(0, 'ceil') }}{{ 15 | round(-1) }}{{ 25 | round(-1) }}{{ 2.675 | round(2) }}{{ -3 | abs }}{{ 7 | round }}
{{ [1, 2, 3] | sum }}{{ messages | map(attribute='role') | map('length') | sum }}{{ [0.1, 0.2] | sum }}{{ [] | sum }}{{ [2, 1] | min }}{{ ['a', 'B'] | max }}{{ [] | max }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent('>>', blank=true) }}|{{ '' | indent(first=true) }}|
{{ '<a>&"' | e }}{{ '<' | safe + '<' }}{{ '<' + ('<' | safe) }}{{ ('<' | e) ~ '<' }}{{ ('<b>' | safe).upper() + '&' }}{{ '<' | forceescape }}{{ ('%s' | safe) % '<' }}{{ ('x' | safe).join(['<', '>']) }}
{{ messages | groupby('role') | map('first') | list }}{% for g in [{'k': 1, 'v': 'a'}, {'k': 1, 'v': 'b'}, {'k': 0}] | groupby('k') %}{{ g.grouper }}{{ g.list | length }}{{ g }}{% endfor %}
{{ l | batch(2) | list }}{{ l | batch(2, 'x') | list }}{{ range(7) | slice(3) | list }}{{ range(7) | slice(3, 'x') | list }}
{{ 'a b, c' | wordcount }}{{ '%s and %d' | format('x', 3) }}{{ '%(a)s' | format(a=1) }}{{ 'ab' | center(6) }}|{{ 'foo bar baz qux' | truncate(9) }}|{{ 'foo bar baz qux' | truncate(9, true, leeway=0) }}|{{ 'a b&c/é' | urlencode }}{{ {'a': 1, 'b c': 'd&'} | urlencode }}{{ {'a': 1, 'b': none} | xmlattr }}
{{ [1, 2] | reverse | list }}{{ 'abc' | reverse }}{{ d | attr('keys') is defined }}{{ d | attr('b') is defined }}{{ 'abc' | list }}{{ 5 | string }}
{{ x is defined }}{{ missing is undefined }}{{ none is none }}{{ x is string }}{{ d is mapping }}{{ l is iterable }}{{ x is sequence }}{{ n is number }}{{ n is integer }}{{ f is float }}{{ t is boolean }}{{ t is true }}{{ t is false }}{{ n is odd }}{{ n is even }}{{ n is divisibleby 3 }}{{ n is not none }}
{{ t is number }}{{ t is integer }}{{ missing is iterable }}{{ missing is callable }}{{ range is callable }}{{ d is sequence }}{{ n is iterable }}{{ 'A' is upper }}{{ 'a' is lower }}{{ n is eq 3 }}{{ n is ge 4 }}{{ n is in [3] }}{{ 'trim' is filter }}{{ 'nope' is filter }}{{ 'odd' is test }}{{ x is sameas x }}{{ none is sameas none }}
{{ 'a' is odd }}
{{ '  a b '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a,b,c'.rsplit(',', 1) }}{{ 'a\nb\r\nc'.splitlines() }}{{ ' a  b '.split(' ') }}{{ 'a b c '.split(none, 1) }}{{ ''.split() }}{{ ''.split(',') }}
{{ 'xaax'.strip('x') }}{{ 'xax'.lstrip('x') }}{{ 'xax'.rstrip('x') }}{{ 'abc'.startswith(('x', 'a')) }}{{ 'abc'.endswith('c', 0, 2) }}{{ 'abcabc'.find('c', 3) }}{{ 'abcabc'.rfind('b') }}{{ 'é日本'.find('本') }}{{ 'aaa'.count('a') }}{{ 'abc'.index('b') }}
{{ 'abc'.index('z') }}
{{ 'a'.join([1]) }}
{{ 'a-b'.partition('-') }}{{ 'a-b-c'.rpartition('-') }}{{ 'prefix'.removeprefix('pre') }}{{ 'suffix'.removesuffix('fix') }}{{ '7'.zfill(3) }}{{ '-7'.zfill(4) }}{{ 'x'.center(5, '*') }}{{ 'x'.ljust(3) }}|{{ 'x'.rjust(3, '.') }}{{ '12'.isdigit() }}{{ '½'.isnumeric() }}{{ '²'.isdigit() }}{{ 'aB'.swapcase() }}{{ 'ΑΣ'.swapcase() }}{{ 'ΑΣ ΣΑ'.title() }}{{ 'ΑΣ'.capitalize() }}{{ 'ß'.casefold() }}
{{ '{} {0}'.format(1) }}
{{ '{} {}'.format('a', 1) }}{{ '{1}{0}'.format('a', 'b') }}{{ '{x:>5}|{y:.2f}|{x!r}'.format(x='q', y=2) }}{{ '{:05d}{:,}{:x}{:+}{:^5}|{:e}{:%}'.format(3, 12345, 255, 4, 'm', 1234.5, 0.5) }}{{ '{0[k]}{0[l][1]}'.format({'k': 1, 'l': [2, 3]}) }}{{ '{{}}'.format() }}
{{ '%5.2f|%-5s|%05d|%x|%r|%c|%%|%+d|%s' % (3.14159, 'ab', 42, 255, 'q', 'z', 7, none) }}{{ '%(a)s' % {'a': 1} }}{{ 'x' % [] }}
{{ '%d' % 'a' }}
{{ '%s %s' % 'a' }}
{{ '%s' % (1, 2) }}
{{ d.get('b') }}{{ d.get('q', 7) }}{{ d.get('q') }}{{ d.keys() }}{{ d.values() | list }}{{ d.items() | length }}{{ [1, 2, 1].count(1) }}{{ [1, 2].index(2) }}{{ (1, 2).index(1) }}{{ d.copy() == d }}
{{ 'A' in d.keys() }}{{ 'b' in d.keys() }}{{ ('b', 1) in d.items() }}
{{ {[1]: 2} }}
{% if false %}{{ dict({[1]: 2}) }}{% endif %}x
{% if false %}{{ {[1]: 2} }}{% endif %}x
{{ {1: 'a', 1.0: 'b', true: 'c'} }}{{ {'a': 1, 'a': 2} }}{{ {} }}{{ () }}{{ (1,) }}{{ [] }}{{ [[], {}, ()] }}{{ ['a"b', "a'b", 'a"\'b', '\n\t\\', '\x00\x7f\u200b', 'é😀'] }}
{{ x | upper | lower | length is odd }}{{ -1 | abs }}{{ 'a' ~ 'b' | upper }}{{ 1 + 2 * 3 - 4 // 3 ** 2 % 5 }}{{ not 1 == 2 }}{{ 'a' in 'b' or 'c' in 'c' }}{{ 1 if 0 else 2 if 0 else 3 }}{{ (1, 2) | last }}
{% if x == 'text' and n is not none and not e %}a{% elif missing %}b{% else %}c{% endif %}{% if missing %}{% elif e %}{% else %}d{% endif %}
{% if false %}{{ x | nofilter }}{% endif %}ok{{ (x is notest) if false else 'y' }}
{% if true %}{{ x | nofilter }}{% endif %}
{{ x | nofilter }}
{{ x is notest }}
{% endif %}
{% if x %}{% endfor %}
{% nosuchtag %}
{{ x
{% if x
{{ x }}}
{{ (x }}
{{ 'open }}
{# open
{% raw %} open
{{ x y }}
{{ 1 + }}
{{ [1, 2, }}
{{ x. }}
{{ f(a=1, 2) }}
{{ x is }}
{% set 1 = 2 %}
{% set x.y.z = 2 %}
{% for in x %}{% endfor %}
{% for loop in x %}{% endfor %}
{% break %}
{% for i in l %}{% macro q() %}{% break %}{% endmacro %}{% endfor %}
{% macro m(a=1, b) %}{% endmacro %}
{% macro m(a, a) %}{% endmacro %}
{% call x %}{% endcall %}
{{ x ! y }}
{{ $ }}
{{ }}
{{ *l }}
{{ dict(**{'a': 1}) }}{{ range(*[1, 3]) | list }}
{{ dict(**{'a': 1}, **{'b': 2}) }}
{{ '%s-%s' | format(*['a', 'b']) }}
{% generation %}{{ x }}{% endgeneration %}{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}
{% set q = 1 %}{% generation %}{% set q = 2 %}{{ q }}{% endgeneration %}{{ q }}
{% for i in range(3) %}{% generation %}{{ loop.index }}{% endgeneration %}-{% endfor %}
{% for m in messages %}{{ bos_token if loop.first }}<|{{ m['role'] }}|>⏎{{ m['content'] | trim }}{{ '<|end|>⏎' }}{% endfor %}{{ '<|assistant|>⏎' if add_generation_prompt }}
{%- for m in messages -%}⏎    {%- if m.role == 'user' -%}⏎        {{- 'U: ' + m.content -}}⏎    {%- else -%}⏎        {{- m.role | title + ': ' + m.content.strip() -}}⏎    {%- endif -%}⏎{%- endfor -%}⏎
""".strip("\n").split("\n")


def entry(template, context):
    return {"template": template, "context": context, **reference.render(template, context)}


def main():
    warnings.simplefilter("ignore")
    FOLDER.mkdir(parents=True, exist_ok=True)
    cases = [entry(case.replace("⏎", "\n").replace("␍", "\r"), CONTEXT) for case in CASES]
    for case in cases:
        del case["context"]
    with open(FOLDER / "cases.json", "w") as file:
        json.dump({"now": reference.NOW, "context": CONTEXT, "cases": cases}, file, ensure_ascii=False, indent=1)
        file.write("\n")
    rows, seed = [], 0
    while len(rows) < 300:
        seed += 1
        generator = reference.Generator(seed)
        row = entry(generator.template(), generator.context())
        size = len(row["template"])
        # Short ones, of which two thirds can be rendered.
        if size > 700 or " object at 0x" in row.get("text", "") or ("error" in row and sum("error" in r for r in rows) >= 100):
            continue
        used = {name: value for name, value in row["context"].items() if name in row["template"]}
        rows.append({**row, "context": used})
    with open(FOLDER / "random.jsonl", "w") as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(f"{len(cases)} cases ({sum('error' in case for case in cases)} errors), {len(rows)} random templates")


if __name__ == "__main__":
    main()
