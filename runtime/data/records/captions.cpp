#include "runtime/data/records/captions.h"

#include "runtime/base/shorten.h"
#include "runtime/base/utf8.h"

namespace longsight::data {
namespace {

std::optional<std::string> text_of_file(const CaptionFiles& files) {
  if (!files.text) return std::nullopt;
  std::string text = *files.text;
  const i64 invalid = first_invalid_utf8(text);
  require(invalid < 0, ExitCode::bad_data, "{}: invalid UTF-8 at byte {}", files.text_name, invalid);
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

// "caption", after a look at what else the metadata say.
std::optional<std::string> caption_of(const Record& metadata, SampleBuilder& sample) {
  const RecordObject record =
      sample.object(metadata, {"caption", "status", "error_message"}, caption_keys(), sample.where());
  sample.set_id(record);
  const auto status = record.optional_text("status");
  require(!status || *status == "success", ExitCode::bad_data, "{}: \"status\" is \"{}\", not \"success\"",
          sample.where(), shortened(status.value_or("")));
  return record.optional_text("caption");
}

}  // namespace

void read_caption(const CaptionFiles& files, SampleBuilder& sample) {
  const std::string& where = sample.where();
  const bool object = files.metadata != nullptr && files.metadata->is_object();
  const bool named = object && files.metadata->contains("caption") && !(*files.metadata)["caption"].is_null();
  require(files.metadata == nullptr || object, ExitCode::bad_data, "{}: its JSON is not an object", where);
  require(files.text || named, ExitCode::bad_data, "{}: no {}, and no caption (a .txt or \"caption\")", where,
          object ? "\"messages\", \"conversations\", \"text\", \"query\" or \"instruction\" in its JSON"
                 : "JSON member");
  require(files.pictures > 0, ExitCode::bad_data, "{}: a caption without a picture", where);
  const std::optional<std::string> written = text_of_file(files);
  const std::optional<std::string> said = object ? caption_of(*files.metadata, sample) : std::nullopt;
  require(!written || !said || *written == *said, ExitCode::bad_data,
          "{}: its text \"{}\" is not its \"caption\", \"{}\"; keep one of them", where,
          shortened(written.value_or("")), shortened(said.value_or("")));
  sample.begin_message(Role::user, false, where + ": the pictures");
  for (i64 i = 0; i < files.pictures; ++i) sample.add_listed({.kind = PartKind::image});
  sample.end_message();
  sample.begin_message(Role::assistant, true, where + ": the caption");
  sample.add_text(written ? *written : *said);
  sample.end_message();
}

}  // namespace longsight::data
