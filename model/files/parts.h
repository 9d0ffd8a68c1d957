// A LLaVA of a vision tower and a language model that were trained apart, as its recipe begins: CLIP or
// SigLIP, a new connector, and a language model that stands alone.
#pragma once

#include "model/files/checkpoint.h"

namespace longsight::model {

struct PartFolders {
  std::string vision;    // of a CLIPModel, CLIPVisionModel, SiglipModel or SiglipVisionModel
  std::string language;  // of a LlamaForCausalLM or another that stands alone (families/text_rows.h)
};

// The configuration of the whole, without a weight being read. Features are those of the last block but one;
// CLIP's class token is dropped, SigLIP has none and keeps all rows. The image token is "<image>": the one of
// the language model's tokenizer, or new behind its last token; the vocabulary grows where that is beyond it.
ModelConfig compose_parts(const PartFolders&);

// The tower's tensors of the one folder (text towers, projections and logit scales of whole CLIP and SigLIP
// models are passed over), those of the other, and a connector initialised by name. New rows of embedding and
// head are the mean of the others. What else is missing or not known is refused as in load_model.
std::unique_ptr<Vlm> load_parts(const PartFolders&, const LoadOptions&);

// The files beside the weights, into an existing folder: the tokenizer's, with the image token in them, and
// preprocessor_config.json of the tower's. Chat templates are left out: they know no images.
void write_parts_files(const PartFolders&, const std::string& folder);

}  // namespace longsight::model
