// A small and awkward model of every family: head counts that do not divide, odd widths, windows that cut
// images unevenly.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace longsight::test {

struct TinyFamily {
  std::string name;
  nlohmann::json config;
};
const std::vector<TinyFamily>& tiny_families();
const nlohmann::json& tiny_family(const std::string& name);

}  // namespace longsight::test
