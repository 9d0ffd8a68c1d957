#include "parallel/checkpoint/manifest.h"

#include <algorithm>
#include <limits>

#include "runtime/base/json.h"
#include "runtime/base/stream_hash.h"

namespace longsight::parallel {
namespace {

constexpr const char* kFormat = "longsight checkpoint";
constexpr std::string_view kBegin = "{\"hash\": \"", kBehind = "\",\n";
constexpr std::size_t kHashDigits = 32;

// Of plain letters: a manifest leads to no other folder.
bool is_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 64 && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

nlohmann::ordered_json json_of(const CheckpointTensor& tensor) {
  nlohmann::ordered_json slices = nlohmann::ordered_json::array();
  for (const CheckpointSlice& s : tensor.slices) slices.push_back({s.file, s.begin, s.end});
  return {{"name", tensor.name},
          {"dtype", name_of(tensor.dtype)},
          {"shape", std::vector<i64>(tensor.shape.extents().begin(), tensor.shape.extents().end())},
          {"steps", tensor.steps},
          {"slices", std::move(slices)}};
}

i64 require_count(const Json& object, const std::string& key, const std::string& where) {
  const i64 count = require_i64(object, key, where);
  require(count >= 0, ExitCode::bad_data, "{}: \"{}\": {} is no count", where, key, count);
  return count;
}

std::vector<i64> integers(const Json& array, const std::string& where) {
  constexpr u64 kMost = static_cast<u64>(std::numeric_limits<i64>::max());
  std::vector<i64> values;
  for (const Json& value : array) {
    require(value.is_number_unsigned() && value.get<u64>() <= kMost, ExitCode::bad_data, "{}: {} is no count",
            where, json_text(value));
    values.push_back(value.get<i64>());
  }
  return values;
}

CheckpointTensor tensor_of(const Json& json, std::size_t files, const std::string& where) {
  CheckpointTensor tensor{.name = require_string(json, "name", where),
                          .dtype = dtype_from_name(require_string(json, "dtype", where)),
                          .shape = Shape(integers(require_array(json, "shape", where), where)),
                          .steps = require_count(json, "steps", where),
                          .slices = {}};
  i64 at = 0;
  for (const Json& slice : require_array(json, "slices", where)) {
    require(slice.is_array() && slice.size() == 3, ExitCode::bad_data, "{}: {}: a slice has three numbers",
            where, tensor.name);
    const std::vector<i64> numbers = integers(slice, where);
    require(numbers[0] < static_cast<i64>(files) && numbers[1] == at && numbers[2] > at, ExitCode::bad_data,
            "{}: {}: its slices do not lie end to end", where, tensor.name);
    at = numbers[2];
    tensor.slices.push_back({numbers[0], numbers[1], numbers[2]});
  }
  require(at == tensor.shape.elements(), ExitCode::bad_data, "{}: {}: slices of {} of its {} elements", where,
          tensor.name, at, tensor.shape.elements());
  return tensor;
}

Manifest manifest_of(const Json& json, const std::string& where) {
  require(require_string(json, "format", where) == kFormat, ExitCode::bad_data, "{}: no checkpoint", where);
  const i64 schema = require_i64(json, "schema", where);
  require(schema == kManifestSchema, ExitCode::bad_data,
          "{}: of schema {}, this program reads schema {}: use the version that wrote it", where, schema,
          kManifestSchema);
  Manifest m{.step = require_count(json, "step", where),
             .samples_seen = require_count(json, "samples_seen", where),
             .tokens_seen = require_count(json, "tokens_seen", where),
             .samples_drawn = require_count(json, "samples_drawn", where),
             // Checkpoints of older versions have none.
             .skipped = json.contains("skipped") ? require_count(json, "skipped", where) : 0,
             .skipped_in_a_row =
                 json.contains("skipped_in_a_row") ? require_count(json, "skipped_in_a_row", where) : 0,
             .best_loss = optional_double(json, "best_loss", where),
             .written = require_string(json, "written", where),
             .ranks = require_positive(json, "ranks", where),
             .data_groups = require_positive(json, "data_groups", where),
             .sequence_ranks = require_positive(json, "sequence_ranks", where)};
  for (const auto& [name, log] : require_object(json, "logs", where).items())
    m.logs[name] = {require_count(log, "bytes", where), require_string(log, "hash", where)};
  for (const Json& fact : require_array(json, "facts", where))
    m.facts.push_back({require_string(fact, "name", where), require_string(fact, "value", where)});
  for (const auto& [name, hash] : require_object(json, "frozen", where).items()) {
    require(hash.is_string(), ExitCode::bad_data, "{}: {}: no hash", where, name);
    m.frozen[name] = hash.get<std::string>();
  }
  for (const Json& file : require_array(json, "files", where)) {
    m.files.push_back({require_string(file, "name", where), require_count(file, "bytes", where),
                       require_string(file, "hash", where)});
    require(is_file_name(m.files.back().name), ExitCode::bad_data, "{}: \"{}\" is no name of a file there",
            where, m.files.back().name);
  }
  for (const Json& tensor : require_array(json, "tensors", where))
    m.tensors.push_back(tensor_of(tensor, m.files.size(), where));
  return m;
}

}  // namespace

i64 Manifest::bytes() const {
  i64 bytes = 0;
  for (const CheckpointFile& file : files) bytes += file.bytes;
  return bytes;
}

std::string manifest_text(const Manifest& m) {
  nlohmann::ordered_json json{{"format", kFormat},
                              {"schema", kManifestSchema},
                              {"step", m.step},
                              {"samples_seen", m.samples_seen},
                              {"tokens_seen", m.tokens_seen},
                              {"samples_drawn", m.samples_drawn},
                              {"skipped", m.skipped},
                              {"skipped_in_a_row", m.skipped_in_a_row},
                              {"best_loss", nullptr},
                              {"written", m.written},
                              {"ranks", m.ranks},
                              {"data_groups", m.data_groups},
                              {"sequence_ranks", m.sequence_ranks},
                              {"logs", nlohmann::ordered_json::object()},
                              {"files", nlohmann::ordered_json::array()},
                              {"tensors", nlohmann::ordered_json::array()},
                              {"frozen", m.frozen},
                              {"facts", nlohmann::ordered_json::array()}};
  if (m.best_loss) json["best_loss"] = *m.best_loss;
  for (const auto& [name, log] : m.logs) json["logs"][name] = {{"bytes", log.bytes}, {"hash", log.hash}};
  for (const CheckpointFile& f : m.files)
    json["files"].push_back({{"name", f.name}, {"bytes", f.bytes}, {"hash", f.hash}});
  for (const CheckpointTensor& t : m.tensors) json["tensors"].push_back(json_of(t));
  for (const Fact& fact : m.facts) json["facts"].push_back({{"name", fact.name}, {"value", fact.value}});
  const std::string rest = "\"manifest\": " + json_text(json) + "}\n";
  return std::string(kBegin) + wide_hash(rest) + std::string(kBehind) + rest;
}

Manifest parse_manifest(const std::string& text, const std::string& path) {
  const std::string_view all = text;
  const std::size_t rest = kBegin.size() + kHashDigits + kBehind.size();
  const bool whole = all.size() > rest && all.starts_with(kBegin) &&
                     all.substr(kBegin.size() + kHashDigits).starts_with(kBehind) &&
                     all.substr(kBegin.size(), kHashDigits) == wide_hash(all.substr(rest));
  require(whole, ExitCode::bad_checkpoint, "{}: damaged: it has not the hash that it begins with", path);
  try {
    return manifest_of(require_object(parse_json(text, path), "manifest", path), path);
  } catch (const Error& error) {  // whoever wrote it, it was not this program
    throw Error(ExitCode::bad_checkpoint, error.what());
  }
}

}  // namespace longsight::parallel
