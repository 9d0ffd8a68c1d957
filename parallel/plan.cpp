#include "parallel/plan.h"

#include <algorithm>
#include <array>

#include <fmt/ranges.h>

#include "runtime/base/suggest.h"

namespace longsight::parallel {

const char* name_of(FusionKind kind) {
  return kind == FusionKind::owner ? "owner" : "gather";
}

void require_available(std::string_view value, std::string_view where, std::span<const std::string> available,
                       std::span<const std::string> planned) {
  const auto in = [&](std::span<const std::string> names) {
    return std::find(names.begin(), names.end(), value) != names.end();
  };
  if (in(available)) return;
  require(!in(planned), ExitCode::usage, "{}: {} is not available yet (available: {})", where, value,
          fmt::join(available, ", "));
  const std::string near = nearest(value, available);
  fail(ExitCode::usage, "{}: {} is not one of {}{}", where, value.empty() ? "an empty value" : value,
       fmt::join(available, ", "), near.empty() ? "" : fmt::format("; did you mean {}?", near));
}

FusionKind fusion_from_name(std::string_view name, std::string_view where) {
  static const std::array<std::string, 2> kNames{"owner", "gather"};
  require_available(name, where, kNames);
  return name == "owner" ? FusionKind::owner : FusionKind::gather;
}

namespace {

const std::array<std::string, 4> kRecompute{"none", "mlp", "attention", "block"};

}  // namespace

const char* name_of(Recompute recompute) {
  return kRecompute[static_cast<std::size_t>(recompute)].c_str();
}

Recompute recompute_from_name(std::string_view name, std::string_view where) {
  require_available(name, where, kRecompute);
  return static_cast<Recompute>(std::find(kRecompute.begin(), kRecompute.end(), name) - kRecompute.begin());
}

int zero_from_name(std::string_view name, std::string_view where) {
  static const std::array<std::string, 4> kStages{"0", "1", "2", "3"};
  require_available(name, where, kStages);
  return static_cast<int>(std::find(kStages.begin(), kStages.end(), name) - kStages.begin());
}

namespace {

const std::array<std::string, 2> kSplits{"equal", "zigzag"};

}  // namespace

const char* name_of(Split split) {
  return kSplits[static_cast<std::size_t>(split)].c_str();
}

Split split_from_name(std::string_view name, std::string_view where) {
  require_available(name, where, kSplits);
  return static_cast<Split>(std::find(kSplits.begin(), kSplits.end(), name) - kSplits.begin());
}

namespace {

// "0-3 images, 4-11 ulysses"
std::string runs_of(const std::vector<AttentionKind>& blocks) {
  std::string text;
  for (std::size_t first = 0, last = 0; first < blocks.size(); first = last) {
    while (last < blocks.size() && blocks[last] == blocks[first]) ++last;
    text += fmt::format("{}{}-{} {}", first == 0 ? "" : ", ", first, last - 1, name_of(blocks[first]));
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::string Plan::text() const {
  return fmt::format(
      "mesh data {} x sequence {}; vision attention: {}; language attention: {}; fusion exchange: "
      "{}{}{}{}{}{}",
      mesh.data, mesh.sequence, runs_of(vision), runs_of(language), name_of(fusion),
      recompute == Recompute::none ? "" : fmt::format("; recompute: {}", name_of(recompute)),
      micro_batch_tokens == 0 ? "" : fmt::format("; micro-batches of at most {} tokens", micro_batch_tokens),
      zero == 0 ? "" : fmt::format("; zero: {}", zero),
      split == Split::equal ? "" : fmt::format("; language split: {}", name_of(split)),
      node == 0 ? "" : fmt::format("; {} ranks on a node", node));
}

Plan uniform_plan(Mesh mesh, i64 vision_blocks, AttentionKind vision, i64 language_blocks,
                  AttentionKind language, FusionKind fusion) {
  return {mesh, std::vector<AttentionKind>(static_cast<std::size_t>(vision_blocks), vision),
          std::vector<AttentionKind>(static_cast<std::size_t>(language_blocks), language), fusion};
}

}  // namespace longsight::parallel
