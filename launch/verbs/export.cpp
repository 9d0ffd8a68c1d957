// longsight export: a Hugging Face folder of a run's model or of a save.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "launch/output.h"
#include "launch/planning/units.h"
#include "launch/samples/model_source.h"
#include "launch/verb.h"
#include "parallel/plan.h"
#include "runtime/base/log.h"
#include "runtime/tensor/convert.h"
#include "runtime/tensor/host_values.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string source, out, dtype, names = "original", shard_size = "5GB", adapter;
  std::vector<std::string> allow_missing;
};

// Would not be noticed before the model is used: values that are not finite, or are not in `dtype`.
void check_finite(const model::Vlm& model, DType dtype, const std::string& source) {
  const ParameterRegistry& p = model.parameters();
  for (ParameterId id = 0; id < p.size(); ++id) {
    if (p[id].adapter) continue;
    const Tensor value = p.value(id);
    for (const float x : read_values<float>(value, {})) {
      require(std::isfinite(x), ExitCode::non_finite,
              "{}: {} holds {}, and a model with it computes nothing: take an earlier save, or copy it anew",
              source, p[id].name, x);
      const float written = dtype == DType::F16    ? f32_from_f16(f16_from_f32(x))
                            : dtype == DType::BF16 ? static_cast<float>(bf16(x))
                                                   : x;
      require(std::isfinite(written), ExitCode::usage,
              "--dtype {}: {} holds {}, beyond the range of {}; use {}f32", name_of(dtype), p[id].name, x,
              name_of(dtype), dtype == DType::F16 ? "bf16 or " : "");
    }
  }
}

ExitCode run_export(Job& job, const ExportOptions& o) {
  static const std::vector<std::string> kNames{"original", "v5"};
  parallel::require_available(o.names, "--hf-names", kNames);
  const i64 shard_bytes = planning::bytes_from_text(o.shard_size, "--shard-size");
  const DType asked = o.dtype.empty() ? DType::F32 : dtype_from_name(o.dtype);
  require(asked == DType::F32 || asked == DType::BF16 || asked == DType::F16, ExitCode::usage,
          "--dtype {}: bf16, f16 or f32", o.dtype);
  if (!job.leads()) return ExitCode::done;
  require(!fs::exists(o.out), ExitCode::cannot_write, "{} exists already: choose another folder or remove it",
          o.out);
  const ModelSource source = o.adapter.empty() ? find_source(o.source) : find_source(o.adapter, o.source);
  require_writable_folder(o.out);
  const RunModel run = load_source(source, DType::F32, o.allow_missing);
  const DType dtype = o.dtype.empty() ? source_dtype(source, run.model->config()) : asked;
  check_finite(*run.model, dtype, source.path);
  const model::ExportOptions options{
      .dtype = dtype,
      .names = o.names == "v5" ? model::HfNames::v5 : model::HfNames::canonical,
      .shard_bytes = shard_bytes};
  io::TemporaryFolder folder(o.out);
  write_source_files(source, run, folder.path(), options);
  const i64 tensors = model::write_weight_files(*run.model, folder.path(), options);
  folder.commit();
  log_info("{} tensors of {} ({}) written to {} in {}", tensors, source.path, source.what, o.out,
           name_of(dtype));
  return ExitCode::done;
}

}  // namespace

void add_export(Command app, Run& run) {
  const Command verb = app.add_command("export", "Write a model as a Hugging Face folder");
  auto o = std::make_shared<ExportOptions>();
  verb.add_option("source", o->source, "run, save, checkpoint, adapters or model folder").required();
  verb.add_option("folder", o->out, "new folder").required();
  verb.add_option("--dtype", o->dtype,
                  "bf16, f16 or f32 (default: that of the model that the run began with)");
  verb.add_option("--adapter", o->adapter,
                  "PEFT adapter folder that belongs to the model: merged into the weights");
  verb.add_option(
      "--hf-names", o->names,
      "tensor names and form of config.json: original (default), which every reader knows, or v5: as "
      "transformers 5 writes a new model");
  verb.add_option("--shard-size", o->shard_size, "largest file of weights: 5GB (default), 500MB, 1GiB");
  add_allow_missing(verb, o->allow_missing);
  verb.callback([o, &run] { run = [o](Job& job) { return run_export(job, *o); }; });
}

}  // namespace longsight::launch
