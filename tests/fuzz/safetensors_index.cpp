// model.safetensors.index.json, beside the shards a.safetensors (tensors t0 and t1) and b.safetensors (t2).
#include "runtime/io/safetensors.h"
#include "tests/fuzz/targets.h"
#include "tests/support/scratch_folder.h"

void longsight::fuzz::safetensors_index(Bytes bytes) {
  static const ScratchFolder folder;
  static const bool shards_written = [] {
    const OwnedTensor x(DType::F32, {1});
    using Tensors = std::vector<io::NamedTensor>;
    io::write_safetensors(folder / "a.safetensors", Tensors{{"t0", x, DType::F32}, {"t1", x, DType::F32}});
    io::write_safetensors(folder / "b.safetensors", Tensors{{"t2", x, DType::F32}});
    return true;
  }();
  if (!shards_written) return;
  folder.write("model.safetensors.index.json", text_of(bytes));
  read_or_refuse([&] {
    const io::SafetensorsSet set(folder.path());
    for (const io::TensorEntry& entry : set.entries()) set.read(entry.name);
  });
}
