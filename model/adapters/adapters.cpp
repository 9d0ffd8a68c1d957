#include "model/adapters/adapters.h"

#include <algorithm>
#include <cmath>

#include "parallel/sharded_parameters.h"
#include "runtime/base/glob.h"
#include "runtime/base/suggest.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/row_scale.h"

namespace longsight::model {
namespace {

constexpr std::string_view kWeight = ".weight";

template <class Ids, class F>
void each_linear(Ids& ids, F&& f) {
  const auto blocks = [&](auto& list) {
    for (auto& b : list) {
      f(b.qkv);
      f(b.out);
      f(b.up);
      f(b.down);
    }
  };
  blocks(ids.vision.blocks);
  if (ids.connector.first.present()) f(ids.connector.first);
  if (ids.connector.second.present()) f(ids.connector.second);
  blocks(ids.language.blocks);
}

std::string layer_name(const Parameter& weight) {
  return weight.name.substr(0, weight.name.size() - kWeight.size());
}

AdapterIds register_adapter(const AdapterConfig& config, const Parameter& weight,
                            ParameterRegistry& registry) {
  const std::string name = layer_name(weight);
  const i64 outputs = weight.shape[0], inputs = weight.shape[1], rank = config.rank_of(name);
  const std::string part = weight.part, unit = weight.unit;
  const bool used = weight.used;
  // The variance of PEFT's uniform initialisation.
  const Init a = init_normal(1 / std::sqrt(3 * static_cast<double>(inputs)));
  const Init b = config.random_b ? init_normal(1 / std::sqrt(3 * static_cast<double>(rank))) : init_zeros();
  const auto add = [&](const char* end, Shape shape, Init init) {
    return registry.add({.name = name + end,
                         .shape = shape,
                         .part = part,
                         .init = init,
                         .unit = unit,
                         .used = used,
                         .adapter = true});
  };
  AdapterIds ids{.a = kNone, .b = kNone, .scale = config.scale_of(name)};
  ids.a = add(".lora_A.weight", {rank, inputs}, a);
  ids.b = add(".lora_B.weight", {outputs, rank}, b);
  return ids;
}

template <class T>
T by_glob(const std::map<std::string, T>& globs, const std::string& layer, T otherwise, const char* what) {
  std::string_view found;  // empty: none
  T value = otherwise;
  for (const auto& [glob, of_glob] : globs) {
    if (!glob_matches(glob, layer)) continue;
    require(found.empty() || value == of_glob, ExitCode::usage,
            "LoRA {} of {}: \"{}\" says {} and \"{}\" says {}", what, layer, found, value, glob, of_glob);
    found = glob;
    value = of_glob;
  }
  return value;
}

template <class T>
void check_globs(const std::map<std::string, T>& globs, const char* what,
                 const std::vector<std::string>& names) {
  for (const auto& [glob, value] : globs) {
    require(
        std::any_of(names.begin(), names.end(), [&](const auto& name) { return glob_matches(glob, name); }),
        ExitCode::usage, "LoRA {} \"{}\" matches no linear layer{}", what, glob, did_you_mean(glob, names));
  }
}

}  // namespace

i64 AdapterConfig::rank_of(const std::string& layer) const {
  return by_glob(ranks, layer, rank, "rank");
}

double AdapterConfig::alpha_of(const std::string& layer) const {
  return by_glob(alphas, layer, alpha, "alpha");
}

double AdapterConfig::scale_of(const std::string& layer) const {
  const auto of_rank = static_cast<double>(rank_of(layer));
  return alpha_of(layer) / (rslora ? std::sqrt(of_rank) : of_rank);
}

std::vector<std::string> adapter_targets(const ModelIds& ids, const ParameterRegistry& registry) {
  std::vector<std::string> names;
  each_linear(ids, [&](const LinearIds& linear) {
    for (i64 part = 0; part < linear.parts; ++part)
      names.push_back(layer_name(registry[linear.weight + part]));
  });
  return names;
}

void register_adapters(const AdapterConfig& config, ModelIds& ids, ParameterRegistry& registry) {
  if (!config.any()) return;
  const std::vector<std::string> names = adapter_targets(ids, registry);
  for (const std::string& target : config.targets) {
    const bool known = std::find(names.begin(), names.end(), target) != names.end();
    require(config.file.empty() || known, ExitCode::bad_data,
            "{}: adapts {}, which is none of the linear layers that can have adapters here (those of the "
            "blocks and "
            "of the connector): save the model merged by PEFT, and begin with that",
            config.file, target);
    require(
        std::any_of(names.begin(), names.end(), [&](const auto& name) { return glob_matches(target, name); }),
        ExitCode::usage, "LoRA target \"{}\" matches no linear layer{}", target, did_you_mean(target, names));
  }
  check_globs(config.ranks, "rank_pattern", names);
  check_globs(config.alphas, "alpha_pattern", names);
  each_linear(ids, [&](LinearIds& linear) {
    std::vector<AdapterIds> adapters(static_cast<std::size_t>(linear.parts));
    bool any = false;
    for (i64 part = 0; part < linear.parts; ++part) {
      const std::string name = layer_name(registry[linear.weight + part]);
      if (std::none_of(config.targets.begin(), config.targets.end(),
                       [&](const auto& target) { return glob_matches(target, name); }))
        continue;
      const Parameter weight = registry[linear.weight + part];  // a copy: registration moves them
      adapters[static_cast<std::size_t>(part)] = register_adapter(config, weight, registry);
      any = true;
    }
    if (any) linear.adapters = std::move(adapters);
  });
}

void merge_adapters(const ModelIds& ids, ParameterRegistry& registry, Stream stream,
                    parallel::ProcessGroup* world) {
  const bool dealt = registry.values_dealt();
  check(!dealt || world != nullptr, "adapters of parameters that are dealt over ranks are merged by one");
  each_linear(ids, [&](const LinearIds& linear) {
    for (std::size_t part = 0; part < linear.adapters.size(); ++part) {
      const AdapterIds& adapter = linear.adapters[part];
      if (!adapter.present()) continue;
      const ParameterId base = linear.weight + static_cast<i64>(part);
      std::vector<OwnedTensor> gathered;
      const auto whole = [&](ParameterId id) {
        if (!dealt) return registry.value(id);
        gathered.push_back(parallel::whole_value(registry, id, *world, stream));
        return gathered.back().view();
      };
      const Tensor weight = whole(base), a = whole(adapter.a), b = whole(adapter.b);
      // W [N, K] += scale * B [N, r] A [r, K]: the product of a layer's backward, B in the place of the
      // gradient.
      const OwnedTensor scaled(b.dtype(), b.shape(), "scaled adapter", registry.memory());
      copy(scaled, b, stream);
      ops::scale_matrix(scaled.view(), adapter.scale, stream);
      ops::linear_backward_input(weight, scaled.view(), a, ops::Write::add, stream);
      fill_zero(b, stream);
      if (!dealt) continue;
      registry.keep(base, weight, stream);
      registry.keep(adapter.b, b, stream);
    }
  });
  if (!dealt) registry.round_weights(stream);
}

}  // namespace longsight::model
