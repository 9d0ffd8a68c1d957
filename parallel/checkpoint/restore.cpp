#include "parallel/checkpoint/restore.h"

#include <algorithm>
#include <memory>
#include <set>

#include "parallel/checkpoint/snapshot.h"
#include "parallel/sharded_parameters.h"
#include "runtime/base/input_file.h"
#include "runtime/base/stream_hash.h"
#include "runtime/io/safetensors.h"
#include "runtime/ops/hash.h"
#include "runtime/tensor/host_values.h"

namespace longsight::parallel {
namespace {

constexpr i64 kMostManifestBytes = i64{256} << 20;
constexpr i64 kPiece = i64{4} << 20;

std::string hash_of(Tensor values, Stream stream) {
  const OwnedTensor halves(DType::I64, {2}, "hash", stream);
  ops::hash(halves, values, stream);
  const std::vector<i64> read = read_values<i64>(halves, stream);
  return fmt::format("{:016x}{:016x}", static_cast<u64>(read[1]), static_cast<u64>(read[0]));
}

}  // namespace

Manifest read_manifest(const std::string& folder) {
  const std::string path = folder + "/" + kManifestName;
  std::string text;
  try {
    text = read_whole_file(path, kMostManifestBytes, ExitCode::bad_checkpoint);
  } catch (const Error& error) {
    throw Error(ExitCode::bad_checkpoint, error.what());
  }
  return parse_manifest(text, path);
}

std::string problem_of_file(const std::string& folder, const CheckpointFile& expected) {
  try {
    const InputFile file(folder + "/" + expected.name);
    const i64 bytes = file.size();
    if (bytes != expected.bytes)
      return fmt::format("{}: damaged: {} bytes, it was written with {}", file.path(), bytes, expected.bytes);
    WideHash hash;
    std::string piece(static_cast<std::size_t>(std::min(kPiece, bytes)), '\0');
    for (i64 at = 0; at < bytes;) {
      const i64 got = file.read_at(piece.data(), std::min(std::ssize(piece), bytes - at), at);
      if (got == 0) return fmt::format("{}: damaged: it ends at byte {}", file.path(), at);
      hash.add({piece.data(), static_cast<std::size_t>(got)});
      at += got;
    }
    if (hash.text() != expected.hash)
      return fmt::format("{}: damaged: its hash is {}, it was written with {}", file.path(), hash.text(),
                         expected.hash);
    return "";
  } catch (const Error& error) {
    return error.what();
  }
}

std::string problem_of_files(const std::string& folder, const Manifest& manifest, i64 rank, i64 ranks) {
  for (std::size_t i = static_cast<std::size_t>(rank); i < manifest.files.size();
       i += static_cast<std::size_t>(ranks)) {
    std::string problem = problem_of_file(folder, manifest.files[i]);
    if (!problem.empty()) return problem;
  }
  return "";
}

std::function<bool(ParameterId)> trained_in(const Manifest& manifest, const ParameterRegistry& parameters) {
  std::set<ParameterId> ids;
  for (const CheckpointTensor& tensor : manifest.tensors) ids.insert(parameters.find(tensor.name));
  return [ids](ParameterId id) { return ids.contains(id); };
}

std::map<std::string, std::string> hashes_of_frozen(const ParameterRegistry& parameters,
                                                    const std::function<bool(ParameterId)>& trained,
                                                    Stream stream, ProcessGroup* world) {
  std::map<std::string, std::string> hashes;
  const bool dealt = parameters.values_dealt();
  check(!dealt || world != nullptr, "hashes of parameters that are dealt over ranks");
  for (ParameterId id = 0; id < parameters.size(); ++id) {
    if (trained(id)) continue;
    hashes[parameters[id].name] = dealt ? hash_of(whole_value(parameters, id, *world, stream), stream)
                                        : hash_of(parameters.value(id), stream);
  }
  return hashes;
}

std::vector<ParameterDifference> differences_of_parameters(const Manifest& manifest,
                                                           const ParameterRegistry& parameters,
                                                           const std::map<std::string, std::string>& frozen) {
  std::vector<ParameterDifference> found;
  const auto add = [&found]<class... A>(fmt::format_string<A...> text, A&&... values) {
    found.push_back({fmt::format(text, std::forward<A>(values)...)});
  };
  std::set<std::string> trained;
  for (const CheckpointTensor& tensor : manifest.tensors) {
    const ParameterId id = parameters.find(tensor.name);
    if (!trained.insert(tensor.name).second) add("it names {} twice", tensor.name);
    if (id < 0) {
      add("it holds {}, which this model has not", tensor.name);
    } else if (frozen.contains(tensor.name)) {
      add("it trained {}, which is frozen now", tensor.name);
    } else if (parameters[id].shape != tensor.shape) {
      add("{} is {} in it, but {} in this model", tensor.name, tensor.shape.text(),
          parameters[id].shape.text());
    }
  }
  for (const Parameter& p : parameters.all()) {
    const auto own = frozen.find(p.name);
    if (own == frozen.end()) {
      if (!trained.contains(p.name)) add("it did not train {}, this run does", p.name);
      continue;
    }
    const auto theirs = manifest.frozen.find(p.name);
    if (theirs == manifest.frozen.end()) {
      if (!trained.contains(p.name)) add("it does not know {}, which this model has", p.name);
    } else if (theirs->second != own->second) {
      add("{}, which is not trained, had other values: hash {} there, {} now", p.name, theirs->second,
          own->second);
      found.back().of_values = true;
    }
  }
  return found;
}

void restore(const std::string& folder, const Manifest& manifest, const ParameterRegistry& parameters,
             AdamW* optimizer, Stream stream, ProcessGroup* world) {
  std::vector<std::unique_ptr<io::SafetensorsFile>> files;
  for (const CheckpointFile& file : manifest.files)
    files.push_back(std::make_unique<io::SafetensorsFile>(folder + "/" + file.name));
  // Of a slice, the elements of the parameter that this rank holds.
  const auto read = [&](const CheckpointSlice& slice, const std::string& name, const Share& held, Tensor all,
                        i64 first) {
    const Share part = common_part({slice.begin, slice.end}, held);
    if (part.elements() == 0) return;
    const OwnedTensor staged(all.dtype(), {part.elements()}, "checkpoint");
    files[static_cast<std::size_t>(slice.file)]->read_range(name, part.begin - slice.begin, staged);
    copy(all.row_range(first + part.begin, part.elements()), staged, stream);
  };
  for (const CheckpointTensor& tensor : manifest.tensors) {
    const ParameterId id = parameters.find(tensor.name);
    const ParameterBucket& bucket = parameters.bucket_of(id);
    const i64 in_bucket = parameters.in_bucket(id);
    const Share all{0, parameters[id].elements()}, own = parameters.part_of(id, bucket.own);
    for (const CheckpointSlice& slice : tensor.slices) {
      read(slice, value_name(tensor.name), parameters.values_dealt() ? own : all, parameters.values(),
           bucket.values_at + in_bucket);
      if (optimizer == nullptr) continue;
      const i64 at = bucket.moments_at + in_bucket;
      read(slice, first_name(tensor.name), own, optimizer->first_moments(), at);
      read(slice, second_name(tensor.name), own, optimizer->second_moments(), at);
    }
    if (optimizer != nullptr) optimizer->set_steps(id, tensor.steps);
  }
  refresh_weights(parameters, world, stream);
}

}  // namespace longsight::parallel
