#include "model/files/load_weights.h"

#include <algorithm>

#include <fmt/ranges.h>

#include "runtime/base/glob.h"
#include "runtime/base/log.h"

namespace longsight::model {
namespace {

// Buffers that old files hold and nobody needs.
bool is_buffer(const std::string& name) {
  return name.ends_with(".position_ids") || name.ends_with(".rotary_emb.inv_freq");
}

// "language_model.model.layers.*.mlp": names that differ in numbers and in the last two parts fall together.
std::string group_of(const std::string& name) {
  std::vector<std::string> parts{""};
  for (char c : name) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  std::string group;
  for (std::size_t i = 0; i + 2 < parts.size() || i == 0; ++i) {
    const bool number = !parts[i].empty() && parts[i].find_first_not_of("0123456789") == std::string::npos;
    group += (i == 0 ? "" : ".") + (number ? "*" : parts[i]);
  }
  return group;
}

class Mismatches {
 public:
  void add(const std::string& kind, const std::string& name, const std::string& detail = "") {
    auto& entry = groups_[kind + " " + group_of(name)];
    if (entry.count++ == 0) entry.example = name + detail;
  }
  void raise(const std::string& path) const {
    if (groups_.empty()) return;
    std::string text;
    for (const auto& [group, entry] : groups_) {
      text += fmt::format("{}{} ({} tensor{}, {})", text.empty() ? "" : "; ", group, entry.count,
                          entry.count == 1 ? "" : "s", entry.example);
    }
    fail(ExitCode::bad_data, "{} does not fit config.json: {}", path, text);
  }

 private:
  struct Entry {
    i64 count = 0;
    std::string example;
  };
  std::map<std::string, Entry> groups_;
};

bool may_be_missing(const WeightRules& rules, const std::string& name) {
  return std::any_of(rules.allow_missing.begin(), rules.allow_missing.end(),
                     [&](const std::string& glob) { return glob_matches(glob, name); });
}

bool grows(const WeightRules& rules, const std::string& name) {
  return std::find(rules.growing.begin(), rules.growing.end(), name) != rules.growing.end();
}

bool fits(const Parameter& p, const Shape& shape, const WeightRules& rules) {
  if (shape == p.shape) return true;
  return grows(rules, p.name) && shape.rank() == 2 && p.shape.rank() == 2 && shape[1] == p.shape[1] &&
         shape[0] > 0 && shape[0] <= p.shape[0];
}

bool is_float(const io::TensorEntry& entry) {
  return entry.dtype && (*entry.dtype == DType::F32 || *entry.dtype == DType::BF16 ||
                         *entry.dtype == DType::F16 || *entry.dtype == DType::F64);
}

void check_globs(const ParameterRegistry& parameters, const WeightRules& rules) {
  for (const std::string& glob : rules.allow_missing) {
    const bool any = std::any_of(parameters.all().begin(), parameters.all().end(),
                                 [&](const Parameter& p) { return glob_matches(glob, p.name); });
    require(any, ExitCode::usage,
            "allow_missing: \"{}\" is the name of no parameter; the first is called {}, the last {}", glob,
            parameters[0].name, parameters[parameters.size() - 1].name);
  }
}

// Rows from `first` on: the mean of those in front of it.
void fill_with_mean(Tensor x, i64 first) {
  const i64 columns = x.row_size();
  dispatch(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    T* values = x.host<T>();
    std::vector<double> sum(static_cast<std::size_t>(columns), 0.0);
    for (i64 i = 0; i < first * columns; ++i)
      sum[static_cast<std::size_t>(i % columns)] += static_cast<double>(values[i]);
    for (i64 i = first * columns; i < x.elements(); ++i) {
      const double mean = sum[static_cast<std::size_t>(i % columns)] / static_cast<double>(first);
      values[i] = static_cast<T>(mean);
    }
  });
}

}  // namespace

void permute_rows(Tensor x, const std::vector<i64>& order) {
  if (order.empty()) return;
  const OwnedTensor before(x.dtype(), x.shape());
  copy(before, x, {});
  for (i64 i = 0; i < x.rows(); ++i)
    copy(x.row_range(i, 1), before->row_range(order[static_cast<std::size_t>(i)], 1), {});
}

void TensorSources::add(const io::SafetensorsSet& file, const NameOf& name_of) {
  for (const io::TensorEntry& entry : file.entries()) {
    if (is_buffer(entry.name)) continue;
    const std::string name = name_of(entry.name);
    if (name.empty()) continue;
    const auto [place, fresh] = sources_.emplace(name, TensorSource{&file, &entry});
    require(fresh, ExitCode::bad_data, "{}: tensors {} and {} are the same one under two names", file.path(),
            place->second.entry->name, entry.name);
  }
}

const TensorSource* TensorSources::find(const std::string& name) const {
  const auto found = sources_.find(name);
  return found == sources_.end() ? nullptr : &found->second;
}

void check_weights(const Vlm& model, const TensorSources& sources, const WeightRules& rules,
                   const std::string& from) {
  const ParameterRegistry& parameters = model.parameters();
  check_globs(parameters, rules);
  Mismatches mismatches;
  for (const Parameter& p : parameters.all()) {
    if (p.adapter) continue;
    const TensorSource* source = sources.find(p.name);
    if (source == nullptr) {
      if (!may_be_missing(rules, p.name)) mismatches.add("missing", p.name);
    } else if (!fits(p, source->entry->shape, rules)) {
      mismatches.add("wrong shape", p.name,
                     fmt::format(": {} in the file, {} expected", source->entry->shape, p.shape));
    } else if (!is_float(*source->entry)) {
      mismatches.add("wrong type", p.name, fmt::format(": {}", source->entry->stored_as));
    }
  }
  for (const auto& [name, source] : sources.all()) {
    if (parameters.find(name) < 0) mismatches.add("unexpected", source.entry->name);
  }
  mismatches.raise(from);
}

void load_weights(Vlm& model, const TensorSources& sources, const WeightRules& rules) {
  ParameterRegistry& parameters = model.parameters();
  std::vector<std::string> initialised;
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    const Parameter& p = parameters[id];
    const TensorSource* source = sources.find(p.name);
    if (source == nullptr) {
      parameters.initialise(id, rules.seed);
      if (!p.adapter) initialised.push_back(p.name);
      continue;
    }
    parameters.write(id, [&](Tensor value) {
      const i64 rows = source->entry->shape == p.shape ? 0 : source->entry->shape[0];
      source->file->read(source->entry->name, rows == 0 ? value : value.row_range(0, rows));
      if (rows > 0) {
        fill_with_mean(value, rows);
        log_info("{}: {} rows are new, the mean of the {} in {}", p.name, value.rows() - rows, rows,
                 source->file->path());
      }
      permute_rows(value, file_row_order(model.config(), p));
    });
    model.set_name_in_file(id, source->entry->name);
  }
  if (!initialised.empty())
    log_info("initialised, {} tensors that are in no file: {}", initialised.size(),
             fmt::join(initialised, ", "));
}

}  // namespace longsight::model
