// Reads the keys of a processor's JSON object; what it cannot use is bad_data with the file and the key.
// Internal to this folder.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "runtime/data/image/image_recipe.h"

namespace longsight::data {

// A key without an influence on pixel values.
bool changes_no_pixels(std::string_view key);

class RecipeReader {
 public:
  // The object must outlive the reader.
  RecipeReader(const nlohmann::json& object, std::string_view where) : object_(object), where_(where) {}

  template <class... A>
  [[noreturn]] void refuse(std::string_view key, fmt::format_string<A...> text, A&&... values) const {
    fail(ExitCode::bad_data, "{}: key '{}': {}", where_, key, fmt::format(text, std::forward<A>(values)...));
  }

  const nlohmann::json* find(const char* key) const;  // null counts as absent
  bool boolean(const char* key, bool otherwise) const;
  double number(const char* key, double otherwise) const;  // finite
  i64 whole(const char* key, i64 otherwise, i64 least, i64 most) const;
  std::array<double, 3> three(const char* key,
                              const std::array<double, 3>& otherwise) const;  // or one for all

  // A number (taken as the shortest edge), [height, width], {shortest_edge}, {longest_edge} or {height,
  // width}. An edge stands in both height and width.
  struct Size {
    ImageRecipe::Resize form = ImageRecipe::Resize::exact;
    ImageSize size;
  };
  std::optional<Size> size(const char* key) const;
  // Every key that was never asked for and is not null or false must be one of those without an influence on
  // pixels.
  void refuse_other_keys() const;

 private:
  i64 side(const char* key, const nlohmann::json& value) const;
  double finite(const char* key, const nlohmann::json& value) const;

  const nlohmann::json& object_;
  std::string where_;
  mutable std::set<std::string, std::less<>> asked_;
};

}  // namespace longsight::data
