// Element types of tensors in memory and in files.
#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

#include "runtime/base/bf16.h"
#include "runtime/base/number.h"

namespace longsight {

// Host ops take f32, bf16 (mixed precision) and f64 (proofs). The others are storage: ids (i64), pixels (u8),
// files.
enum class DType { F32, F64, BF16, F16, I32, I64, U8 };

i64 size_of(DType dtype);                      // bytes per element
const char* name_of(DType dtype);              // "f32"
DType dtype_from_name(std::string_view name);  // throws usage naming the known ones

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::F32;
  if constexpr (std::is_same_v<T, double>) return DType::F64;
  if constexpr (std::is_same_v<T, bf16>) return DType::BF16;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::I32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::I64;
  if constexpr (std::is_same_v<T, std::uint8_t>) return DType::U8;
}

// Of activations of type T: what is computed with, and what sums, saved statistics, losses and the gradients
// of parameters are kept in. Results of type T are rounded once, where they are stored.
template <class T>
using Statistics = std::conditional_t<std::is_same_v<T, bf16>, float, T>;
inline DType statistics_of(DType dtype) {
  return dtype == DType::BF16 ? DType::F32 : dtype;
}

// Calls f(T{}) with the scalar type of a dtype of statistics: f32 or f64.
template <class F>
decltype(auto) dispatch_statistics(DType dtype, F&& f) {
  check(dtype == DType::F32 || dtype == DType::F64, "no statistics are kept in {}", name_of(dtype));
  return dtype == DType::F32 ? std::forward<F>(f)(float{}) : std::forward<F>(f)(double{});
}

// Calls f(T{}) with the scalar type of activations: dispatch(x.dtype(), [&](auto zero) { using T =
// decltype(zero); ... });
template <class F>
decltype(auto) dispatch(DType dtype, F&& f) {
  check(dtype == DType::F32 || dtype == DType::F64 || dtype == DType::BF16, "no host op computes in {}",
        name_of(dtype));
  return dtype == DType::BF16 ? std::forward<F>(f)(bf16{}) : dispatch_statistics(dtype, std::forward<F>(f));
}

}  // namespace longsight
