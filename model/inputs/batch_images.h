// The images and videos of a batch file, in the order of their placeholders.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/config.h"
#include "runtime/data/image/image_source.h"
#include "runtime/io/safetensors.h"

namespace longsight::model {

struct BatchImages {
  std::vector<std::shared_ptr<data::ImageSource>> images;
  std::vector<std::shared_ptr<data::ImageSource>> videos;
};

// bad_data naming file and tensor.
BatchImages read_batch_images(const io::SafetensorsFile&, const ModelConfig&);

}  // namespace longsight::model
