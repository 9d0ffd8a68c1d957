#include "runtime/data/records/record_data.h"

namespace longsight::data {

RecordData::RecordData(const std::string& path, std::unique_ptr<MediaResolver> media, ReadRecord read,
                       const std::string& index_folder, std::vector<std::string> ignored,
                       const OpenFile& open)
    : file_(path, index_folder, open),
      media_(std::move(media)),
      read_(std::move(read)),
      ignored_(std::move(ignored)) {
  require(size() > 0, ExitCode::bad_data, "{}: no samples", path);
}

ChatSample RecordData::sample(i64 index) const {
  SampleBuilder builder(file_.where(index), *media_, ignored_);
  read_(file_.json(index), builder);
  return builder.take();
}

}  // namespace longsight::data
