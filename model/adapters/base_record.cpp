#include "model/adapters/base_record.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <vector>

#include <xxhash.h>

#include "model/adapters/adapter_names.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"
#include "runtime/ops/host/threads.h"
#include "runtime/tensor/convert.h"

namespace longsight::model {
namespace {

namespace fs = std::filesystem;

// Of the values in f32, after a rounding to `rounding`. Also of one that is computed with in f64.
u64 hash_of(Tensor value, DType rounding) {
  constexpr i64 kPiece = 1 << 14;
  std::array<float, kPiece> exact, rounded;
  std::array<std::uint16_t, kPiece> narrow;
  u64 hash = 0;
  for (i64 first = 0; first < value.elements(); first += kPiece) {
    const i64 count = std::min(kPiece, value.elements() - first);
    const char* from = static_cast<const char*>(value.data()) + first * size_of(value.dtype());
    convert(exact.data(), DType::F32, from, value.dtype(), count);
    const float* hashed = exact.data();
    if (rounding != DType::F32) {
      convert(narrow.data(), rounding, exact.data(), DType::F32, count);
      convert(rounded.data(), DType::F32, narrow.data(), rounding, count);
      hashed = rounded.data();
    }
    hash = XXH3_64bits_withSeed(hashed, static_cast<std::size_t>(count) * sizeof(float), hash);
  }
  return hash;
}

std::string text_of(u64 hash) {
  return fmt::format("{:016x}", hash);
}

std::vector<std::string> hashes_of(const ParameterRegistry& p, const std::vector<ParameterId>& ids,
                                   DType rounding) {
  std::vector<std::string> hashes(ids.size());
  i64 elements = 0;
  for (const ParameterId id : ids) elements += p[id].elements();
  ops::host::parallel_items(static_cast<i64>(ids.size()), elements, [&](i64 i) {
    const auto at = static_cast<std::size_t>(i);
    hashes[at] = text_of(hash_of(p.value(ids[at]), rounding));
  });
  return hashes;
}

bool holds(const Json& hashes, const std::string& hash) {
  for (const Json& one : hashes) {
    if (one.is_string() && one.get<std::string>() == hash) return true;
  }
  return false;
}

bool is_saved(const Vlm& model, const std::string& name) {
  const auto& saved = model.adapters().saved;
  return std::find(saved.begin(), saved.end(), name) != saved.end();
}

std::string last_part(const std::string& path) {
  const fs::path whole = fs::path(path).lexically_normal();
  return (whole.has_filename() ? whole : whole.parent_path()).filename().string();
}

// PEFT's files name a folder, or a model of the hub, and both may have been moved.
void check_base_name(const std::string& folder, const std::string& base) {
  const std::string file = folder + "/" + kAdapterConfig;
  const std::string named =
      optional_string(read_json_file(file), "base_model_name_or_path", file).value_or("");
  std::error_code error;
  const bool same =
      fs::exists(named, error) ? fs::equivalent(named, base, error) : last_part(named) == last_part(base);
  if (!named.empty() && !same)
    log_warn(
        "{}: these adapters belong to {} (base_model_name_or_path) and are put on {}: whether its weights "
        "are the same is not known",
        folder, named, base);
}

}  // namespace

void write_base_record(const Vlm& model, const std::string& folder, const std::string& base) {
  write_base_record(model, folder, base, model.values());
}

void write_base_record(const Vlm& model, const std::string& folder, const std::string& base,
                       const ValueOf& values) {
  const ParameterRegistry& p = model.parameters();
  std::vector<ParameterId> ids;
  for (ParameterId id = 0; id < p.size(); ++id) {
    if (p[id].used && !p[id].adapter && !p[id].trainable && !is_saved(model, p[id].name)) ids.push_back(id);
  }
  std::map<std::string, std::vector<std::string>> weights;
  const std::array roundings{DType::F32, DType::BF16, DType::F16};
  for (const ParameterId id : ids) {
    const Tensor value = values(id);
    std::array<u64, roundings.size()> hashes{};
    ops::host::parallel_items(std::ssize(roundings), value.elements(), [&](i64 i) {
      const auto at = static_cast<std::size_t>(i);
      hashes[at] = hash_of(value, roundings[at]);
    });
    std::vector<std::string>& known = weights[p[id].name];
    for (const u64 hash : hashes) {
      const std::string text = text_of(hash);
      if (std::find(known.begin(), known.end(), text) == known.end()) known.push_back(text);
    }
  }
  const nlohmann::ordered_json record{{"base", base}, {"weights", weights}};
  io::write_file(folder + "/" + kBaseRecord, json_text(record) + "\n");
}

void check_base(const Vlm& model, const std::string& folder, const std::string& base) {
  const std::string file = folder + "/" + kBaseRecord;
  if (!fs::exists(file)) return check_base_name(folder, base);
  const Json record = read_json_file(file);
  const ParameterRegistry& p = model.parameters();
  std::vector<ParameterId> ids;
  std::string other;  // the first weight that is another one
  i64 count = 0;
  const auto differs = [&](const std::string& name) {
    if (count++ == 0) other = name;
  };
  const Json& weights = require_object(record, "weights", file);
  for (const auto& [name, hashes] : weights.items()) {
    if (is_saved(model, name)) continue;
    if (const ParameterId id = p.find(name); id < 0)
      differs(name);
    else
      ids.push_back(id);
  }
  const std::vector<std::string> found = hashes_of(p, ids, DType::F32);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const Json& known = require_array(weights, p[ids[i]].name, file);
    if (!holds(known, found[i])) differs(p[ids[i]].name);
  }
  const std::string named = optional_string(record, "base", file).value_or("");
  require(count == 0, ExitCode::bad_data,
          "{}: these adapters were trained on other weights{} than {} holds now: {}{} differ{}: name the "
          "model that they were trained on, "
          "or remove {} to put them on this one all the same",
          folder, named.empty() ? "" : fmt::format(", then in {},", named), base, other,
          count > 1 ? fmt::format(" and {} more", count - 1) : "", count > 1 ? "" : "s", file);
}

}  // namespace longsight::model
