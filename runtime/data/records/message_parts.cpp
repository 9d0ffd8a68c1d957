#include "runtime/data/records/message_parts.h"

#include "runtime/base/shorten.h"
#include "runtime/base/suggest.h"
#include "runtime/data/image/image.h"

namespace longsight::data {
namespace {

constexpr const char* kSizeKeys[] = {"min_pixels", "max_pixels", "resized_height", "resized_width"};
constexpr const char* kImageKeys[] = {"image", "path", "url", "image_url", "base64"};

std::vector<std::string> with_size_keys(std::vector<std::string> keys) {
  keys.insert(keys.end(), std::begin(kSizeKeys), std::end(kSizeKeys));
  return keys;
}

AskedSize size_of(const RecordObject& part) {
  AskedSize size;
  std::optional<i64>* const values[] = {&size.min_pixels, &size.max_pixels, &size.resized_height,
                                        &size.resized_width};
  for (std::size_t i = 0; i < std::size(kSizeKeys); ++i) {
    *values[i] = part.optional_whole(kSizeKeys[i]);
    require(!*values[i] || (**values[i] >= 1 && **values[i] <= kMostPixels), ExitCode::bad_data,
            "{}: \"{}\": expected a whole number from 1 to {}, got {}", part.where(), kSizeKeys[i],
            kMostPixels, values[i]->value_or(0));
  }
  require(size.resized_height.has_value() == size.resized_width.has_value(), ExitCode::bad_data,
          "{}: \"resized_height\" and \"resized_width\" are given together or not at all", part.where());
  require(!size.min_pixels || !size.max_pixels || *size.min_pixels <= *size.max_pixels, ExitCode::bad_data,
          "{}: \"min_pixels\" {} is more than \"max_pixels\" {}", part.where(), size.min_pixels.value_or(0),
          size.max_pixels.value_or(0));
  return size;
}

// What a part is by its type, or by the one key that says it.
std::string type_of(const Record& part, const std::string& where) {
  if (const auto type = part.find("type"); type != part.end() && !type->is_null()) {
    require(type->is_string(), ExitCode::bad_data, "{}: \"type\": expected a string, got {}", where,
            shown(*type));
    return type->get<std::string>();
  }
  std::string found;
  for (const char* key : {"text", "image", "image_url", "video"}) {
    const auto value = part.find(key);
    if (value == part.end() || value->is_null()) continue;
    require(found.empty(), ExitCode::bad_data, "{}: a part with \"{}\" and \"{}\", but without \"type\"",
            where, found, key);
    found = key;
  }
  require(!found.empty(), ExitCode::bad_data, "{}: a part without \"type\"", where);
  return found;
}

void read_image(const Record& json, SampleBuilder& sample, const std::string& where) {
  std::vector<std::string> keys(std::begin(kImageKeys), std::end(kImageKeys));
  keys.insert(keys.end(), {"type", "index"});
  const RecordObject part = sample.object(json, with_size_keys(keys), part_keys(), where);
  const AskedSize size = size_of(part);
  const std::optional<i64> number = part.optional_whole("index");
  const char* source = nullptr;
  for (const char* key : kImageKeys) {
    if (!part.has(key)) continue;
    require(source == nullptr, ExitCode::bad_data, "{}: an image with \"{}\" and \"{}\"; keep one of them",
            where, source ? source : "", key);
    source = key;
  }
  if (source == nullptr) return sample.add_listed({.kind = PartKind::image, .number = number, .size = size});
  if (source == std::string_view("base64")) {
    return sample.add_image(Record({{"bytes", part.text("base64")}}), size, where);
  }
  sample.add_image(part.get(source), size, where);
}

void read_video(const Record& json, SampleBuilder& sample, const std::string& where) {
  const RecordObject part =
      sample.object(json, with_size_keys({"type", "video", "fps", "nframes"}), part_keys(), where);
  const AskedSize size = size_of(part);
  const std::optional<double> fps = part.optional_number("fps");
  require(fps.value_or(1) > 0, ExitCode::bad_data, "{}: fps {} must be positive", where, fps.value_or(0));
  const std::optional<i64> frames = part.optional_whole("nframes");
  const Record* video = part.find("video");
  require(!frames || (video != nullptr && (!video->is_array() || std::ssize(*video) == *frames)),
          ExitCode::bad_data,
          "{}: \"nframes\": {}, but {}; the frames of a video are listed, nothing is sampled", where,
          frames.value_or(0),
          video == nullptr ? std::string("no frames in the part") : fmt::format("{} frames", video->size()));
  if (video == nullptr)
    return sample.add_listed({.kind = PartKind::video, .size = size, .frames_per_second = fps.value_or(0)});
  sample.add_video(*video, fps.value_or(0), size, where);
}

}  // namespace

void read_part(const Record& part, SampleBuilder& sample, const std::string& where) {
  if (part.is_string()) return sample.add_text(part.get_ref<const std::string&>());
  require(part.is_object(), ExitCode::bad_data, "{}: expected an object, got {}", where, shown(part));
  const std::string type = type_of(part, where);
  if (type == "text") {
    sample.add_text(sample.object(part, {"type", "text", "index"}, part_keys(), where).text("text"));
  } else if (type == "image" || type == "image_url") {
    read_image(part, sample, where);
  } else if (type == "video") {
    read_video(part, sample, where);
  } else {
    static const std::vector<std::string> known{"text", "image", "image_url", "video"};
    fail(ExitCode::bad_data, "{}: part type \"{}\" is not supported{}", where, shortened(type),
         did_you_mean(type, known));
  }
}

}  // namespace longsight::data
