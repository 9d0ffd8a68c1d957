#include "runtime/base/fields.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

#include <xxhash.h>

namespace longsight {
namespace {

using Kind = FieldNode::Kind;

// Can the text stand without quotes and still be read as text? Only what is plain beyond doubt, also for
// other readers.
bool is_plain(std::string_view text) {
  constexpr std::array<std::string_view, 11> kReserved = {"true", "false", "null", "auto", "yes", "no",
                                                          "on",   "off",   "y",    "n",    "nan"};
  const auto letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '/';
  };
  const auto inner = [&](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-'; };
  if (text.empty() || !letter(text.front()) || !std::all_of(text.begin(), text.end(), inner)) return false;
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + "\"";
}

std::string key_text(const std::string& key) {
  return is_plain(key) ? key : quoted(key);
}

// On one line: scalars, empty lists and mappings, lists of what fits on one line.
std::string inline_text(const FieldNode& node) {
  switch (node.kind) {
    case Kind::none:
      return "null";
    case Kind::word:
      return node.scalar;
    case Kind::text:
      return is_plain(node.scalar) ? node.scalar : quoted(node.scalar);
    case Kind::list: {
      std::string text = "[";
      for (std::size_t i = 0; i < node.items.size(); ++i)
        text += (i > 0 ? ", " : "") + inline_text(node.items[i]);
      return text + "]";
    }
    default: {
      std::string text = "{";
      for (std::size_t i = 0; i < node.items.size(); ++i) {
        text += (i > 0 ? ", " : "") + key_text(node.keys[i]) + ": " + inline_text(node.items[i]);
      }
      return text + "}";
    }
  }
}

bool is_inline(const FieldNode& node) {
  if (node.kind == Kind::map) return node.items.empty();
  return node.kind != Kind::list || std::all_of(node.items.begin(), node.items.end(),
                                                [](const FieldNode& item) { return is_inline(item); });
}

void write_block(std::string& text, const FieldNode& node, std::size_t indent, bool first_line_indented) {
  const auto begin_line = [&](std::size_t i) {
    if (i > 0 || !first_line_indented) text.append(indent, ' ');
  };
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const FieldNode& item = node.items[i];
    begin_line(i);
    if (node.kind == Kind::list) {
      text += "- ";
      if (is_inline(item)) {
        text += inline_text(item) + "\n";
      } else {
        write_block(text, item, indent + 2, true);
      }
    } else if (is_inline(item)) {
      text += key_text(node.keys[i]) + ": " + inline_text(item) + "\n";
    } else {
      text += key_text(node.keys[i]) + ":\n";
      write_block(text, item, indent + 2, false);
    }
  }
}

void flatten(const FieldNode& node, const std::string& key,
             std::vector<std::pair<std::string, std::string>>& into) {
  if (is_inline(node) && (node.kind != Kind::list || node.items.empty())) {
    into.emplace_back(key, inline_text(node));
    return;
  }
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    const std::string name = node.kind == Kind::map ? node.keys[i] : fmt::format("{}", i);
    flatten(node.items[i], key.empty() ? name : key + "." + name, into);
  }
}

}  // namespace

const FieldNode* FieldNode::find(const std::string& key) const {
  const auto found = std::find(keys.begin(), keys.end(), key);
  return found == keys.end() ? nullptr : &items[static_cast<std::size_t>(found - keys.begin())];
}

FieldNode* FieldNode::find(const std::string& key) {
  return const_cast<FieldNode*>(static_cast<const FieldNode*>(this)->find(key));
}

FieldNode& FieldNode::add(std::string key, FieldNode value, Place key_place) {
  keys.push_back(std::move(key));
  key_places.push_back(key_place);
  items.push_back(std::move(value));
  return items.back();
}

namespace detail {

FieldNode word_node(std::string word) {
  return {.kind = Kind::word, .scalar = std::move(word)};
}

FieldNode text_node(std::string text) {
  return {.kind = Kind::text, .scalar = std::move(text)};
}

FieldNode number_node(double value) {
  check(std::isfinite(value), "a configuration holds the number {}", value);
  return word_node(fmt::format("{}", value));
}

}  // namespace detail

std::string to_yaml(const FieldNode& node) {
  if (is_inline(node)) return inline_text(node) + "\n";
  std::string text;
  write_block(text, node, 0, false);
  return text;
}

u64 fingerprint(const FieldNode& node) {
  const std::string text = to_yaml(node);
  return XXH3_64bits(text.data(), text.size());
}

std::vector<FieldDifference> differences(const FieldNode& left, const FieldNode& right) {
  std::vector<std::pair<std::string, std::string>> a, b;
  flatten(left, "", a);
  flatten(right, "", b);
  const std::map<std::string, std::string> of_a(a.begin(), a.end()), of_b(b.begin(), b.end());
  std::vector<FieldDifference> found;
  for (const auto& [key, value] : a) {
    const auto other = of_b.find(key);
    if (other == of_b.end()) {
      found.push_back({key, value, ""});
    } else if (other->second != value) {
      found.push_back({key, value, other->second});
    }
  }
  for (const auto& [key, value] : b) {
    if (!of_a.contains(key)) found.push_back({key, "", value});
  }
  return found;
}

}  // namespace longsight
