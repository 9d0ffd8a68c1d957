#!/usr/bin/env python3
"""Writes runtime/data/text/unicode_tables.cpp: character classes of Unicode 16.0 and what NFC of Unicode 9 needs.

    pip install unicodedata2==16.0.0
    scripts/make_unicode_tables.py [--derived-age FILE] > runtime/data/text/unicode_tables.cpp

DerivedAge.txt (Debian package unicode-data, any version from 9.0 on) says which code points are newer than Unicode 9.
"""

import argparse
import sys

try:
    import unicodedata2 as ucd
except ImportError:
    import unicodedata as ucd

LETTER, NUMBER, SPACE, WORD = 1, 2, 4, 8
CODE_POINTS = 0x110000
BLOCK = 256

# Alphabetic code points that are neither letters nor marks nor Nl (PropList.txt, Other_Alphabetic): circled,
# squared and regional letters. They count as word characters.
ALPHABETIC_SYMBOLS = [(0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189)]
SPACES = {*range(0x9, 0xE), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}


def character_class(code):
    category = ucd.category(chr(code))
    flags = 0
    if category[0] == "L":
        flags |= LETTER
    if category[0] == "N":
        flags |= NUMBER
    if code in SPACES:
        flags |= SPACE
    if category[0] in "LM" or category in ("Nd", "Nl", "Pc") or code in (0x200C, 0x200D):
        flags |= WORD
    if any(first <= code <= last for first, last in ALPHABETIC_SYMBOLS):
        flags |= WORD
    return flags


def code_points_of_unicode_9(path):
    known = set()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            fields = line.split("#")[0].split(";")
            if len(fields) == 2 and float(fields[1]) <= 9.0:
                first, _, last = fields[0].strip().partition("..")
                known.update(range(int(first, 16), int(last or first, 16) + 1))
    return known


def numbers(values, form="{}"):
    line, lines = "   ", []
    for value in values:
        text = " " + form.format(value) + ","
        if len(line) + len(text) > 110:
            lines.append(line)
            line = "   "
        line += text
    return "\n".join(lines + [line])


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--derived-age", default="/usr/share/unicode/DerivedAge.txt")
    path = arguments.parse_args().derived_age
    if ucd.unidata_version != "16.0.0":
        sys.exit(f"needs Unicode 16.0.0, this is {ucd.unidata_version}: pip install unicodedata2==16.0.0")

    classes = [character_class(code) for code in range(CODE_POINTS)]
    blocks, index = {}, []
    for start in range(0, CODE_POINTS, BLOCK):
        block = tuple(classes[start:start + BLOCK])
        index.append(blocks.setdefault(block, len(blocks)))
    assert len(blocks) <= 256

    # Of combining class 0, but not left alone by what is in front: second characters of compositions (Hangul vowels and
    # final consonants, some vowel signs), and characters that decompose into marks.
    joining = {*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)}
    canonical = {}
    for code in range(CODE_POINTS):
        decomposition = ucd.decomposition(chr(code))
        if decomposition and not decomposition.startswith("<"):
            canonical[code] = [int(part, 16) for part in decomposition.split()]
    for parts in canonical.values():
        if len(parts) == 2 and ucd.combining(chr(parts[1])) == 0:
            joining.add(parts[1])
    for code, parts in canonical.items():
        if ucd.combining(chr(code)) == 0 and ucd.combining(chr(parts[0])) != 0:
            joining.add(code)

    # Newer than Unicode 9, and NFC would move or compose them.
    old = code_points_of_unicode_9(path)
    inert = sorted(
        code
        for code in range(CODE_POINTS)
        if code not in old and (ucd.combining(chr(code)) != 0 or code in joining or code in canonical)
    )

    print("// Made by scripts/make_unicode_tables.py from the Unicode Character Database 16.0.0; not edited by hand.")
    print('#include "runtime/data/text/unicode.h"\n')
    print("namespace longsight::data {\n\n// clang-format off")
    print("// Of each block of 256 code points: the row of kClassBlocks.")
    print(f"const std::uint8_t kClassIndex[{len(index)}] = {{\n{numbers(index)}\n}};\n")
    print("// Two code points a byte, the even one in the low half.")
    print(f"const std::uint8_t kClassBlocks[{len(blocks)}][{BLOCK // 2}] = {{")
    for block in blocks:
        pairs = [block[i] | block[i + 1] << 4 for i in range(0, BLOCK, 2)]
        print("  {" if len(set(pairs)) > 1 else f"  {{{numbers(pairs).strip()[:-1]}}},")
        if len(set(pairs)) > 1:
            print(numbers(pairs) + "\n  },")
    print("};\n")
    for name, values in (("kNfcJoining", sorted(joining)), ("kNfcInert", inert)):
        print(f"const char32_t {name}[] = {{\n{numbers(values, '0x{:X}')}\n}};")
        print(f"const std::size_t {name}Count = {len(values)};\n")
    print("// clang-format on\n\n}  // namespace longsight::data")


if __name__ == "__main__":
    main()
