"""Helpers of the makers of seeds."""
import glob
import os

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
GOLDENS = os.path.join(ROOT, "tests", "goldens")
MIB = 1 << 20


def files(*patterns, most=16384):
    """Content by name, of what is small."""
    found = {}
    for pattern in patterns:
        for path in sorted(glob.glob(os.path.join(ROOT, pattern))):
            if os.path.getsize(path) <= most:
                with open(path, "rb") as file:
                    found[path[len(ROOT) + 1:].replace("/", "-")] = file.read()
    assert found, patterns
    return found


def numbered(values, name="attack"):
    return {f"{name}-{i:02}": value if isinstance(value, bytes) else value.encode() for i, value in enumerate(values)}


def deep(n, left="[", right="]"):
    return left * n + right * n


def escapes():
    """Ways out of a folder (tests/support/path_escapes.h has more)."""
    return [
        "../a.png", "/etc/passwd", "%2e%2e/a.png", "a.png\0b", "file:///etc/passwd", "https://example.org/a.png",
        "..\\a.png", "", "."
    ]
