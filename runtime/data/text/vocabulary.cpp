#include "runtime/data/text/vocabulary.h"

#include "runtime/base/error.h"
#include "runtime/base/json.h"

namespace longsight::data {
void Vocabulary::set(i64 id, const std::string& token, const std::string& source) {
  require(id >= 0 && id < kMostIds, ExitCode::bad_data, "{}: token {} has the id {}, outside of 0 to {}",
          source, Json(token).dump(), id, kMostIds - 1);
  const auto at = static_cast<std::size_t>(id);
  if (id >= size()) tokens_.resize(at + 1), special_.resize(at + 1);
  require(tokens_[at].empty() || tokens_[at] == token, ExitCode::bad_data,
          "{}: tokens {} and {} have the same id {}", source, Json(tokens_[at]).dump(), Json(token).dump(),
          id);
  const auto [known, fresh] = ids_.emplace(token, static_cast<std::int32_t>(id));
  require(fresh || known->second == id, ExitCode::bad_data, "{}: token {} has the ids {} and {}", source,
          Json(token).dump(), known->second, id);
  tokens_[at] = token;
}

std::optional<i64> Vocabulary::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string& Vocabulary::token(i64 id) const {
  check(id >= 0 && id < size(), "token {} of {}", id, size());
  return tokens_[static_cast<std::size_t>(id)];
}

bool Vocabulary::is_special(i64 id) const {
  return id >= 0 && id < size() && special_[static_cast<std::size_t>(id)];
}

}  // namespace longsight::data
