#include "launch/training_data.h"

#include "launch/data_sources.h"
#include "model/batch_file.h"
#include "runtime/base/log.h"
#include "runtime/data/parallel_samples.h"

namespace longsight::launch {
namespace {

// Chat data, mixed by weight. Each source is a permutation of its samples in every pass over it.
class ChatTrainingData final : public TrainingData {
 public:
  ChatTrainingData(const LoadedConfig& loaded, const RunModel& run)
      : maker_(open_sample_maker(loaded, run)),
        fitter_(*maker_, loaded.config),
        step_tokens_(loaded.config.train.tokens_per_step),
        seed_(loaded.config.train.seed),
        shift_(loaded.config.data.augment.shift) {
    for (const DataSource& source : loaded.config.data.train)
      sources_.push_back({open_source(source, loaded.config.data.index), source.weight});
  }

  std::vector<model::Sample> next() override {
    std::vector<model::Sample> step;
    i64 tokens = 0;
    for (;;) {
      while (!waiting_) waiting_ = draw();
      if (tokens + waiting_->tokens() > step_tokens_) break;
      tokens += waiting_->tokens();
      step.push_back(std::move(*waiting_));
      waiting_.reset();
      drawn_ += 1;
    }
    return step;
  }

  i64 samples_per_epoch() const override {
    i64 samples = 0;
    for (const Source& s : sources_) samples += s.open.samples;
    return samples;
  }
  i64 samples_drawn() const override { return drawn_; }

  FitCounts check_share(i64 rank, i64 ranks, const OnProgress& progress) override {
    const i64 all = samples_per_epoch();
    const i64 mine = rank < all ? ceil_div(all - rank, ranks) : 0;
    const auto threads = static_cast<std::size_t>(data::sample_threads());
    std::vector<data::EncodeCache> caches(threads);
    std::vector<FitCounts> of_thread(threads);
    data::parallel_samples(
        mine,
        [&](i64 i, int thread) {
          const auto t = static_cast<std::size_t>(thread);
          i64 at = rank + i * ranks;
          const Source* source = sources_.data();
          for (; at >= source->open.samples; ++source) at -= source->open.samples;
          fitter_.make(source->open.data->sample(at), caches[t], of_thread[t]);
        },
        [&](i64 i, const std::exception_ptr& error) {
          if (error) std::rethrow_exception(error);
          if (progress && (i + 1) % kProgressEvery == 0) progress(i + 1);
        });
    cache_ = std::move(caches.front());  // the words of the data are known to it
    FitCounts counts;
    for (const FitCounts& one : of_thread) counts.add(one);
    return counts;
  }

 private:
  static constexpr i64 kProgressEvery = 256;

  struct Source {
    OpenSource open;
    double weight;
    i64 drawn = 0;
    i64 dropped_in_a_row = 0;
  };

  // The next sample of the order; nothing if it is one that is left out.
  std::optional<model::Sample> draw() {
    // The source that is furthest behind its share; of equal ones the first.
    std::size_t chosen = 0;
    for (std::size_t i = 1; i < sources_.size(); ++i) {
      if (static_cast<double>(sources_[i].drawn + 1) / sources_[i].weight <
          static_cast<double>(sources_[chosen].drawn + 1) / sources_[chosen].weight)
        chosen = i;
    }
    Source& s = sources_[chosen];
    const i64 epoch = s.drawn / s.open.samples, at = s.drawn % s.open.samples;
    s.drawn += 1;
    const auto index = static_cast<i64>(permuted(Philox(seed_, fmt::format("order {} {}", chosen, epoch)),
                                                 static_cast<u64>(at), static_cast<u64>(s.open.samples)));
    const data::ChatSample chat = s.open.data->sample(index);
    std::vector<data::Shift> shifts;
    if (shift_ > 0) {
      const Philox random(seed_, fmt::format("shift {} {} {}", chosen, epoch, index));
      const auto pixels = [&](std::size_t i) {
        return static_cast<i64>(random.below(static_cast<u64>(2 * shift_ + 1), i)) - shift_;
      };
      for (std::size_t i = 0; i < chat.media.size(); ++i)
        shifts.push_back({pixels(2 * i), pixels(2 * i + 1)});
    }
    FitCounts counts;
    std::optional<model::Sample> sample = fitter_.make(chat, cache_, counts, shifts);
    s.dropped_in_a_row = sample ? 0 : s.dropped_in_a_row + 1;
    // So many in a row hold a whole pass.
    require(s.dropped_in_a_row < 2 * s.open.samples, ExitCode::bad_data,
            "{}: none of its {} samples fits into {} tokens (data.overlong: drop)", s.open.name,
            s.open.samples, fitter_.limit());
    return sample;
  }

  std::unique_ptr<SampleMaker> maker_;
  SampleFitter fitter_;  // refers to the maker
  i64 step_tokens_;
  u64 seed_;
  i64 shift_;
  std::vector<Source> sources_;
  data::EncodeCache cache_;
  std::optional<model::Sample> waiting_;  // drawn, but it did not fit into the last step
  i64 drawn_ = 0;
};

// Ready batches, one file a step, in order, again and again.
class BatchData final : public TrainingData {
 public:
  BatchData(std::vector<std::string> files, const model::ModelConfig& config)
      : files_(std::move(files)), config_(config) {}

  std::vector<model::Sample> next() override {
    const std::string& file = files_[static_cast<std::size_t>(step_++) % files_.size()];
    std::vector<model::Sample> samples = model::read_batch_file(file, config_).samples;
    drawn_ += static_cast<i64>(samples.size());
    return samples;
  }
  i64 samples_per_epoch() const override {
    i64 samples = 0;
    for (const std::string& file : files_) samples += model::read_batch_file(file, config_).rows;
    return samples;
  }
  i64 samples_drawn() const override { return drawn_; }
  FitCounts check_share(i64 rank, i64 ranks, const OnProgress&) override {
    FitCounts counts;
    for (i64 i = rank; i < static_cast<i64>(files_.size()); i += ranks) {
      const std::string& file = files_[static_cast<std::size_t>(i)];
      const model::BatchFile batch = model::read_batch_file(file, config_);
      require(batch.supervised() > 0, ExitCode::bad_data,
              "{}: no supervised token (every label is -100): a step has nothing to learn from", file);
      counts.samples += batch.rows;
    }
    return counts;
  }

 private:
  std::vector<std::string> files_;
  const model::ModelConfig& config_;
  i64 step_ = 0;
  i64 drawn_ = 0;
};

}  // namespace

std::unique_ptr<TrainingData> open_training_data(const LoadedConfig& loaded, const RunModel& run) {
  const auto& sources = loaded.config.data.train;
  loaded.document.require_at(!sources.empty(), "data.train",
                             "name the training data: [{{messages: FILE.jsonl}}]");
  if (!sources.front().tensors.empty())
    return std::make_unique<BatchData>(sources.front().tensors, run.model->config());
  return std::make_unique<ChatTrainingData>(loaded, run);
}

std::vector<std::vector<model::Sample>> open_eval_data(const LoadedConfig& loaded, const RunModel& run) {
  std::vector<std::vector<model::Sample>> steps;
  i64 tokens = 0, supervised = 0;
  const i64 limit = loaded.config.train.tokens_per_step;
  const auto add = [&](model::Sample sample) {
    if (steps.empty() || tokens + sample.tokens() > limit) {
      steps.emplace_back();
      tokens = 0;
    }
    tokens += sample.tokens();
    supervised += supervised_tokens(sample);
    steps.back().push_back(std::move(sample));
  };
  std::unique_ptr<SampleMaker> maker;
  data::EncodeCache cache;
  FitCounts counts;
  for (const DataSource& source : loaded.config.data.eval) {
    for (const std::string& file : source.tensors) {
      for (model::Sample& sample : model::read_batch_file(file, run.model->config()).samples)
        add(std::move(sample));
    }
    if (!source.tensors.empty()) continue;
    if (!maker) maker = open_sample_maker(loaded, run);
    const SampleFitter fitter(*maker, loaded.config);
    const OpenSource open = open_source(source, loaded.config.data.index);
    for (i64 i = 0; i < open.samples; ++i) {
      if (auto sample = fitter.make(open.data->sample(i), cache, counts)) add(std::move(*sample));
    }
  }
  if (!loaded.config.data.eval.empty()) {
    require(supervised > 0, ExitCode::bad_data, "data.eval ({}): no supervised token in the held-out data",
            loaded.document.place_of("data.eval"));
  }
  if (counts.dropped + counts.shrunk > 0)
    log_info("held-out data: {}", text_of(counts, sample_limit(loaded.config)));
  return steps;
}

std::unique_ptr<SampleMaker> open_sample_maker(const LoadedConfig& loaded, const RunModel& run) {
  loaded.document.require_at(
      !run.companions.empty(), "model.tokenizer",
      "chat data need a tokenizer: name a folder with tokenizer.json (longsight data tokenizer makes one)");
  const SampleOptions options{.chat = loaded.config.data.chat, .images = loaded.config.data.images};
  return loaded.config.model.from.empty()
             ? SampleMaker::of_tokenizer(run.companions, run.model->config(), options)
             : SampleMaker::of_model(run.companions, run.model->config(), options);
}

void complete_model_folder(const LoadedConfig& loaded, const RunModel& run, const std::string& folder) {
  if (!run.companions.empty()) open_sample_maker(loaded, run)->write_missing_files(folder);
}

}  // namespace longsight::launch
