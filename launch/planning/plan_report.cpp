#include "launch/planning/plan_report.h"

#include <algorithm>

#include "launch/planning/memory_settings.h"
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

std::string tokens_text(const PlanResult& r) {
  return fmt::format("{:.0f} tokens/s", static_cast<double>(r.batch.tokens) / r.step.seconds);
}

// Bars of parts of the budget, or of all that is needed where that is more.
std::string memory_chart(const PlanResult& r) {
  constexpr i64 kWidth = 50;
  const i64 total = r.step.memory.total(), whole = std::max(total, r.memory_budget);
  std::string text = fmt::format("memory of the fullest rank: {}", bytes_text(total));
  if (r.memory_budget > 0)
    text += fmt::format(", {:.0f} % of the budget of {} ({})",
                        100 * static_cast<double>(total) / static_cast<double>(r.memory_budget),
                        bytes_text(r.memory_budget), r.budget_source);
  std::vector<Row> rows;
  const auto add = [&](const std::string& name, i64 bytes, char mark) {
    const auto length = static_cast<std::size_t>(ceil_div(bytes * kWidth, whole));
    rows.push_back({name, bytes_text(bytes), std::string(length, mark)});
  };
  for (const auto& [part, bytes] : r.step.memory.parts()) add(part, bytes, '#');
  if (r.memory_budget > total) add("free", r.memory_budget - total, '.');
  return text + "\n" + aligned(rows, "  ");
}

std::string precision_text(const Precision& p) {
  if (!p.mixed()) return p.name();
  return fmt::format(
      "{}: activations and the weights that are computed with; {}: values, moments, gradients, "
      "statistics and sums",
      p.name(), name_of(p.master));
}

}  // namespace

std::string plan_table(const PlanResult& r, const TableOptions& options) {
  std::string text =
      fmt::format("{}\n  sequence {}: {}\n", r.plan.mesh.text(), r.plan.mesh.sequence, r.sequence_reason);
  text += fmt::format("  ranges: vision {}, language {} ({}); fusion exchange {}\n", r.vision_split,
                      r.language_split, r.split_reason, parallel::name_of(r.plan.fusion));
  text += fmt::format("  recompute {}: {}\n", setting_of(r.plan).text(), r.memory_reason);
  text += fmt::format("  zero {}: {}\n", r.plan.zero, r.zero_reason);
  text += fmt::format("  precision {}\n", precision_text(r.precision));
  text += block_table(r);

  std::vector<std::pair<std::string, std::string>> exchange, seconds;
  for (const auto& [part, bytes] : r.step.exchange_by_part) exchange.emplace_back(part, bytes_text(bytes));
  for (const auto& [part, value] : r.step.seconds_by_part) seconds.emplace_back(part, seconds_text(value));
  text +=
      fmt::format("a step: {} sample{}, {} tokens, {} images in {} micro-batch{}, the longest {} tokens\n",
                  r.batch.samples, r.batch.samples == 1 ? "" : "s", r.batch.tokens, r.batch.images,
                  r.batch.micro_batches, r.batch.micro_batches == 1 ? "" : "es", r.batch.longest_micro_batch);
  text += aligned({{"exchanged, all ranks", bytes_text(r.step.exchange_bytes), figures(exchange)},
                   {"predicted time", seconds_text(r.step.seconds), figures(seconds)},
                   {"predicted speed", tokens_text(r)}},
                  "  ");
  text += fmt::format("  hardware: {}\n", r.hardware.text());
  text += memory_chart(r);
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

std::string longest_table(const LongestSequence& longest) {
  std::string text = fmt::format("the longest sequence: {} tokens, of them {} images\n  limit: {}\n",
                                 longest.tokens, longest.plan.batch.images, longest.limit);
  std::vector<Row> rows;
  if (!longest.levels.empty()) rows.push_back({"recompute", "longest", "time of its step"});
  for (const LongestSequence::Level& level : longest.levels)
    rows.push_back({parallel::name_of(level.recompute),
                    level.tokens == 0 ? "none fits" : fmt::format("{} tokens", level.tokens),
                    level.tokens == 0 ? "" : seconds_text(level.seconds)});
  return text + aligned(rows, "  ") + "its plan: " + plan_table(longest.plan);
}

nlohmann::ordered_json longest_json(const LongestSequence& longest) {
  nlohmann::ordered_json json{{"max_tokens", longest.tokens}, {"limit", longest.limit}};
  json["by_recompute"] = nlohmann::ordered_json::array();
  for (const LongestSequence::Level& level : longest.levels)
    json["by_recompute"].push_back({{"recompute", parallel::name_of(level.recompute)},
                                    {"max_tokens", level.tokens},
                                    {"predicted_seconds", level.seconds}});
  json["plan"] = plan_json(longest.plan);
  return json;
}

namespace {

nlohmann::ordered_json rates_json(const std::vector<Rate>& rates) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const Rate& r : rates) all.push_back({{"size", r.size}, {"rate", r.rate}});
  return all;
}

nlohmann::ordered_json link_json(const std::optional<Link>& link) {
  if (!link) return nullptr;
  return {{"bandwidth", link->bandwidth}, {"latency", link->latency}};
}

}  // namespace

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
  json["precision"] = r.precision.name();
  json["zero"] = {{"stage", r.plan.zero}, {"reason", r.zero_reason}};
  json["split"] = {{"vision", r.vision_split}, {"language", r.language_split}, {"reason", r.split_reason}};
  json["memory"] = Json::object();
  for (const auto& [part, bytes] : r.step.memory.parts()) json["memory"][part] = bytes;
  json["memory"]["total"] = r.step.memory.total();
  json["memory_budget"] = r.memory_budget;
  json["memory_reason"] = r.memory_reason;
  json["micro_batch_tokens"] = r.plan.micro_batch_tokens;
  json["exchange_bytes"] = r.step.exchange_bytes;
  json["exchange"] = Json::object();
  for (const auto& [part, bytes] : r.step.exchange_by_part) json["exchange"][part] = bytes;
  json["predicted_seconds"] = r.step.seconds;
  json["link_seconds"] = r.step.link_seconds;
  json["network_seconds"] = r.step.network_seconds;
  json["predicted_tokens_per_second"] = static_cast<double>(r.batch.tokens) / r.step.seconds;
  json["flops"] = r.flops;
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
                      {"origin", r.hardware.origin},
                      {"source", r.hardware.source},
                      {"ranks_per_node", r.hardware.ranks_per_node},
                      {"memory", r.hardware.memory},
                      {"gemm", rates_json(r.hardware.gemm)},
                      {"attention", rates_json(r.hardware.attention)},
                      {"copy", rates_json(r.hardware.copy)},
                      {"link", link_json(r.hardware.link)},
                      {"network", link_json(r.hardware.network)}};
  json["batch"] = {{"samples", r.batch.samples},
                   {"tokens", r.batch.tokens},
                   {"images", r.batch.images},
                   {"micro_batches", r.batch.micro_batches},
                   {"longest_micro_batch", r.batch.longest_micro_batch}};
  json["warnings"] = r.warnings;
  json["refusal"] = r.refusal;
  return json;
}

}  // namespace longsight::planning
