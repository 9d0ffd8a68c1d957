// longsight data lint: lists all that is wrong with data. Of a configuration it is what training would
// refuse, by the check that training makes; of files alone, what can be said without a model.
#include "launch/output.h"
#include "launch/progress.h"
#include "launch/samples/check_sets.h"
#include "launch/samples/data_files.h"
#include "launch/samples/training_data.h"
#include "launch/verbs/data_verbs.h"
#include "runtime/base/log.h"
#include "runtime/data/records/check_data.h"

namespace longsight::launch {
namespace {

struct LintOptions {
  FileOptions files;
  bool decode = false;
};

struct Found {
  i64 samples = 0, problems = 0;
  ExitCode code = ExitCode::done;  // of the first problem, with which training would end

  void problem(ExitCode of, const std::string& message) {
    print_line(message);
    if (problems == 0) code = of;
    problems += 1;
  }
};

ExitCode end(const Found& found, const std::string& notes) {
  log_info("{} samples, {} problems{}", found.samples, found.problems, notes);
  return found.code;
}

ExitCode lint_configuration(const LintOptions& o) {
  LoadedConfig loaded = configuration_of(o.files);
  if (!o.files.index.empty()) loaded.config.data.index = o.files.index;
  check_inputs(loaded);
  const DataSection& d = loaded.config.data;
  require(!d.train.empty() || !d.eval.empty(), ExitCode::usage, "{}: data.train and data.eval name no data",
          o.files.files.front());
  const RunModel run = open_run_shape(loaded);
  Found found;
  DataSets sets(loaded, run, WhichSets::both, open_alone(),
                [&](const Error& error) { found.problem(error.code(), error.what()); });
  const ExitCode of_files = found.code;
  FirstProblems first;
  for (const DataSet* set : sets.all()) found.samples += set->samples();
  Progress progress("checking data", found.samples, true);
  const auto outcomes =
      look_at_share(sets, {.decode = o.decode ? Decode::always : Decode::unknown,
                           .problem =
                               [&](const SampleProblem& p) {
                                 progress.clear();
                                 found.problem(p.code, p.message);
                                 first.add(p, d.bad == "skip");
                               },
                           .progress = [&](i64 done) { progress.update(done, "samples,"); }});
  progress.clear();
  remember_pictures(sets, outcomes);
  const bool left_out = !first.skipped.empty();
  const std::string notes = left_out ? "; data.bad: skip leaves out those that cannot be read" : "";
  if (of_files != ExitCode::done) return end(found, notes);
  if (const std::optional<Error> error = refusal(sets, outcomes, first)) {
    if (first.refused.empty()) print_line(error->what());  // samples that are listed, but too many in a row
    found.code = error->code();
    return end(found, notes);
  }
  found.code = ExitCode::done;
  keep_lengths(sets, outcomes);
  // The length of the run, and held-out data of which nothing is learned, can be refused by training too.
  const TrainSection& t = loaded.config.train;
  if (!sets.train().empty() && (t.steps || t.epochs)) begin_training(*open_training_data(sets), sets);
  open_eval_data(sets);
  return end(found, notes);
}

ExitCode lint_files(const LintOptions& o) {
  Found found;
  for (const SourceToOpen& named : list_sources(o.files)) {
    try {
      const OpenSource source = named.open();
      Progress progress("checking " + source.name, source.data->size(), true);
      const data::DataCounts counts = data::check_samples(
          *source.data, {.media = o.decode ? data::MediaCheck::decoded : data::MediaCheck::headers,
                         .report =
                             [&](i64, const std::exception_ptr& thrown) {
                               progress.clear();
                               try {
                                 std::rethrow_exception(thrown);
                               } catch (const Error& error) {
                                 found.problem(error.code(), error.what());
                               }
                             },
                         .progress =
                             [&](i64 done) {
                               if (done < source.data->size()) progress.update(done, "samples,");
                             }});
      found.samples += counts.samples;
    } catch (const Error& error) {
      // A file that cannot be taken apart; the others may be in order.
      if (error.code() != ExitCode::bad_data && error.code() != ExitCode::missing_input) throw;
      found.problem(error.code(), error.what());
    }
  }
  return end(found,
             fmt::format("; not checked, for want of a configuration: tokens, lengths, sizes of pictures{}",
                         o.decode ? "" : "; and pictures not further than their headers (--decode)"));
}

ExitCode run_lint(Job& job, const LintOptions& o) {
  if (!job.leads()) return ExitCode::done;
  return is_configuration(o.files) ? lint_configuration(o) : lint_files(o);
}

}  // namespace

void add_data_lint(Command data, Run& run) {
  const Command verb = data.add_command(
      "lint",
      "List every bad sample with file and line; exit code as of training: that of the first one. Of a "
      "configuration: whatever training would refuse");
  auto o = std::make_shared<LintOptions>();
  add_file_options(verb, o->files);
  verb.add_flag(
      "--decode", o->decode,
      "decode every picture to its end: of files instead of looking at its header, of a configuration "
      "also those that data.index knows to be in order");
  verb.callback([o, &run] { run = [o](Job& job) { return run_lint(job, *o); }; });
}

}  // namespace longsight::launch
