#include "runtime/data/record_data.h"

namespace longsight::data {

RecordData::RecordData(const std::string& path, std::unique_ptr<MediaResolver> media, ReadRecord read,
                       const std::string& index_folder)
    : file_(path, index_folder), media_(std::move(media)), read_(std::move(read)) {
  require(size() > 0, ExitCode::bad_data, "{}: no samples", path);
}

ChatSample RecordData::sample(i64 index) const {
  SampleBuilder builder(file_.where(index), *media_);
  read_(file_.json(index), builder);
  return builder.take();
}

}  // namespace longsight::data
