#include "runtime/data/records/open_data.h"

#include "runtime/data/records/any_record.h"
#include "runtime/data/records/messages.h"
#include "runtime/data/records/plain_text.h"
#include "runtime/data/records/webdataset.h"

namespace longsight::data {
namespace {

ReadRecord reader_of(const DataSpec& spec) {
  switch (spec.kind) {
    case DataKind::messages:
      return read_messages;
    case DataKind::text:
      return read_plain;
    case DataKind::llava:  // the names of which are the default ones
    case DataKind::sharegpt:
      return [tags = spec.tags](const Record& record, SampleBuilder& sample) {
        read_conversations(record, tags, sample);
      };
    case DataKind::webdataset:
      break;
  }
  fail(ExitCode::internal, "shards are not one file of records");
}

DataKind kind_of_record(RecordKind kind) {
  switch (kind) {
    case RecordKind::messages:
      return DataKind::messages;
    case RecordKind::llava:
      return DataKind::llava;
    case RecordKind::sharegpt:
      return DataKind::sharegpt;
    case RecordKind::text:
      break;
  }
  return DataKind::text;
}

}  // namespace

std::unique_ptr<ChatData> open_chat_data(const DataSpec& spec) {
  if (spec.kind == DataKind::webdataset) {
    return std::make_unique<WebDataset>(expand_shards(spec.files), spec.index_folder, spec.ignore, spec.open);
  }
  check(spec.files.size() == 1, "{} files for one data set", spec.files.size());
  const std::string& file = spec.files.front();
  std::unique_ptr<MediaResolver> media;
  if (spec.kind == DataKind::text) {
    media = std::make_unique<NoMedia>();
  } else {
    media = std::make_unique<MediaFolder>(file, spec.images);
  }
  return std::make_unique<RecordData>(file, std::move(media), reader_of(spec), spec.index_folder, spec.ignore,
                                      spec.open);
}

DataSpec guess_data_spec(const std::string& file, const OpenFile& open) {
  if (file.ends_with(".tar") || file.ends_with(".tar.gz") || file.ends_with(".tgz"))
    return {.kind = DataKind::webdataset, .files = {file}, .open = open};
  const RecordFile records(file, "", open);
  require(records.size() > 0, ExitCode::bad_data, "{}: no samples", file);
  const std::optional<RecordKind> kind = kind_of(records.json(0));
  require(kind.has_value(), ExitCode::bad_data,
          "{}: its first record does not say what it is; name the kind: messages, llava, sharegpt or text",
          file);
  return {.kind = kind_of_record(*kind), .files = {file}, .open = open};
}

}  // namespace longsight::data
