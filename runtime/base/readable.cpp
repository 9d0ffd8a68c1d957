#include "runtime/base/readable.h"

#include <fmt/format.h>

#include "runtime/base/utf8.h"

namespace longsight {
namespace {

constexpr std::size_t kLongest = 400, kHead = 120, kTail = 40;

std::string cut(std::string_view word) {
  std::size_t head = kHead, tail = word.size() - kTail;
  while (head > 0 && continues_utf8(word[head])) --head;
  while (tail < word.size() && continues_utf8(word[tail])) ++tail;
  return fmt::format("{}... ({} bytes) ...{}", word.substr(0, head), word.size(), word.substr(tail));
}

}  // namespace

std::string readable(std::string_view message) {
  if (message.size() <= kLongest) return std::string(message);
  std::string text;
  while (!message.empty()) {
    std::size_t end = message.find_first_of(" \t\r\n\"'");
    const std::string_view word = message.substr(0, end);
    if (word.size() > kLongest)
      text += cut(word);
    else
      text += word;
    if (end == std::string_view::npos) break;
    text += message[end];
    message.remove_prefix(end + 1);
  }
  return text;
}

}  // namespace longsight
