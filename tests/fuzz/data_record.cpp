// A data file of whatever kind its first record says, and all of its samples.
#include <algorithm>

#include "runtime/data/records/open_data.h"
#include "tests/fuzz/targets.h"
#include "tests/support/scratch_folder.h"

void longsight::fuzz::data_record(Bytes bytes) {
  static const ScratchFolder folder;
  folder.write("a.png", "x");  // a picture to be named
  const std::string path = folder.write("d.jsonl", text_of(bytes));
  read_or_refuse([&] {
    const std::unique_ptr<data::ChatData> set = data::open_chat_data(data::guess_data_spec(path));
    constexpr i64 kMost = 1000;
    for (i64 i = 0; i < std::min(set->size(), kMost); ++i) read_or_refuse([&] { set->sample(i); });
  });
}
