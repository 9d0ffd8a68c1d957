// XXH3 (64 bits) of data that come piece by piece.
#pragma once

#include <memory>
#include <string_view>

#include <xxhash.h>

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

}  // namespace longsight
