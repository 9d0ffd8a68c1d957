#include "runtime/io/safetensors.h"

#include <algorithm>

#include "runtime/base/suggest.h"
#include "runtime/io/safetensors_header.h"
#include "runtime/tensor/convert.h"

namespace longsight::io {
namespace {

bool is_float(DType dtype) {
  return dtype == DType::F64 || dtype == DType::F32 || dtype == DType::BF16 || dtype == DType::F16;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  SafetensorsHeader header = read_safetensors_header(file_);
  entries_ = std::move(header.entries);
  metadata_ = std::move(header.metadata);
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found =
      std::lower_bound(entries_.begin(), entries_.end(), name,
                       [](const TensorEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found != entries_.end() && found->name == name ? &*found : nullptr;
}

const TensorEntry& SafetensorsFile::readable(std::string_view name) const {
  const TensorEntry* entry = find(name);
  if (entry == nullptr) {
    std::vector<std::string> names;
    // The search for a like name is for people, and costs a millisecond for a thousand names.
    for (std::size_t i = 0; i < std::min<std::size_t>(entries_.size(), 10000); ++i)
      names.push_back(entries_[i].name);
    const std::string near = nearest(name, names);
    fail(ExitCode::bad_data, "{}: no tensor \"{}\"{}", path(), name,
         near.empty() ? "" : fmt::format(", but \"{}\"", near));
  }
  require(entry->dtype.has_value(), ExitCode::bad_data,
          "{}: tensor \"{}\" has the type {}, which cannot be read", path(), name, entry->stored_as);
  return *entry;
}

void SafetensorsFile::read(std::string_view name, Tensor into) const {
  const TensorEntry& entry = readable(name);
  require(entry.shape == into.shape(), ExitCode::bad_data, "{}: tensor \"{}\" is {}, expected {}", path(),
          name, entry.shape, into.shape());
  read_range(name, 0, into);
}

OwnedTensor SafetensorsFile::read(std::string_view name) const {
  const TensorEntry& entry = readable(name);
  OwnedTensor tensor(*entry.dtype, entry.shape, entry.name);
  read_range(name, 0, tensor);
  return tensor;
}

void SafetensorsFile::read_range(std::string_view name, i64 first, Tensor into) const {
  const TensorEntry& entry = readable(name);
  check(into.backend() == Backend::host, "tensor \"{}\" is read into memory of {}", name,
        longsight::name_of(into.backend()));
  const i64 count = into.elements();
  check(first >= 0 && count <= entry.shape.elements() - first, "elements {} to {} of tensor \"{}\" {}", first,
        first + count, name, entry.shape);
  const DType stored = *entry.dtype;
  const i64 stored_bytes = size_of(stored);
  const i64 begin = entry.begin + first * stored_bytes;
  if (stored == into.dtype()) {
    file_.read_exactly_at(into.data(), into.bytes(), begin);
    return;
  }
  require(is_float(stored) && is_float(into.dtype()), ExitCode::bad_data,
          "{}: tensor \"{}\" is {}, expected {}", path(), name, longsight::name_of(stored),
          longsight::name_of(into.dtype()));
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min(count, kConvertElements) * stored_bytes));
  for (i64 done = 0; done < count; done += kConvertElements) {
    const i64 part = std::min(count - done, kConvertElements);
    file_.read_exactly_at(buffer.data(), part * stored_bytes, begin + done * stored_bytes);
    convert(static_cast<std::byte*>(into.data()) + done * size_of(into.dtype()), into.dtype(), buffer.data(),
            stored, part);
  }
}

}  // namespace longsight::io
