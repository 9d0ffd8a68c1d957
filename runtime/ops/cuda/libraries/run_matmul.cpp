#include <array>
#include <bit>
#include <map>
#include <memory>
#include <mutex>

#include "runtime/device/cuda/cuda_status.h"
#include "runtime/device/lanes/stream_memory.h"
#include "runtime/ops/cuda/libraries/cublaslt.h"
#include "runtime/ops/cuda/matmul.h"

namespace longsight::ops::cuda {

void CublasLt::check(cublasStatus_t status, const char* call) const {
  require(status == CUBLAS_STATUS_SUCCESS, ExitCode::internal, "{} failed: {}", call, status_string(status));
}

namespace {

// What algorithms may use beside their operands; NVIDIA's own figure for H100.
constexpr std::uint64_t kMostWorkspace = std::uint64_t{32} << 20;

const CublasLt& cublaslt() {
  static const CublasLt library;
  return library;
}

cudaDataType_t type_of(DType dtype) {
  switch (dtype) {
    case DType::F32:
      return CUDA_R_32F;
    case DType::F64:
      return CUDA_R_64F;
    case DType::BF16:
      return CUDA_R_16BF;
    default:
      fail(ExitCode::internal, "no product of {} on a GPU", name_of(dtype));
  }
}

// Powers of two up to 256 that the address is a multiple of.
std::uint32_t alignment_of(const void* data) {
  const auto address = reinterpret_cast<std::uintptr_t>(data) | 256U;
  return static_cast<std::uint32_t>(address & (~address + 1));
}

// All that an algorithm is chosen by.
using Key = std::array<i64, 24>;

Key key_of(const Matmul& p, int device) {
  Key key{};
  std::size_t at = 0;
  for (const MatmulOperand* x : {&p.a, &p.b, &p.c, &p.d}) {
    for (const i64 value : {static_cast<i64>(x->type), x->rows, x->cols, x->ld,
                            x->data == nullptr ? 0 : static_cast<i64>(alignment_of(x->data))})
      key[at++] = value;
  }
  key[at++] = (p.a_transposed ? 1 : 0) + (p.b_transposed ? 2 : 0) + (p.bias != nullptr ? 4 : 0) +
              (p.before_gelu.data != nullptr ? 8 : 0) + 16 * static_cast<i64>(p.sums);
  key[at++] = p.before_gelu.ld;
  key[at++] = device;
  return key;
}

struct DestroyDesc {
  void operator()(cublasLtMatmulDesc_t x) const noexcept { static_cast<void>(cublaslt().desc_destroy(x)); }
};
struct DestroyLayout {
  void operator()(cublasLtMatrixLayout_t x) const noexcept {
    static_cast<void>(cublaslt().layout_destroy(x));
  }
};
struct DestroyPreference {
  void operator()(cublasLtMatmulPreference_t x) const noexcept {
    static_cast<void>(cublaslt().preference_destroy(x));
  }
};
using Desc = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulDesc_t>, DestroyDesc>;
using Layout = std::unique_ptr<std::remove_pointer_t<cublasLtMatrixLayout_t>, DestroyLayout>;
using Preference = std::unique_ptr<std::remove_pointer_t<cublasLtMatmulPreference_t>, DestroyPreference>;

template <class T>
void set(const Desc& desc, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  cublaslt().check(cublaslt().desc_set(desc.get(), attribute, &value, sizeof(value)),
                   "cublasLtMatmulDescSetAttribute");
}
template <class T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  cublaslt().check(cublaslt().preference_set(preference.get(), attribute, &value, sizeof(value)),
                   "cublasLtMatmulPreferenceSetAttribute");
}

Layout layout_of(const MatmulOperand& x) {
  cublasLtMatrixLayout_t layout = nullptr;
  cublaslt().check(cublaslt().layout_create(&layout, type_of(x.type), static_cast<std::uint64_t>(x.rows),
                                            static_cast<std::uint64_t>(x.cols), x.ld),
                   "cublasLtMatrixLayoutCreate");
  return Layout(layout);
}

// A product as cuBLASLt keeps it, with the algorithm for it.
struct Prepared {
  Desc desc;
  Layout a, b, c, d;
  cublasLtMatmulAlgo_t algorithm{};
  std::size_t workspace = 0;
};

Prepared prepare(const Matmul& p, cublasLtHandle_t handle) {
  Prepared out;
  const bool f64 = p.sums == DType::F64;
  cublasLtMatmulDesc_t desc = nullptr;
  // f32 is f32: no product is taken in TF32.
  cublaslt().check(
      cublaslt().desc_create(&desc, f64 ? CUBLAS_COMPUTE_64F : CUBLAS_COMPUTE_32F, type_of(p.sums)),
      "cublasLtMatmulDescCreate");
  out.desc.reset(desc);
  set(out.desc, CUBLASLT_MATMUL_DESC_TRANSA, p.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(out.desc, CUBLASLT_MATMUL_DESC_TRANSB, p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  if (p.bias != nullptr) {
    epilogue = CUBLASLT_EPILOGUE_BIAS;
    set(out.desc, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(p.d.type));
    set(out.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  }
  if (p.before_gelu.data != nullptr) {
    epilogue = p.bias != nullptr ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    set(out.desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.before_gelu.data);
    set(out.desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, p.before_gelu.ld);
    set(out.desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_DATA_TYPE, type_of(p.before_gelu.type));
  }
  set(out.desc, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
  out.a = layout_of(p.a);
  out.b = layout_of(p.b);
  out.d = layout_of(p.d);
  out.c = layout_of(p.c.data == nullptr ? p.d : p.c);

  cublasLtMatmulPreference_t made = nullptr;
  cublaslt().check(cublaslt().preference_create(&made), "cublasLtMatmulPreferenceCreate");
  const Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kMostWorkspace);
  // Parts of a sum over k that are added up in an order of their own, in the type of the sums.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment_of(p.a.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment_of(p.b.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
      alignment_of(p.c.data == nullptr ? p.d.data : p.c.data));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment_of(p.d.data));
  cublasLtMatmulHeuristicResult_t result{};
  int found = 0;
  const cublasStatus_t status = cublaslt().heuristic(handle, desc, out.a.get(), out.b.get(), out.c.get(),
                                                     out.d.get(), preference.get(), 1, &result, &found);
  require(status == CUBLAS_STATUS_SUCCESS && found > 0, ExitCode::internal,
          "cuBLASLt has no algorithm for {} [{}, {}] = [{}, {}] x {} [{}, {}]: {}", name_of(p.d.type),
          p.d.rows, p.d.cols, p.a.rows, p.a.cols, name_of(p.a.type), p.b.rows, p.b.cols,
          cublaslt().status_string(status));
  out.algorithm = result.algo;
  out.workspace = result.workspaceSize;
  return out;
}

cublasLtHandle_t handle_of(int device) {
  static std::map<int, cublasLtHandle_t> handles;  // as long as the program
  cublasLtHandle_t& handle = handles[device];
  if (handle == nullptr) cublaslt().check(cublaslt().create(&handle), "cublasLtCreate");
  return handle;
}

}  // namespace

void run_matmul(const Matmul& p, Stream stream) {
  static std::mutex mutex;  // of what is prepared, and of the pointers in it
  static std::map<Key, Prepared> prepared;
  const std::lock_guard lock(mutex);
  int device = 0;
  cuda_check(cudaGetDevice(&device), "cudaGetDevice");
  cublasLtHandle_t handle = handle_of(device);
  const Key key = key_of(p, device);
  auto at = prepared.find(key);
  if (at == prepared.end()) at = prepared.emplace(key, prepare(p, handle)).first;
  const Prepared& product = at->second;
  if (p.bias != nullptr) set(product.desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, p.bias);
  if (p.before_gelu.data != nullptr)
    set(product.desc, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p.before_gelu.data);

  const bool f64 = p.sums == DType::F64;
  const double one64 = 1, beta64 = p.c.data == nullptr ? 0 : 1;
  const float one32 = 1, beta32 = static_cast<float>(beta64);
  const void* const alpha = f64 ? static_cast<const void*>(&one64) : &one32;
  const void* const beta = f64 ? static_cast<const void*>(&beta64) : &beta32;
  const lanes::StreamMemory workspace(static_cast<i64>(product.workspace), stream);
  cublaslt().check(
      cublaslt().matmul(handle, product.desc.get(), alpha, p.a.data, product.a.get(), p.b.data,
                        product.b.get(), beta, p.c.data == nullptr ? p.d.data : p.c.data, product.c.get(),
                        p.d.data, product.d.get(), &product.algorithm, workspace.data(), product.workspace,
                        static_cast<cudaStream_t>(stream.handle)),
      "cublasLtMatmul");
}

}  // namespace longsight::ops::cuda
