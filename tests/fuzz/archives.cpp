// Shards: a tar archive with its samples, as it is and with checksums that are right; and what gzip packed.
#include <cstring>

#include "runtime/base/gzip.h"
#include "runtime/data/records/webdataset.h"
#include "tests/fuzz/targets.h"
#include "tests/support/scratch_folder.h"

namespace longsight::fuzz {
namespace {

void read_shard(const std::string& path) {
  read_or_refuse([&] {
    const data::WebDataset set({path});
    for (i64 i = 0; i < set.size(); ++i) read_or_refuse([&] { set.sample(i); });
  });
}

// Of every block that says it is a header.
void mend_checksums(std::string& archive) {
  constexpr std::size_t kBlock = 512, kPlace = 148;
  for (std::size_t at = 0; at + kBlock <= archive.size(); at += kBlock) {
    if (archive.compare(at + 257, 5, "ustar") != 0) continue;
    std::memset(archive.data() + at + kPlace, ' ', 8);
    unsigned sum = 0;
    for (std::size_t i = at; i < at + kBlock; ++i) sum += static_cast<unsigned char>(archive[i]);
    archive.replace(at + kPlace, 7, fmt::format("{:06o}", sum) + '\0');
  }
}

}  // namespace

void tar(Bytes bytes) {
  static const ScratchFolder folder;
  std::string archive(text_of(bytes));
  read_shard(folder.write("t.tar", archive));
  mend_checksums(archive);
  read_shard(folder.write("t.tar", archive));
}

void gzip(Bytes bytes) {
  static const ScratchFolder folder;
  const std::string path = folder.write("d.gz", text_of(bytes));
  read_or_refuse([&] { open_unpacked(path); });
}

}  // namespace longsight::fuzz
