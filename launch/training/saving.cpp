#include "launch/training/saving.h"

#include "launch/training_data.h"
#include "model/adapter_files.h"
#include "model/checkpoint.h"
#include "runtime/base/log.h"

namespace longsight::launch {

void Saver::save_step(const RunFolder& run_folder, i64 step) const {
  run_folder.save(step, loaded_.config.output.keep, [&](const std::string& folder) {
    run_.model->adapters().any() ? write_adapter(folder) : write_model(folder);
  });
}

void Saver::save_end(const RunFolder& run_folder) const {
  if (run_.model->adapters().any()) {
    run_folder.save_adapter([&](const std::string& folder) { write_adapter(folder); });
    merge_adapters(run_.model->ids(), run_.model->parameters());
    log_info("adapters written to {}/adapter, and merged into the model", run_folder.path());
  }
  run_folder.save_final([&](const std::string& folder) { write_model(folder); });
  log_info("model written to {}/model", run_folder.path());
}

void Saver::write_model(const std::string& folder) const {
  model::write_model_files(*run_.model, folder, {.dtype = DType::F32, .companions_from = run_.companions});
  complete_model_folder(loaded_, run_, folder);
}

void Saver::write_adapter(const std::string& folder) const {
  const ModelSection& m = loaded_.config.model;
  const std::string base = m.of_parts() ? m.language_from : m.from.empty() ? m.config : m.from;
  model::write_adapter_files(*run_.model, folder, base);
  complete_adapter_folder(loaded_, run_, folder);
}

}  // namespace longsight::launch
