#include "runtime/data/image/formats/image_decode.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/json.h"
#include "runtime/io/safetensors.h"
#include "tests/support/digest.h"
#include "tests/support/failure.h"
#include "tests/support/scratch_folder.h"

using namespace longsight;
using namespace longsight::data;

namespace {

const std::string kDecode = "tests/goldens/decode/";
const std::string kLlava = "tests/goldens/llava-clip-llama/";

std::vector<std::uint8_t> bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The error that a call throws; an internal error with the text "nothing" if it throws none.
template <class F>
Error error_of(F&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return Error(ExitCode::internal, "nothing");
}

// The result of a call, or nothing where it refuses bad data.
template <class F>
auto unless_refused(F&& call) -> std::optional<decltype(call())> {
  try {
    return call();
  } catch (const Error& error) {
    CHECK(error.code() == ExitCode::bad_data);
    return std::nullopt;
  }
}

bool contains(const Error& error, std::string_view text) {
  return std::string_view(error.what()).find(text) != std::string_view::npos;
}

void put_32(std::vector<std::uint8_t>& bytes, std::size_t at, std::uint32_t value) {
  for (int i = 0; i < 4; ++i)
    bytes[at + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
}

}  // namespace

TEST_CASE("images of the LLaVA golden case decode to the pixels that went into its processor") {
  const io::SafetensorsFile expected(kLlava + "expected_samples/decoded_images.safetensors");
  CHECK(expected.entries().size() == 12);
  for (const io::TensorEntry& entry : expected.entries()) {
    CAPTURE(entry.name);
    const Image image = decode_image_file(kLlava + entry.name);
    const OwnedTensor pixels = expected.read(entry.name);
    REQUIRE(pixels->shape() == Shape({image.height, image.width, 3}));
    CHECK(std::memcmp(pixels->data(), image.rgb.data(), image.rgb.size()) == 0);
    CHECK(read_image_size(kLlava + entry.name) == image.size());
  }
}

TEST_CASE("pictures of every kind decode as in Pillow, from a file and from memory") {
  const Json expected = read_json_file(kDecode + "expected.json");
  CHECK(expected.size() > 250);
  for (const auto& [name, want] : expected.items()) {
    CAPTURE(name);
    const Image image = decode_image_file(kDecode + name);
    const ImageSize size{want["height"].get<i64>(), want["width"].get<i64>()};
    CHECK(image.size() == size);
    CHECK(test::digest(image) == want["drop"].get<std::string>());
    const std::vector<std::uint8_t> bytes = bytes_of(kDecode + name);
    CHECK(test::digest(decode_image(bytes, name, {.alpha = Alpha::white})) ==
          want["white"].get<std::string>());
    CHECK(test::digest(decode_image(bytes, name, {.exif_orientation = false})) ==
          want["stored"].get<std::string>());
    CHECK(read_image_size(kDecode + name) == size);
    CHECK(read_image_size(bytes, name) == size);
  }
}

TEST_CASE("the size without orientation is the stored one") {
  CHECK(read_image_size(kDecode + "exif6.jpg") == ImageSize{26, 17});
  CHECK(read_image_size(kDecode + "exif6.jpg", {.exif_orientation = false}) == ImageSize{17, 26});
}

TEST_CASE("the format is told by the first bytes, not by the name") {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("longsight-decode-{}", getpid());
  std::filesystem::create_directories(folder);
  const auto renamed = folder / "picture.png";
  std::filesystem::copy_file(kDecode + "baseline_444.jpg", renamed);
  CHECK(test::digest(decode_image_file(renamed.string())) ==
        test::digest(decode_image_file(kDecode + "baseline_444.jpg")));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a missing file, a folder and another format are errors that name the file") {
  const Error missing = error_of([] { decode_image_file("no/such.jpg"); });
  CHECK(missing.code() == ExitCode::missing_input);
  CHECK(contains(missing, "no/such.jpg"));
  CHECK(error_of([] { read_image_size(std::string("no/such.jpg")); }).code() == ExitCode::missing_input);
  CHECK(error_of([] { decode_image_file("tests/goldens"); }).code() == ExitCode::missing_input);

  CHECK(contains(error_of([] { decode_image({}, "empty.png"); }), "empty.png: an empty file"));
}

TEST_CASE("what is no picture is refused with the name of what it looks like and the remedy") {
  using namespace std::string_view_literals;
  const std::pair<std::string_view, const char*> contents[] = {
      {"<!DOCTYPE html><html>404", "a.jpg: an HTML page, not a picture: its download went wrong"},
      {"\n<html>Not found</html>", "an HTML page"},
      {"<?xml version='1.0'?>\n<svg width='3'>", "an SVG drawing; convert it to PNG"},
      {"%PDF-1.7 and so on", "a PDF; convert"},
      {"\0\0\0\x1c"
       "ftypheic\0\0\0\0"sv,
       "a HEIC picture; convert"},
      {"\0\0\0\x1c"
       "ftypavif\0\0\0\0"sv,
       "an AVIF picture; convert"},
      {"\0\0\0\x1c"
       "ftypisom\0\0\0\0"sv,
       "a film"},
      {"{\"error\": 403}", "often an error message"},
      {"version https://git-lfs.github.com/spec/v1", "git lfs pull"},
      {"\xff\xd8", "a JPEG that is cut off"},
      {"\0\0\0\0\0\0\0\0"sv, "nothing but zeros"},
      {"GIF89", "a GIF that is cut off"},
      {"hello", "known are JPEG, PNG, GIF, WebP, BMP and TIFF"},
  };
  for (const auto& [content, message] : contents) {
    const std::string_view bytes = content;
    CAPTURE(bytes);
    const std::span<const std::uint8_t> span{reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                             bytes.size()};
    const Error error = error_of([&] { decode_image(span, "a.jpg"); });
    CHECK(error.code() == ExitCode::bad_data);
    CHECK(contains(error, message));
    CHECK(contains(error_of([&] { read_image_size(span, "a.jpg"); }), message));
  }
}

TEST_CASE(
    "a file cut off or with a wrong bit anywhere is what Pillow makes of it, or refused where Pillow refuses "
    "it") {
  const Json damages = read_json_file(kDecode + "damages.json");
  CHECK(damages.size() > 12);
  for (const auto& [name, expected] : damages.items()) {
    CAPTURE(name);
    const std::vector<std::uint8_t> whole = bytes_of(kDecode + name);
    for (const char* how : {"cut", "flip"}) {
      CAPTURE(how);
      const Json& hashes = expected[how];
      REQUIRE(hashes.size() == whole.size());
      for (std::size_t i = 0; i < whole.size(); ++i) {
        CAPTURE(i);
        std::vector<std::uint8_t> broken = whole;
        if (how == std::string_view("cut")) {
          broken.resize(i);
        } else {
          broken[i] ^= static_cast<std::uint8_t>(1 << i % 8);
        }
        if (hashes[i].is_null()) continue;  // of a part of libjpeg that differs from version to version
        const auto image = unless_refused([&] { return decode_image(broken, name); });
        CHECK((image ? test::digest(*image).substr(0, 8) : "") == hashes[i].get<std::string>());
        if (image) CHECK(read_image_size(broken, name) == image->size());
      }
    }
  }
}

TEST_CASE("images beyond the limits are refused by their header") {
  std::vector<std::uint8_t> png = bytes_of(kDecode + "rgb8.png");
  put_32(png, 16, 65501);
  CHECK(contains(error_of([&] { read_image_size(png, "wide.png"); }),
                 "wide.png: an image of 65501 x 11 pixels"));
  put_32(png, 16, 20000);
  put_32(png, 20, 20000);
  CHECK(contains(error_of([&] { decode_image(png, "bomb.png"); }),
                 "400000000 pixels, more than the limit of 178956970"));
  put_32(png, 16, 0);
  CHECK(error_of([&] { read_image_size(png, "flat.png"); }).code() == ExitCode::bad_data);

  CHECK(
      contains(error_of([] { decode_image_file(kDecode + "baseline_444.jpg", {.max_pixels = 37 * 53 - 1}); }),
               "1961"));
  CHECK_NOTHROW(decode_image_file(kDecode + "baseline_444.jpg", {.max_pixels = 37 * 53}));
}

TEST_CASE("a progressive JPEG with more than 500 scans is refused") {
  // The first scan (the DC coefficients), many times: a small file that costs as many passes over the image.
  const std::vector<std::uint8_t> whole = bytes_of(kDecode + "tiny_progressive.jpg");
  const auto next_marker = [&](std::size_t at) {
    while (whole[at] != 0xFF || whole[at + 1] == 0) ++at;
    return at;
  };
  std::size_t begin = 2;
  while (whole[begin + 1] != 0xDA) begin = next_marker(begin + 2);
  const std::size_t header = 2 + static_cast<std::size_t>(whole[begin + 2] * 256 + whole[begin + 3]);
  std::vector<std::uint8_t> scan(whole.begin() + static_cast<std::ptrdiff_t>(begin),
                                 whole.begin() + static_cast<std::ptrdiff_t>(next_marker(begin + header)));
  scan[header - 1] = 0;  // all bits at once, which may be repeated
  const auto with_scans = [&](int count) {
    std::vector<std::uint8_t> bytes(whole.begin(), whole.end() - 2);
    for (int i = 0; i < count; ++i) bytes.insert(bytes.end(), scan.begin(), scan.end());
    bytes.insert(bytes.end(), {0xFF, 0xD9});
    return bytes;
  };
  CHECK_NOTHROW(decode_image(with_scans(400), "scans.jpg"));
  CHECK(contains(error_of([&] { decode_image(with_scans(600), "scans.jpg"); }),
                 "more than 500 progressive scans"));
}

TEST_CASE("a PNG with two headers is refused, as what was read of the first does not hold for the second") {
  std::vector<std::uint8_t> bytes = bytes_of(kDecode + "palette1_trns.png");
  CHECK(decode_image(bytes, "a.png").size() == read_image_size(bytes, "a.png"));
  // The colours of another picture behind the one opacity of a palette.
  const std::vector<std::uint8_t> second = bytes_of(kDecode + "few_colors.png");
  const auto begin = second.begin() + 8, end = begin + 25;  // IHDR, from its length to its checksum
  constexpr std::string_view kData = "IDAT";
  bytes.insert(std::search(bytes.begin(), bytes.end(), kData.begin(), kData.end()) - 4, begin, end);
  CHECK(contains(error_of([&] { decode_image(bytes, "a.png"); }).what(), "a second header (IHDR)"));
  CHECK(contains(error_of([&] { read_image_size(bytes, "a.png"); }).what(), "a second header (IHDR)"));
}

TEST_CASE("pictures that may not look as meant warn by kind, others are silent") {
  std::vector<std::pair<PictureWarning, std::string>> warnings;
  DecodeOptions options{.warn = [&](PictureWarning kind, std::string_view name, std::string_view what) {
    warnings.emplace_back(kind, fmt::format("{}: {}", name, what));
  }};
  const auto warned = [&](const std::string& name) {
    warnings.clear();
    decode_image_file(kDecode + name, options);
    return warnings.empty() ? std::optional<PictureWarning>() : warnings[0].first;
  };
  CHECK(warned("gray8.png") == std::nullopt);
  CHECK(warned("rgb16.png") == std::nullopt);
  CHECK(warned("gray16.png") == PictureWarning::saturated);
  CHECK(warnings[0].second.find("gray16.png: 16-bit gray") != std::string::npos);
  CHECK(warned("rgba8.png") == PictureWarning::transparent);
  CHECK(warned("no_iend.png") == PictureWarning::damaged);
  CHECK(warned("before_sos.jpg") == PictureWarning::damaged);
  options.alpha = Alpha::white;
  CHECK(warned("rgba8.png") == std::nullopt);
}

TEST_CASE("a picture that is no file is refused at once, by its kind") {
  const ScratchFolder folder;
  REQUIRE(::mkfifo((folder / "a.png").c_str(), 0600) == 0);
  CHECK(failure_of([&] { read_image_size(folder / "a.png"); }) ==
        Failure{ExitCode::missing_input, folder / "a.png: cannot open the image: it is a pipe, not a file"});
  CHECK(contains(failure_of([&] { decode_image_file(folder.path()); }).message, "it is a folder"));
}

TEST_CASE(
    "a compressed TIFF whose strips have more than four places but not as many sizes is refused, as by "
    "Pillow") {
  const std::string original = read_whole_file(kDecode + "tiny_lzw.tif", 1 << 20, ExitCode::bad_data);
  const auto number = [](const std::string& bytes, std::size_t at, int width) {
    std::size_t value = 0;
    for (int i = width; i-- > 0;)
      value = value * 256 + static_cast<unsigned char>(bytes[at + static_cast<std::size_t>(i)]);
    return value;
  };
  const auto put = [](std::string& bytes, std::size_t at, std::size_t value) {
    for (std::size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
  };
  // Its one strip has so many places and sizes, of which the first one counts: behind the end of the file.
  const auto decodes = [&](std::size_t places, std::size_t sizes) {
    std::string bytes = original;
    const std::size_t directory = number(bytes, 4, 4);
    for (std::size_t i = 0; i < number(original, directory, 2); ++i) {
      const std::size_t entry = directory + 2 + 12 * i, tag = number(bytes, entry, 2);
      const std::size_t count = tag == 273 ? places : tag == 279 ? sizes : 1;
      if (count == 1) continue;
      const std::size_t behind = bytes.size();
      bytes.append(4 * count, '\0');
      put(bytes, behind, number(bytes, entry + 8, 4));
      put(bytes, entry + 4, count);
      put(bytes, entry + 8, behind);
    }
    const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
    return failure_of([&] { decode_image({data, bytes.size()}, "a.tif"); }).message.empty();
  };
  CHECK(decodes(1, 1));
  CHECK(decodes(1, 4));
  CHECK(decodes(4, 1));
  CHECK(decodes(5, 6));
  CHECK(!decodes(5, 1));
  CHECK(!decodes(1, 5));
}
