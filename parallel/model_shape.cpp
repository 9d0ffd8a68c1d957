#include "parallel/model_shape.h"

namespace longsight::parallel {

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
