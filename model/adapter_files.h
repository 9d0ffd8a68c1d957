// Adapters in the files of PEFT: adapter_model.safetensors and adapter_config.json, which PEFT loads onto the
// model that transformers makes of the base folder, and writes.
#pragma once

#include <string>

#include "model/vlm.h"

namespace longsight::model {

// What the files of a folder hold: rank, alpha, and the layers by name. bad_data for what is not plain LoRA
// on linear layers of this model (DoRA, rank-stabilised scales, trained biases, ranks by pattern), naming the
// key or tensor; missing_input where a file is missing.
AdapterConfig read_adapter_config(const std::string& folder, const ModelConfig&);

// Values of all adapters of a model that was made with that configuration; parameters are allocated. Every
// tensor of the file and every adapter find their counterpart, with its shape.
void load_adapter(Vlm&, const std::string& folder);

// Writes both files into a folder that is there. `base` is the folder that the adapters belong to.
void write_adapter_files(const Vlm&, const std::string& folder, const std::string& base);

}  // namespace longsight::model
