// DATA_FILE.index, of lines (an input that begins with l) or of an archive (t): what stands behind a head
// that fits and in front of a hash that is right, as a stranger would put it there; or the whole file (w).
#include <xxhash.h>

#include "runtime/data/records/record_file.h"
#include "runtime/data/records/webdataset.h"
#include "tests/fuzz/targets.h"
#include "tests/support/scratch_folder.h"
#include "tests/support/tar_maker.h"

namespace longsight::fuzz {
namespace {

struct Files {
  const ScratchFolder folder;
  const std::string lines = folder.write("d.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  const std::string archive =
      folder.write("d.tar", tar_member("a.json", "{\"text\": \"a\"}") +
                                tar_member("b.json", "{\"text\": \"b\"}") + tar_end());
  const std::string lines_head = head(data::RecordFile(lines).write_index(""));
  const std::string archive_head = head(data::WebDataset({archive}).write_index("").front());

  // Three lines: what it is, of what kind, and of which state of the file.
  static std::string head(const std::string& index) {
    const std::string whole = contents_of(index);
    std::size_t end = 0;
    for (int line = 0; line < 3; ++line) end = whole.find('\n', end) + 1;
    return whole.substr(0, end);
  }
};

std::string with_hash(std::string text) {
  const u64 hash = XXH3_64bits(text.data(), text.size());
  return text.append(reinterpret_cast<const char*>(&hash), sizeof(hash));
}

}  // namespace

void data_index(Bytes bytes) {
  static const Files files;
  if (bytes.empty()) return;
  const char kind = static_cast<char>(bytes[0]);
  const std::string text(text_of(bytes.subspan(1)));
  if (kind == 't') {
    files.folder.write("d.tar.index", with_hash(files.archive_head + text));
    read_or_refuse([&] {
      const data::WebDataset set({files.archive});
      for (i64 i = 0; i < set.size(); ++i) read_or_refuse([&] { set.sample(i); });
    });
  } else if (kind == 'l' || kind == 'w') {
    files.folder.write("d.jsonl.index", kind == 'w' ? text : with_hash(files.lines_head + text));
    read_or_refuse([&] {
      const data::RecordFile records(files.lines);
      for (i64 i = 0; i < records.size(); ++i) read_or_refuse([&] { records.json(i); });
    });
  }
}

}  // namespace longsight::fuzz
