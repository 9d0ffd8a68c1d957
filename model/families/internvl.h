// What both forms of InternVL's files share: transformers' (internvl.cpp) and the original remote code's
// (internvl_chat.cpp).
#pragma once

#include "model/config.h"
#include "model/files/config_reader.h"

namespace longsight::model {

i64 internvl_merge(ConfigReader&);  // patches along the edge of a block that pixel shuffle joins to one row
void check_internvl_merge(ConfigReader&, const VisionConfig&);

}  // namespace longsight::model
