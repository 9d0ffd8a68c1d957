#include "runtime/tensor/dtype.h"

#include <array>

namespace longsight {
namespace {

struct Entry {
  DType dtype;
  i64 bytes;
  const char* name;
};
constexpr std::array<Entry, 7> kTypes{{{DType::F32, 4, "f32"},
                                       {DType::F64, 8, "f64"},
                                       {DType::BF16, 2, "bf16"},
                                       {DType::F16, 2, "f16"},
                                       {DType::I32, 4, "i32"},
                                       {DType::I64, 8, "i64"},
                                       {DType::U8, 1, "u8"}}};

}  // namespace

i64 size_of(DType dtype) {
  return kTypes[static_cast<std::size_t>(dtype)].bytes;
}

const char* name_of(DType dtype) {
  return kTypes[static_cast<std::size_t>(dtype)].name;
}

DType dtype_from_name(std::string_view name) {
  for (const auto& entry : kTypes) {
    if (name == entry.name) return entry.dtype;
  }
  fail(ExitCode::usage, "unknown dtype \"{}\": one of f32, f64, bf16, f16, i32, i64, u8", name);
}

}  // namespace longsight
