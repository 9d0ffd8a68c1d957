// The header of a safetensors file, for its reader and writer.
#pragma once

#include <array>

#include "runtime/io/safetensors.h"

namespace longsight::io {

inline constexpr i64 kConvertElements = i64{1} << 20;  // read or written in another type at a time

struct StoredType {
  const char* name;
  i64 bytes;
  std::optional<DType> dtype;  // none: files may list it, but it cannot be read
};
inline constexpr std::array<StoredType, 13> kStoredTypes{{{"F64", 8, DType::F64},
                                                          {"F32", 4, DType::F32},
                                                          {"BF16", 2, DType::BF16},
                                                          {"F16", 2, DType::F16},
                                                          {"I64", 8, DType::I64},
                                                          {"I32", 4, DType::I32},
                                                          {"U8", 1, DType::U8},
                                                          {"BOOL", 1, {}},
                                                          {"I8", 1, {}},
                                                          {"I16", 2, {}},
                                                          {"U16", 2, {}},
                                                          {"U32", 4, {}},
                                                          {"U64", 8, {}}}};
inline constexpr i64 kMaxHeaderBytes = 100'000'000;  // as in the reference
inline constexpr std::size_t kMaxTensors = std::size_t{1}
                                           << 18;  // several times what the largest models have
inline constexpr std::size_t kMaxNameBytes = 512;
inline constexpr const char* kMetadataName = "__metadata__";

// Why a tensor cannot have this name; empty if it can.
std::string complaint_about_name(std::string_view name);

struct SafetensorsHeader {
  std::vector<TensorEntry> entries;  // sorted by name
  Metadata metadata;
};

// Reads and checks all of it (see SafetensorsFile).
SafetensorsHeader read_safetensors_header(const InputFile& file);

}  // namespace longsight::io
