#include "runtime/data/records/record_keys.h"

namespace longsight::data {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kOfRecords[] = {"id",           "uid",
                                           "uuid",         "idx",
                                           "index",        "key",
                                           "sample_id",    "image_id",
                                           "question_id",  "source",
                                           "data_source",  "dataset",
                                           "dataset_name", "subset",
                                           "split",        "origin",
                                           "category",     "task",
                                           "type",         "topic",
                                           "domain",       "lang",
                                           "language",     "license",
                                           "model",        "timestamp",
                                           "date",         "width",
                                           "height",       "width_list",
                                           "height_list",  "length",
                                           "hash",         "md5",
                                           "sha256",       "meta",
                                           "metadata",     "__index_level_0__"};
constexpr std::string_view kOfMessages[] = {"id", "index", "timestamp", "date", "model", "lang", "language"};
constexpr std::string_view kOfParts[] = {"id"};
// As img2dataset writes them, and the columns of LAION that it carries along.
constexpr std::string_view kOfCaptions[] = {"key",
                                            "url",
                                            "width",
                                            "height",
                                            "original_width",
                                            "original_height",
                                            "exif",
                                            "md5",
                                            "sha256",
                                            "sha512",
                                            "id",
                                            "uid",
                                            "uuid",
                                            "hash",
                                            "similarity",
                                            "punsafe",
                                            "pwatermark",
                                            "aesthetic",
                                            "license",
                                            "nsfw",
                                            "language",
                                            "source",
                                            "dataset",
                                            "SAMPLE_ID",
                                            "URL",
                                            "TEXT",
                                            "WIDTH",
                                            "HEIGHT",
                                            "LICENSE",
                                            "NSFW",
                                            "LANGUAGE",
                                            "AESTHETIC_SCORE",
                                            "face_bboxes"};

constexpr RefusedKey kNotOfRecords[] = {
    {"objects"sv, "boxes and references are not put into texts; write them there as the model wants them"},
    {"rejected"sv, "answers are learned, not compared; leave the rejected ones out"},
    {"rejected_response"sv, "answers are learned, not compared; leave the rejected ones out"},
    {"chosen"sv, "answers are learned, not compared; put the chosen conversation into messages"},
    {"audio"sv, "no model here takes audio"},
    {"audios"sv, "no model here takes audio"},
    {"functions"sv, "write tools: [{\"type\": \"function\", \"function\": {..}}, ..]"},
};
constexpr RefusedKey kNotOfMessages[] = {
    {"weight"sv, "write loss: false for an answer that is not to be learned"},
    {"function_call"sv, "write tool_calls: [{\"type\": \"function\", \"function\": {..}}]"},
    {"audio"sv, "no model here takes audio"},
};
constexpr std::string_view kSampled = "the frames of a video are listed, nothing is sampled from a film";
constexpr RefusedKey kNotOfParts[] = {
    {"total_pixels"sv, "limit each frame with max_pixels"},
    {"min_frames"sv, kSampled},
    {"max_frames"sv, kSampled},
    {"video_start"sv, kSampled},
    {"video_end"sv, kSampled},
    {"sample_fps"sv, "write fps, the frames per second of those that are listed"},
    {"raw_fps"sv, "write fps, the frames per second of those that are listed"},
    {"audio"sv, "no model here takes audio"},
};

constexpr KeyTable kRecordTable{kOfRecords, kNotOfRecords};
constexpr KeyTable kMessageTable{kOfMessages, kNotOfMessages};
constexpr KeyTable kPartTable{kOfParts, kNotOfParts};
constexpr KeyTable kCaptionTable{kOfCaptions, {}};
constexpr KeyTable kEmptyTable{{}, {}};

}  // namespace

const KeyTable& record_keys() {
  return kRecordTable;
}
const KeyTable& message_keys() {
  return kMessageTable;
}
const KeyTable& part_keys() {
  return kPartTable;
}
const KeyTable& caption_keys() {
  return kCaptionTable;
}
const KeyTable& no_keys() {
  return kEmptyTable;
}

}  // namespace longsight::data
