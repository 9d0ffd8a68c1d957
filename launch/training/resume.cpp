#include "launch/training/resume.h"

#include <algorithm>
#include <filesystem>

#include "launch/samples/input_facts.h"
#include "launch/training/checkpoint_folder.h"
#include "parallel/checkpoint/restore.h"
#include "runtime/base/log.h"
#include "runtime/base/stream_hash.h"

namespace longsight::launch {
namespace {

namespace fs = std::filesystem;

constexpr const char* kBeginning = "beginning";

std::string canonical(const std::string& path) {
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  return error ? path : real.has_filename() ? real.string() : real.parent_path().string();
}

// Of a checkpoint, of RUN/checkpoints, or of RUN: newest first.
std::vector<CheckpointPlace> candidates_of(const std::string& path) {
  std::error_code error;
  require(fs::is_directory(path, error), ExitCode::missing_input,
          "{}: no such folder: a checkpoint (RUN/checkpoints/step-N) or a run", path);
  if (is_checkpoint(path)) return {{-1, canonical(path)}};
  std::vector<CheckpointPlace> found = checkpoints_in(path + "/checkpoints");
  if (found.empty()) found = checkpoints_in(path);
  require(!found.empty(), ExitCode::missing_input, "{}: it has no checkpoint (RUN/checkpoints/step-N)", path);
  return found;
}

// What rank 0 decides by looking at names alone.
struct Choice {
  std::vector<CheckpointPlace> candidates;
  bool goes_on = false;
  bool rolls_back = false;
  std::string began_from;
};

Choice choose(const LoadedConfig& loaded) {
  const OutputSection& output = loaded.config.output;
  const std::string from = output.resume.value_or("auto"), run = canonical(output.dir);
  Choice choice;
  if (from == "none") return choice;
  const bool there = is_run_folder(run);
  const Json facts = there ? facts_of_run_folder(run) : Json();
  const bool finished = facts.is_object() && facts.contains("finished");
  const std::string origin =
      facts.is_object() && facts.contains("began_from") && facts["began_from"].is_string()
          ? facts["began_from"].get<std::string>()
          : "";
  const std::vector<CheckpointPlace> own =
      there && !finished ? checkpoints_in(run + "/checkpoints") : std::vector<CheckpointPlace>{};
  if (from == "auto") {
    if (there && finished) log_info("{} has finished: another run begins", output.dir);
    if (there && !finished && own.empty())
      log_info("{} has no checkpoint to go on from: another run begins", output.dir);
    choice.candidates = own;
    choice.goes_on = !own.empty();
    choice.began_from = origin;
    return choice;
  }
  choice.began_from = canonical(from);
  if (!own.empty() && origin == choice.began_from) {
    log_info("{} began from {}: it goes on", output.dir, from);
    choice.candidates = own;
    choice.goes_on = true;
    return choice;
  }
  choice.candidates = candidates_of(from);
  choice.goes_on =
      !own.empty() && fs::path(choice.candidates.front().path).parent_path() == run + "/checkpoints";
  choice.rolls_back = choice.goes_on;
  return choice;
}

// Between ranks: paths hold any bytes but this one.
constexpr char kEndOfText = '\0';

std::string told(const Choice& choice) {
  std::string text = fmt::format("{}{}{}{}", choice.goes_on ? 1 : 0, choice.rolls_back ? 1 : 0,
                                 choice.began_from, kEndOfText);
  for (const CheckpointPlace& place : choice.candidates)
    text += fmt::format("{}{}{}{}", place.step, kEndOfText, place.path, kEndOfText);
  return text;
}

Choice choice_of(std::string_view text) {
  const auto next = [&text] {
    const std::size_t end = text.find(kEndOfText);
    const std::string part(text.substr(0, end));
    text.remove_prefix(end + 1);
    return part;
  };
  Choice choice{.candidates = {}, .goes_on = text[0] == '1', .rolls_back = text[1] == '1', .began_from = {}};
  text.remove_prefix(2);
  choice.began_from = next();
  while (!text.empty()) {
    const i64 step = std::stoll(next());
    choice.candidates.push_back({step, next()});
  }
  return choice;
}

// The first problem of any rank; empty: the checkpoint is whole, and `manifest` is read.
std::string problem_of(const std::string& folder, parallel::Manifest& manifest, Job& job) {
  std::string problem;
  try {
    manifest = parallel::read_manifest(folder);
    problem = parallel::problem_of_files(folder, manifest, job.world.rank(), job.world.size());
  } catch (const std::exception& error) {
    problem = error.what();
  }
  for (const std::string& of_rank : job.world.all_gather(problem, job.stream, kBeginning)) {
    if (!of_rank.empty()) return of_rank;
  }
  return "";
}

// Keys that say where something lies, how much is computed where, and what is written when. The contents of
// files are facts of their own.
bool is_free(const std::string& key, bool constant_lr) {
  static const std::vector<std::string> kFree{"parallel",
                                              "memory",
                                              "output",
                                              "device",
                                              "data.eval",
                                              "data.index",
                                              "data.chat",
                                              "data.decode_first",
                                              "train.eval_every",
                                              "train.precision",
                                              "train.check_replicas",
                                              "train.guard",
                                              "model.from",
                                              "model.config",
                                              "model.tokenizer",
                                              "model.vision_from",
                                              "model.language_from",
                                              "model.adapter",
                                              "model.allow_missing",
                                              "train.watchdog"};
  static const std::vector<std::string> kFreeOfSet{"messages", "llava",      "sharegpt", "text",
                                                   "images",   "webdataset", "tensors",  "name"};
  const auto in_one_of = [](std::string_view of_key, const std::vector<std::string>& keys) {
    return std::any_of(keys.begin(), keys.end(), [&](const std::string& free) {
      return of_key == free || of_key.starts_with(free + ".");
    });
  };
  if (constant_lr && (key == "train.steps" || key == "train.epochs")) return true;
  if (constexpr std::string_view kSets = "data.train."; key.starts_with(kSets)) {
    const std::size_t behind = key.find('.', kSets.size());  // the number of the set
    if (behind != std::string::npos && in_one_of(std::string_view(key).substr(behind + 1), kFreeOfSet))
      return true;
  }
  return in_one_of(key, kFree);
}

// Of the numbers of tokens of all samples, which make the steps.
std::string hash_of_lengths(SampleLengths& lengths) {
  StreamHash hash;
  for (std::size_t set = 0; set < lengths.sets(); ++set) {
    for (i64 i = 0; i < lengths.samples(set); ++i) {
      const std::int32_t tokens = lengths.at(set, i);
      hash.add({reinterpret_cast<const char*>(&tokens), sizeof(tokens)});
    }
  }
  return fmt::format("{:016x}", hash.digest());
}

struct Difference {
  std::string name, text;
};

std::vector<Difference> differences_of(const std::vector<parallel::Fact>& theirs,
                                       const std::vector<parallel::Fact>& own) {
  const auto find = [](const std::vector<parallel::Fact>& facts, const std::string& name) {
    const auto found =
        std::find_if(facts.begin(), facts.end(), [&](const auto& f) { return f.name == name; });
    return found == facts.end() ? std::string("not there") : found->value;
  };
  std::vector<Difference> found;
  for (const parallel::Fact& fact : theirs) {
    const std::string now = find(own, fact.name);
    if (now != fact.value)
      found.push_back({fact.name, fmt::format("{} is {} there, but {} now", fact.name, fact.value, now)});
  }
  for (const parallel::Fact& fact : own) {
    if (find(theirs, fact.name) == "not there")
      found.push_back({fact.name, fmt::format("{} is not there, but {} now", fact.name, fact.value)});
  }
  return found;
}

// Collective: of what rank 0 has chosen.
Beginning newest_whole(const Choice& of_rank_0, Job& job) {
  const std::string own = job.leads() ? told(of_rank_0) : "";
  const Choice choice = choice_of(job.world.all_gather(own, job.stream, kBeginning).front());
  Beginning beginning;
  beginning.began_from = choice.began_from;
  std::string first;
  for (const auto& [step, folder] : choice.candidates) {
    const std::string problem = problem_of(folder, beginning.manifest, job);
    if (problem.empty()) {
      beginning.checkpoint = folder;
      break;
    }
    if (job.leads()) log_warn("checkpoint {} is refused: {}", folder, problem);
    if (first.empty()) first = problem;
    beginning.refused.insert(step);
  }
  require(!beginning.checkpoint.empty() || first.empty(), ExitCode::bad_checkpoint,
          "no whole checkpoint is left ({} refused; {}): output.resume=none begins anew",
          beginning.refused.size(), first);
  if (choice.goes_on) beginning.folder = RunFolder::Begin::goes_on;
  beginning.rolls_back = choice.rolls_back;
  return beginning;
}

}  // namespace

Beginning find_beginning(const LoadedConfig& loaded, Job& job) {
  return newest_whole(job.leads() ? choose(loaded) : Choice{}, job);
}

Beginning find_rollback(const std::string& checkpoints, i64 step, Job& job) {
  Choice choice{.candidates = {}, .goes_on = true, .rolls_back = true, .began_from = {}};
  for (CheckpointPlace& place : checkpoints_in(checkpoints)) {
    if (place.step <= step) choice.candidates.push_back(std::move(place));
  }
  return newest_whole(choice, job);
}

FoundCheckpoint open_checkpoint(const std::string& path) {
  std::string first;
  for (const CheckpointPlace& place : candidates_of(path)) {
    try {
      const parallel::Manifest manifest = parallel::read_manifest(place.path);
      const std::string problem = parallel::problem_of_files(place.path, manifest, 0, 1);
      require(problem.empty(), ExitCode::bad_checkpoint, "{}", problem);
      return {place.path, manifest};
    } catch (const Error& error) {
      if (first.empty()) first = error.what();
      log_warn("checkpoint {} is refused: {}", place.path, error.what());
    }
  }
  fail(ExitCode::bad_checkpoint, "{}: no whole checkpoint is left: {}", path, first);
}

std::vector<parallel::Fact> run_facts_of(DataSets& sets, const std::string& companions) {
  const Config& config = sets.loaded().config;
  std::vector<parallel::Fact> facts;
  for (parallel::Fact& fact : config_facts(config)) {
    if (!is_free(fact.name, config.train.optimizer.schedule == "constant")) facts.push_back(std::move(fact));
  }
  const auto add = [&facts](const std::vector<parallel::Fact>& more) {
    facts.insert(facts.end(), more.begin(), more.end());
  };
  add(folder_facts(companions));
  if (config.data.chat.ends_with(".jinja")) {
    facts.push_back({"data.chat", content_of(config.data.chat)});
  } else if (!config.data.chat.empty()) {
    facts.push_back({"data.chat", config.data.chat});
  }
  for (std::size_t i = 0; i < sets.train().size(); ++i)
    add(set_facts(sets.train()[i], fmt::format("the content of data.train.{}", i)));
  // Without a look at all samples they are not known yet.
  SampleLengths& lengths = sets.train_lengths();
  bool known = true;
  for (std::size_t set = 0; set < lengths.sets(); ++set) {
    for (i64 i = 0; i < lengths.samples(set); ++i)
      known = known && lengths.at(set, i) != SampleLengths::kUnknown;
  }
  if (known) facts.push_back({"the lengths of the samples", "hash " + hash_of_lengths(lengths)});
  // As a manifest keeps them: names of files may hold any bytes.
  for (parallel::Fact& fact : facts) {
    for (std::string* text : {&fact.name, &fact.value})
      *text = Json::parse(json_text(Json(*text))).get<std::string>();
  }
  return facts;
}

void require_same_run(const Beginning& beginning, const std::vector<parallel::Fact>& facts,
                      const ParameterRegistry& parameters, const std::map<std::string, std::string>& frozen,
                      bool force, Job& job) {
  constexpr const char* kRemedy =
      "as it was, or begin anew with output.resume=none, or go on with train --force";
  for (const Difference& difference : differences_of(beginning.manifest.facts, facts)) {
    const bool of_config = difference.name.starts_with("train.") || difference.name.starts_with("model.") ||
                           difference.name.starts_with("data.");
    require(force, of_config ? ExitCode::usage : ExitCode::bad_data, "checkpoint {}: {}: {}",
            beginning.checkpoint, difference.text, kRemedy);
    if (job.leads()) log_warn("--force: {}", difference.text);
  }
  for (const auto& difference : differences_of_parameters(beginning.manifest, parameters, frozen)) {
    require(force && difference.of_values, ExitCode::bad_data, "checkpoint {}: {}: take the model {}",
            beginning.checkpoint, difference.text,
            difference.of_values ? kRemedy : "as it was, or begin anew with output.resume=none");
    if (job.leads()) log_warn("--force: {}", difference.text);
  }
}

}  // namespace longsight::launch
