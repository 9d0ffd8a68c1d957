// Model folders under tests/goldens, and files with their tensors changed.
#pragma once

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "model/vlm.h"
#include "runtime/base/json.h"
#include "runtime/io/safetensors.h"
#include "tests/support/families.h"

namespace longsight::test {

inline std::string golden_folder(const std::string& name) {
  return "tests/goldens/" + name + "/model";
}

inline bool same_bits(const model::Vlm& a, const model::Vlm& b) {
  const Tensor x = a.parameters().values(), y = b.parameters().values();
  return x.bytes() == y.bytes() && std::memcmp(x.data(), y.data(), static_cast<std::size_t>(x.bytes())) == 0;
}

// One spelling of names of an older or newer generation of files.
using Rename = std::function<std::string(const std::string&)>;

// The folder's weights and config.json in `to`, under other names.
inline void write_renamed(const std::string& from, const std::string& to, const Rename& rename) {
  const io::SafetensorsSet file(from);
  std::vector<OwnedTensor> owners;
  std::vector<io::NamedTensor> tensors;
  for (const auto& entry : file.entries()) {
    owners.push_back(file.read(entry.name));
    tensors.push_back({rename(entry.name), owners.back(), DType::F32});
  }
  std::filesystem::create_directories(to);
  std::filesystem::copy_file(from + "/config.json", to + "/config.json");
  io::write_safetensors(to + "/model.safetensors", tensors);
}

// A safetensors file with this header, and zeros that take no room.
struct HollowTensor {
  std::string name;
  std::vector<i64> shape;
  i64 elements() const {
    i64 count = 1;
    for (i64 extent : shape) count *= extent;
    return count;
  }
};

inline void write_hollow(const std::string& path, const std::vector<HollowTensor>& tensors) {
  Json header = Json::object();
  i64 at = 0;
  for (const HollowTensor& t : tensors) {
    const i64 end = at + 4 * t.elements();
    header[t.name] = {{"dtype", "F32"}, {"shape", t.shape}, {"data_offsets", {at, end}}};
    at = end;
  }
  const std::string text = header.dump();
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(text.size() >> (8 * i) & 0xFF);
  std::ofstream(path, std::ios::binary) << length << text;
  std::filesystem::resize_file(path, 8 + text.size() + static_cast<std::size_t>(at));
}

inline std::vector<HollowTensor> hollow_tensors(const std::string& folder) {
  std::vector<HollowTensor> tensors;
  const io::SafetensorsSet file(folder);
  for (const auto& entry : file.entries())
    tensors.push_back({entry.name, {entry.shape.extents().begin(), entry.shape.extents().end()}});
  return tensors;
}

}  // namespace longsight::test
