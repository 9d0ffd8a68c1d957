#include "parallel/model_shape.h"

#include <algorithm>

namespace longsight::parallel {

i64 loss_chunk_rows(i64 vocab) {
  return std::clamp<i64>((i64{4} << 20) / std::max<i64>(vocab, 1), 64, 1024);
}

const char* name_of(ModuleKind kind) {
  switch (kind) {
    case ModuleKind::vision_attention:
      return "vision_attention";
    case ModuleKind::language_attention:
      return "language_attention";
    case ModuleKind::projection:
      return "projection";
    case ModuleKind::mlp:
      return "mlp";
    case ModuleKind::embedding:
      return "embedding";
    case ModuleKind::head:
      return "head";
    case ModuleKind::norm:
      return "norm";
    case ModuleKind::other:
      return "other";
  }
  return "?";
}

}  // namespace longsight::parallel
