// libFuzzer's entry to one target, LONGSIGHT_FUZZ_TARGET.
#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  longsight::fuzz::LONGSIGHT_FUZZ_TARGET({data, size});
  return 0;
}
