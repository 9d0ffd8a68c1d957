// The data sets of a configuration, opened, and their samples as training takes them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/run_model.h"
#include "launch/samples/data_sources.h"
#include "launch/samples/overlong.h"
#include "launch/samples/sample_order.h"

namespace longsight::launch {

// An entry of data.train or data.eval: conversations, or ready batches, of which each file counts as a
// sample.
struct DataSet {
  std::string name;  // of its file or first shard
  bool held_out = false;
  std::optional<double> weight;
  OpenSource chat;                 // or
  std::vector<std::string> files;  // ready batches

  bool ready() const { return !files.empty(); }
  i64 samples() const { return ready() ? static_cast<i64>(files.size()) : chat.samples; }
  std::string where(i64 index) const;
};

enum class WhichSets { train, held_out, both };

class DataSets {
 public:
  // A set that cannot be opened (bad_data, missing_input): given to `failed`, and not there then; without
  // that the error is thrown. Refers to configuration and model. `open` may be a collective (data_files.h).
  using OnFailure = std::function<void(const Error&)>;
  DataSets(const LoadedConfig&, const RunModel&, WhichSets, const OpenFile& open,
           const OnFailure& failed = nullptr);
  DataSets(const DataSets&) = delete;
  DataSets& operator=(const DataSets&) = delete;

  const std::vector<DataSet>& train() const { return train_; }
  const std::vector<DataSet>& held_out() const { return held_out_; }
  std::vector<const DataSet*> all() const;  // first those of training
  // Known once they are checked (check_sets.h), or a sample was measured.
  SampleLengths& train_lengths() { return *train_lengths_; }
  SampleLengths& held_out_lengths() { return *held_out_lengths_; }

  // Makes conversations; only where there are any.
  const SampleMaker& maker() const { return *maker_; }
  const SampleFitter& fitter() const { return *fitter_; }
  // A ready batch. bad_data where nothing of it is learned.
  std::vector<model::Sample> batch(const DataSet&, i64 file) const;
  const LoadedConfig& loaded() const { return loaded_; }
  const model::ModelConfig& model() const { return model_; }

  data::EncodeCache cache;  // the words that were met: for whoever makes samples one by one

 private:
  const LoadedConfig& loaded_;
  const model::ModelConfig& model_;
  std::unique_ptr<SampleMaker> maker_;
  std::unique_ptr<SampleFitter> fitter_;  // refers to the maker
  std::vector<DataSet> train_, held_out_;
  std::optional<SampleLengths> train_lengths_, held_out_lengths_;
};

// What makes samples for the model of a configuration.
std::unique_ptr<SampleMaker> open_sample_maker(const LoadedConfig&, const RunModel&);

}  // namespace longsight::launch
