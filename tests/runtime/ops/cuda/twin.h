// Operands of an op on the host and on the device of the emulator, and the op on both.
#pragma once

#include <cmath>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "runtime/base/philox.h"
#include "runtime/device/lanes/emulated/emulator.h"
#include "runtime/device/trace.h"
#include "runtime/tensor/index_list.h"
#include "runtime/tensor/matrix.h"

namespace longsight::cuda_test {

// The same random elements twice: a matrix whose rows lie `gap` elements apart, with as many in front of the
// first. Each of the two has its own allocation, without room behind it.
class Twin {
 public:
  Twin(DType dtype, Shape shape, std::string_view name, i64 gap = 0, double magnitude = 1);

  Tensor tensor(bool device) const;  // without gaps
  Matrix matrix(bool device) const;
  Heads heads(bool device, i64 heads) const;
  DType dtype() const { return dtype_; }

  void remember();                      // what the host has now
  i64 changed_bytes() const;            // of the host since then
  void reset_device();                  // to what was remembered
  std::vector<std::byte> bits() const;  // of the device, gaps included
  bool same_bits() const { return host_ == device_; }
  // The largest |device - host| beyond an ulp of bf16 where elements are bf16, as a share of the largest
  // |host|; infinite where one is NaN and the other is not. Gaps included.
  double worst_error() const;
  template <class T>
  void set(i64 i, T value) {  // element i of the memory, in both and in what reset_device() brings
    for (std::vector<std::byte>* memory : {&host_, &device_, &made_})
      std::memcpy(memory->data() + i * static_cast<i64>(sizeof(T)), &value, sizeof(T));
  }

 private:
  double value(const std::vector<std::byte>& memory, i64 i) const;

  DType dtype_;
  Shape shape_;
  i64 rows_, cols_, gap_;
  std::vector<std::byte> host_, device_, made_;
};

// Which of the two an op runs on.
struct Side {
  bool device = false;
  Stream stream;
  Tensor operator()(const Twin& x) const { return x.tensor(device); }
  Matrix rows(const Twin& x) const { return x.matrix(device); }
};

// Whether what was recorded has calls of the op and, but for a number or two, the bytes that it wrote.
bool tells_its_work(const Trace& trace, std::string_view name, i64 written);

// Runs `op` on the host, and on the emulator in each order of its threads, and checks that what is in
// `written` then is the same: to `terms` roundings of the statistics' type. In all orders the bits must be
// the same. `name`: the op's, by which the table of tested ops finds it, and a trace tells its work.
template <class F>
void same_on_cuda(const char* name, std::initializer_list<Twin*> written, double terms, F&& op) {
  const std::string op_name = name;
  CAPTURE(op_name);
  for (Twin* twin : written) twin->remember();
  op(Side{false, {}});
  i64 changed = 0;
  for (const Twin* twin : written) changed += twin->changed_bytes();
  Trace trace;
  op(Side{true, trace.stream()});
  CHECK(tells_its_work(trace, name, changed));
  std::vector<std::vector<std::byte>> first;
  using lanes::emulated::Order;
  for (const Order order : {Order::forward, Order::backward, Order::shuffled}) {
    CAPTURE(static_cast<int>(order));
    for (Twin* twin : written) twin->reset_device();
    lanes::emulated::set_order(order);
    op(Side{true, {.backend = Backend::cuda}});
    std::size_t at = 0;
    for (const Twin* twin : written) {
      CAPTURE(at);
      const double rounding = twin->dtype() == DType::F64 ? 0x1p-52 : 0x1p-23;
      CHECK(twin->worst_error() <= terms * rounding);
      if (order == Order::forward) first.push_back(twin->bits());
      CHECK(twin->bits() == first[at++]);
    }
  }
  // What comes behind begins with the same.
  for (Twin* twin : written) {
    twin->remember();
    twin->reset_device();
  }
}

// Sizes that leave something over in packs, warps and blocks.
inline constexpr i64 kAwkward[] = {1, 31, 32, 33, 100, 257};

// So many numbers below the limit, which may come more than once.
IndexList random_list(i64 size, i64 limit, std::string_view name);

}  // namespace longsight::cuda_test
