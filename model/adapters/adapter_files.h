// Adapters in the files of PEFT: adapter_model.safetensors and adapter_config.json, which PEFT loads onto the
// model that transformers makes of the base folder, and writes. Beside the matrices of LoRA the files hold
// whole weights that take the place of the base's (modules_to_save, trained biases, a resized embedding).
#pragma once

#include <string>

#include "model/vlm.h"

namespace longsight::model {

// What the files of a folder hold: ranks, scales, the layers by name, and the parameters that are held whole.
// bad_data for what is another computation (DoRA, ..) or fits neither this model nor adapter_config.json,
// naming the key or tensor; missing_input where a file is missing.
AdapterConfig read_adapter_config(const std::string& folder, const ModelConfig&);

// Values of all adapters, and the whole weights, of a model that was made with that configuration; parameters
// are allocated and hold the base, which came from `base`. Every tensor of the file and every adapter find
// their counterpart, with its shape; the base is the one that they were trained on (base_record.h).
void load_adapter(Vlm&, const std::string& folder, const std::string& base);

// usage for a parameter that is trained beside the adapters and that PEFT's files cannot hold: one whose
// module has adapters inside.
void check_adapter_form(const Vlm&);

// Of the values that write_adapter_files writes.
i64 adapter_bytes(const Vlm&);

// Writes both files into a folder that is there: with them the base becomes the model. Whole weights are
// those that are trained or came with the adapters that training began with. `base` is the folder that the
// adapters belong to. `values`: where parameters are dealt over ranks.
void write_adapter_files(const Vlm&, const std::string& folder, const std::string& base,
                         const ValueOf& values);
void write_adapter_files(const Vlm&, const std::string& folder, const std::string& base);

}  // namespace longsight::model
