// Safetensors files, the format of Hugging Face checkpoints: 8 bytes with the length of a JSON header, the
// header, the data. https://github.com/huggingface/safetensors; read as strictly as the reference does, and
// stricter: see below.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/input_file.h"
#include "runtime/io/atomic_file.h"
#include "runtime/tensor/tensor.h"

namespace longsight::io {

struct TensorEntry {
  std::string name;
  std::string_view stored_as;  // "BF16": the type's name in the file
  std::optional<DType> dtype;  // none: a type that is listed but cannot be read (BOOL, I8, U16, ...)
  Shape shape;
  i64 begin = 0, end = 0;  // bytes from the start of the file
};

// An open file. The header is held, data are read when asked for (pread: any number of threads).
//
// Opening checks all of the header: at most 100 MB, an object, known types, extents whose product fits,
// offsets from 0 to the end of the file without hole or overlap; no name or field twice, names of at most 512
// bytes without control characters, at most Shape::kMaxRank dimensions and 2^18 tensors. Errors name the file
// and the tensor: missing_input if the file is not there, bad_data for everything else.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<TensorEntry>& entries() const { return entries_; }  // sorted by name
  const TensorEntry* find(std::string_view name) const;                 // null: not in the file
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // `into` has the tensor's shape; float types are converted into each other, integers must be of the type
  // stored.
  void read(std::string_view name, Tensor into) const;
  OwnedTensor read(std::string_view name) const;  // of the type stored
  // Elements [first, first + into.elements()) of the tensor seen as one row, for a rank that holds only a
  // slice.
  void read_range(std::string_view name, i64 first, Tensor into) const;

 private:
  const TensorEntry& readable(std::string_view name) const;

  InputFile file_;
  std::vector<TensorEntry> entries_;
  std::map<std::string, std::string> metadata_;
};

// A checkpoint in any of its forms: a file, a folder with model.safetensors, or a folder with
// model.safetensors.index.json and shards (where a folder has both, model.safetensors is it, as in
// transformers). The index must agree with what the shards hold, in both directions. Shards are plain names
// in the folder; a link may lead out of it only into the blobs of a Hugging Face cache (snapshots/REVISION/x
// -> ../../blobs/...).
class SafetensorsSet {
 public:
  explicit SafetensorsSet(const std::string& path);

  const std::string& path() const { return path_; }
  // Of all files, sorted by name.
  const std::vector<TensorEntry>& entries() const {
    return files_.size() == 1 ? files_[0].entries() : entries_;
  }
  const TensorEntry* find(std::string_view name) const;
  std::span<const SafetensorsFile> files() const { return files_; }

  void read(std::string_view name, Tensor into) const;
  OwnedTensor read(std::string_view name) const;
  void read_range(std::string_view name, i64 first, Tensor into) const;

 private:
  const SafetensorsFile& file_of(std::string_view name) const;

  std::string path_;
  std::vector<SafetensorsFile> files_;
  std::vector<TensorEntry> entries_;  // of several files
  std::vector<std::size_t> owners_;   // of each entry, among the files
};

struct NamedTensor {
  std::string name;
  Tensor value;
  DType as_stored = DType::F32;
};

using Metadata = std::map<std::string, std::string>;
inline const Metadata kTorchMetadata{{"format", "pt"}};

// What will be written, before the values are there.
struct TensorPlan {
  std::string name;
  Shape shape;
  DType as_stored = DType::F32;
};

// Writes a file tensor by tensor, for values that never exist all at once. The file appears in commit(). The
// same tensors give the same bytes. Order in the file: as given, but wider types first as the reference does
// (PyTorch cannot read a tensor at an odd address); that is also the order to write() in, see order().
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, std::vector<TensorPlan> tensors,
                    const Metadata& metadata = kTorchMetadata);

  const std::vector<TensorPlan>& order() const { return tensors_; }
  void write(std::string_view name, Tensor value);  // the next of order(); converted to the type stored
  void commit();
  i64 bytes() const { return file_.bytes(); }        // of the file, so far
  std::string hash() const { return file_.hash(); }  // XXH3-128 of them

 private:
  std::string path_;
  std::vector<TensorPlan> tensors_;
  std::size_t next_ = 0;
  AtomicFile file_;
};

void write_safetensors(const std::string& path, std::span<const NamedTensor> tensors,
                       const Metadata& metadata = kTorchMetadata);
// The same of values that need not exist before they are asked for, each once and after the one before has
// been written.
using ValueOf = std::function<Tensor(const std::string& name)>;
void write_safetensors(const std::string& path, std::vector<TensorPlan> tensors, const ValueOf&,
                       const Metadata& metadata = kTorchMetadata);

// Into an existing folder: model.safetensors, or, above `shard_bytes`, model-00001-of-0000N.safetensors and
// model.safetensors.index.json. Tensors fill the shards in the order given; one larger than a shard has its
// own. A folder that holds a checkpoint already is an error (cannot_write).
void write_safetensors_folder(const std::string& folder, std::span<const NamedTensor> tensors,
                              const Metadata& metadata = kTorchMetadata, i64 shard_bytes = 5'000'000'000);
void write_safetensors_folder(const std::string& folder, const std::vector<TensorPlan>& tensors,
                              const ValueOf&, const Metadata& metadata = kTorchMetadata,
                              i64 shard_bytes = 5'000'000'000);

}  // namespace longsight::io
