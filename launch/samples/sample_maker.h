// From conversations to what a model is fed: token ids, labels and images, made as the files of a model
// folder say; and back from token ids to text.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "launch/adapter_companions.h"
#include "launch/samples/media_maker.h"
#include "model/inputs/micro_batch.h"
#include "runtime/data/chat/tokenize_sample.h"
#include "runtime/data/text/tokenizer.h"

namespace longsight::launch {

struct SampleOptions {
  std::string chat = {};  // template (NAME or FILE.jinja), where the folder's own is not to be used
  data::ImageOptions images = {};
  std::string adapter = {};  // PEFT folder whose template, processor files and tokenizer count, if it has any
};

// Immutable; any number of threads, each with an EncodeCache of its own.
class SampleMaker {
 public:
  // Of a Hugging Face model folder: its tokenizer, processor files and chat template. missing_input or
  // bad_data, with the remedy, for what is missing or does not fit the configuration. A folder without a chat
  // template is good for plain texts alone.
  static std::unique_ptr<SampleMaker> of_model(const std::string& folder, const model::ModelConfig&,
                                               const SampleOptions& = {});
  // Of a folder with a tokenizer, for a model that begins with random weights. What the folder lacks takes
  // defaults of the family: its image processor at the tower's size, and its chat template.
  static std::unique_ptr<SampleMaker> of_tokenizer(const std::string& folder, const model::ModelConfig&,
                                                   const SampleOptions& = {});
  SampleMaker(const SampleMaker&) = delete;
  SampleMaker& operator=(const SampleMaker&) = delete;

  // The whole conversation, with labels. `shifts` has one entry for each image, or none. bad_data with
  // sample.where; of images no more than headers are read yet.
  model::Sample sample(const data::ChatSample&, data::EncodeCache&,
                       std::span<const data::Shift> shifts = {}) const;
  // The same in at most `limit` tokens, with images that take fewer tokens where that is needed; nothing if
  // no size of its images makes it fit. Decided by the sample and the limit alone.
  std::optional<model::Sample> sample_within(const data::ChatSample&, data::EncodeCache&, i64 limit,
                                             std::span<const data::Shift> shifts = {}) const;
  // Tokens of a sample that stand for pictures.
  i64 visual_tokens(const model::Sample&) const;
  // The conversation up to its last assistant turn, and the head of that turn. No labels.
  model::Sample prompt(const data::ChatSample&, data::EncodeCache&) const;

  // Generated ids as text: special tokens, and ids that the model has but the tokenizer has not, are left
  // out.
  std::string text(std::span<const i64> ids) const;
  // Ids that end an answer: the tokenizer's eos, the special token that the chat template writes behind one,
  // eos_token_id of config.json and generation_config.json.
  const std::vector<i64>& stop_tokens() const { return stop_; }

  const model::ModelConfig& config() const { return config_; }
  const data::Tokenizer& tokenizer() const { return *tokenizer_; }
  const data::ChatRenderer* chat() const { return sample_tokenizer_.renderer(); }  // null: no chat template
  const data::ImageRecipe& recipe() const { return media_.recipes().image; }

  // Makes a model folder say what Hugging Face needs to use the model as it was trained: the chat template,
  // the ids that end an answer and the options of pictures as they are here (MediaMaker::write_files), and
  // processor_config.json and generation_config.json as far as the folder lacks them.
  void complete_folder(const std::string& folder) const;
  // The tokenizer, the chat template and what makes pixels, into a folder of adapters.
  void write_adapter_files(const std::string& folder) const;

  // What a user should know of the chat template, and of what adapters brought, in the log.
  void log_choices() const;

 private:
  SampleMaker(const std::string& folder, const model::ModelConfig&, std::optional<data::ChatSource>,
              const AdapterCompanions&, const SampleOptions&, bool needs_recipe);
  std::vector<MediaMaker::Medium> media_of(const data::ChatSample&, const data::MediaRecipes&) const;
  model::Sample made(const data::ChatSample&, data::TokenizedSample, std::span<const MediaMaker::Medium>,
                     std::span<const data::Shift>, const data::MediaRecipes&) const;
  model::Sample labelled(const data::ChatSample&, data::EncodeCache&, std::span<const data::Shift>,
                         const data::MediaRecipes&) const;

  std::string folder_, tokenizer_folder_;  // of the model's files, and where the tokenizer in use is
  model::ModelConfig config_;
  std::unique_ptr<data::Tokenizer> tokenizer_;
  MediaMaker media_;
  data::SampleTokenizer sample_tokenizer_;  // refers to the tokenizer here
  std::vector<i64> stop_;
  std::string from_adapters_;  // what they brought, for the log
};

}  // namespace longsight::launch
