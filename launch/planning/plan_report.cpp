#include "launch/planning/plan_report.h"

#include <algorithm>

#include "launch/planning/units.h"

namespace longsight::planning {
namespace {

using Row = std::vector<std::string>;

// Columns as wide as their widest cell; the last one is not padded.
std::string aligned(const std::vector<Row>& rows, const char* indent) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i + 1 == row.size() ? row[i] : fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

// The block's name without its number, and the number: "vision.12.mlp" is {"vision.{}.mlp", 12}; -1: it has
// none.
struct NumberedName {
  std::string pattern;
  i64 number = -1;
};

NumberedName numbered(const std::string& name) {
  const std::size_t dot = name.find('.');
  if (dot == std::string::npos || dot + 1 >= name.size() || name[dot + 1] < '0' || name[dot + 1] > '9')
    return {name, -1};
  const std::size_t end = std::min(name.find('.', dot + 1), name.size());
  return {name.substr(0, dot + 1) + "{}" + name.substr(end), std::stoll(name.substr(dot + 1, end - dot - 1))};
}

bool alike(const BlockDecision& a, const BlockDecision& b) {
  return numbered(a.name).pattern == numbered(b.name).pattern && a.strategy == b.strategy &&
         a.reason == b.reason && a.recompute == b.recompute;
}

// Runs of blocks that differ in their number only.
struct BlockRun {
  const BlockDecision* first;
  i64 last_number;

  std::string name() const {
    const NumberedName n = numbered(first->name);
    if (n.number < 0 || n.number == last_number) return first->name;
    std::string text = n.pattern;
    return text.replace(text.find("{}"), 2, fmt::format("{}-{}", n.number, last_number));
  }
};

std::vector<BlockRun> runs_of(const std::vector<BlockDecision>& blocks) {
  std::vector<BlockRun> runs;
  for (const BlockDecision& block : blocks) {
    const NumberedName n = numbered(block.name);
    const auto run = std::find_if(runs.rbegin(), runs.rend(), [&](const BlockRun& r) {
      return n.number >= 0 && alike(*r.first, block) && r.last_number + 1 == n.number;
    });
    if (run != runs.rend()) {
      run->last_number = n.number;
    } else {
      runs.push_back({&block, n.number});
    }
  }
  return runs;
}

std::string block_table(const PlanResult& result) {
  std::vector<Row> rows{{"block", "kind", "heads / kv", "strategy", "head use", "reason"}};
  for (const BlockRun& run : runs_of(result.blocks)) {
    const BlockDecision& b = *run.first;
    rows.push_back({run.name(), model::name_of(b.kind),
                    b.heads > 0 ? fmt::format("{} / {}", b.heads, b.kv_heads) : "-", b.strategy,
                    b.heads > 0 ? fmt::format("{:.0f} %", 100 * b.head_efficiency) : "-", b.reason});
  }
  return aligned(rows, "  ");
}

std::string figures(const std::vector<std::pair<std::string, std::string>>& parts) {
  std::string text;
  for (const auto& [part, figure] : parts)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", part, figure);
  return text;
}

}  // namespace

std::string plan_table(const PlanResult& r, const TableOptions& options) {
  std::string text =
      fmt::format("{}\n  sequence {}: {}\n", r.plan.mesh.text(), r.plan.mesh.sequence, r.sequence_reason);
  text += fmt::format("  ranges: vision {}, language {}; fusion exchange {}\n", r.vision_split,
                      r.language_split, parallel::name_of(r.plan.fusion));
  text += fmt::format("  recompute {}: {}\n", parallel::name_of(r.plan.recompute), r.recompute_reason);
  text += fmt::format("  zero {}: {}\n", r.plan.zero, r.zero_reason);
  text += block_table(r);

  std::vector<std::pair<std::string, std::string>> memory, exchange, seconds;
  for (const auto& [part, bytes] : r.step.memory.parts()) memory.emplace_back(part, bytes_text(bytes));
  for (const auto& [part, bytes] : r.step.exchange_by_part) exchange.emplace_back(part, bytes_text(bytes));
  for (const auto& [part, value] : r.step.seconds_by_part) seconds.emplace_back(part, seconds_text(value));
  text +=
      fmt::format("a step{}: {} samples, {} tokens, {} images in {} micro-batch{}, the longest {} tokens\n",
                  r.batch.assumed ? " (assumed)" : "", r.batch.samples, r.batch.tokens, r.batch.images,
                  r.batch.micro_batches, r.batch.micro_batches == 1 ? "" : "es", r.batch.longest_micro_batch);
  text += aligned({{"memory, fullest rank", bytes_text(r.step.memory.total()), figures(memory)},
                   {"exchanged, all ranks", bytes_text(r.step.exchange_bytes), figures(exchange)},
                   {"predicted time", seconds_text(r.step.seconds), figures(seconds)}},
                  "  ");
  text += fmt::format("  hardware: {} ({})\n", r.hardware.name, r.hardware.source);
  if (options.rejected && !r.rejected.empty()) {
    text += "not chosen\n";
    std::vector<Row> rows{{"alternative", "time", "exchanged", "memory", "reason"}};
    for (const Rejected& other : r.rejected) {
      rows.push_back({other.alternative, seconds_text(other.predicted_seconds),
                      bytes_text(other.exchange_bytes), bytes_text(other.memory_bytes), other.reason});
    }
    text += aligned(rows, "  ");
  }
  for (const std::string& warning : r.warnings) text += "warning: " + warning + "\n";
  return text;
}

nlohmann::ordered_json plan_json(const PlanResult& r) {
  using Json = nlohmann::ordered_json;
  const Mesh& mesh = r.plan.mesh;
  Json json;
  json["mesh"] = {
      {"world", mesh.world}, {"data", mesh.data}, {"sequence", mesh.sequence}, {"reason", r.sequence_reason}};
  json["blocks"] = Json::array();
  for (const BlockDecision& b : r.blocks) {
    json["blocks"].push_back({{"name", b.name},
                              {"kind", model::name_of(b.kind)},
                              {"module", b.module},
                              {"heads", b.heads},
                              {"kv_heads", b.kv_heads},
                              {"strategy", b.strategy},
                              {"recompute", parallel::name_of(b.recompute)},
                              {"head_efficiency", b.head_efficiency},
                              {"reason", b.reason}});
  }
  json["zero"] = {{"stage", r.plan.zero}, {"reason", r.zero_reason}};
  json["split"] = {{"vision", r.vision_split}, {"language", r.language_split}};
  json["memory"] = Json::object();
  for (const auto& [part, bytes] : r.step.memory.parts()) json["memory"][part] = bytes;
  json["memory"]["total"] = r.step.memory.total();
  json["exchange_bytes"] = r.step.exchange_bytes;
  json["exchange"] = Json::object();
  for (const auto& [part, bytes] : r.step.exchange_by_part) json["exchange"][part] = bytes;
  json["predicted_seconds"] = r.step.seconds;
  json["seconds"] = Json::object();
  for (const auto& [part, seconds] : r.step.seconds_by_part) json["seconds"][part] = seconds;
  json["rejected"] = Json::array();
  for (const Rejected& other : r.rejected) {
    json["rejected"].push_back({{"alternative", other.alternative},
                                {"predicted_seconds", other.predicted_seconds},
                                {"exchange_bytes", other.exchange_bytes},
                                {"memory_bytes", other.memory_bytes},
                                {"reason", other.reason}});
  }
  json["hardware"] = {{"name", r.hardware.name},
                      {"source", r.hardware.source},
                      {"gemm_flops", r.hardware.gemm_flops},
                      {"attention_flops", r.hardware.attention_flops},
                      {"memory_bandwidth", r.hardware.memory_bandwidth},
                      {"link_bandwidth", r.hardware.link_bandwidth},
                      {"latency", r.hardware.latency}};
  json["batch"] = {{"assumed", r.batch.assumed},
                   {"samples", r.batch.samples},
                   {"tokens", r.batch.tokens},
                   {"images", r.batch.images},
                   {"micro_batches", r.batch.micro_batches},
                   {"longest_micro_batch", r.batch.longest_micro_batch}};
  json["warnings"] = r.warnings;
  return json;
}

}  // namespace longsight::planning
