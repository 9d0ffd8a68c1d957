// longsight data index: every sample is looked at; stops at what is wrong (unless data.bad: skip leaves
// it out), and keeps what it found.

#include "launch/output.h"
#include "launch/progress.h"
#include "launch/samples/left_out.h"
#include "launch/verbs/data_verbs.h"
#include "runtime/base/log.h"
#include "runtime/data/records/check_data.h"
#include "runtime/io/atomic_file.h"

namespace longsight::launch {
namespace {

struct IndexOptions {
  FileOptions files;
  std::string out;
};

std::string counts_text(const data::DataCounts& counts) {
  return fmt::format("{} samples, {} images, {} videos, {} answers to learn", counts.samples, counts.images,
                     counts.videos, counts.answers);
}

ExitCode run_index(Job& job, const IndexOptions& o) {
  if (!job.leads()) return ExitCode::done;
  if (!o.out.empty()) io::ensure_folder(o.out);
  const bool skip = skips_bad(o.files);
  for (const OpenSource& source : open_files(o.files)) {
    const i64 samples = source.data->size();
    LeftOut left_out(source, samples, skip);
    Progress progress("checking " + source.name, samples, true);
    const data::DataCounts counts =
        data::check_samples(*source.data, {.media = data::MediaCheck::named,
                                           .report =
                                               [&](i64 index, const std::exception_ptr& error) {
                                                 progress.clear();
                                                 left_out.add(index, error);
                                               },
                                           .progress =
                                               [&](i64 done) {
                                                 if (done < samples) progress.update(done, "samples,");
                                               }});
    progress.clear();
    left_out.log();
    const std::vector<std::string> written = source.data->write_index(o.out);
    print_line(fmt::format("{}: {}; index in {}{}", source.name, counts_text(counts), written.front(),
                           written.size() == 1 ? "" : fmt::format(" and {} more", written.size() - 1)));
  }
  return ExitCode::done;
}

}  // namespace

void add_data_index(Command data, Run& run) {
  const Command verb = data.add_command(
      "index",
      "Check every sample, count, and keep where the samples are: large files open at once from then on");
  auto o = std::make_shared<IndexOptions>();
  add_file_options(verb, o->files);
  verb.add_option("--out", o->out,
                  "folder for the indices (data.index of the configuration); default: beside the data");
  verb.callback([o, &run] { run = [o](Job& job) { return run_index(job, *o); }; });
}

}  // namespace longsight::launch
