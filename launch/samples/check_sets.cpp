#include "launch/samples/check_sets.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

#include "launch/progress.h"
#include "launch/samples/known_pictures.h"
#include "launch/samples/left_out.h"
#include "runtime/base/clock.h"
#include "runtime/base/json.h"
#include "runtime/base/log.h"
#include "runtime/data/records/parallel_samples.h"

namespace longsight::launch {
namespace {

constexpr std::size_t kShownProblems = 10;  // problems that are logged
constexpr i64 kProgressEvery = 64;
constexpr double kLong = 60;  // seconds that are worth saving

// Of the samples of all sets together.
class Numbering {
 public:
  explicit Numbering(const DataSets& sets) : sets_(sets.all()) {
    for (const DataSet* set : sets_) {
      firsts_.push_back(samples_);
      samples_ += set->samples();
    }
  }
  struct Place {
    std::size_t set;
    i64 index;
  };
  Place place(i64 number) const {
    const auto set = std::upper_bound(firsts_.begin(), firsts_.end(), number) - firsts_.begin() - 1;
    return {static_cast<std::size_t>(set), number - firsts_[static_cast<std::size_t>(set)]};
  }
  i64 first(std::size_t set) const { return firsts_[set]; }
  i64 samples() const { return samples_; }
  const std::vector<const DataSet*>& sets() const { return sets_; }

 private:
  std::vector<const DataSet*> sets_;
  std::vector<i64> firsts_;
  i64 samples_ = 0;
};

class Looker {
 public:
  Looker(const DataSets& sets, Decode decode) : sets_(sets), decode_(decode), numbering_(sets) {
    for (const DataSet* set : numbering_.sets())
      known_.emplace_back(*set, decode == Decode::unknown ? sets.loaded().config.data.index : "");
  }

  SampleOutcome look(i64 number, data::EncodeCache& cache) const {
    const auto [s, index] = numbering_.place(number);
    const DataSet& set = *numbering_.sets()[s];
    if (set.ready()) {
      i64 tokens = 0;
      for (const model::Sample& sample : sets_.batch(set, index)) tokens += sample.tokens();
      return {.tokens = narrow<std::int32_t>(tokens)};
    }
    const data::ChatSample chat = set.chat.data->sample(index);
    const auto [sample, shrunk] = sets_.fitter().make(chat, cache);
    if (!sample) return {.kind = SampleOutcome::dropped};
    if (!set.held_out) check_shift(*sample);
    SampleOutcome outcome{.tokens = narrow<std::int32_t>(sample->tokens()),
                          .kind = shrunk ? SampleOutcome::shrunk : SampleOutcome::kept};
    if (decode_ != Decode::never && !chat.media.empty()) {
      outcome.pictures = picture_state(chat);
      if (!known_[s].has(index, outcome.pictures)) {
        for (const auto& image : sample->images) image->pixels();
      }
    }
    return outcome;
  }

  i64 samples() const { return numbering_.samples(); }

 private:
  // Something of every picture stays in view.
  void check_shift(const model::Sample& sample) const {
    const i64 shift = sets_.loaded().config.data.augment.shift, patch = sets_.model().vision.patch;
    for (const auto& image : sample.images) {
      const i64 rows = image->layout().rows * patch, columns = image->layout().columns * patch;
      sets_.loaded().document.require_at(
          shift < std::min(rows, columns), "data.augment.shift",
          "{} pixels move a picture (or tile) of {} x {} out of itself, as the model takes it: {}; lower it",
          shift, columns, rows, sample.id);
    }
  }

  const DataSets& sets_;
  Decode decode_;
  Numbering numbering_;
  std::vector<KnownPictures> known_;
};

Decode decode_of(const DataSets& sets) {
  const OrAuto<bool>& first = sets.loaded().config.data.decode_first;
  return first.is_auto() ? Decode::unknown : *first.value ? Decode::always : Decode::never;
}

// Every rank's outcomes, in the order of the samples.
std::vector<SampleOutcome> gathered(const std::vector<SampleOutcome>& mine, i64 samples, Job& job) {
  const i64 ranks = job.world.size();
  std::vector<i64> counts;
  for (i64 r = 0; r < ranks; ++r)
    counts.push_back((r < samples ? ceil_div(samples - r, ranks) : 0) * i64{sizeof(SampleOutcome)});
  std::vector<SampleOutcome> of_ranks(static_cast<std::size_t>(samples));
  job.world.all_gather_v(mine.data(), of_ranks.data(), counts, DType::U8, job.stream, "data check");
  std::vector<SampleOutcome> in_order(of_ranks.size());
  auto from = of_ranks.begin();
  for (i64 r = 0; r < ranks; ++r) {
    for (i64 number = r; number < samples; number += ranks)
      in_order[static_cast<std::size_t>(number)] = *from++;
  }
  return in_order;
}

// The first of all ranks', in the order of the samples.
std::vector<SampleProblem> gathered(const std::vector<SampleProblem>& mine, Job& job) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const SampleProblem& p : mine)
    list.push_back({p.number, p.overlong, static_cast<int>(p.code), p.message});
  std::vector<SampleProblem> all;
  for (const std::string& text : job.world.all_gather(json_text(list), job.stream, "problems of the data")) {
    for (const auto& p : nlohmann::ordered_json::parse(text))
      all.push_back({p[0].get<i64>(), p[1].get<bool>(), static_cast<ExitCode>(p[2].get<int>()),
                     p[3].get<std::string>()});
  }
  std::sort(all.begin(), all.end(),
            [](const SampleProblem& a, const SampleProblem& b) { return a.number < b.number; });
  all.resize(std::min(all.size(), kShownProblems));
  return all;
}

CheckCounts counts_of(const Numbering& numbering, const std::vector<SampleOutcome>& outcomes, bool held_out) {
  CheckCounts counts;
  for (i64 number = 0; number < numbering.samples(); ++number) {
    if (numbering.sets()[numbering.place(number).set]->held_out != held_out) continue;
    const SampleOutcome& o = outcomes[static_cast<std::size_t>(number)];
    counts.samples += 1;
    counts.shrunk += o.kind == SampleOutcome::shrunk;
    counts.dropped += o.kind == SampleOutcome::dropped;
    counts.overlong += o.kind == SampleOutcome::overlong;
    counts.bad += o.kind == SampleOutcome::bad;
    counts.decoded += o.pictures != 0;
  }
  return counts;
}

std::optional<Error> row_of_bad(const Numbering& numbering, const std::vector<SampleOutcome>& outcomes,
                                const SampleProblem& first) {
  for (std::size_t s = 0; s < numbering.sets().size(); ++s) {
    const DataSet& set = *numbering.sets()[s];
    i64 row = 0;
    for (i64 i = 0; i < set.samples(); ++i) {
      const bool bad = outcomes[static_cast<std::size_t>(numbering.first(s) + i)].kind == SampleOutcome::bad;
      row = bad ? row + 1 : 0;
      if (row == kBadInARow || (bad && row == set.samples()))
        return too_many_bad(set.where(i + 1 - row), row, first.message);
    }
  }
  return std::nullopt;
}

}  // namespace

void FirstProblems::add(SampleProblem problem, bool skip) {
  auto& list = skip && !problem.overlong ? skipped : refused;
  if (list.size() < kShownProblems) list.push_back(std::move(problem));
}

std::optional<Error> refusal(const DataSets& sets, const std::vector<SampleOutcome>& outcomes,
                             const FirstProblems& first) {
  const Numbering numbering(sets);
  const bool skip = sets.loaded().config.data.bad == "skip";
  const i64 refused = std::count_if(outcomes.begin(), outcomes.end(), [&](const SampleOutcome& o) {
    return o.kind == SampleOutcome::overlong || (!skip && o.kind == SampleOutcome::bad);
  });
  if (refused == 0)
    return first.skipped.empty() ? std::nullopt : row_of_bad(numbering, outcomes, first.skipped.front());
  const SampleProblem& problem = first.refused.front();
  if (refused == 1) return Error(problem.code, problem.message);
  return Error(
      problem.code,
      fmt::format("{}; and {} more of {} samples cannot be trained ({}named above){}; `longsight data lint` "
                  "lists all "
                  "of a configuration",
                  problem.message, refused - 1, numbering.samples(),
                  refused > std::ssize(first.refused) ? "the first ones " : "",
                  skip ? "" : ": mend them, or leave out with data.bad: skip those that cannot be read"));
}

std::vector<SampleOutcome> look_at_share(const DataSets& sets, const Look& how) {
  const Looker looker(sets, how.decode);
  const i64 samples = looker.samples();
  const i64 mine = how.rank < samples ? ceil_div(samples - how.rank, how.ranks) : 0;
  std::vector<data::EncodeCache> caches(static_cast<std::size_t>(data::sample_threads()));
  std::vector<SampleOutcome> outcomes(static_cast<std::size_t>(mine));
  const auto number = [&how](i64 i) { return how.rank + i * how.ranks; };
  data::parallel_samples(
      mine,
      [&](i64 i, int thread) {
        outcomes[static_cast<std::size_t>(i)] =
            looker.look(number(i), caches[static_cast<std::size_t>(thread)]);
      },
      [&](i64 i, const std::exception_ptr& thrown) {
        if (how.progress && (i + 1) % kProgressEvery == 0) how.progress(i + 1);
        if (!thrown) return;
        try {
          std::rethrow_exception(thrown);
        } catch (const OverlongError& error) {
          outcomes[static_cast<std::size_t>(i)].kind = SampleOutcome::overlong;
          how.problem({number(i), true, error.code(), error.what()});
        } catch (const Error& error) {
          if (error.code() != ExitCode::bad_data && error.code() != ExitCode::missing_input) throw;
          outcomes[static_cast<std::size_t>(i)].kind = SampleOutcome::bad;
          how.problem({number(i), false, error.code(), error.what()});
        }
      });
  return outcomes;
}

namespace {

// A sample is never cut: one that is longer than a micro-batch may be is one by itself. Where all are, the
// key does nothing.
void check_micro_batches(const DataSets& sets, const std::vector<SampleOutcome>& outcomes) {
  const i64 limit = sets.loaded().config.memory.micro_batch_tokens.value_or(0);
  const Numbering numbering(sets);
  i64 samples = 0, longer = 0, shortest = std::numeric_limits<i64>::max();
  for (i64 number = 0; number < numbering.samples(); ++number) {
    const i64 tokens = outcomes[static_cast<std::size_t>(number)].tokens;
    // A file of ready batches holds several samples.
    if (tokens == 0 || numbering.sets()[numbering.place(number).set]->ready()) continue;
    samples += 1;
    longer += tokens > limit;
    shortest = std::min(shortest, tokens);
  }
  if (limit == 0 || longer == 0) return;
  sets.loaded().document.require_at(
      longer < samples, "memory.micro_batch_tokens",
      "{} tokens are fewer than any sample has (the shortest has {}): every sample would be a micro-batch by "
      "itself, as long as it is; raise it",
      limit, shortest);
  log_info("{} of {} samples are longer than memory.micro_batch_tokens = {}: each is a micro-batch by itself",
           longer, samples, limit);
}

}  // namespace

void keep_lengths(DataSets& sets, const std::vector<SampleOutcome>& outcomes) {
  check_micro_batches(sets, outcomes);
  const Numbering numbering(sets);
  const std::size_t of_training = sets.train().size();
  for (std::size_t s = 0; s < numbering.sets().size(); ++s) {
    const bool held_out = s >= of_training;
    SampleLengths& lengths = held_out ? sets.held_out_lengths() : sets.train_lengths();
    const DataSet& set = *numbering.sets()[s];
    const std::size_t at = held_out ? s - of_training : s;
    for (i64 i = 0; i < set.samples(); ++i)
      lengths.put(at, i, outcomes[static_cast<std::size_t>(numbering.first(s) + i)].tokens);
    require(lengths.kept(at) > 0, ExitCode::bad_data,
            "{}: all of its {} samples are left out (data.overlong: drop, data.bad: skip)", set.name,
            set.samples());
  }
}

void remember_pictures(const DataSets& sets, const std::vector<SampleOutcome>& outcomes) {
  const std::string& folder = sets.loaded().config.data.index;
  if (folder.empty()) return;
  const Numbering numbering(sets);
  for (std::size_t s = 0; s < numbering.sets().size(); ++s) {
    std::vector<u64> states;
    for (i64 i = 0; i < numbering.sets()[s]->samples(); ++i)
      states.push_back(outcomes[static_cast<std::size_t>(numbering.first(s) + i)].pictures);
    KnownPictures(*numbering.sets()[s], folder).remember(states);
  }
}

std::string text_of(const CheckCounts& counts, i64 limit) {
  std::string text = fmt::format("{} samples", counts.samples);
  if (counts.dropped > 0)
    text += fmt::format(", {} of them longer than {} tokens and left out", counts.dropped, limit);
  if (counts.shrunk > 0)
    text += fmt::format(", {} of them with smaller images to fit into {} tokens", counts.shrunk, limit);
  if (counts.bad > 0) text += fmt::format(", {} of them bad and left out", counts.bad);
  return text;
}

void check_sets(DataSets& sets, Job& job) {
  const Config& config = sets.loaded().config;
  const bool skip = config.data.bad == "skip";
  const double start = steady_seconds();
  const Numbering numbering(sets);
  FirstProblems first;
  const auto outcomes = [&] {
    const NothingToSave samples_are_read(job);
    Progress progress("checking data", ceil_div(numbering.samples(), job.world.size()), job.leads());
    const auto mine = look_at_share(sets, {.rank = job.world.rank(),
                                           .ranks = job.world.size(),
                                           .decode = decode_of(sets),
                                           .problem = [&](SampleProblem p) { first.add(std::move(p), skip); },
                                           .progress = [&](i64 done) { progress.update(done, "samples,"); }});
    progress.clear();
    return gathered(mine, numbering.samples(), job);
  }();
  first = {.refused = gathered(first.refused, job), .skipped = gathered(first.skipped, job)};
  const CheckCounts train = counts_of(numbering, outcomes, false),
                    held_out = counts_of(numbering, outcomes, true);
  if (const std::optional<Error> error = refusal(sets, outcomes, first)) {
    for (const SampleProblem& p : first.refused) {
      if (first.refused.size() > 1) log_info("{}", p.message);  // a single one is the error
    }
    throw Error(*error);
  }
  keep_lengths(sets, outcomes);
  for (const SampleProblem& p : first.skipped) log_info("left out: {}", p.message);
  if (job.leads()) remember_pictures(sets, outcomes);
  const i64 limit = sample_limit(config);
  if (train.samples > 0) log_info("data: {}", text_of(train, limit));
  if (held_out.samples > 0) log_info("held-out data: {}", text_of(held_out, limit));
  const i64 decoded = train.decoded + held_out.decoded;
  const double seconds = steady_seconds() - start;
  log_info("data checked in {:.1f} s{}{}", seconds,
           decoded > 0 ? fmt::format("; the pictures of {} samples can be decoded", decoded) : "",
           decoded > 0 && seconds > kLong && config.data.index.empty()
               ? " (data.index: FOLDER remembers it for the next run)"
               : "");
}

}  // namespace longsight::launch
