#include "runtime/ops/host/matmul.h"

#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

#include "runtime/ops/host/threads.h"

namespace longsight::ops::host {
namespace {

using Memory = dnnl::memory;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

Memory::desc matrix(i64 rows, i64 cols, i64 stride, bool transposed, Memory::data_type type) {
  return {{rows, cols}, type, transposed ? Memory::dims{1, stride} : Memory::dims{stride, 1}};
}

// A primitive with the arguments that it is run on; these belong to one thread.
class Matmul {
 public:
  explicit Matmul(const MatmulShape& s) : stream_(engine()) {
    constexpr auto kBf16 = Memory::data_type::bf16;
    const auto a = matrix(s.m, s.k, s.lda, s.a_transposed, kBf16);
    const auto b = matrix(s.k, s.n, s.ldb, s.b_transposed, kBf16);
    const auto c = matrix(s.m, s.n, s.ldc, false, s.result == DType::BF16 ? kBf16 : Memory::data_type::f32);
    const auto bias = s.has_bias ? matrix(1, s.n, s.n, false, kBf16) : Memory::desc();
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (s.adds) {
      dnnl::post_ops sum;
      sum.append_sum(1.F);
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, bias, c), attributes, engine());
    primitive_ = dnnl::matmul(description);
    scratch_bytes_ = static_cast<i64>(description.scratchpad_desc().get_size());
    add_argument(DNNL_ARG_SRC, a);
    add_argument(DNNL_ARG_WEIGHTS, b);
    add_argument(DNNL_ARG_DST, c);
    add_argument(DNNL_ARG_SCRATCHPAD, description.scratchpad_desc());
    if (s.has_bias) add_argument(DNNL_ARG_BIAS, bias);
  }

  void run(const bf16* a, const bf16* b, void* c, const bf16* bias) {
    struct Scratchpad {};
    const void* const handles[] = {a, b, c, thread_buffer<Scratchpad>(scratch_bytes_), bias};
    for (std::size_t i = 0; i < memories_.size(); ++i)
      memories_[i].set_data_handle(const_cast<void*>(handles[i]), stream_);
    dnnl::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), stream_.get(),
                                                   static_cast<int>(arguments_.size()), arguments_.data()),
                            "cannot run");
  }

 private:
  void add_argument(int name, const Memory::desc& description) {
    memories_.emplace_back(description, engine(), nullptr);
    arguments_.push_back({name, memories_.back().get()});
  }

  dnnl::stream stream_;
  dnnl::matmul primitive_;
  i64 scratch_bytes_ = 0;
  std::vector<Memory> memories_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

}  // namespace

void matmul(const MatmulShape& shape, const bf16* a, const bf16* b, void* c, const bf16* bias) {
  // The numbers of rows change from pass to pass: now and then all shapes are forgotten.
  constexpr std::size_t kMost = 512;
  thread_local std::map<MatmulShape, Matmul> made;
  try {
    auto found = made.find(shape);
    if (found == made.end()) {
      if (made.size() >= kMost) made.clear();
      found = made.emplace(shape, shape).first;
    }
    found->second.run(a, b, c, bias);
  } catch (const dnnl::error& e) {
    fail(ExitCode::internal, "oneDNN's matmul of {} x {} x {} in bf16: {}", shape.m, shape.n, shape.k,
         e.what());
  }
}

bool has_bf16_instructions() {
  const auto holds = [](dnnl::cpu_isa set, dnnl::cpu_isa part) {
    return (static_cast<unsigned>(set) & static_cast<unsigned>(part)) == static_cast<unsigned>(part);
  };
  return holds(dnnl::get_effective_cpu_isa(), dnnl::cpu_isa::avx512_core_bf16);
}

}  // namespace longsight::ops::host
