// A safetensors file: its header is refused, or every tensor can be read.
#include "runtime/io/safetensors.h"

#include <cstring>

#include "tests/fuzz/targets.h"
#include "tests/support/scratch_folder.h"

namespace longsight::fuzz {
namespace {

void read_all(const std::string& path) {
  read_or_refuse([&] {
    const io::SafetensorsFile file(path);
    for (const io::TensorEntry& entry : file.entries())
      if (entry.dtype) file.read(entry.name);
  });
}

}  // namespace

void safetensors(Bytes bytes) {
  static const ScratchFolder folder;
  std::string content(text_of(bytes));
  read_all(folder.write("x.safetensors", content));
  if (content.size() < 8) return;
  // The same with a length of the header that can be.
  std::uint64_t length = 0;
  std::memcpy(&length, content.data(), sizeof(length));
  length %= content.size() - 7;
  std::memcpy(content.data(), &length, sizeof(length));
  read_all(folder.write("x.safetensors", content));
}

}  // namespace longsight::fuzz
