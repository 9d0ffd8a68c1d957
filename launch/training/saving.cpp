#include "launch/training/saving.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "launch/output.h"
#include "launch/samples/training_data.h"
#include "model/adapters/adapter_files.h"
#include "model/adapters/base_record.h"
#include "model/files/checkpoint.h"
#include "runtime/base/input_file.h"
#include "runtime/base/log.h"
#include "runtime/io/atomic_file.h"
#include "runtime/ops/adamw.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFinite = "finite weights";

i64 value_bytes(const ParameterRegistry& parameters) {
  i64 elements = 0;
  for (const Parameter& p : parameters.all()) elements += p.adapter ? 0 : p.elements();
  return elements * size_of(DType::F32);
}

// Piece by piece: weights can be as large as memory.
void copy_file(const std::string& from, const std::string& to) {
  const InputFile file(from);
  io::AtomicFile copy(to);
  std::vector<char> piece(std::size_t{4} << 20);
  const auto most = static_cast<i64>(piece.size());
  for (i64 got = most; got == most;) {
    got = file.read_at(piece.data(), most, copy.bytes());
    copy.write(piece.data(), got);
  }
  copy.commit();
}

void copy_files(const std::string& from, const std::string& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    if (entry.is_regular_file())
      copy_file(entry.path().string(), to + "/" + entry.path().filename().string());
  }
}

}  // namespace

void require_finite_weights(const ParameterRegistry& parameters, i64 step, parallel::ProcessGroup& world,
                            Stream stream) {
  // In f64 the squares of f32 values have a finite sum where all values are finite.
  const OwnedTensor sum(DType::F64, {1}, "sum of squares", parameters.memory());
  const auto finite = [&](Tensor values) {
    if (values.elements() == 0) return true;
    fill_zero(sum, stream);
    ops::sum_of_squares(sum, values, stream);
    return std::isfinite(read_scalar(sum, stream));
  };
  const bool here = !finite(parameters.values());
  if (world.all_reduce_max(i64{here}, stream, kFinite) == 0) return;
  // The first, of what this rank holds and of all.
  ParameterId first = 0;
  while (here && first < parameters.size() && finite(parameters.held_value(first))) ++first;
  const ParameterId bad = -world.all_reduce_max(here ? -first : -parameters.size(), stream, kFinite);
  fail(ExitCode::non_finite,
       "step {}: {} holds values that are not finite; no save of them is written, earlier ones stay: lower "
       "train.optimizer.lr",
       step, parameters[bad].name);
}

model::ValueOf Saver::values() const {
  return [this](ParameterId id) { return values_(id); };
}

Saver::Saver(const LoadedConfig& loaded, const RunModel& run, parallel::WholeValues& values)
    : loaded_(loaded),
      run_(run),
      values_(values),
      model_files_([&](const std::string& folder) {
        model::write_side_files(*run.model, folder, {.dtype = DType::F32, .companions_from = run.companions});
        complete_model_folder(loaded, run, folder);
      }),
      adapter_files_([&](const std::string& folder) {
        if (!run.model->adapters().any()) return;
        complete_adapter_folder(loaded, run, folder);
        model::write_base_record(*run.model, folder, absolute_path(loaded.config.model.from), this->values());
      }) {}

i64 Saver::model_bytes() const {
  return value_bytes(run_.model->parameters()) + model_files_.bytes();
}

i64 Saver::save_bytes() const {
  return run_.model->adapters().any() ? model::adapter_bytes(*run_.model) + adapter_files_.bytes()
                                      : model_bytes();
}

void Saver::require_space(i64 steps, i64 more) const {
  const OutputSection& o = loaded_.config.output;
  const i64 saves = o.save_every > 0 ? std::min(o.keep, steps / o.save_every) : 0;
  const i64 adapter = run_.model->adapters().any() ? 1 : 0;
  const i64 bytes = save_bytes() * (saves + adapter + (o.keep_best.empty() ? 0 : 1)) + model_bytes() + more;
  require_free_space(o.dir, bytes + bytes / 10,
                     saves == 0 && more == 0
                         ? std::string("the final model")
                         : fmt::format("{} saves{} and the final model; fewer are kept with output.keep",
                                       saves, more > 0 ? ", the checkpoints" : ""));
}

void Saver::save_step(RunFolder& run_folder, i64 step) const {
  run_folder.save(step, [&](const std::string& folder) { write(folder); });
}

void Saver::save_best(RunFolder& run_folder) const {
  run_folder.save_best([&](const std::string& folder) { write(folder); });
}

void Saver::save_adapter(RunFolder& run_folder) const {
  if (!run_.model->adapters().any()) return;
  run_folder.save_adapter([&](const std::string& folder) { write_adapter(folder); });
  log_info("adapters written to {}/adapter{}", run_folder.path(),
           loaded_.config.model.from.empty()
               ? "; what they were put on is in no folder: only this run's configuration makes it again"
               : "");
}

void Saver::save_model(RunFolder& run_folder) const {
  run_folder.save_final([&](const std::string& folder) { write_model(folder); });
  log_info("model written to {}/model{}", run_folder.path(),
           run_.model->adapters().any() ? ", with the adapters merged into it" : "");
}

void Saver::save_end_as_best(RunFolder& run_folder) const {
  const std::string end = run_.model->adapters().any() ? "/adapter" : "/model";
  run_folder.save_best([&](const std::string& folder) { copy_files(run_folder.path() + end, folder); });
}

void Saver::write(const std::string& folder) const {
  run_.model->adapters().any() ? write_adapter(folder) : write_model(folder);
}

void Saver::write_model(const std::string& folder) const {
  model_files_.write(folder);
  model::write_weight_files(*run_.model, folder, {.dtype = DType::F32}, values());
}

void Saver::write_adapter(const std::string& folder) const {
  adapter_files_.write(folder);
  // Models of parts or of random weights have no folder to name.
  model::write_adapter_files(*run_.model, folder, absolute_path(loaded_.config.model.from), values());
}

}  // namespace longsight::launch
