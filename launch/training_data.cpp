#include "launch/training_data.h"

#include "model/batch_file.h"
#include "runtime/base/log.h"
#include "runtime/data/messages.h"

namespace longsight::launch {
namespace {

std::unique_ptr<SampleMaker> open_maker(const LoadedConfig& loaded, const RunModel& run) {
  loaded.document.require_at(
      !run.companions.empty(), "model.tokenizer",
      "chat data need a tokenizer: name a folder with tokenizer.json (longsight data tokenizer makes one)");
  const SampleOptions options{.chat = loaded.config.data.chat, .images = loaded.config.data.images};
  return loaded.config.model.from.empty()
             ? SampleMaker::of_tokenizer(run.companions, run.model->config(), options)
             : SampleMaker::of_model(run.companions, run.model->config(), options);
}

void refuse_overlong(const model::Sample& sample, i64 limit) {
  require(
      sample.tokens() <= limit, ExitCode::bad_data,
      "{}: {} tokens do not fit into a step of train.tokens_per_step = {}: raise it, or shorten the sample",
      sample.id, sample.tokens(), limit);
}

// Chat files, mixed by weight. Each file is a permutation of its samples in every pass over it.
class MessagesData final : public TrainingData {
 public:
  MessagesData(const LoadedConfig& loaded, const RunModel& run)
      : maker_(open_maker(loaded, run)),
        limit_(loaded.config.train.tokens_per_step),
        seed_(loaded.config.train.seed),
        shift_(loaded.config.data.augment.shift) {
    for (const DataSource& source : loaded.config.data.train)
      sources_.push_back({data::MessagesFile(source.messages), source.weight, 0});
  }

  std::vector<model::Sample> next() override {
    std::vector<model::Sample> step;
    i64 tokens = 0;
    for (;;) {
      if (!waiting_) waiting_ = draw();
      if (tokens + waiting_->tokens() > limit_) break;
      tokens += waiting_->tokens();
      step.push_back(std::move(*waiting_));
      waiting_.reset();
      drawn_ += 1;
    }
    return step;
  }

  i64 samples_per_epoch() const override {
    i64 samples = 0;
    for (const Source& s : sources_) samples += s.file.size();
    return samples;
  }
  i64 samples_drawn() const override { return drawn_; }
  void check_share(i64 rank, i64 ranks) const override {
    data::EncodeCache cache;
    for (const Source& s : sources_) {
      for (i64 i = rank; i < s.file.size(); i += ranks)
        refuse_overlong(maker_->sample(s.file.sample(i), cache), limit_);
    }
  }

 private:
  struct Source {
    data::MessagesFile file;
    double weight;
    i64 drawn;
  };

  model::Sample draw() {
    // The source that is furthest behind its share; of equal ones the first.
    std::size_t chosen = 0;
    for (std::size_t i = 1; i < sources_.size(); ++i) {
      if (static_cast<double>(sources_[i].drawn + 1) / sources_[i].weight <
          static_cast<double>(sources_[chosen].drawn + 1) / sources_[chosen].weight)
        chosen = i;
    }
    Source& s = sources_[chosen];
    const i64 epoch = s.drawn / s.file.size(), at = s.drawn % s.file.size();
    s.drawn += 1;
    const auto index = static_cast<i64>(permuted(Philox(seed_, fmt::format("order {} {}", chosen, epoch)),
                                                 static_cast<u64>(at), static_cast<u64>(s.file.size())));
    const data::ChatSample chat = s.file.sample(index);
    std::vector<data::Shift> shifts;
    if (shift_ > 0) {
      const Philox random(seed_, fmt::format("shift {} {} {}", chosen, epoch, index));
      const auto pixels = [&](std::size_t i) {
        return static_cast<i64>(random.below(static_cast<u64>(2 * shift_ + 1), i)) - shift_;
      };
      for (std::size_t i = 0; i < chat.media.size(); ++i)
        shifts.push_back({pixels(2 * i), pixels(2 * i + 1)});
    }
    model::Sample sample = maker_->sample(chat, cache_, shifts);
    refuse_overlong(sample, limit_);
    return sample;
  }

  std::unique_ptr<SampleMaker> maker_;
  i64 limit_;
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
  void check_share(i64 rank, i64 ranks) const override {
    for (i64 i = rank; i < static_cast<i64>(files_.size()); i += ranks) {
      const std::string& file = files_[static_cast<std::size_t>(i)];
      require(model::read_batch_file(file, config_).supervised() > 0, ExitCode::bad_data,
              "{}: no supervised token (every label is -100): a step has nothing to learn from", file);
    }
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
  return std::make_unique<MessagesData>(loaded, run);
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
  for (const DataSource& source : loaded.config.data.eval) {
    for (const std::string& file : source.tensors) {
      for (model::Sample& sample : model::read_batch_file(file, run.model->config()).samples)
        add(std::move(sample));
    }
    if (source.messages.empty()) continue;
    if (!maker) maker = open_maker(loaded, run);
    const data::MessagesFile file(source.messages);
    for (i64 i = 0; i < file.size(); ++i) {
      model::Sample sample = maker->sample(file.sample(i), cache);
      refuse_overlong(sample, limit);
      add(std::move(sample));
    }
  }
  if (!loaded.config.data.eval.empty()) {
    require(supervised > 0, ExitCode::bad_data, "data.eval ({}): no supervised token in the held-out data",
            loaded.document.place_of("data.eval"));
  }
  return steps;
}

void complete_model_folder(const LoadedConfig& loaded, const RunModel& run, const std::string& folder) {
  if (!run.companions.empty()) open_maker(loaded, run)->write_missing_files(folder);
}

}  // namespace longsight::launch
