"""Chat templates as transformers renders them, and random templates to compare with: for check_templates.py and
make_jinja_fixtures.py."""

import datetime
import functools
import json
import random

from transformers.utils import chat_template_utils

NOW = 1_790_000_000  # what strftime_now shows, in UTC


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(NOW, datetime.timezone.utc).replace(tzinfo=None)


chat_template_utils.datetime = FixedTime


@functools.lru_cache(maxsize=4)
def compiled(source):
    return chat_template_utils._cached_compile_jinja_template(source)


def render(source, context):
    """{"text": .., "generation": [[begin, end], ..]} in bytes, or {"error": .., "raised": whether raise_exception said it}."""
    import jinja2

    try:
        template = compiled(source)
        blocks, marks = [], []
        with template.environment.activate_tracker(blocks, marks):
            for block in template.generate(**context):
                blocks.append(block)
        text = "".join(blocks)
        text.encode()
    except Exception as error:
        return {"error": str(error), "raised": type(error) is jinja2.exceptions.TemplateError}
    marks = [[len(text[:begin].encode()), len(text[:end].encode())] for begin, end in marks if end > begin]
    return {"text": text, "generation": marks}


# --- random templates -------------------------------------------------------------------------------------------------

WORDS = ["user", "assistant", "system", "Hello", "über", "", " ", "a b", "x\ny", " pad ", "ÄÖ ß", "日本語", "🙂", "<b>&'\"", "1", "12",
         "3.5", "a,b,c", "tool", "%s|%d", "{}-{}", "Title Case", "UPPER", "\\", "ǆ", "ΑΣ", "_x", "key", "\t", "a-b_c"]
KINDS = ["str", "int", "float", "bool", "list", "dict", "none", "strlist", "dictlist", "intlist"]
STR_METHODS = ["strip()", "lstrip()", "rstrip()", "upper()", "lower()", "title()", "capitalize()", "swapcase()", "strip('a ')",
               "lstrip('H<')", "rstrip('o')", "replace('a', 'bb')", "replace('', '-')", "replace('l', '', 1)", "removeprefix('He')",
               "removesuffix('o')", "zfill(6)", "center(9)", "center(8, '*')", "ljust(7)", "rjust(7, '.')", "casefold()"]
STR_TO_LIST = ["split()", "split(',')", "split(None, 1)", "rsplit(' ', 1)", "rsplit()", "split('l', 1)", "splitlines()",
               "splitlines(true)", "partition(' ')", "rpartition('l')", "rsplit(None, 1)"]
STR_TO_INT = ["find('l')", "rfind('l')", "count('l')", "find('l', 1)", "count('')", "index('l')", "find('')", "find('a', -3, 9)"]
STR_TO_BOOL = ["startswith('H')", "endswith('o')", "startswith(('a', 'H'))", "isdigit()", "isalpha()", "isspace()", "isupper()",
               "islower()", "isalnum()", "istitle()", "isnumeric()", "isdecimal()", "isidentifier()", "isascii()", "isprintable()",
               "startswith('l', 2)", "endswith('l', 0, 3)"]
STR_FILTERS = ["upper", "lower", "title", "capitalize", "trim", "trim('H ')", "string", "replace('l', 'L')", "replace('l', 'L', 1)",
               "indent", "indent(2, true)", "indent('> ', blank=true)", "truncate(5)", "truncate(6, true, '', 0)", "center(10)",
               "reverse", "safe", "escape", "e", "urlencode", "default('d')", "d('e', true)", "forceescape", "format(1, 'x')"]
ANY_TO_STR = ["string", "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true)", "tojson(separators=(',', ':'), sort_keys=true)",
              "tojson(indent=1)", "pprint"]
LIST_FILTERS = ["list", "sort", "sort(reverse=true)", "unique|list", "reverse|list", "map('upper')|list", "map('string')|list",
                "select|list", "reject('none')|list", "batch(2)|list", "slice(2)|list", "batch(3, 'f')|list", "slice(3, 0)|list",
                "select('string')|list", "reject('odd')|list", "map('int')|list", "sort(case_sensitive=true)", "map('default', 'q')|list",
                "select('in', ['user', 1])|list", "select('gt', 1)|list"]
DICTS_FILTERS = ["map(attribute='role')|list", "selectattr('role')|list", "selectattr('role', 'equalto', 'user')|list",
                 "rejectattr('content', 'none')|list", "selectattr('content', 'string')|list", "sort(attribute='role')",
                 "groupby('role')", "map(attribute='missing', default='z')|list", "selectattr('tools', 'defined')|list",
                 "rejectattr('n', 'eq', 1)|list", "unique(attribute='role')|list", "sort(attribute='role,n')", "map(attribute='parts.0')|list"]
LIST_TO_ANY = ["first", "last", "min", "max", "sum", "length", "count", "join(', ')", "join", "tojson", "string", "random_no"]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "integer", "float", "boolean", "true",
         "false", "odd", "even", "divisibleby(3)", "divisibleby 2", "eq 1", "ne 'user'", "lt(3)", "gt 1", "le 2", "ge(2)", "equalto('user')",
         "in ['user', 'system', 1]", "upper", "lower", "callable", "escaped", "not none", "not defined", "not string", "filter", "test"]


class Generator:
    """Templates from a grammar: mostly sensible, sometimes of the wrong type, so that errors are compared too."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.scope = []  # (name, kind) of variables that the template made
        self.loops = 0
        self.captures = 0  # blocks whose text is not written at once: there jinja2 counts {% generation %} from elsewhere
        self.macros = []

    def chance(self, p):
        return self.random.random() < p

    def pick(self, values):
        return self.random.choice(values)

    def value(self, kind, depth=2):
        pick, r = self.pick, self.random
        if kind == "str":
            return pick(WORDS) if self.chance(0.7) else pick(WORDS) + pick(WORDS)
        if kind == "int":
            return r.randint(-3, 12)
        if kind == "float":
            return pick([0.0, 1.0, 2.5, -1.25, 1e-7, 1e16, 123456.789, 3.0])
        if kind == "bool":
            return self.chance(0.5)
        if kind == "none":
            return None
        if kind == "strlist":
            return [self.value("str") for _ in range(r.randint(0, 4))]
        if kind == "intlist":
            return [self.value("int") for _ in range(r.randint(0, 4))]
        if kind == "dictlist":
            return [self.message() for _ in range(r.randint(0, 4))]
        if kind == "list":
            return [self.value(pick(KINDS if depth else KINDS[:4]), depth - 1) for _ in range(r.randint(0, 3))]
        return {pick(["role", "content", "key", "b", "a", "items", "n", "ü"]): self.value(pick(KINDS if depth else KINDS[:4]), depth - 1)
                for _ in range(r.randint(0, 4))}

    def message(self):
        r = self.random
        message = {"role": self.pick(["system", "user", "assistant", "tool"])}
        message["content"] = self.pick([self.value("str"), self.value("str"), None, [{"type": "text", "text": self.value("str")}, {"type": "image"}], ""])
        if self.chance(0.3):
            message["n"] = r.randint(0, 3)
        if self.chance(0.2):
            message["tools"] = [{"name": self.value("str"), "arguments": self.value("dict")}]
        if self.chance(0.2):
            message["parts"] = self.value("strlist")
        return message

    def context(self):
        context = {f"{kind}_{i}": self.value(kind) for kind in KINDS for i in range(2)}
        context["messages"] = [self.message() for _ in range(self.random.randint(0, 5))]
        context["bos_token"] = "<s>"
        context["add_generation_prompt"] = self.chance(0.5)
        return context

    def literal(self, kind):
        value = self.value(kind, 1)
        text = repr(value)
        if self.chance(0.2) and kind in ("bool", "none"):
            text = text.lower()
        if kind == "str" and self.chance(0.3):
            text = json.dumps(value)
            if "\\u" in text:
                text = repr(value)
        if kind == "list" and self.chance(0.2) and value:
            text = "(" + ", ".join(repr(v) for v in value) + ",)"
        return text

    def name(self, kind):
        made = [n for n, k in self.scope if k == kind]
        if made and self.chance(0.5):
            return self.pick(made)
        if kind == "dictlist" and self.chance(0.5):
            return "messages"
        return f"{kind}_{self.random.randint(0, 1)}"

    def expr(self, kind, depth):
        r = self.random
        if self.chance(0.04):
            kind = self.pick(KINDS)
        if self.chance(0.01):
            return self.pick(["missing", "messages.missing", "none_0.x", "dict_0.missing", "messages[0].role", "missing.x"])
        if depth <= 0:
            return self.name(kind) if self.chance(0.6) else self.literal(kind)
        d = depth - 1
        e = self.expr
        common = [
            lambda: self.name(kind),
            lambda: self.literal(kind),
            lambda: f"({e(kind, d)} if {e('bool', d)} else {e(kind, d)})",
            lambda: f"({e(kind, d)} or {e(kind, d)})",
            lambda: f"({e(kind, d)} and {e(kind, d)})",
            lambda: f"{e(kind, d)}|default({e(kind, d)})",
            lambda: f"[{e(kind, d)}, {e(kind, d)}][{r.randint(-2, 1)}]",
            lambda: f"{{'k': {e(kind, d)}}}.k",
            lambda: f"{{'k': {e(kind, d)}}}['k']",
            lambda: f"({e(kind, d)})",
        ]
        special = {
            "str": [
                lambda: f"{e('str', d)} + {e('str', d)}",
                lambda: f"{e('str', d)} ~ {e(self.pick(KINDS), d)} ~ {e('int', d)}",
                lambda: f"({e('str', d)}).{self.pick(STR_METHODS)}",
                lambda: f"({e('str', d)})|{self.pick(STR_FILTERS)}",
                lambda: f"({e(self.pick(KINDS), d)})|{self.pick(ANY_TO_STR)}",
                lambda: f"({e('str', d)})[{self.slice(d)}]",
                lambda: f"({e('str', d)})[{r.randint(-3, 3)}]",
                lambda: f"({e('str', d)}) * {r.randint(-1, 3)}",
                lambda: f"({e('strlist', d)})|join({e('str', d)})",
                lambda: f"({e('str', d)}).join({e('strlist', d)})",
                lambda: f"'%s:%{self.pick(['d', '5d', '-4d', '03d', 'x', 'r', 's', '5.1f', 'g', '+d'])}' % ({e('str', d)}, {e('int', d)})",
                lambda: f"'{{}}{{:{self.pick(['>5', '<4', '^7', '05d', '', '+', 'x', ',', '.2f', 'e', '08.3f'])}}}{{0!r}}'.format({e('str', d)}, {e('int', d)})".replace("{0!r}", ""),
                lambda: f"'{{a}}-{{b[0]}}'.format(a={e('int', d)}, b={e('strlist', d)})",
                lambda: f"messages[{r.randint(-1, 2)}].{self.pick(['role', 'content'])}",
                lambda: f"messages[{r.randint(-1, 2)}]['{self.pick(['role', 'content'])}']",
                lambda: f"dict_0.get('{self.pick(['a', 'b', 'role'])}', {e('str', d)})",
            ],
            "int": [
                lambda: f"{e('int', d)} {self.pick(['+', '-', '*'])} {e('int', d)}",
                lambda: f"({e('int', d)} {self.pick(['//', '%'])} {e('int', d)})",
                lambda: f"-({e('int', d)})",
                lambda: f"{r.randint(-3, 3)} ** {r.randint(0, 4)}",
                lambda: f"({e(self.pick(['str', 'list', 'dict', 'strlist']), d)})|length",
                lambda: f"({e(self.pick(['str', 'float', 'int', 'bool']), d)})|int",
                lambda: f"({e('str', d)}).{self.pick(STR_TO_INT)}",
                lambda: f"({e('intlist', d)})|{self.pick(['sum', 'min', 'max', 'first', 'last', 'count'])}",
                lambda: f"({e('strlist', d)}).{self.pick(['index', 'count'])}({e('str', d)})",
                lambda: f"({e('int', d)})|abs",
                lambda: f"({e('str', d)})|wordcount",
            ] + ([lambda: f"loop.{self.pick(['index', 'index0', 'revindex', 'revindex0', 'length', 'depth'])}"] * 3 if self.loops else []),
            "float": [
                lambda: f"{e('float', d)} {self.pick(['+', '-', '*'])} {e('int', d)}",
                lambda: f"{e('int', d)} / {e('int', d)}",
                lambda: f"({e('float', d)})|round({r.randint(0, 2)})",
                lambda: f"({e('float', d)})|round({r.randint(0, 2)}, '{self.pick(['ceil', 'floor', 'common'])}')",
                lambda: f"({e(self.pick(['str', 'float', 'int']), d)})|float",
                lambda: f"({e('float', d)} {self.pick(['//', '%'])} {e('int', d)})",
            ],
            "bool": [
                lambda: f"{e('int', d)} {self.pick(['<', '<=', '>', '>=', '==', '!='])} {e('int', d)}",
                lambda: f"{e('str', d)} {self.pick(['<', '==', '!=', '>='])} {e('str', d)}",
                lambda: f"{e(self.pick(KINDS), d)} == {e(self.pick(KINDS), d)}",
                lambda: f"{e('str', d)} {self.pick(['in', 'not in'])} {e(self.pick(['str', 'strlist', 'dict', 'list']), d)}",
                lambda: f"({e(self.pick(KINDS), d)}) is {self.pick(TESTS)}",
                lambda: f"not {e('bool', d)}",
                lambda: f"({e('str', d)}).{self.pick(STR_TO_BOOL)}",
                lambda: f"{e('int', d)} < {e('int', d)} <= {e('int', d)}",
                lambda: f"{self.pick(['missing', 'messages[0].tools', 'dict_0.b', 'str_0'])} is {self.pick(['defined', 'undefined', 'not defined'])}",
            ] + ([lambda: f"loop.{self.pick(['first', 'last', 'changed(1)'])}"] * 2 if self.loops else []),
            "list": [
                lambda: f"[{e(self.pick(KINDS), d)}, {e(self.pick(KINDS), d)}]",
                lambda: f"{e('list', d)} + {e('list', d)}",
                lambda: f"({e('list', d)})[{self.slice(d)}]",
                lambda: f"({e(self.pick(['list', 'strlist', 'intlist', 'str', 'dict']), d)})|{self.pick(LIST_FILTERS)}",
                lambda: f"({e('dictlist', d)})|{self.pick(DICTS_FILTERS)}",
                lambda: f"({e('dict', d)}).{self.pick(['items()', 'keys()', 'values()'])}|list",
                lambda: f"({e('dict', d)})|{self.pick(['items|list', 'dictsort', 'list', 'dictsort(true)', 'dictsort(reverse=true)'])}",
                lambda: f"({e('list', d)}) * {r.randint(0, 2)}",
            ],
            "strlist": [
                lambda: f"({e('str', d)}).{self.pick(STR_TO_LIST)}",
                lambda: f"({e('str', d)})|list",
                lambda: f"({e('strlist', d)})[{self.slice(d)}]",
                lambda: f"({e('strlist', d)})|{self.pick(LIST_FILTERS)}",
            ],
            "intlist": [
                lambda: f"range({r.randint(-2, 5)}, {r.randint(0, 9)}, {self.pick([1, 2, -1, 3])})|list",
                lambda: f"range({e('int', 0)})|list",
                lambda: f"({e('intlist', d)})|{self.pick(['sort', 'unique|list', 'reverse|list', 'select(%s)|list' % repr('odd')])}",
            ],
            "dict": [
                lambda: f"dict(a={e('int', d)}, b={e('str', d)})",
                lambda: f"{{'a': {e(self.pick(KINDS), d)}, {e('str', d)}: {e('int', d)}, 2: 3}}",
                lambda: f"messages[{r.randint(-1, 2)}]",
                lambda: f"dict({e('dict', d)}, n=1)",
                lambda: f"({e('dictlist', d)})|{self.pick(['first', 'last'])}",
            ],
            "dictlist": [
                lambda: f"({e('dictlist', d)})[{self.slice(d)}]",
                lambda: f"({e('dictlist', d)})|{self.pick(['list', 'reverse|list'])}",
            ],
            "none": [],
        }[kind]
        return self.pick(special * 2 + common)() if special else self.pick(common)()

    def slice(self, depth):
        part = lambda: self.pick(["", "", str(self.random.randint(-4, 5))])
        text = f"{part()}:{part()}"
        if self.chance(0.3):
            text += ":" + self.pick(["", "1", "2", "-1", "-2"])
        return text

    def tag(self, body):
        left = self.pick(["{%", "{%", "{%-", "{%-", "{%+"])
        right = self.pick(["%}", "%}", "-%}", "-%}", "+%}"])
        return f"{left} {body} {right}"

    def text(self):
        return self.pick(["", " ", "\n", "\n\n", "  \n", "text", "  text\n", "\ttab\n", "<|im_start|>", "a\n  ", "{ x }", "é🙂\n", "\r\n", "#}", "%"])

    def output(self, depth):
        expression = self.expr(self.pick(KINDS), depth)
        return f"{self.pick(['{{', '{{-'])} {expression} {self.pick(['}}', '-}}'])}"

    def body(self, depth, loop=False):
        parts = []
        saved = list(self.scope), list(self.macros)
        for _ in range(self.random.randint(1, 3)):
            parts.append(self.text())
            parts.append(self.statement(depth))
        if loop and self.chance(0.2):
            parts.append(self.tag(f"if {self.expr('bool', 1)}") + self.tag(self.pick(["break", "continue"])) + self.tag("endif"))
        parts.append(self.text())
        self.scope, self.macros = saved
        return "".join(parts)

    def captured(self, depth):
        self.captures += 1
        text = self.body(depth)
        self.captures -= 1
        return text

    def statement(self, depth):
        if depth <= 0 or self.chance(0.35):
            return self.output(2)
        d = depth - 1
        kind = self.pick(KINDS)
        which = self.pick(["if", "if", "for", "for", "for", "set", "set", "set", "namespace", "macro", "call", "filter", "with", "raw", "comment",
                           "setblock", "generation", "raise", "unpack", "recursive", "cycle"])
        if which == "if":
            text = self.tag(f"if {self.expr('bool', 2)}") + self.body(d)
            if self.chance(0.3):
                text += self.tag(f"elif {self.expr('bool', 1)}") + self.body(d)
            if self.chance(0.5):
                text += self.tag("else") + self.body(d)
            return text + self.tag("endif")
        if which == "for":
            source = self.pick(["strlist", "intlist", "list", "dictlist", "str", "dict"])
            name, of = f"v{len(self.scope)}", {"strlist": "str", "intlist": "int", "dictlist": "dict", "str": "str", "dict": "str"}.get(source, kind)
            header = f"for {name} in {self.expr(source, 1)}"
            self.scope.append((name, of))
            if self.chance(0.2):
                header += f" if {self.expr('bool', 1)}"
            self.loops += 1
            text = self.tag(header) + self.body(d, loop=True)
            self.loops -= 1
            self.scope.pop()
            if self.chance(0.2):
                text += self.tag("else") + self.body(d)
            return text + self.tag("endfor")
        if which == "unpack":
            return self.tag(f"for k, v in {self.expr('dict', 1)}.items()") + "{{ k }}={{ v }};" + self.tag("endfor")
        if which == "recursive":
            return (self.tag("for x in [[1, [2]], [3]] recursive") + "{{ loop.depth }}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}"
                    + self.tag("endfor"))
        if which == "cycle" and self.loops:
            return "{{ loop.cycle('a', 'b') }}{{ loop.previtem }}{{ loop.nextitem|default('end') }}"
        if which == "set":
            name = self.pick(["s0", "s1", "s2"])
            text = self.tag(f"set {name} = {self.expr(kind, 2)}")
            self.scope.append((name, kind))
            return text
        if which == "setblock":
            self.scope.append(("block", "str"))
            return self.tag(self.pick(["set block", "set block | upper", "set block | trim"])) + self.captured(d) + self.tag("endset") + "[{{ block }}]"
        if which == "namespace":
            return (self.tag(f"set ns = namespace(n=0, s={self.expr('str', 1)})") + self.tag(f"for q in {self.expr('intlist', 1)}")
                    + self.tag("set ns.n = ns.n + q") + self.tag("endfor") + "{{ ns.n }}{{ ns.s }}")
        if which == "macro":
            name = f"m{len(self.macros)}"
            text = self.tag(f"macro {name}(p, q={self.expr('int', 1)})") + "{{ p }}/{{ q }}" + self.pick(["", "{{ varargs }}", "{{ kwargs }}"]) + self.tag("endmacro")
            self.macros.append(name)
            return text + "{{ " + f"{name}({self.expr('str', 1)}{self.pick(['', ', 2', ', q=3', ', 1, 2', ', z=1'])})" + " }}"
        if which == "call":
            return ("{% macro outer(t) %}<{{ t }}>{{ caller(t) }}</>{% endmacro %}" + self.tag(f"call(u) outer({self.expr('str', 1)})") + "{{ u }}"
                    + self.captured(d) + self.tag("endcall"))
        if which == "filter":
            return self.tag(f"filter {self.pick(['upper', 'trim', 'replace(%r, %r)' % ('e', 'E'), 'length', 'indent(2)', 'trim|upper'])}") + self.captured(d) + self.tag("endfilter")
        if which == "with":
            self.scope.append(("w", kind))
            text = self.tag(f"with w = {self.expr(kind, 1)}") + self.body(d) + self.tag("endwith")
            self.scope.pop()
            return text
        if which == "raw":
            return self.tag("raw") + "{{ x }}{% if %}" + self.text() + self.tag("endraw")
        if which == "comment":
            return f"{self.pick(['{#', '{#-', '{#+'])} c {self.pick(['#}', '-#}', '+#}'])}"
        if which == "generation" and self.captures == 0:
            return self.tag("generation") + self.captured(d) + self.tag("endgeneration")
        if which == "raise" and self.chance(0.15):
            return self.tag(f"if {self.expr('bool', 1)}") + "{{ raise_exception('no: ' + " + self.expr("str", 0) + ") }}" + self.tag("endif")
        return self.output(2)

    def template(self):
        return self.body(3)
