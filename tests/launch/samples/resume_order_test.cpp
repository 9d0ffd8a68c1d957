// A run that goes on behind any step gets the samples that it would have had undisturbed: the same pictures,
// shifted alike, and the same tokens, over the edges of epochs, however they are dealt over ranks and packed.
#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "launch/samples/check_sets.h"
#include "launch/samples/training_data.h"
#include "launch/training/step.h"
#include "parallel/groups/self_group.h"
#include "runtime/base/stream_hash.h"
#include "tests/support/scratch_folder.h"

namespace longsight::launch {
namespace {

constexpr i64 kSteps = 200;

// Looked at before, as training does.
struct Opened {
  LoadedConfig loaded;
  RunModel run;
  DataSets sets;
  explicit Opened(const std::vector<std::string>& overrides)
      : loaded(load_config("configs/tiny.yaml", overrides)),
        run(open_run_shape(loaded)),
        sets(loaded, run, WhichSets::train, nullptr) {
    parallel::SelfGroup self;
    Job job{self, {}};
    check_sets(sets, job);
  }
  // As a process that has just begun.
  std::unique_ptr<TrainingData> data() {
    auto opened = open_training_data(sets);
    opened->begin(loaded.config.train);
    return opened;
  }
};

template <class T>
void add(StreamHash& hash, const T* values, i64 count) {
  hash.add({reinterpret_cast<const char*>(values), static_cast<std::size_t>(count) * sizeof(T)});
}

// Id, and a hash of tokens, labels and pixels.
std::vector<std::string> fingerprints(const std::vector<model::Sample>& step) {
  std::vector<std::string> found;
  for (const model::Sample& sample : step) {
    StreamHash hash;
    add(hash, sample.ids.data(), sample.tokens());
    add(hash, sample.labels.data(), sample.tokens());
    for (const auto& image : sample.images) {
      const Tensor pixels = image->pixels();
      add(hash, pixels.host<float>(), pixels.elements());
    }
    found.push_back(fmt::format("{} {:016x}", sample.id, hash.digest()));
  }
  return found;
}

// A name for each kind of data, and what is asked for. Steps are short, so that epochs end often.
std::map<std::string, std::vector<std::string>> kinds(const ScratchFolder& folder) {
  std::map<std::string, std::string> files;
  for (const auto& [name, count] : {std::pair("a", 7), std::pair("b", 11)}) {
    std::string lines, words;
    for (int i = 0; i < count; ++i)
      lines += fmt::format(R"({{"query": "{}{}", "response": "{}"}})"
                           "\n",
                           name, words += " two", i);
    files[name] = folder.write(name + std::string(".jsonl"), lines);
  }
  const std::string a = "{text: " + files["a"], b = "{text: " + files["b"];
  return {
      {"pictures that are shifted", {"train.tokens_per_step=150", "data.augment.shift=3", "train.steps=210"}},
      {"without the long ones", {"train.tokens_per_step=110", "data.overlong=drop", "train.steps=210"}},
      {"sets as one", {"data.train=[" + a + "}, " + b + "}]", "train.tokens_per_step=90", "train.steps=210"}},
      {"a mixture",
       {"data.train=[" + a + ", weight: 3}, " + b + ", weight: 0.7}]", "train.tokens_per_step=70",
        "train.steps=210"}},
      {"epochs with an end",
       {"data.train=[" + a + "}, " + b + "}]", "train.tokens_per_step=80", "train.steps=~",
        "train.epochs=31.4"}},
  };
}

}  // namespace

TEST_CASE("behind every step from 1 to 200 the samples go on as if nothing had been") {
  const ScratchFolder folder;
  for (const auto& [name, overrides] : kinds(folder)) {
    CAPTURE(name);
    Opened opened(overrides);
    const auto undisturbed = opened.data();
    std::vector<std::vector<std::string>> reference;
    std::vector<i64> drawn;
    for (i64 step = 0; step < kSteps + 2; ++step) {
      reference.push_back(fingerprints(undisturbed->next()));
      drawn.push_back(undisturbed->samples_drawn());
    }
    CHECK(drawn.back() >= 3 * undisturbed->samples_per_epoch());  // edges of epochs are among them
    const auto rolled_back = opened.data();
    i64 different = 0;
    for (i64 k = 1; k <= kSteps; ++k) {
      // A new process, and one that is elsewhere in the data.
      const auto resumed = opened.data();
      for (TrainingData* data : {resumed.get(), rolled_back.get()}) {
        data->go_behind(k);
        for (i64 step = k; step < k + (data == resumed.get() ? 2 : 1); ++step) {
          different += fingerprints(data->next()) != reference[static_cast<std::size_t>(step)];
          different += data->samples_drawn() != drawn[static_cast<std::size_t>(step)];
        }
      }
    }
    CHECK(different == 0);
  }
}

TEST_CASE("every number of ranks and every packing has just the samples of the step, once") {
  const ScratchFolder folder;
  for (const auto& [name, overrides] : kinds(folder)) {
    CAPTURE(name);
    Opened opened(overrides);
    const auto data = opened.data();
    data->go_behind(17);
    for (int step = 0; step < 6; ++step) {
      const std::vector<model::Sample> samples = data->next();
      std::vector<std::string> expected;
      i64 tokens = 0;
      for (const model::Sample& s : samples) {
        expected.push_back(s.id);
        tokens += s.tokens();
      }
      std::sort(expected.begin(), expected.end());
      for (const auto& [ranks, sequence] : {std::pair<i64, i64>{1, 1}, {2, 1}, {4, 1}, {4, 2}, {4, 4}}) {
        const model::Vlm& model = *opened.run.model;
        const auto plan = parallel::uniform_plan(
            {ranks, sequence, ranks / sequence}, model.vision().blocks(), parallel::AttentionKind::ulysses,
            model.language().blocks(), parallel::AttentionKind::ulysses, parallel::FusionKind::owner);
        for (const i64 limit : {0, 1, 60, 160}) {
          CAPTURE(limit);
          std::vector<std::string> found;
          for (i64 rank = 0; rank < ranks; ++rank) {
            const StepBatch batch = deal_step(samples, model, plan, rank, limit);
            CHECK(batch.tokens == tokens);
            CHECK(batch.ids.size() == batch.passes.size());
            if (rank % sequence > 0) continue;
            for (const auto& ids : batch.ids) found.insert(found.end(), ids.begin(), ids.end());
          }
          std::sort(found.begin(), found.end());
          CHECK(found == expected);
        }
      }
    }
  }
}

}  // namespace longsight::launch
