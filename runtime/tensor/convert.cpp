#include "runtime/tensor/convert.h"

#include <cstring>

#include <immintrin.h>

namespace longsight {
namespace {

bool is_float(DType dtype) {
  return dtype == DType::F32 || dtype == DType::F64 || dtype == DType::BF16 || dtype == DType::F16;
}

double load(const void* data, DType dtype, i64 i) {
  switch (dtype) {
    case DType::F32:
      return static_cast<const float*>(data)[i];
    case DType::F64:
      return static_cast<const double*>(data)[i];
    case DType::BF16:
      return static_cast<const bf16*>(data)[i];
    default:
      return f32_from_f16(static_cast<const std::uint16_t*>(data)[i]);
  }
}

void store(void* data, DType dtype, i64 i, double value) {
  switch (dtype) {
    case DType::F32:
      static_cast<float*>(data)[i] = static_cast<float>(value);
      break;
    case DType::F64:
      static_cast<double*>(data)[i] = value;
      break;
    case DType::BF16:
      static_cast<bf16*>(data)[i] = static_cast<float>(value);
      break;
    default:
      static_cast<std::uint16_t*>(data)[i] = f16_from_f32(static_cast<float>(value));
      break;
  }
}

template <class To, class From>
void convert_each(To* to, const From* from, i64 count) {
  for (i64 i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}

}  // namespace

// x86-64-v3, the least that a build runs on, has F16C.
float f32_from_f16(std::uint16_t bits) {
  return _cvtsh_ss(bits);
}

std::uint16_t f16_from_f32(float value) {
  return _cvtss_sh(value, _MM_FROUND_TO_NEAREST_INT);
}

void convert(void* to, DType to_type, const void* from, DType from_type, i64 count) {
  if (count == 0) return;
  if (to_type == from_type) {
    std::memcpy(to, from, static_cast<std::size_t>(count * size_of(to_type)));
    return;
  }
  check(is_float(to_type) && is_float(from_type), "no conversion from {} to {}", name_of(from_type),
        name_of(to_type));
  // Those of every step, and of every weight that is read.
  if (to_type == DType::BF16 && from_type == DType::F32)
    return convert_each(static_cast<bf16*>(to), static_cast<const float*>(from), count);
  if (to_type == DType::F32 && from_type == DType::BF16)
    return convert_each(static_cast<float*>(to), static_cast<const bf16*>(from), count);
  for (i64 i = 0; i < count; ++i) store(to, to_type, i, load(from, from_type, i));
}

}  // namespace longsight
