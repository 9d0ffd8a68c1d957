// longsight data index, longsight data lint: every sample is looked at. The first stops at what is wrong and
// keeps what it found; the other one lists all that is wrong.

#include "launch/data_verbs.h"
#include "launch/output.h"
#include "launch/progress.h"
#include "runtime/base/log.h"
#include "runtime/data/check_data.h"
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
  for (const OpenSource& source : open_files(o.files)) {
    Progress progress("checking " + source.name, source.data->size(), true);
    const data::DataCounts counts =
        data::check_samples(*source.data, {.media = data::MediaCheck::named, .progress = [&](i64 done) {
                                             if (done < source.data->size())
                                               progress.update(done, "samples,");
                                           }});
    progress.clear();
    const std::vector<std::string> written = source.data->write_index(o.out);
    print_line(fmt::format("{}: {}; index in {}{}", source.name, counts_text(counts), written.front(),
                           written.size() == 1 ? "" : fmt::format(" and {} more", written.size() - 1)));
  }
  return ExitCode::done;
}

struct LintOptions {
  FileOptions files;
  bool decode = false;
};

ExitCode run_lint(Job& job, const LintOptions& o) {
  if (!job.leads()) return ExitCode::done;
  i64 bad = 0, samples = 0;
  for (const SourceToOpen& named : list_sources(o.files)) {
    try {
      const OpenSource source = named.open();
      Progress progress("checking " + source.name, source.data->size(), true);
      const data::DataCounts counts = data::check_samples(
          *source.data, {.media = o.decode ? data::MediaCheck::decoded : data::MediaCheck::headers,
                         .report =
                             [&](ExitCode, const std::string& message) {
                               progress.clear();
                               print_line(message);
                             },
                         .progress =
                             [&](i64 done) {
                               if (done < source.data->size()) progress.update(done, "samples,");
                             }});
      samples += counts.samples;
      bad += counts.bad;
    } catch (const Error& error) {
      // A file that cannot be taken apart; the others may be in order.
      if (error.code() != ExitCode::bad_data && error.code() != ExitCode::missing_input) throw;
      print_line(error.what());
      bad += 1;
    }
  }
  log_info("{} samples, {} problems", samples, bad);
  return bad == 0 ? ExitCode::done : ExitCode::bad_data;
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

void add_data_lint(Command data, Run& run) {
  const Command verb =
      data.add_command("lint", "List every bad sample with file and line; exit code 65 if there is one");
  auto o = std::make_shared<LintOptions>();
  add_file_options(verb, o->files);
  verb.add_flag("--decode", o->decode, "decode every picture to its end, instead of looking at its header");
  verb.callback([o, &run] { run = [o](Job& job) { return run_lint(job, *o); }; });
}

}  // namespace longsight::launch
