#include "parallel/attention.h"

#include <cmath>

#include "parallel/attention_gather.h"
#include "parallel/attention_local.h"
#include "parallel/attention_ulysses.h"

namespace longsight::parallel {

double AttentionShape::scale() const {
  return 1 / std::sqrt(static_cast<double>(width));
}

std::unique_ptr<AttentionStrategy> make_attention(AttentionKind kind, AttentionShape shape,
                                                  AttentionStream stream, ProcessGroup& group,
                                                  const std::string& label) {
  switch (kind) {
    case AttentionKind::local:
    case AttentionKind::images:
      return std::make_unique<LocalAttention>(shape, stream, group.rank());
    case AttentionKind::ulysses:
      return std::make_unique<UlyssesAttention>(shape, stream, group, label);
    case AttentionKind::gather:
      return std::make_unique<GatherAttention>(shape, stream, group, label);
  }
  fail(ExitCode::internal, "no attention strategy {}", static_cast<int>(kind));
}

}  // namespace longsight::parallel
