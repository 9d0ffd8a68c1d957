// JSON whose objects keep the order in which their keys were written: chat templates print objects of a
// record.
#pragma once

#include "runtime/base/json.h"

namespace longsight {

using OrderedJson = nlohmann::ordered_json;

// As strict as parse_json, with the same errors.
OrderedJson parse_ordered_json(std::string_view text, const std::string& name, JsonRules rules = {});

}  // namespace longsight
