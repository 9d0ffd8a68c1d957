// XXH3 (64 and 128 bits) of data that come piece by piece.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <xxhash.h>

#include "runtime/base/error.h"
#include "runtime/base/number.h"

namespace longsight {

class StreamHash {
 public:
  StreamHash() : state_(XXH3_createState(), XXH3_freeState) {
    check(state_ != nullptr && XXH3_64bits_reset(state_.get()) == XXH_OK, "no memory for a hash");
  }
  void add(std::string_view bytes) { XXH3_64bits_update(state_.get(), bytes.data(), bytes.size()); }
  u64 digest() const { return XXH3_64bits_digest(state_.get()); }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

// 128 bits: for files, which have to be told from damaged ones.
class WideHash {
 public:
  WideHash() : state_(XXH3_createState(), XXH3_freeState) {
    check(state_ != nullptr && XXH3_128bits_reset(state_.get()) == XXH_OK, "no memory for a hash");
  }
  void add(std::string_view bytes) { XXH3_128bits_update(state_.get(), bytes.data(), bytes.size()); }
  // 32 hexadecimal digits, of what was added so far.
  std::string text() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

inline std::string wide_hash(std::string_view bytes) {
  WideHash hash;
  hash.add(bytes);
  return hash.text();
}

}  // namespace longsight
