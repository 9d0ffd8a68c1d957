#include "tests/runtime/ops/cuda/twin.h"

#include <algorithm>
#include <limits>

#include "runtime/tensor/convert.h"

namespace longsight::cuda_test {

Twin::Twin(DType dtype, Shape shape, std::string_view name, i64 gap, double magnitude)
    : dtype_(dtype), shape_(shape), rows_(shape[0]), cols_(1), gap_(gap) {
  for (const i64 extent : shape.extents().subspan(1)) cols_ *= extent;
  const i64 count = gap + rows_ * (cols_ + gap) - (gap > 0 && rows_ > 0 ? gap : 0);
  made_.resize(static_cast<std::size_t>(count * size_of(dtype)));
  const Philox random(11, name);
  if (dtype == DType::I64 || dtype == DType::I32) {
    for (i64 i = 0; i < count; ++i) {
      const auto drawn = static_cast<i64>(random.bits(static_cast<u64>(i)) % 1000);
      const auto narrow = static_cast<std::int32_t>(drawn);
      const void* const number = dtype == DType::I64 ? static_cast<const void*>(&drawn) : &narrow;
      std::memcpy(made_.data() + i * size_of(dtype), number, static_cast<std::size_t>(size_of(dtype)));
    }
  } else {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<float>(magnitude * random.normal(i));
    convert(made_.data(), dtype, values.data(), DType::F32, count);
  }
  host_ = device_ = made_;
}

Matrix Twin::matrix(bool device) const {
  auto& memory = const_cast<std::vector<std::byte>&>(device ? device_ : host_);
  return {memory.data() + gap_ * size_of(dtype_), dtype_, rows_, cols_, cols_ + gap_,
          device ? Backend::cuda : Backend::host};
}

Tensor Twin::tensor(bool device) const {
  check(gap_ == 0, "a matrix with gaps is no tensor");
  static std::byte nothing[16];
  void* const data = matrix(device).data;
  return {data == nullptr ? nothing : data, dtype_, shape_, device ? Backend::cuda : Backend::host};
}

Heads Twin::heads(bool device, i64 heads) const {
  return {matrix(device), heads, exact_div(cols_, heads)};
}

void Twin::remember() {
  made_ = host_;
}

i64 Twin::changed_bytes() const {
  i64 changed = 0;
  for (std::size_t i = 0; i < made_.size(); ++i) changed += made_[i] != host_[i];
  return changed;
}

void Twin::reset_device() {
  device_ = made_;
}

std::vector<std::byte> Twin::bits() const {
  return device_;
}

double Twin::value(const std::vector<std::byte>& memory, i64 i) const {
  if (dtype_ == DType::I64) {
    i64 number = 0;
    std::memcpy(&number, memory.data() + i * 8, 8);
    return static_cast<double>(number);
  }
  if (dtype_ == DType::I32) {
    std::int32_t number = 0;
    std::memcpy(&number, memory.data() + i * 4, 4);
    return static_cast<double>(number);
  }
  double number = 0;
  convert(&number, DType::F64, memory.data() + i * size_of(dtype_), dtype_, 1);
  return number;
}

double Twin::worst_error() const {
  const i64 count = static_cast<i64>(made_.size()) / size_of(dtype_);
  double largest = 0, worst = 0;
  for (i64 i = 0; i < count; ++i) {
    const double right = std::fabs(value(host_, i));
    if (std::isfinite(right)) largest = std::max(largest, right);
  }
  for (i64 i = 0; i < count; ++i) {
    const double right = value(host_, i), here = value(device_, i);
    if (right == here || (std::isnan(right) && std::isnan(here))) continue;
    const double error = std::fabs(here - right);
    if (!std::isfinite(error)) return std::numeric_limits<double>::infinity();
    const double ulp = dtype_ == DType::BF16 ? std::fabs(right) * 0x1p-7 : 0;
    worst = std::max(worst, error - ulp);
  }
  return largest > 0 ? worst / largest : worst;
}

bool tells_its_work(const Trace& trace, std::string_view name, i64 written) {
  constexpr i64 kNumbers = 16;  // bytes: a sum or a hash beside what it is of
  if (written == 0) return true;
  const auto named = [&](const Work& work) { return work.op == name; };
  return std::any_of(trace.calls().begin(), trace.calls().end(), named) &&
         trace.bytes() + kNumbers >= static_cast<double>(written);
}

IndexList random_list(i64 size, i64 limit, std::string_view name) {
  const Philox random(7, name);
  std::vector<i64> values;
  for (i64 i = 0; i < size; ++i)
    values.push_back(static_cast<i64>(random.below(static_cast<u64>(limit), static_cast<u64>(i))));
  return {std::move(values), limit, name};
}

}  // namespace longsight::cuda_test
