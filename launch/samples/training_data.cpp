#include "launch/samples/training_data.h"

#include "launch/learning_rate.h"
#include "runtime/base/log.h"

namespace longsight::launch {
namespace {

// Conversations, each step made anew.
class ChatTrainingData final : public TrainingData {
 public:
  explicit ChatTrainingData(DataSets& sets)
      : sets_(sets), config_(sets.loaded().config), start_(order_of(sets)), order_(start_) {}

  std::vector<model::Sample> next() override {
    std::vector<model::Sample> step;
    for (const Draw& draw : order_.next()) {
      const data::ChatSample chat = set(draw).chat.data->sample(draw.index);
      auto fitted = sets_.fitter().make(chat, sets_.cache, shifts(draw, chat.media.size()));
      require(fitted.sample && fitted.sample->tokens() == sets_.train_lengths().at(draw.set, draw.index),
              ExitCode::bad_data, "{}: it changed while it was in use", chat.where);
      step.push_back(std::move(*fitted.sample));
    }
    return step;
  }

  void go_behind(i64 steps) override {
    order_ = start_;
    for (i64 step = 0; step < steps; ++step) order_.next();
  }
  i64 samples_per_epoch() const override { return sets_.train_lengths().kept(); }
  i64 samples_drawn() const override { return order_.samples_drawn(); }

  RunLength begin(const TrainSection& t) override {
    constexpr i64 kMany = 10'000'000;
    if (t.epochs) {
      const i64 samples = samples_of_epochs(*t.epochs, samples_per_epoch());
      for (StepOrder* order : {&start_, &order_}) order->end_after(samples);
      if (samples > kMany) log_info("counting the steps of {} samples", samples);
    }
    return measure_run(order_, t.steps);
  }

 private:
  StepOrder order_of(DataSets& sets) {
    std::vector<OrderedSet> ordered;
    for (const DataSet& set : sets.train()) ordered.push_back({set.name, set.weight});
    return {ordered, sets.train_lengths(), config_.train.seed, config_.train.tokens_per_step,
            [this](std::size_t set, i64 index) { measure(set, index); }};
  }

  const DataSet& set(const Draw& draw) const { return sets_.train()[draw.set]; }

  void measure(std::size_t s, i64 index) {
    i64 tokens = SampleLengths::kLeftOut;
    try {
      const data::ChatSample chat = sets_.train()[s].chat.data->sample(index);
      if (const auto fitted = sets_.fitter().make(chat, sets_.cache); fitted.sample)
        tokens = fitted.sample->tokens();
    } catch (const OverlongError&) {
      throw;
    } catch (const Error&) {
      if (config_.data.bad != "skip") throw;
    }
    sets_.train_lengths().put(s, index, tokens);
  }

  // Of each picture, in pixels: augmentation.
  std::vector<data::Shift> shifts(const Draw& draw, std::size_t pictures) const {
    const i64 most = config_.data.augment.shift;
    if (most == 0) return {};
    const Philox random(config_.train.seed, fmt::format("shift {} {} {}", draw.set, draw.pass, draw.index));
    const auto pixels = [&](std::size_t i) {
      return static_cast<i64>(random.below(static_cast<u64>(2 * most + 1), i)) - most;
    };
    std::vector<data::Shift> shifts;
    for (std::size_t i = 0; i < pictures; ++i) shifts.push_back({pixels(2 * i), pixels(2 * i + 1)});
    return shifts;
  }

  DataSets& sets_;
  const Config& config_;
  StepOrder start_, order_;
};

// Ready batches, one file a step, in order, again and again, without those that are left out.
class BatchData final : public TrainingData {
 public:
  explicit BatchData(DataSets& sets) : sets_(sets), set_(sets.train().front()) {}

  std::vector<model::Sample> next() override {
    const std::optional<i64> file = next_file();
    return file ? sets_.batch(set_, *file) : std::vector<model::Sample>{};
  }
  void go_behind(i64 steps) override {
    step_ = file_ = 0;
    for (i64 step = 0; step < steps; ++step) next_file();
  }
  i64 samples_per_epoch() const override { return sets_.train_lengths().kept(); }
  i64 samples_drawn() const override { return step_; }
  RunLength begin(const TrainSection& t) override {
    if (t.epochs) end_ = samples_of_epochs(*t.epochs, samples_per_epoch());
    const i64 steps = t.steps.value_or(end_);
    return {.steps = steps, .samples = steps, .samples_of_sets = {steps}};
  }

 private:
  std::optional<i64> next_file() {
    if (step_ == end_) return std::nullopt;
    while (sets_.train_lengths().at(0, file_ % set_.samples()) == SampleLengths::kLeftOut) file_ += 1;
    step_ += 1;
    return file_++ % set_.samples();
  }

  DataSets& sets_;
  const DataSet& set_;
  i64 step_ = 0, file_ = 0;  // the next ones
  i64 end_ = std::numeric_limits<i64>::max();
};

// Opens the sets for itself.
class UncheckedData final : public TrainingData {
 public:
  UncheckedData(const LoadedConfig& loaded, const RunModel& run, const OpenFile& open)
      : sets_(loaded, run, WhichSets::train, open), data_(open_training_data(sets_)) {}
  std::vector<model::Sample> next() override { return data_->next(); }
  void go_behind(i64 steps) override { data_->go_behind(steps); }
  i64 samples_per_epoch() const override { return data_->samples_per_epoch(); }
  i64 samples_drawn() const override { return data_->samples_drawn(); }
  RunLength begin(const TrainSection& t) override { return data_->begin(t); }

 private:
  DataSets sets_;
  std::unique_ptr<TrainingData> data_;
};

double ratio(i64 part, i64 whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::unique_ptr<TrainingData> open_training_data(DataSets& sets) {
  sets.loaded().document.require_at(!sets.train().empty(), "data.train",
                                    "name the training data: [{{messages: FILE.jsonl}}]");
  if (sets.train().front().ready()) return std::make_unique<BatchData>(sets);
  return std::make_unique<ChatTrainingData>(sets);
}

std::unique_ptr<TrainingData> open_training_data(const LoadedConfig& loaded, const RunModel& run,
                                                 const OpenFile& open) {
  return std::make_unique<UncheckedData>(loaded, run, open);
}

i64 begin_training(TrainingData& data, DataSets& sets) {
  const RunLength length = data.begin(sets.loaded().config.train);
  check_warmup(sets.loaded(), length.steps);
  log_info("{} steps, {}{} samples: {:.2f} epochs of {} samples", length.steps,
           length.estimated ? "about " : "", length.samples, ratio(length.samples, data.samples_per_epoch()),
           data.samples_per_epoch());
  for (std::size_t i = 0; i < sets.train().size() && sets.train().size() > 1; ++i) {
    const i64 kept = sets.train_lengths().kept(i);
    log_info("{}: {:.2f} passes over {} samples", sets.train()[i].name,
             ratio(length.samples_of_sets[i], kept), kept);
  }
  return length.steps;
}

namespace {

// Samples first .. last of a held-out set, without those that are left out.
std::vector<model::Sample> held_out_samples(DataSets& sets, std::size_t s, i64 first, i64 last,
                                            data::EncodeCache& cache) {
  const DataSet& set = sets.held_out()[s];
  std::vector<model::Sample> samples;
  for (i64 i = first; i < last; ++i) {
    if (sets.held_out_lengths().at(s, i) == SampleLengths::kLeftOut) continue;
    if (set.ready()) {
      for (model::Sample& sample : sets.batch(set, i)) samples.push_back(std::move(sample));
      continue;
    }
    const data::ChatSample chat = set.chat.data->sample(i);
    auto fitted = sets.fitter().make(chat, cache);
    require(fitted.sample.has_value(), ExitCode::bad_data, "{}: it changed while it was in use", chat.where);
    samples.push_back(std::move(*fitted.sample));
  }
  return samples;
}

// Made only up to the first sample of which something is learned: mostly that is the very first.
bool is_supervised(DataSets& sets, std::size_t s, data::EncodeCache& cache) {
  for (i64 i = 0; i < sets.held_out()[s].samples(); ++i) {
    for (const model::Sample& sample : held_out_samples(sets, s, i, i + 1, cache)) {
      if (supervised_tokens(sample) > 0) return true;
    }
  }
  return false;
}

}  // namespace

std::vector<HeldOutSet> open_eval_data(DataSets& sets) {
  std::vector<HeldOutSet> found;
  const i64 limit = sets.loaded().config.train.tokens_per_step;
  // Not the cache of training, which makes the next step on another thread.
  const auto cache = std::make_shared<data::EncodeCache>();
  for (std::size_t s = 0; s < sets.held_out().size(); ++s) {
    i64 tokens = 0;
    std::vector<i64> begins;
    for (i64 i = 0; i < sets.held_out()[s].samples(); ++i) {
      const i64 more = sets.held_out_lengths().at(s, i);
      if (begins.empty() || tokens + more > limit) {
        begins.push_back(i);
        tokens = 0;
      }
      tokens += more;
    }
    require(is_supervised(sets, s, *cache), ExitCode::bad_data,
            "data.eval ({}): no supervised token in the held-out data",
            sets.loaded().document.place_of(fmt::format("data.eval.{}", s)));
    const auto steps = static_cast<i64>(begins.size());
    begins.push_back(sets.held_out()[s].samples());
    found.push_back({.name = held_out_name(sets.loaded().config.data.eval[s]),
                     .steps = steps,
                     .make = [&sets, s, cache, begins](i64 step) {
                       const auto at = static_cast<std::size_t>(step);
                       return held_out_samples(sets, s, begins[at], begins[at + 1], *cache);
                     }});
  }
  return found;
}

Error late_error(const Config& config, const Error& error) {
  const OrAuto<bool>& first = config.data.decode_first;
  const bool of_data = error.code() == ExitCode::bad_data || error.code() == ExitCode::missing_input;
  if (!of_data || first.is_auto() || *first.value) return error;
  return {error.code(),
          fmt::format(
              "{} (data.decode_first: false: pictures are not decoded before the first step{})", error.what(),
              config.data.bad == "skip" ? ", so that data.bad: skip cannot leave this sample out" : "")};
}

void complete_model_folder(const LoadedConfig& loaded, const RunModel& run, const std::string& folder) {
  if (!run.companions.empty()) open_sample_maker(loaded, run)->complete_folder(folder);
}

void complete_adapter_folder(const LoadedConfig& loaded, const RunModel& run, const std::string& folder) {
  if (!run.companions.empty()) open_sample_maker(loaded, run)->write_adapter_files(folder);
}

}  // namespace longsight::launch
