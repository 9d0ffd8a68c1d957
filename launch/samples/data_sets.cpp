#include "launch/samples/data_sets.h"

#include "model/inputs/batch_file.h"

namespace longsight::launch {
namespace {

DataSet open_set(const DataSource& source, bool held_out, const std::string& index_folder,
                 const OpenFile& open) {
  DataSet set{.name = {}, .held_out = held_out, .weight = source.weight, .chat = {}, .files = source.tensors};
  if (!set.ready()) set.chat = open_source(source, index_folder, open);
  set.name = set.ready() ? set.files.front() : set.chat.name;
  return set;
}

SampleLengths lengths_of(const std::vector<DataSet>& sets) {
  std::vector<i64> samples;
  for (const DataSet& set : sets) samples.push_back(set.samples());
  return SampleLengths(samples);
}

}  // namespace

std::string DataSet::where(i64 index) const {
  return ready() ? files[static_cast<std::size_t>(index)] : chat.data->where(index);
}

DataSets::DataSets(const LoadedConfig& loaded, const RunModel& run, WhichSets which,
                   const OpenFile& open_file, const OnFailure& failed)
    : loaded_(loaded), model_(run.model->config()) {
  const DataSection& d = loaded.config.data;
  const auto open = [&](const std::vector<DataSource>& sources, bool held_out, std::vector<DataSet>& sets) {
    for (const DataSource& source : sources) {
      if (source.tensors.empty() && !maker_) {
        maker_ = open_sample_maker(loaded, run);
        maker_->log_choices();
        fitter_ = std::make_unique<SampleFitter>(*maker_, loaded.config);
      }
      try {
        sets.push_back(open_set(source, held_out, d.index, open_file));
      } catch (const Error& error) {
        const bool of_data = error.code() == ExitCode::bad_data || error.code() == ExitCode::missing_input;
        if (!failed || !of_data) throw;
        failed(error);
      }
    }
  };
  if (which != WhichSets::held_out) open(d.train, false, train_);
  if (which != WhichSets::train) open(d.eval, true, held_out_);
  train_lengths_ = lengths_of(train_);
  held_out_lengths_ = lengths_of(held_out_);
}

std::vector<const DataSet*> DataSets::all() const {
  std::vector<const DataSet*> sets;
  for (const auto* list : {&train_, &held_out_}) {
    for (const DataSet& set : *list) sets.push_back(&set);
  }
  return sets;
}

std::vector<model::Sample> DataSets::batch(const DataSet& set, i64 file) const {
  const std::string& path = set.files[static_cast<std::size_t>(file)];
  model::BatchFile batch = model::read_batch_file(path, model_);
  require(batch.supervised() > 0, ExitCode::bad_data,
          "{}: no supervised token (every label is -100): a step has nothing to learn from", path);
  return std::move(batch.samples);
}

std::unique_ptr<SampleMaker> open_sample_maker(const LoadedConfig& loaded, const RunModel& run) {
  loaded.document.require_at(
      !run.companions.empty(), "model.tokenizer",
      "chat data need a tokenizer: name a folder with tokenizer.json (longsight data tokenizer makes one)");
  const SampleOptions options{.chat = loaded.config.data.chat,
                              .images = loaded.config.data.images,
                              .adapter = loaded.config.model.adapter};
  return loaded.config.model.from.empty()
             ? SampleMaker::of_tokenizer(run.companions, run.model->config(), options)
             : SampleMaker::of_model(run.companions, run.model->config(), options);
}

}  // namespace longsight::launch
