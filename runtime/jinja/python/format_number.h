// Numbers and strings laid out as Python's format() and % do.
#pragma once

#include <string>

#include "runtime/jinja/python/python.h"

namespace longsight::jinja {

struct Layout {
  std::string fill = " ";
  char align = 0;  // < > = ^, or 0
  char sign = '-';
  bool alternate = false;
  char grouping = 0;  // , or _
  i64 width = 0;
  i64 precision = -1;
  char type = 0;
};

// Without padding: the sign, then the digits.
struct Digits {
  std::string sign, digits;
};
Digits integer_digits(i64 value, const Layout& layout);  // d b o x X n c
Digits real_digits(double value,
                   const Layout& layout);  // e E f F g G % n, or 0: as repr, but with a precision as g
void add_padded(TextBuilder& out, const Digits& digits, const Layout& layout);
void add_padded(Run& run, TextBuilder& out, const Text& text, const Layout& layout);

}  // namespace longsight::jinja
