// longsight batch: what training would feed, sample by sample, as safetensors.
#include <filesystem>

#include "launch/progress.h"
#include "launch/samples/data_files.h"
#include "launch/samples/model_source.h"
#include "launch/samples/sample_file.h"
#include "launch/verb.h"
#include "runtime/base/log.h"
#include "runtime/data/records/check_data.h"
#include "runtime/data/records/open_data.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

struct BatchOptions {
  std::string model, data, out, chat;
};

ExitCode run_batch(Job& job, const BatchOptions& o) {
  if (!job.leads()) return ExitCode::done;
  const bool there = fs::exists(o.out);
  require(!there || (fs::is_directory(o.out) && fs::is_empty(o.out)), ExitCode::cannot_write,
          "{} exists already and is not an empty folder: choose another --out or remove it", o.out);
  const auto maker = open_sample_maker(find_source(o.model), o.chat);
  maker->log_choices();
  const model::ModelConfig& config = maker->config();
  const auto file = data::open_chat_data(data::guess_data_spec(o.data, open_alone()));
  data::check_samples(*file);
  data::EncodeCache cache;
  io::TemporaryFolder out(o.out);
  Progress progress("samples", file->size(), true);
  for (i64 i = 0; i < file->size(); ++i) {
    write_sample_file(maker->sample(file->sample(i), cache), config,
                      fmt::format("{}/{:03}.safetensors", out.path(), i), job.stream);
    progress.update(i + 1, "written,");
  }
  progress.clear();
  out.commit(there ? io::TemporaryFolder::Existing::replace : io::TemporaryFolder::Existing::refuse);
  log_info("{} samples written to {}", file->size(), o.out);
  return ExitCode::done;
}

}  // namespace

void add_batch(Command app, Run& run) {
  const Command verb =
      app.add_command("batch", "Write what training would feed: token ids, labels and pixels of each sample");
  auto o = std::make_shared<BatchOptions>();
  verb.add_option("--model", o->model, "run, save, adapters or Hugging Face model folder").required();
  verb.add_option("--data", o->data, "data file (messages, llava, sharegpt, text, .tar shard)").required();
  verb.add_option("--out", o->out,
                  "new folder: 000.safetensors, 001.safetensors, ... in the order of the file")
      .required();
  verb.add_option("--chat", o->chat, "chat template instead of the model folder's own: NAME or FILE.jinja");
  verb.callback([o, &run] { run = [o](Job& job) { return run_batch(job, *o); }; });
}

}  // namespace longsight::launch
