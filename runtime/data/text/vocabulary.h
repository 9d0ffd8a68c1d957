// Which token has which id.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "runtime/base/number.h"

namespace longsight::data {

class Vocabulary {
 public:
  // Four times as many as any model has; a table of them takes some 40 MB, however short the file that asks
  // for it.
  static constexpr i64 kMostIds = i64{1} << 20;

  // Ids may come in any order, with gaps, and a token may be set again with the same id. bad_data, with
  // `source`, for an id outside of 0 to kMostIds - 1, a second token with the same id, or a second id of the
  // same token.
  void set(i64 id, const std::string& token, const std::string& source);
  void reserve(std::size_t tokens) { ids_.reserve(tokens); }
  void mark_special(i64 id, bool special) { special_[static_cast<std::size_t>(id)] = special; }

  i64 size() const { return static_cast<i64>(tokens_.size()); }  // largest id + 1
  std::optional<i64> id_of(std::string_view token) const;
  const std::string& token(i64 id) const;  // empty for an id that no token has
  bool is_special(i64 id) const;           // false for an id that no token has

 private:
  struct StringHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  std::unordered_map<std::string, std::int32_t, StringHash, std::equal_to<>> ids_;
  std::vector<std::string> tokens_;
  std::vector<bool> special_;
};

}  // namespace longsight::data
