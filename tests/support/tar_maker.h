// Tar archives made field by field, right and wrong ones.
#pragma once

#include <cstring>
#include <string>

#include <fmt/format.h>

namespace longsight {

struct TarHeader {
  std::string name = "a.json";
  std::string size = "00000000000";  // octal digits
  char type = '0';
  std::string prefix = {};
  std::string checksum = {};  // empty: the right one
};

inline std::string octal_size(std::size_t bytes) {
  return fmt::format("{:011o}", bytes);
}

inline std::string tar_block(const TarHeader& h) {
  std::string block(512, '\0');
  const auto put = [&block](std::size_t at, const std::string& text, std::size_t most) {
    std::memcpy(block.data() + at, text.data(), std::min(text.size(), most));
  };
  put(0, h.name, 100);
  put(100, "0000644", 8);
  put(108, "0000000", 8);
  put(116, "0000000", 8);
  put(124, h.size, 12);
  put(136, "00000000000", 12);
  block[156] = h.type;
  put(257, std::string("ustar\00000", 8), 8);
  put(345, h.prefix, 155);
  std::memset(block.data() + 148, ' ', 8);
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  put(148, h.checksum.empty() ? fmt::format("{:06o}", sum) + std::string("\0 ", 2) : h.checksum, 8);
  return block;
}

// A header and its content, filled up to whole blocks.
inline std::string tar_member(const std::string& name, const std::string& content, char type = '0') {
  std::string member = tar_block({.name = name, .size = octal_size(content.size()), .type = type}) + content;
  member.resize((member.size() + 511) / 512 * 512, '\0');
  return member;
}

inline std::string tar_end() {
  return std::string(1024, '\0');
}

// "LENGTH key=value\n", the length counting itself.
inline std::string pax_record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  std::size_t length = rest.size();
  while (fmt::format("{}{}", length, rest).size() != length) ++length;
  return fmt::format("{}{}", length, rest);
}

}  // namespace longsight
