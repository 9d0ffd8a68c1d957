#include <algorithm>
#include <filesystem>

#include "runtime/base/json.h"
#include "runtime/io/atomic_file.h"
#include "runtime/io/safetensors_header.h"
#include "runtime/tensor/convert.h"

namespace longsight::io {
namespace {

const char* stored_name(DType dtype) {
  const auto found = std::find_if(kStoredTypes.begin(), kStoredTypes.end(),
                                  [&](const StoredType& t) { return t.dtype == dtype; });
  check(found != kStoredTypes.end(), "no stored type for {}", name_of(dtype));
  return found->name;
}

i64 stored_bytes(const TensorPlan& tensor) {
  return checked_mul(tensor.shape.elements(), size_of(tensor.as_stored));
}

void check_names(const std::string& path, std::span<const TensorPlan> tensors) {
  check(tensors.size() <= kMaxTensors, "{}: {} tensors, at most {} fit", path, tensors.size(), kMaxTensors);
  std::vector<std::string_view> names;
  for (const TensorPlan& tensor : tensors) {
    const std::string complaint =
        tensor.name == kMetadataName ? "a reserved name" : complaint_about_name(tensor.name);
    check(complaint.empty(), "{}: tensor \"{}\": {}", path, tensor.name, complaint);
    names.push_back(tensor.name);
  }
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  check(twice == names.end(), "{}: tensor \"{}\" is written twice", path, twice == names.end() ? "" : *twice);
}

std::string header_text(std::span<const TensorPlan> tensors, const Metadata& metadata) {
  std::string text = "{";
  if (!metadata.empty()) text += fmt::format("\"{}\":{}", kMetadataName, Json(metadata).dump());
  i64 at = 0;
  for (const TensorPlan& tensor : tensors) {
    const i64 bytes = stored_bytes(tensor);
    if (text.size() > 1) text += ',';
    const auto extents = tensor.shape.extents();
    text += fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":{},\"data_offsets\":[{},{}]}}",
                        Json(tensor.name).dump(), stored_name(tensor.as_stored),
                        Json(std::vector<i64>(extents.begin(), extents.end())).dump(), at, at + bytes);
    at += bytes;
  }
  text += '}';
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data begin at a multiple of 8
  return text;
}

std::vector<TensorPlan> plans_of(std::span<const NamedTensor> tensors) {
  std::vector<TensorPlan> plans;
  for (const NamedTensor& tensor : tensors)
    plans.push_back({tensor.name, tensor.value.shape(), tensor.as_stored});
  return plans;
}

ValueOf values_of(std::span<const NamedTensor> tensors) {
  std::map<std::string_view, Tensor> values;
  for (const NamedTensor& tensor : tensors) values.emplace(tensor.name, tensor.value);
  return [values](const std::string& name) { return values.at(name); };
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::string& path, std::vector<TensorPlan> tensors,
                                     const Metadata& metadata)
    : path_(path), tensors_(std::move(tensors)), file_(path) {
  check_names(path, tensors_);
  std::stable_sort(tensors_.begin(), tensors_.end(), [](const TensorPlan& a, const TensorPlan& b) {
    return size_of(a.as_stored) > size_of(b.as_stored);
  });
  const std::string header = header_text(tensors_, metadata);
  require(static_cast<i64>(header.size()) <= kMaxHeaderBytes, ExitCode::cannot_write,
          "cannot write {}: its header would have {} bytes, the format allows {}", path, header.size(),
          kMaxHeaderBytes);
  std::string length(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) length[i] = static_cast<char>(u64{header.size()} >> (8 * i) & 0xFF);
  file_.write(length);
  file_.write(header);
}

void SafetensorsWriter::write(std::string_view name, Tensor value) {
  check(next_ < tensors_.size() && tensors_[next_].name == name, "{}: tensor \"{}\" is written out of turn",
        path_, name);
  const TensorPlan& plan = tensors_[next_++];
  check(value.shape() == plan.shape && value.backend() == Backend::host,
        "{}: tensor \"{}\" is {} on {}, planned as {}", path_, name, value.shape(),
        longsight::name_of(value.backend()), plan.shape);
  if (value.dtype() == plan.as_stored) {
    file_.write(value.data(), value.bytes());
    return;
  }
  const i64 count = value.elements();
  std::vector<std::byte> buffer(
      static_cast<std::size_t>(std::min(count, kConvertElements) * size_of(plan.as_stored)));
  for (i64 done = 0; done < count; done += kConvertElements) {
    const i64 part = std::min(count - done, kConvertElements);
    convert(buffer.data(), plan.as_stored,
            static_cast<const std::byte*>(value.data()) + done * size_of(value.dtype()), value.dtype(), part);
    file_.write(buffer.data(), part * size_of(plan.as_stored));
  }
}

void SafetensorsWriter::commit() {
  check(next_ == tensors_.size(), "{}: {} of {} tensors are written", path_, next_, tensors_.size());
  file_.commit();
}

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata) {
  write_safetensors(path, plans_of(tensors), values_of(tensors), metadata);
}

void write_safetensors(const std::string& path, std::vector<TensorPlan> tensors, const ValueOf& value_of,
                       const Metadata& metadata) {
  SafetensorsWriter writer(path, std::move(tensors), metadata);
  for (const TensorPlan& plan : writer.order()) writer.write(plan.name, value_of(plan.name));
  writer.commit();
}

void write_safetensors_folder(const std::string& folder, std::span<const NamedTensor> tensors,
                              const Metadata& metadata, i64 shard_bytes) {
  write_safetensors_folder(folder, plans_of(tensors), values_of(tensors), metadata, shard_bytes);
}

void write_safetensors_folder(const std::string& folder, const std::vector<TensorPlan>& plans,
                              const ValueOf& value_of, const Metadata& metadata, i64 shard_bytes) {
  namespace fs = std::filesystem;
  check(shard_bytes > 0, "shards of {} bytes", shard_bytes);
  const std::string single = folder + "/model.safetensors", index = single + ".index.json";
  for (const std::string& path : {single, index}) {
    std::error_code ignored;
    require(!fs::exists(fs::symlink_status(path, ignored)), ExitCode::cannot_write,
            "cannot write a checkpoint into {}: it has {} already", folder, path);
  }
  check_names(folder, plans);
  struct Range {
    std::size_t first, count;
  };
  std::vector<Range> shards{{0, 0}};
  i64 total = 0, in_shard = 0;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const i64 bytes = stored_bytes(plans[i]);
    if (shards.back().count > 0 && bytes > shard_bytes - in_shard) {
      shards.push_back({i, 0});
      in_shard = 0;
    }
    ++shards.back().count;
    in_shard += bytes;
    total += bytes;
  }
  if (shards.size() == 1) {
    write_safetensors(single, plans, value_of, metadata);
    return;
  }
  Json weight_map = Json::object();
  for (std::size_t s = 0; s < shards.size(); ++s) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size());
    const auto first = plans.begin() + static_cast<std::ptrdiff_t>(shards[s].first);
    std::vector<TensorPlan> part(first, first + static_cast<std::ptrdiff_t>(shards[s].count));
    for (const TensorPlan& tensor : part) weight_map[tensor.name] = name;
    write_safetensors(folder + "/" + name, std::move(part), value_of, metadata);
  }
  // Last, so that a folder with an index has all its shards.
  write_file(
      index,
      Json{{"metadata", {{"total_size", total}}}, {"weight_map", std::move(weight_map)}}.dump(2) + "\n");
}

}  // namespace longsight::io
