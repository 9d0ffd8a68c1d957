// From images and videos of a conversation to what the model takes: the text that stands for each, and a
// source of its pixels. As the processor files of a model folder say, or by the defaults of the family.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "model/config.h"
#include "runtime/data/chat/chat_sample.h"
#include "runtime/data/image/file_image.h"
#include "runtime/data/image/image_options.h"
#include "runtime/data/text/tokenizer.h"

namespace longsight::launch {

class MediaMaker {
 public:
  // `required`: a folder that says nothing about images is an error (missing_input), not a reason for
  // defaults.
  MediaMaker(const std::string& folder, const model::ModelConfig&, const data::Tokenizer&,
             const data::ImageOptions&, bool required);

  // An image or video as it will go through the tower, known from the header of its file.
  struct Medium {
    data::MediaLayout layout;
    std::string text;
  };
  // Errors name `where`. `recipes`: the folder's, or smaller ones (see shrunk).
  Medium medium(const data::ChatMedia&, const std::string& where, const data::MediaRecipes& recipes) const;
  std::shared_ptr<data::ImageSource> source(const data::ChatMedia&, const Medium&, data::Shift,
                                            const std::string& where,
                                            const data::MediaRecipes& recipes) const;

  // Smaller images and frames for a sample whose visual tokens must not be more than `budget`; nothing if
  // none are small enough.
  std::optional<data::MediaRecipes> shrunk(std::span<const data::ChatMedia>, i64 budget,
                                           const std::string& where) const;

  // Into a model folder: preprocessor_config.json (and the one of videos) with all that the pixels made here
  // depend on, whatever stood there before. The class is that of the family's processor; empty: none.
  void write_files(const std::string& folder, const std::string& processor_class) const;

  const data::MediaRecipes& recipes() const { return recipes_; }
  bool any() const { return config_.has_vision(); }

 private:
  std::string text_of(const data::MediaLayout&, bool video) const;
  // That of `recipes`, at the size that the medium asks for.
  data::ImageRecipe recipe_of(const data::ChatMedia&, const std::string& where,
                              const data::MediaRecipes& recipes) const;

  model::ModelConfig config_;
  data::MediaRecipes recipes_;
  data::DecodeOptions decode_;
  std::string image_placeholder_, video_placeholder_;
};

}  // namespace longsight::launch
